import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { createTransport } from 'nodemailer'
import { SMTPServer } from 'smtp-server'
import { afterEach, describe, expect, test } from 'vitest'
import { selfSignedCertificate } from '../../fakes/emulators/smtp/certificate.ts'
import {
  type SmtpEmulator,
  type SmtpEmulatorOptions,
  type SmtpStage,
  startSmtpEmulator,
} from '../../fakes/emulators/smtp.ts'
import { FakeMailer } from '../../fakes/mailer.ts'
import { systemClock } from '../../src/calls/clock.ts'
import { type Guarded, guard } from '../../src/calls/guard.ts'
import { PortError } from '../../src/errors.ts'
import { Mailer, type MailMessage } from '../../src/ports/mailer.ts'
import { ServiceUrl } from '../../src/services/url.ts'
import { smtp } from './index.ts'
import { smtpMailer } from './mailer.ts'

const mail: MailMessage = { from: 'shop@example.com', to: ['ada@example.org'], subject: 'Hi', text: 'Hi' }

const open: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close()
})

function parse(text: string): ServiceUrl {
  const parsed = ServiceUrl.parse(text, smtp.parameters)
  if (!('url' in parsed)) throw new Error(parsed.problems.join('; '))
  return parsed.url
}

async function mailer(text: string): Promise<Guarded<Mailer>> {
  const url = parse(text)
  const guarded = guard(Mailer, await smtp.open(url, { service: 'mail', clock: systemClock }), {
    secrets: url.secrets,
  })
  open.push(() => guarded.close())
  return guarded
}

async function emulator(
  users?: Readonly<Record<string, string>>,
  tls?: SmtpEmulatorOptions['tls'],
): Promise<SmtpEmulator> {
  const started = await startSmtpEmulator(new FakeMailer({ clock: systemClock }), {
    ...(users && { users }),
    ...(tls && { tls }),
  })
  open.push(() => started.close())
  return started
}

