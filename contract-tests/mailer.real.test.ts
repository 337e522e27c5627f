/**
 * The contract of mailers on a real mail server, Exim, through the `smtp` adapter, in the clear and over TLS. Run by
 * `contract-tests/real-smtp/run.sh`; not part of `npm test`.
 *
 * Exim shows its configuration's answers: what it is to refuse stands in files that its ACLs read (see `start.sh`), and it
 * delivers each mail into a file. What no server does on demand, a wire between does: hold back or lose the answer to
 * a mail. It has no greylist of its own, so that behaviour stays unverified here.
 */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { smtp } from '../adapters/smtp/index.ts'
import { readMail } from '../fakes/emulators/mime.ts'
import { FakeMailer } from '../fakes/mailer.ts'
import { systemClock } from '../src/calls/clock.ts'
import { type CallEvent, type Guarded, guard } from '../src/calls/guard.ts'
import { PortError } from '../src/errors.ts'
import type { ServerProduct } from '../src/parity/evidence.ts'
import { Mailer } from '../src/ports/mailer.ts'
import { ServiceUrl } from '../src/services/url.ts'
import type { ForcedFailure, OpenSubject } from './contract.ts'
import { expectPortError } from './expect.ts'
import { type MailerInside, mailerContract, mailerMeans, type ReceivedMail } from './mailer.ts'
import { mailSteps, runMailStep } from './mailer-model.ts'
import { networkTo } from './network.ts'
import { describeContract } from './vitest.ts'

const { PORTSIDE_TEST_SMTP_URL: given, PORTSIDE_TEST_SMTP_DIRECTORY: directory } = process.env
assert.ok(given && directory, 'PORTSIDE_TEST_SMTP_URL is missing: run contract-tests/real-smtp/run.sh')
const url = new URL(given)
const place: string = directory
const port = Number(url.port)
const password = decodeURIComponent(url.password)
const wrongPassword = 'c4nary-wr0ng/+pass'

/** A client of that server, or of what stands at another port. */
async function open(
  parameters: string,
  { scheme = 'smtp', at = port, as = password, observe = undefined as Observe | undefined } = {},
): Promise<Guarded<Mailer>> {
  const text = `${scheme}://${url.username}:${encodeURIComponent(as)}@127.0.0.1:${at}?${parameters}`
  const parsed = ServiceUrl.parse(text, smtp.parameters)
  if (!('url' in parsed)) assert.fail(parsed.problems.join('; '))
  assert.deepEqual(smtp.validate?.(parsed.url), [])
  const driver = await smtp.open(parsed.url, { service: 'mail', clock: systemClock })
  return guard(Mailer, driver, { service: 'mail', secrets: parsed.url.secrets, observe })
}

type Observe = (event: CallEvent) => void

/** The clients that the contract asks for, all alike but for one thing. */
function clients(
  parameters: string,
  at = port,
): Pick<OpenSubject<Mailer>, 'openAnother' | 'openRefused' | 'openObserved' | 'canaries'> {
  return {
    openAnother: () => open(parameters, { at }),
    openRefused: () => open(parameters, { at, as: wrongPassword }),
    openObserved: (observe) => open(parameters, { at, observe }),
    canaries: [password, wrongPassword],
  }
}

const overTls = `starttls=required&caFile=${encodeURIComponent(join(place, 'cert.pem'))}`

/** A wire to the server that can hold back or lose the answer to a mail. */
class Wire {
  #lost = false
  #delayMs = 0
  #tail = Buffer.alloc(0)
  readonly #sockets = new Set<Socket>()
  readonly #server = createServer((client) => this.#carry(client))

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    const address = this.#server.address()
    return typeof address === 'object' && address !== null ? address.port : assert.fail('it does not listen')
  }

  /** The next mail is taken; the connection ends in place of the answer. */
  loseAnswer(): void {
    this.#lost = true
  }

  /** The answer to the next mail takes so long. */
  delayAnswer(ms: number): void {
    this.#delayMs = ms
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #carry(client: Socket): void {
    const server = connect(port, '127.0.0.1')
    let isHandedOver = false
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        this.#sockets.delete(socket)
        other.destroy()
      })
    }
    client.on('data', (chunk) => {
      this.#tail = Buffer.concat([this.#tail, chunk]).subarray(-5)
      if (this.#tail.equals(Buffer.from('\r\n.\r\n'))) isHandedOver = true
      server.write(chunk)
    })
    server.on('data', (chunk) => {
      const isAnswer = isHandedOver
      isHandedOver = false
      if (isAnswer && this.#lost) {
        this.#lost = false
        client.destroy()
      } else if (isAnswer && this.#delayMs > 0) {
        const timer = setTimeout(() => client.write(chunk), this.#delayMs)
        this.#delayMs = 0
        client.on('close', () => clearTimeout(timer))
      } else {
        client.write(chunk)
      }
    })
  }
}

