/**
 * swaks, a client of SMTP written by others in another language, on the emulator. Not part of `npm test`: it needs
 * Debian's `swaks`, with `libnet-ssleay-perl` for TLS.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type SmtpEmulator, type SmtpEmulatorOptions, startSmtpEmulator } from '../../fakes/emulators/smtp.ts'
import { FakeMailer } from '../../fakes/mailer.ts'

interface Run {
  /** 0 where the mail was taken, else the number of the step that failed. */
  readonly status: number
  /** The conversation: lines with ` -> ` or ` ~> ` are the client's, with `<-` or `<~` the server's. */
  readonly said: string
}

function run(...args: readonly string[]): Promise<Run> {
  return new Promise((resolve, reject) => {
    execFile('swaks', args, { timeout: 20_000 }, (error, stdout, stderr) => {
      const status = error?.code ?? 0
      if (typeof status !== 'number')
        reject(new Error('install swaks: apt-get install swaks libnet-ssleay-perl'))
      else resolve({ status, said: stdout + stderr })
    })
  })
}

const users = { shop: 's3cret' }
const login = ['--auth-user', 'shop', '--auth-password', 's3cret']
let emulator: SmtpEmulator

async function start(options: SmtpEmulatorOptions = {}): Promise<FakeMailer> {
  const mailer = new FakeMailer()
  emulator = await startSmtpEmulator(mailer, options)
  return mailer
}

function swaks(...args: readonly string[]): Promise<Run> {
  const server = ['--server', '127.0.0.1', '--port', String(emulator.port), '--helo', 'client.example.com']
  return run(...server, '--from', 'shop@example.com', ...args)
}

const ada = ['--to', 'ada@example.org']

beforeAll(async () => {
  const { said } = await run('--support')
  assert.match(said, /TLS supported/, 'install libnet-ssleay-perl: swaks cannot speak TLS without')
})

afterEach(() => emulator?.close())

describe('swaks on the emulator', () => {
  test('sends a mail, which is in the outbox as it was written', async () => {
    const mailer = await start()
    const { status, said } = await swaks(...ada, '--header', 'Subject: Grüße', '--body', '.\n..\nfrom swaks')
    expect(said).toContain('220 emulator.portside.invalid ESMTP')
    expect(said).toMatch(/<-\s+250-PIPELINING/)
    expect(status).toBe(0)
    expect(mailer.outbox).toMatchObject([
      { recipients: ['ada@example.org'], message: { subject: 'Grüße', from: 'shop@example.com' } },
    ])
    expect(mailer.outbox[0]?.message.text).toMatch(/^\.\n\.\.\nfrom swaks/)
  })

  test.each(['PLAIN', 'LOGIN'])('logs in with AUTH %s', async (mechanism) => {
    const mailer = await start({ users })
    const { status, said } = await swaks(...ada, '--auth', mechanism, ...login)
    expect(said).toContain('235 2.7.0')
    expect(status).toBe(0)
    expect(mailer.outbox).toHaveLength(1)
  })

  test('is refused with a wrong password, with an unknown mechanism, and without login', async () => {
    const mailer = await start({ users })
    const wrong = await swaks(...ada, '--auth', 'PLAIN', '--auth-user', 'shop', '--auth-password', 'wrong')
    expect(wrong.said).toContain('535 5.7.8')
    expect(wrong.status).not.toBe(0)
    const anonymous = await swaks(...ada)
    expect(anonymous.said).toContain('530 5.7.0')
    expect(anonymous.status).not.toBe(0)
    expect((await swaks(...ada, '--auth', 'CRAM-MD5', ...login)).status).not.toBe(0)
    expect(mailer.outbox).toHaveLength(0)
  })

  test.each([
    ['starttls', '--tls'],
    ['required', '--tls'],
    ['implicit', '--tls-on-connect'],
  ] as const)('speaks TLS (%s), verifies the certificate, and logs in over it', async (tls, option) => {
    const directory = await mkdtemp(join(tmpdir(), 'portside-swaks-'))
    try {
      const mailer = await start({ users, tls })
      await writeFile(join(directory, 'ca.pem'), emulator.certificate ?? '')
      const trust = ['--tls-verify', '--tls-ca-path', join(directory, 'ca.pem')]
      const { status, said } = await swaks(...ada, option, ...trust, '--auth', 'PLAIN', ...login)
      expect(said).toContain('TLS started with cipher')
      expect(status).toBe(0)
      expect(mailer.outbox).toHaveLength(1)
    } finally {
      await rm(directory, { recursive: true })
    }
  })

  test('without TLS where it is required is refused before it says its password', async () => {
    const mailer = await start({ users, tls: 'required' })
    const { status, said } = await swaks(...ada)
    expect(said).toContain('530 5.7.0 must issue a STARTTLS command first')
    expect(status).not.toBe(0)
    expect(mailer.outbox).toHaveLength(0)
  })

  test('sends to several recipients of which one is refused', async () => {
    const mailer = await start()
    mailer.refuse('bob@example.org', { reason: 'no such user here' })
    const { status, said } = await swaks('--to', 'bob@example.org,ada@example.org,eve@example.net')
    expect(said).toContain('550 5.1.1 no such user here')
    expect(status).toBe(0)
    expect(mailer.outbox.map(({ recipients }) => recipients)).toEqual([
      ['ada@example.org', 'eve@example.net'],
    ])
  })

  test('pipelines its commands and gets each its reply', async () => {
    const mailer = await start()
    mailer.refuse('bob@example.org')
    const { status, said } = await swaks('--to', 'ada@example.org,bob@example.org', '--pipeline')
    expect(status).toBe(0)
    expect(said.match(/^<..?(?: |-).*$/gm)?.join('\n')).toMatch(
      /250 2\.1\.0[\s\S]*250 2\.1\.5[\s\S]*550 5\.1\.1[\s\S]*354/,
    )
    expect(mailer.outbox.map(({ recipients }) => recipients)).toEqual([['ada@example.org']])
  })

  test('is refused a mail that is too large, at its end and not before', async () => {
    const mailer = await start()
    mailer.limitSize(10_000)
    const { status, said } = await swaks(...ada, '--body', 'word '.repeat(5_000))
    expect(said).toMatch(/250[ -]SIZE 10000/)
    expect(said).toContain('552 5.3.4')
    expect(status).not.toBe(0)
    expect(mailer.outbox).toHaveLength(0)
  })

  test.each(['connect', 'mail', 'rcpt', 'data', 'content'] as const)(
    'is turned away with 421 at %s',
    async (stage) => {
      const mailer = await start()
      emulator.force(stage, { code: 421, text: '4.3.2 shutting down' })
      const { status, said } = await swaks(...ada)
      expect(said).toContain('421 4.3.2 shutting down')
      expect(status).not.toBe(0)
      expect(mailer.outbox).toHaveLength(0)
      expect((await swaks(...ada)).status).toBe(0)
    },
  )

  test('hears nothing after a mail that was taken', async () => {
    const mailer = await start()
    emulator.force('content', { drop: true, when: 'after' })
    expect((await swaks(...ada)).status).not.toBe(0)
    expect(mailer.outbox).toHaveLength(1)
  })

  test('is greylisted, and comes back later', async () => {
    const mailer = await start()
    mailer.greylist(300_000)
    expect((await swaks(...ada)).said).toContain('450 4.7.1 greylisted, try again in 300 seconds')
    await mailer.clock.sleep(300_000)
    expect((await swaks(...ada)).status).toBe(0)
    expect(mailer.outbox).toHaveLength(1)
  })
})