/** A server of one's own, for what no proper one does. */
async function rawServer(onConnection: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    onConnection(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  open.push(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  const address = server.address()
  return `smtp://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
}

async function failure(call: Promise<unknown>): Promise<PortError> {
  const error = await call.then(
    () => new Error('it resolved'),
    (reason: unknown) => reason,
  )
  if (!PortError.is(error)) throw error
  return error
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2))
}

describe('a reply forced at each stage', () => {
  test.each<[SmtpStage, number, string, string]>([
    ['connect', 421, '4.3.2 shutting down', 'unavailable'],
    ['connect', 554, '5.7.1 go away', 'permission-denied'],
    ['ehlo', 421, '4.3.2 shutting down', 'unavailable'],
    ['ehlo', 535, '5.7.8 no', 'unauthenticated'],
    ['data', 451, '4.3.0 later', 'unavailable'],
    ['data', 421, '4.3.2 shutting down', 'unavailable'],
    ['data', 554, '5.6.0 no valid recipients', 'rejected'],
    ['rcpt', 421, '4.3.2 shutting down', 'unavailable'],
    ['content', 421, '4.3.2 shutting down', 'unavailable'],
    ['auth', 454, '4.7.0 later', 'unavailable'],
    ['auth', 535, '5.7.8 no', 'unauthenticated'],
    ['mail', 451, '4.3.0 later', 'unavailable'],
    ['mail', 450, '4.7.1 slow down', 'rate-limited'],
    ['mail', 550, '5.7.1 not you', 'permission-denied'],
    ['mail', 553, '5.1.8 no such domain', 'rejected'],
    ['rcpt', 450, '4.2.1 busy', 'rejected'],
    ['rcpt', 550, '5.1.1 no such user', 'rejected'],
    ['content', 451, '4.3.0 later', 'unavailable'],
    ['content', 554, '5.6.0 spam', 'rejected'],
    ['content', 552, '5.3.4 too big', 'quota-exceeded'],
  ])(
    'at %s, %i %s is %s and not applied; the next mail goes through',
    async (stage, code, text, expected) => {
      for (const pool of ['', '?pool=true']) {
        const server = await emulator({ shop: 'secret' })
        const { port } = await mailer(`${server.url.replace('//', '//shop:secret@')}${pool}`)
        // Where EHLO is refused, the client tries HELO.
        server.force(stage, { code, text, times: stage === 'ehlo' && code !== 421 ? 2 : 1 })
        const error = await failure(port.send(mail))
        expect(error).toMatchObject({ code: expected, outcome: 'not-applied' })
        expect(server.mailer.outbox).toHaveLength(0)
        await port.send(mail)
        expect(server.mailer.outbox).toHaveLength(1)
      }
    },
  )

  test.each<[SmtpStage, string]>([
    ['connect', 'not-applied'],
    ['ehlo', 'not-applied'],
    ['data', 'not-applied'],
    ['auth', 'not-applied'],
    ['mail', 'not-applied'],
    ['rcpt', 'not-applied'],
    ['content', 'unknown'],
  ])('a connection lost at %s is unavailable with outcome %s', async (stage, outcome) => {
    const server = await emulator({ shop: 'secret' })
    const { port } = await mailer(server.url.replace('//', '//shop:secret@'))
    server.force(stage, { drop: true })
    expect(await failure(port.send(mail))).toMatchObject({ code: 'unavailable', outcome, retryable: true })
    expect(server.mailer.outbox).toHaveLength(0)
  })

  test('a connection lost in the middle of a large mail is not applied', async () => {
    let received = 0
    const url = await rawServer((socket) => {
      let inData = false
      socket.write('220 ready\r\n')
      socket.on('data', (chunk) => {
        received += chunk.length
        if (inData) {
          if (received > 200_000) socket.destroy()
          return
        }
        const line = chunk.toString()
        inData = line.startsWith('DATA')
        socket.write(inData ? '354 go on\r\n' : '250 OK\r\n')
      })
    })
    const { port } = await mailer(url)
    const attachments = [{ filename: 'a.bin', content: new Uint8Array(15_000_000) }]
    expect(await failure(port.send({ ...mail, attachments }))).toMatchObject({
      code: 'unavailable',
      outcome: 'not-applied',
    })
  })
})

describe('signing in', () => {
  test('with a wrong password is unauthenticated, for ping as for send', async () => {
    const server = await emulator({ shop: 'secret' })
    const guarded = await mailer(server.url.replace('//', '//shop:wr0ng-pass@'))
    expect(await failure(guarded.ping())).toMatchObject({ code: 'unauthenticated' })
    const error = await failure(guarded.port.send(mail))
    expect(error).toMatchObject({ code: 'unauthenticated', outcome: 'not-applied', retryable: false })
    expect(inspect(error, { depth: 12 })).not.toContain('wr0ng-pass')
  })

  test('without credentials where they are needed is unauthenticated', async () => {
    const server = await emulator({ shop: 'secret' })
    expect(await failure((await mailer(server.url)).port.send(mail))).toMatchObject({
      code: 'unauthenticated',
    })
  })

  test('with credentials where the server takes none does not send without them', async () => {
    const server = await emulator()
    const guarded = await mailer(server.url.replace('//', '//shop:secret@'))
    expect((await failure(guarded.port.send(mail))).outcome).toBe('not-applied')
    expect(server.mailer.outbox).toHaveLength(0)
  })

  test('over a connection that must be TLS, and cannot be, sends nothing, least of all the password', async () => {
    const lines: string[] = []
    const url = await rawServer((socket) => {
      socket.write('220 ready\r\n')
      socket.on('data', (chunk) => {
        lines.push(chunk.toString())
        socket.write(chunk.toString().startsWith('EHLO') ? '250-hi\r\n250 AUTH PLAIN\r\n' : '502 no\r\n')
      })
    })
    const guarded = await mailer(`${url.replace('//', '//shop:secret@')}?starttls=required`)
    const expected = { code: 'unavailable', outcome: 'not-applied', retryable: false }
    expect(await failure(guarded.port.send(mail))).toMatchObject(expected)
    expect(lines.join('')).not.toMatch(/AUTH|MAIL/)
  })

  test('a server that repeats the password in its reply does not bring it into the error', async () => {
    const url = await rawServer((socket) => {
      socket.write('220 ready\r\n')
      socket.on('data', (chunk) => {
        const line = chunk.toString().trim()
        socket.write(
          line.startsWith('EHLO') ? '250-hi\r\n250 AUTH PLAIN\r\n' : `535 5.7.8 no: ${line} s3cr3t-pw\r\n`,
        )
      })
    })
    const guarded = await mailer(url.replace('//', '//shop:s3cr3t-pw@'))
    const shown = inspect(await failure(guarded.port.send(mail)), { depth: 12, showHidden: true })
    expect(shown).not.toContain('s3cr3t-pw')
    expect(shown).not.toContain(Buffer.from('\0shop\0s3cr3t-pw').toString('base64'))
  })
})

describe('a server that hangs', () => {
  test('in its greeting is left at the deadline', async () => {
    const url = await rawServer(() => {})
    const { port } = await mailer(url)
    const error = await failure(port.send(mail, { timeoutMs: 50 }))
    expect(error).toMatchObject({ code: 'timeout', outcome: 'not-applied' })
  })

  test.each(['', '?pool=true'])(
    'after the mail, aborted, leaves an unknown outcome and no connection%s',
    async (pool) => {
      const server = await emulator()
      const { port } = await mailer(`${server.url}${pool}`)
      server.mailer.faults.next('send', { latencyMs: 500 })
      const controller = new AbortController()
      const pending = failure(port.send(mail, { signal: controller.signal }))
      await until(() => server.mailer.journal.entries.length === 1)
      controller.abort()
      expect(await pending).toMatchObject({ code: 'cancelled', outcome: 'unknown' })
      // It had the mail whole, so it may well take it.
      await until(() => server.mailer.outbox.length === 1)
      await port.send(mail)
      expect(server.mailer.outbox).toHaveLength(2)
    },
  )
})

test('a pooled connection that the server dropped while idle is replaced, and nothing is sent twice', async () => {
  const server = await emulator()
  const sockets: Socket[] = []
  const url = await rawServer((socket) => {
    const behind = connect(server.port, '127.0.0.1')
    behind.on('error', () => {})
    socket.pipe(behind).pipe(socket)
    sockets.push(socket)
  })
  const { port } = await mailer(`${url}?pool=true&connections=1`)
  await port.send(mail)
  sockets[0]?.destroy()
  await port.send(mail)
  await port.send(mail)
  expect(server.mailer.outbox).toHaveLength(3)
  expect(sockets).toHaveLength(2)
})

test('without a pool no connection outlives its mail', async () => {
  const connections = new Set<Socket>()
  const server = await emulator()
  const url = await rawServer((socket) => {
    connections.add(socket)
    socket.once('close', () => connections.delete(socket))
    const behind = connect(server.port, '127.0.0.1')
    behind.on('error', () => {})
    socket.pipe(behind).pipe(socket)
  })
  const { port } = await mailer(url)
  await port.send(mail)
  await until(() => connections.size === 0)
})

test('over a transporter of the app: it works, is native, and is left open', async () => {
  const server = await emulator()
  const transporter = createTransport({ host: '127.0.0.1', port: server.port })
  const guarded = guard(Mailer, smtpMailer(transporter))
  expect(guarded.native).toBe(transporter)
  await guarded.ping()
  await guarded.port.send(mail)
  await guarded.close()
  await transporter.sendMail({ from: 'a@example.com', to: 'b@example.com', text: 'still open' })
  expect(server.mailer.outbox).toHaveLength(2)
})

describe('a server whose certificate no one vouches for', () => {
  test.each(['smtp', 'smtps'])('is not given the password or the mail (%s)', async (scheme) => {
    const commands: string[] = []
    const server = new SMTPServer({
      // The certificate that the library brings, whose key anyone can read.
      secure: scheme === 'smtps',
      logger: false,
      disableReverseLookup: true,
      onAuth: (_auth, _session, done) => {
        commands.push('AUTH')
        done(null, { user: 'shop' })
      },
      onMailFrom: (_address, _session, done) => {
        commands.push('MAIL')
        done()
      },
    })
    server.on('error', () => {})
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    open.push(() => new Promise<void>((resolve) => server.close(() => resolve())))
    const address = server.server.address()
    const port = typeof address === 'object' ? address?.port : ''
    const guarded = await mailer(`${scheme}://shop:secret@127.0.0.1:${port}`)
    const expected = { code: 'unavailable', outcome: 'not-applied', retryable: false }
    expect(await failure(guarded.port.send(mail))).toMatchObject(expected)
    expect(await failure(guarded.ping())).toMatchObject({ code: 'unavailable', retryable: false })
    expect(commands).toEqual([])
  })
})

