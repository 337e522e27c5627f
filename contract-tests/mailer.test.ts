import { createServer } from 'node:net'
import { smtp } from '../adapters/smtp/index.ts'
import { startSmtpEmulator } from '../fakes/emulators/smtp.ts'
import { FakeMailer } from '../fakes/mailer.ts'
import { type Clock, systemClock, VirtualClock } from '../src/calls/clock.ts'
import { type Guarded, guard } from '../src/calls/guard.ts'
import { Mailer } from '../src/ports/mailer.ts'
import { ServiceUrl } from '../src/services/url.ts'
import type { OpenSubject } from './contract.ts'
import { type MailerInside, mailerContract } from './mailer.ts'
import { describeContract } from './vitest.ts'

const password = 'c4nary-S3cr3t/+pass'
const user = 'shop@example.com'

function means(fake: FakeMailer): Pick<OpenSubject<Mailer>, 'force' | 'delayNext' | 'passTime' | 'inside'> {
  const inside: MailerInside = {
    received: () => fake.outbox,
    refuse: (address, refusal) => fake.refuse(address, refusal),
    limitSize: (maxBytes) => fake.limitSize(maxBytes),
  }
  return {
    inside,
    force: (operation, failure) => fake.faults.next(operation as 'send', failure),
    delayNext: (operation, latencyMs) => fake.faults.next(operation as 'send', { latencyMs }),
    passTime: async (ms) => (fake.clock as VirtualClock).advance(ms),
  }
}

async function openSmtp(
  address: string,
  clock: Clock = systemClock,
  parameters = '',
): Promise<Guarded<Mailer>> {
  const credentials = `${encodeURIComponent(user)}:${encodeURIComponent(password)}`
  const text = `${address.replace('//', `//${credentials}@`)}${parameters}`
  const parsed = ServiceUrl.parse(text, smtp.parameters)
  if (!('url' in parsed)) throw new Error(parsed.problems.join())
  const driver = await smtp.open(parsed.url, { service: 'mail', clock })
  return guard(Mailer, driver, { service: 'mail', clock, secrets: parsed.url.secrets })
}

async function closedPort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 1
}

describeContract(mailerContract, {
  name: 'fake',
  kind: 'fake',
  async open() {
    const fake = new FakeMailer()
    return { guarded: fake.guarded, ...means(fake) }
  },
})

for (const parameters of ['', '?pool=true&connections=2']) {
  describeContract(mailerContract, {
    name: `smtp on emulator${parameters}`,
    kind: 'emulator',
    async open() {
      const clock = new VirtualClock()
      const fake = new FakeMailer({ clock })
      const emulator = await startSmtpEmulator(fake, { users: { [user]: password } })
      return {
        guarded: await openSmtp(emulator.url, clock, parameters),
        openAnother: () => openSmtp(emulator.url, clock, parameters),
        canaries: [password],
        ...means(fake),
        dispose: () => emulator.close(),
      }
    },
    async openUnreachable() {
      const guarded = await openSmtp(`smtp://127.0.0.1:${await closedPort()}`)
      return { guarded, canaries: [password, Buffer.from(password).toString('base64')] }
    },
  })
}
