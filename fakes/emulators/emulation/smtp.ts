/** SMTP among the emulations. */
import { PortError } from '../../../src/errors.ts'
import { checkMailMessage } from '../../../src/ports/mail-message.ts'
import type { MailMessage } from '../../../src/ports/mailer.ts'
import { loadVendor } from '../../../src/services/vendor.ts'
import { FakeMailer, fake, type Refusal } from '../../mailer.ts'
import { array, integer, object, type Schema, text } from '../control/schema.ts'
import type { ForcedReplyRule, SmtpEmulator } from '../smtp.ts'
import { fakeOf, forceAll, notStarted } from './common.ts'
import type { Emulation, Protocol } from './protocol.ts'
import { bytesOf, checkEntry, type SeedBody, seedBody } from './seed.ts'

interface SmtpSeed {
  readonly mails?: readonly SeededMail[]
  readonly refusals?: readonly (Refusal & { readonly address: string })[]
  readonly maxBytes?: number
  readonly maxRecipients?: number
  readonly greylistMs?: number
}

interface SeededMail extends Omit<MailMessage, 'attachments'> {
  readonly attachments?: readonly {
    readonly filename: string
    readonly content: SeedBody
    readonly contentType?: string
    readonly contentId?: string
  }[]
}

const address: Schema = { anyOf: [text(), object({ address: text(), name: text() })] }

const seedSchema: Schema = object({
  'mails?': array(
    object({
      from: address,
      'to?': array(address),
      'cc?': array(address),
      'bcc?': array(address),
      'replyTo?': array(address),
      subject: text(),
      'text?': text(),
      'html?': text(),
      'attachments?': array(
        object({ filename: text(), content: seedBody, 'contentType?': text(), 'contentId?': text() }),
      ),
      'headers?': { type: 'object', additionalProperties: text() },
      'messageId?': text(),
    }),
    'mails in the outbox, as Mailer.send takes them',
  ),
  'refusals?': array(
    object({ address: text(), 'reason?': text(), 'retryable?': { type: 'boolean' } }),
    'recipients that are refused from now on',
  ),
  'maxBytes?': integer(1, Number.MAX_SAFE_INTEGER, 'the largest mail it takes'),
  'maxRecipients?': integer(1, Number.MAX_SAFE_INTEGER, 'how many recipients of one mail it takes'),
  'greylistMs?': integer(0, Number.MAX_SAFE_INTEGER, 'how long a first try is refused for now; 0 ends it'),
})

const forcedSchema: Schema = object({
  stage: text('connect, ehlo, starttls, auth, mail, rcpt, data, content or quit'),
  'code?': integer(400, 599),
  'text?': text(),
  'drop?': { type: 'boolean' },
  'when?': text(undefined, { enum: ['before', 'after'] }),
  'latencyMs?': integer(0, Number.MAX_SAFE_INTEGER),
  'times?': integer(1, Number.MAX_SAFE_INTEGER),
  'match?': text(),
})

export const smtpProtocol: Protocol = {
  port: 'mailer',
  usualPort: 1025,
  async create({ service, clock, seed, credentials, fake: factory = fake }) {
    const mailer = fakeOf(FakeMailer, factory.create({ service, clock, seed }), service)
    const { user, password } = credentials
    if ((user === undefined) !== (password === undefined)) {
      throw new PortError({
        code: 'invalid-argument',
        message: 'smtp needs a user and a password, or neither',
      })
    }
    let emulator: SmtpEmulator | undefined
    const running = (): SmtpEmulator => emulator ?? notStarted()
    const emulation: Emulation = {
      service,
      protocol: 'smtp',
      faults: mailer.faults,
      journal: mailer.journal,
      seedSchema,
      forcedSchema,
      state: () => stateOf(mailer),
      seed: (name, data, folder) => seedMailer(mailer, name, data as SmtpSeed, folder),
      force: (rules) =>
        forceAll(emulation, rules, (rule) => {
          const { stage, ...reply } = rule as ForcedReplyRule
          running().force(stage, reply)
        }),
      forced: () => emulator?.forced ?? [],
      clearForced: () => emulator?.clearForced(),
      reset() {
        mailer.reset()
        emulator?.clearForced()
      },
      save: (folder) => mailer.save(folder),
      load: (folder) => mailer.load(folder),
      async start({ host, port }) {
        const { startSmtpEmulator } = await loadVendor(() => import('../smtp.ts'), ['smtp-server'])
        const users = user === undefined || password === undefined ? undefined : { [user]: password }
        emulator = await startSmtpEmulator(mailer, { host, port, ...(users && { users }) })
        const url = new URL(emulator.url)
        if (user !== undefined) Object.assign(url, { username: user, password })
        return {
          url: emulator.url,
          port: emulator.port,
          serviceUrl: url.href.replace(/\/$/, ''),
          environment: {
            SMTP_HOST: url.hostname,
            SMTP_PORT: url.port,
            ...(user !== undefined && { SMTP_USER: user }),
            ...(password !== undefined && { SMTP_PASSWORD: password }),
          },
          notes: [users === undefined ? 'takes mail from anyone, without logging in' : `user ${user}`],
        }
      },
      stop: async () => emulator?.close(),
      close: () => mailer.guarded.close(),
    }
    return emulation
  },
}

function stateOf(mailer: FakeMailer): unknown {
  return {
    outbox: mailer.outbox.map(({ message, source, at, ...mail }) => ({
      ...mail,
      at: at.toISOString(),
      message: {
        ...message,
        ...(message.attachments && {
          attachments: message.attachments.map(({ content, ...rest }) => ({
            ...rest,
            ...(typeof content === 'string'
              ? { text: content }
              : { base64: Buffer.from(content).toString('base64') }),
          })),
        }),
      },
      source: source && Buffer.from(source).toString('latin1'),
    })),
    refusals: [...mailer.refusals].map(([refused, refusal]) => ({ address: refused, ...refusal })),
    maxBytes: mailer.maxBytes,
    maxRecipients: mailer.maxRecipients,
  }
}

async function seedMailer(
  mailer: FakeMailer,
  name: string,
  { mails = [], refusals = [], maxBytes, maxRecipients, greylistMs }: SmtpSeed,
  folder: string | undefined,
): Promise<number> {
  const messages: MailMessage[] = []
  for (const [index, mail] of mails.entries()) {
    const entry = `${name}.mails[${index}]`
    const { attachments, ...rest } = mail
    const read = await Promise.all(
      (attachments ?? []).map(async ({ content, ...attachment }, at) => ({
        ...attachment,
        content: await bytesOf(`${entry}.attachments[${at}].content`, content, folder),
      })),
    )
    const message: MailMessage = attachments === undefined ? rest : { ...rest, attachments: read }
    checkEntry(entry, () => checkMailMessage(message))
    messages.push(message)
  }
  // On a fake of its own first, so that what is refused half-way leaves nothing.
  for (const target of [new FakeMailer(), mailer]) {
    for (const [index, { address: refused, ...refusal }] of refusals.entries())
      checkEntry(`${name}.refusals[${index}]`, () => target.refuse(refused, refusal))
    checkEntry(name, () => {
      if (maxBytes !== undefined) target.limitSize(maxBytes)
      if (maxRecipients !== undefined) target.limitRecipients(maxRecipients)
      if (greylistMs !== undefined) target.greylist(greylistMs)
    })
  }
  mailer.seed(...messages)
  return messages.length + refusals.length
}