test('a mail as an attachment is not encoded, as RFC 2046 has it, and is no part of the text', async () => {
  const server = await emulator()
  const { port } = await mailer(server.url)
  const content = 'From: x@example.com\r\nSubject: forwarded\r\n\r\nGrüße\r\n'
  const attachments = [{ filename: 'forwarded.eml', content, contentType: 'message/rfc822' }]
  await port.send({ ...mail, attachments })
  const [sent] = server.mailer.outbox
  expect(Buffer.from(sent?.source ?? []).toString()).toContain(content.trim())
  expect(Buffer.from(sent?.source ?? []).toString()).toContain('attachment; filename=forwarded.eml')
  expect(sent?.message.text).toBe('Hi')
})

describe('over TLS', () => {
  async function trusted(server: SmtpEmulator): Promise<string> {
    const directory = await mkdtemp(join(tmpdir(), 'portside-smtp-'))
    open.push(() => rm(directory, { recursive: true }))
    const file = join(directory, 'ca.pem')
    await writeFile(file, server.certificate ?? '')
    return file
  }

  test.each([
    ['starttls', 'starttls=required'],
    ['starttls', 'starttls=optional'],
    ['required', 'starttls=required&pool=true'],
    ['implicit', 'pool=false'],
  ] as const)(
    '%s with %s: the mail arrives, and what is sent is not readable on the way',
    async (tls, parameters) => {
      const server = await emulator({ shop: 'secret' }, tls)
      const wire: Buffer[] = []
      const url = await rawServer((socket) => {
        const behind = connect(server.port, '127.0.0.1')
        behind.on('error', () => {})
        socket.on('data', (chunk) => wire.push(chunk))
        socket.pipe(behind).pipe(socket)
      })
      const address = url.replace(/^smtp:/, server.url.split('//')[0] ?? '').replace('//', '//shop:secret@')
      const guarded = await mailer(`${address}?${parameters}&caFile=${await trusted(server)}`)
      await guarded.ping()
      await guarded.port.send({ ...mail, text: 'nobody else reads this' })
      expect(server.mailer.outbox).toHaveLength(1)
      const clear = Buffer.concat(wire).toString('latin1')
      expect(clear).not.toMatch(/AUTH|MAIL FROM|nobody else/)
      expect(clear.includes('STARTTLS')).toBe(tls !== 'implicit')
    },
  )

  test('a login without TLS where the server wants TLS is refused, and trying again does not help', async () => {
    const server = await emulator({ shop: 'secret' }, 'required')
    const { port } = await mailer(`${server.url.replace('//', '//shop:secret@')}?starttls=never`)
    const expected = { code: 'unavailable', outcome: 'not-applied', retryable: false }
    expect(await failure(port.send(mail))).toMatchObject(expected)
    expect(server.mailer.outbox).toHaveLength(0)
  })

  test.each([
    ['454 for now', { code: 454, text: '4.7.0 TLS not available' }],
    ['501', { code: 501, text: '5.5.4 no' }],
    ['an end', { drop: true }],
  ] as const)('%s in place of TLS sends nothing in the clear', async (_, reply) => {
    const server = await emulator({ shop: 'secret' }, 'starttls')
    const { port } = await mailer(
      `${server.url.replace('//', '//shop:secret@')}?starttls=required&caFile=${await trusted(server)}`,
    )
    server.force('starttls', reply)
    expect(await failure(port.send(mail))).toMatchObject({ code: 'unavailable', outcome: 'not-applied' })
    expect(server.mailer.outbox).toHaveLength(0)
    await port.send(mail)
    expect(server.mailer.outbox).toHaveLength(1)
  })

  test('a server that knows HELO alone gets no mail where TLS is required', async () => {
    const server = await emulator({ shop: 'secret' }, 'starttls')
    const { port } = await mailer(
      `${server.url.replace('//', '//shop:secret@')}?starttls=required&caFile=${await trusted(server)}`,
    )
    server.force('ehlo', { code: 502, text: '5.5.1 what' })
    server.force('starttls', { code: 502, text: '5.5.1 what' })
    expect(await failure(port.send(mail))).toMatchObject({ outcome: 'not-applied' })
    expect(server.mailer.outbox).toHaveLength(0)
  })

  test('a certificate for another host is no proof, whoever signed it', async () => {
    const tls = { mode: 'implicit', ...selfSignedCertificate(['mail.example.org']) } as const
    const server = await emulator(undefined, tls)
    const guarded = await mailer(`${server.url}?caFile=${await trusted(server)}`)
    const expected = { code: 'unavailable', outcome: 'not-applied', retryable: false }
    expect(await failure(guarded.port.send(mail))).toMatchObject(expected)
  })

  test.each(['/nowhere/ca.pem', 'package.json'])('a caFile %s is invalid-argument', async (file) => {
    await expect(mailer(`smtps://mail.example.org?caFile=${file}`)).rejects.toMatchObject({
      code: 'invalid-argument',
    })
  })
})