/** What a server answers to a mail for the failures that the contract forces. */
const replies: Readonly<Partial<Record<ForcedFailure['error'], string>>> = {
  unavailable: '451 4.3.0 local error in processing',
  'rate-limited': '450 4.7.1 too many messages, slow down',
  unauthenticated: '530 5.7.0 authentication required',
  'permission-denied': '550 5.7.1 not permitted',
  'quota-exceeded': '552 5.3.4 message too big',
  unsupported: '504 5.5.4 not implemented',
  rejected: '554 5.6.0 message refused',
}

function control(name: string, text: string): void {
  writeFileSync(join(place, 'control', name), text, { mode: 0o666 })
}

/** Waits until every mail that the server took is delivered. */
async function settle(): Promise<void> {
  const queue = join(place, 'spool', 'input')
  for (let tries = 0; tries < 1_000; tries += 1) {
    if (!existsSync(queue) || !readdirSync(queue).some((name) => /-[HJ]$/.test(name))) return
    await systemClock.sleep(10)
  }
  assert.fail('a mail stays in the queue')
}

/** In the order in which they were taken: a file's name is the time in seconds, a process, and a fraction. */
function byTime(a: string, b: string): number {
  const key = (name: string): string => name.replace(/-.*-/, '-')
  return key(a) < key(b) ? -1 : 1
}

async function received(): Promise<readonly ReceivedMail[]> {
  await settle()
  return readdirSync(join(place, 'delivered'))
    .toSorted(byTime)
    .map((name): ReceivedMail => {
      const bytes = readFileSync(join(place, 'delivered', name))
      const end = bytes.indexOf('\r\n')
      const [, list = ''] = /^X-Portside-Envelope: (.*)$/.exec(bytes.subarray(0, end).toString()) ?? []
      const recipients = list.split(', ')
      const source = bytes.subarray(end + 2)
      return { recipients, source, message: readMail(source, '', recipients) }
    })
}

/** The server with nothing in it and nothing forced. */
async function clear(): Promise<void> {
  await settle()
  for (const name of readdirSync(join(place, 'delivered'))) rmSync(join(place, 'delivered', name))
  for (const name of readdirSync(join(place, 'control'))) rmSync(join(place, 'control', name))
  control('refused', '')
}

function means(wire?: Wire): Omit<OpenSubject<Mailer>, 'guarded'> {
  const refused = new Map<string, string>()
  return {
    ...mailerMeans({
      received,
      refuse: (address, { reason, retryable }) => {
        refused.set(address.toLowerCase(), `${retryable ? '450 4.2.1' : '550 5.1.1'} ${reason}`)
        control('refused', [...refused].map(([one, reply]) => `${one}: ${reply}\n`).join(''))
      },
      limitSize: (maxBytes) => control('size', String(maxBytes)),
      limitRecipients: (maxRecipients) => control('recipients', String(maxRecipients)),
      reply: (stage, reply) => control(stage, 'drop' in reply ? 'drop' : `${reply.code} ${reply.text}`),
    }),
    ...(wire && {
      force: (_operation: string, { error, when }: ForcedFailure) => {
        if (when === 'after') wire.loseAnswer()
        else control('content', replies[error] ?? assert.fail(`no reply means ${error}`))
      },
      delayNext: (_operation: string, ms: number) => wire.delayAnswer(ms),
    }),
  }
}

async function greeting(): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  try {
    return await new Promise<string>((resolve, reject) => {
      socket.once('data', (chunk) => resolve(chunk.toString()))
      socket.once('error', reject)
    })
  } finally {
    socket.destroy()
  }
}

/** As its greeting says it: `220 host ESMTP Exim 4.96 date`. */
async function serverProduct(): Promise<ServerProduct | undefined> {
  const [, product, version] = /ESMTP (\S+) (\d\S*)/.exec(await greeting()) ?? []
  return product === undefined || version === undefined
    ? undefined
    : { product: product.toLowerCase(), version }
}

const openUnreachable = async (): Promise<OpenSubject<Mailer>> => ({
  guarded: await open('starttls=never', { at: 1 }),
  canaries: [password, Buffer.from(password).toString('base64')],
})

