import fc from 'fast-check'
import { expect, test } from 'vitest'
import { smtp } from '../adapters/smtp/index.ts'
import { type SmtpEmulator, startSmtpEmulator } from '../fakes/emulators/smtp.ts'
import { FakeMailer } from '../fakes/mailer.ts'
import { type Clock, systemClock, VirtualClock } from '../src/calls/clock.ts'
import { type CallEvent, type Guarded, guard } from '../src/calls/guard.ts'
import { PortError, type PortErrorCode } from '../src/errors.ts'
import { Mailer } from '../src/ports/mailer.ts'
import { freePort } from '../src/servers/free-port.ts'
import { ServiceUrl } from '../src/services/url.ts'
import { notingSubject } from './codes.ts'
import type { OpenSubject } from './contract.ts'
import { mailerCodes } from './mailer/failures.ts'
import { mailerContract, mailerMeans } from './mailer.ts'
import { networkTo } from './network.ts'
import { describeContract } from './vitest.ts'

const password = 'c4nary-S3cr3t/+pass'
const wrongPassword = 'c4nary-wr0ng/+pass'
const user = 'shop@example.com'

function means(
  fake: FakeMailer,
  emulator?: Pick<SmtpEmulator, 'force'>,
): Pick<OpenSubject<Mailer>, 'force' | 'delayNext' | 'passTime' | 'inside' | 'limitation'> {
  return {
    ...mailerMeans({
      received: () => fake.outbox,
      refuse: (address, refusal) => fake.refuse(address, refusal),
      limitSize: (maxBytes) => fake.limitSize(maxBytes),
      limitRecipients: (maxRecipients) => fake.limitRecipients(maxRecipients),
      greylist: (delayMs) => fake.greylist(delayMs),
      // In the process there is no conversation.
      reply: emulator && ((stage, reply) => emulator.force(stage, reply)),
    }),
    force: (operation, failure) => fake.faults.next(operation as 'send', failure),
    delayNext: (operation, latencyMs) => fake.faults.next(operation as 'send', { latencyMs }),
    passTime: async (ms) => (fake.clock as VirtualClock).advance(ms),
  }
}

interface Connecting {
  readonly clock?: Clock
  readonly parameters?: string
  readonly as?: string
  readonly observe?: (event: CallEvent) => void
}

async function openSmtp(
  address: string,
  { clock = systemClock, parameters = '', as = password, observe }: Connecting = {},
): Promise<Guarded<Mailer>> {
  const credentials = `${encodeURIComponent(user)}:${encodeURIComponent(as)}`
  const text = `${address.replace('//', `//${credentials}@`)}${parameters}`
  const parsed = ServiceUrl.parse(text, smtp.parameters)
  if (!('url' in parsed)) throw new Error(parsed.problems.join())
  const driver = await smtp.open(parsed.url, { service: 'mail', clock })
  return guard(Mailer, driver, { service: 'mail', clock, secrets: parsed.url.secrets, observe })
}

const seen = new Set<PortErrorCode>()
const onFake = notingSubject(
  Mailer,
  {
    name: 'fake',
    kind: 'fake',
    async open() {
      const fake = new FakeMailer()
      return {
        guarded: fake.guarded,
        openObserved: async (observe) => new FakeMailer({ observe }).guarded,
        ...means(fake),
      }
    },
  },
  seen,
)
describeContract(mailerContract, onFake.subject)
const noted: [name: string, places: () => number, codes: Set<PortErrorCode>][] = [
  ['fake', onFake.places, seen],
]

for (const [id, parameters] of [
  ['smtp-on-emulator', ''],
  ['smtp-pool-on-emulator', '?pool=true&connections=2'],
] as const) {
  const codes = new Set<PortErrorCode>()
  const { subject, places } = notingSubject(
    Mailer,
    {
      name: `smtp on emulator${parameters}`,
      id,
      kind: 'emulator',
      adapter: 'smtp',
      async open() {
        const clock = new VirtualClock()
        const fake = new FakeMailer({ clock })
        const start = (port: number): Promise<SmtpEmulator> =>
          startSmtpEmulator(fake, { users: { [user]: password }, port })
        let emulator = await start(0)
        const { port, url } = emulator
        const connecting = { clock, parameters }
        // What fails on the network fails in time that passes by itself.
        const network = networkTo(port, (own) => openSmtp(`smtp://127.0.0.1:${own}`, { parameters }))
        return {
          guarded: await openSmtp(url, connecting),
          openAnother: () => openSmtp(url, connecting),
          openRefused: () => openSmtp(url, { ...connecting, as: wrongPassword }),
          openObserved: (observe) => openSmtp(url, { ...connecting, observe }),
          network,
          canaries: [password, wrongPassword],
          ...means(fake, { force: (stage, reply) => emulator.force(stage, reply) }),
          server: {
            kill: () => emulator.close(),
            restart: async () => {
              emulator = await start(port)
            },
          },
          async dispose() {
            await network.close()
            await emulator.close()
          },
        }
      },
      async openUnreachable() {
        const guarded = await openSmtp(`smtp://127.0.0.1:${await freePort()}`)
        return { guarded, canaries: [password, Buffer.from(password).toString('base64')] }
      },
    },
    codes,
  )
  describeContract(mailerContract, subject)
  noted.push([`adapter${parameters}`, places, codes])
}