describe('the URL', () => {
  test.each([
    ['smtp://mail.example.org', []],
    ['smtps://u:p@mail.example.org:465?pool=true&connections=3', []],
    ['smtp://mail.example.org/inbox', ['path']],
    ['smtp://user@mail.example.org', ['user and a password']],
    ['smtps://mail.example.org?starttls=never', ['only for smtp']],
    ['smtp://mail.example.org?starttls=never&caFile=/a.pem', ['caFile']],
    ['smtp://mail.example.org?connections=3', ['pool=true']],
    ['smtp://mail.example.org?helo=a%0d%0ab', ['helo']],
  ])('%s has the problems %j', (text, expected) => {
    const problems = smtp.validate?.(parse(text)) ?? []
    expect(problems).toHaveLength(expected.length)
    expected.forEach((part, index) => {
      expect(problems[index]).toContain(part)
    })
  })

  test('of the example is right', () => {
    expect(smtp.validate?.(parse(smtp.example))).toEqual([])
  })

  test.each([
    ['smtp://mail.example.org', { port: 587, secure: false, requireTLS: true, ignoreTLS: false }],
    ['smtp://mail.example.org?starttls=never', { requireTLS: false, ignoreTLS: true }],
    ['smtp://localhost:1025', { port: 1025, requireTLS: false, ignoreTLS: false }],
    ['smtps://mail.example.org', { port: 465, secure: true }],
    ['smtp://u:p@mail.example.org', { auth: { user: 'u', pass: 'p' }, forceAuth: true }],
  ])('%s becomes the options %j', async (text, options) => {
    expect((await mailer(text)).native).toMatchObject({ options })
  })
})