beforeAll(async () => {
  const server = await serverProduct()
  assert.equal(server?.product, 'exim', 'another server answers there')
  process.stdout.write(`the mail server is ${server.product} ${server.version}\n`)
})
afterAll(clear)

describeContract(mailerContract, {
  name: 'smtp on exim',
  id: 'smtp-on-exim',
  kind: 'real',
  adapter: 'smtp',
  server: serverProduct,
  async open() {
    await clear()
    const wire = new Wire()
    const at = await wire.listen()
    const network = networkTo(port, (over) => open('starttls=never', { at: over }))
    return {
      guarded: await open('starttls=never', { at }),
      ...clients('starttls=never', at),
      ...means(wire),
      network,
      async dispose() {
        await network.close()
        await wire.close()
      },
    }
  },
  openUnreachable,
})

describeContract(mailerContract, {
  name: 'smtp on exim over STARTTLS',
  id: 'smtp-on-exim-starttls',
  kind: 'real',
  adapter: 'smtp',
  server: serverProduct,
  async open() {
    await clear()
    const network = networkTo(port, (over) => open(overTls, { at: over }))
    return {
      guarded: await open(overTls),
      ...clients(overTls),
      ...means(),
      network,
      dispose: () => network.close(),
    }
  },
  openUnreachable,
})

describe('smtp on a real server', () => {
  const hello = { from: 'shop@example.com', to: ['ada@example.org'], subject: 'Hi', text: 'Hi' }

  test('TLS from the start, and the same in a pool: the mail arrives', async () => {
    await clear()
    const trust = overTls.replace('starttls=required&', '')
    for (const parameters of [trust, `${trust}&pool=true&connections=2`]) {
      const guarded = await open(parameters, { scheme: 'smtps', at: port + 1 })
      await guarded.ping()
      for (const subject of ['one', 'two', 'three']) await guarded.port.send({ ...hello, subject })
      await guarded.close()
    }
    assert.deepEqual(
      (await received()).map(({ message }) => message.subject),
      ['one', 'two', 'three', 'one', 'two', 'three'],
    )
  })

  test('a certificate that nobody vouches for gets neither password nor mail', async () => {
    await clear()
    for (const [scheme, at] of [
      ['smtp', port],
      ['smtps', port + 1],
    ] as const) {
      const guarded = await open('', { scheme, at })
      await expectPortError(guarded.port.send(hello), 'unavailable', {
        outcome: 'not-applied',
        retryable: false,
      })
      await guarded.close()
    }
    assert.deepEqual(await received(), [])
  })

  test('a wrong password is unauthenticated, for send and ping, and is not shown', async () => {
    const guarded = await open(overTls, { as: wrongPassword })
    for (const call of [() => guarded.port.send(hello), () => guarded.ping()]) {
      const error = await expectPortError(call(), 'unauthenticated', {
        outcome: 'not-applied',
        retryable: false,
      })
      assert.ok(!(JSON.stringify(error) + error.stack).includes(wrongPassword), 'the password is shown')
    }
    await guarded.close()
  })

  test('random mails under random conditions get on the fake the answers they get here', async () => {
    const guarded = await open('starttls=never')
    await fc.assert(
      fc.asyncProperty(mailSteps, async (steps) => {
        await clear()
        const real = { port: guarded.port, inside: means().inside as MailerInside }
        const fake = new FakeMailer()
        const onFake = {
          port: fake,
          inside: {
            received: () => fake.outbox,
            refuse: (address, refusal) => fake.refuse(address, refusal),
            limitSize: (maxBytes) => fake.limitSize(maxBytes),
            limitRecipients: (maxRecipients) => fake.limitRecipients(maxRecipients),
          } satisfies MailerInside,
        }
        for (const step of steps) {
          assert.deepEqual(
            await runMailStep(real, step),
            await runMailStep(onFake, step),
            JSON.stringify(step),
          )
        }
      }),
      { numRuns: 60 },
    )
    await guarded.close()
  })

  test('a connection that the server ends while idle costs a pool no mail', async () => {
    await clear()
    const guarded = await open(`${overTls}&pool=true&connections=1`)
    await guarded.port.send(hello)
    control('mail', 'drop')
    const sent = await guarded.port.send(hello).then(
      () => 1,
      (error: unknown) => {
        assert.ok(PortError.is(error) && error.outcome === 'not-applied', String(error))
        return 0
      },
    )
    await guarded.port.send(hello)
    await guarded.close()
    assert.equal((await received()).length, 2 + sent)
  })
})