test.for(noted)(
  'every code that the %s can fail with was provoked, and no other',
  ([, places, codes], { skip }) => {
    if (places() < mailerContract.behaviours.length) skip('only a part of the behaviours was run')
    expect([...codes].toSorted()).toEqual(mailerCodes)
  },
)

test('the fake and the adapter on the emulator answer any sequence of calls alike', async () => {
  const address = fc.constantFrom(
    'ada@example.org',
    'ADA@example.org',
    'bob@example.org',
    'eve@example.net',
    'bad',
  )
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        to: fc.array(address, { maxLength: 3 }),
        bcc: fc.array(address, { maxLength: 2 }),
        bytes: fc.constantFrom(0, 10, 50_000),
      }),
    },
    fc.record({ refuse: address, retryable: fc.boolean() }),
    fc.record({ accept: address }),
    fc.record({ limit: fc.constantFrom(20_000, 1_000_000) }),
    fc.record({ recipients: fc.constantFrom(1, 2, 1_000) }),
    fc.record({ greylist: fc.constantFrom(0, 60_000) }),
    fc.record({ pass: fc.constantFrom(30_000, 60_000) }),
    fc.record({
      error: fc.constantFrom('unavailable' as const, 'rate-limited' as const, 'permission-denied' as const),
      when: fc.constantFrom('before' as const, 'after' as const),
    }),
  )
  const outcome = async (call: Promise<{ accepted: readonly string[] }>): Promise<unknown> => {
    try {
      const { accepted } = await call
      return { accepted }
    } catch (error) {
      if (!PortError.is(error)) throw error
      // A lost answer has no code of its own on the wire: there it is an end of the connection.
      return error.outcome === 'unknown'
        ? 'unknown'
        : [error.code, error.reason, error.outcome, error.retryable]
    }
  }
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 15 }), async (steps) => {
      const clock = new VirtualClock()
      const fake = new FakeMailer({ clock })
      const behind = new FakeMailer({ clock })
      const emulator = await startSmtpEmulator(behind, { users: { [user]: password } })
      const guarded = await openSmtp(emulator.url, { clock })
      try {
        let isGreylisting = false
        for (const one of steps) {
          if ('pass' in one) clock.advance(one.pass)
          if ('greylist' in one) isGreylisting = one.greylist > 0
          const answers: unknown[] = []
          for (const [port, own] of [
            [fake.guarded.port, fake],
            [guarded.port, behind],
          ] as const) {
            if ('refuse' in one) own.refuse(one.refuse, { retryable: one.retryable })
            else if ('accept' in one) own.accept(one.accept)
            else if ('limit' in one) own.limitSize(one.limit)
            else if ('recipients' in one) own.limitRecipients(one.recipients)
            else if ('greylist' in one) own.greylist(one.greylist)
            else if ('pass' in one) continue
            else if ('error' in one) own.faults.always('send', one)
            else {
              const attachments = [{ filename: 'a.bin', content: new Uint8Array(one.bytes) }]
              const mail = {
                from: 'shop@example.com',
                to: one.to,
                bcc: one.bcc,
                subject: 'Hi',
                text: 'Hi',
                attachments,
              }
              // On the wire size and recipients are judged first, and a mail refused for them reaches no fault.
              const isRefused = [...one.to, ...one.bcc].every((address) => own.refusalOf(address))
              if (isRefused || isGreylisting || one.bytes > own.maxBytes) own.faults.clear()
              answers.push(await outcome(port.send(mail)))
              own.faults.clear()
            }
          }
          expect(answers[1]).toEqual(answers[0])
          expect(behind.outbox.map(({ recipients }) => recipients)).toEqual(
            fake.outbox.map(({ recipients }) => recipients),
          )
        }
      } finally {
        await guarded.close()
        await emulator.close()
      }
    }),
    { numRuns: 40 },
  )
})
