import { X509Certificate } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { afterEach, describe, expect, test } from 'vitest'
import { systemClock, VirtualClock } from '../../src/calls/clock.ts'
import { FakeMailer } from '../mailer.ts'
import { selfSignedCertificate } from './smtp/certificate.ts'
import {
  type ForcedReply,
  type SmtpEmulator,
  type SmtpEmulatorOptions,
  type SmtpStage,
  startSmtpEmulator,
} from './smtp.ts'

const open: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close()
})

async function start(options: SmtpEmulatorOptions = {}, mailer = new FakeMailer()): Promise<SmtpEmulator> {
  const emulator = await startSmtpEmulator(mailer, options)
  open.push(() => emulator.close())
  return emulator
}

/** A client that says exactly what it is told to. */
class Talk {
  readonly #socket: Socket
  #text = ''
  #ended = false
  #wake: () => void = () => {}

  constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk) => {
      this.#text += chunk.toString()
      this.#wake()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      this.#ended = true
      this.#wake()
    })
    open.push(async () => socket.destroy())
  }

  static to(emulator: SmtpEmulator): Talk {
    return new Talk(connect(emulator.port, '127.0.0.1'))
  }

  /** The next whole replies, each as its last line; 'end' where the connection ended. */
  async replies(count: number): Promise<readonly string[]> {
    const found: string[] = []
    while (found.length < count) {
      const reply = /^(?:\d{3}-.*\r\n)*(\d{3} .*)\r\n/.exec(this.#text)
      if (reply !== null) {
        this.#text = this.#text.slice(reply[0].length)
        found.push(reply[1] ?? '')
      } else if (this.#ended) {
        return [...found, 'end']
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
    }
    return found
  }

  /** Says one line and answers the last line of the reply. */
  async say(line: string): Promise<string> {
    this.#socket.write(`${line}\r\n`)
    return (await this.replies(1))[0] ?? ''
  }

  /** Writes without waiting. */
  write(text: string): void {
    this.#socket.write(text)
  }

  /** The conversation goes on over TLS. */
  async secure(ca: string): Promise<Talk> {
    this.#socket.removeAllListeners('data')
    const secured = connectTls({ socket: this.#socket, ca, servername: 'localhost' })
    await new Promise((resolve, reject) => secured.once('secureConnect', resolve).once('error', reject))
    return new Talk(secured)
  }
}

async function greeted(emulator: SmtpEmulator): Promise<Talk> {
  const talk = Talk.to(emulator)
  await talk.replies(1)
  await talk.say('EHLO client.example.com')
  return talk
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2))
}

const plain = (user: string, password: string): string =>
  `AUTH PLAIN ${Buffer.from(`\0${user}\0${password}`).toString('base64')}`
const mail = 'From: a@example.com\r\nTo: ada@example.org\r\nSubject: Hi\r\n\r\nHi\r\n'

describe('a conversation', () => {
  test('from greeting to QUIT, with enhanced codes', async () => {
    const emulator = await start()
    const talk = Talk.to(emulator)
    expect(await talk.replies(1)).toEqual(['220 emulator.portside.invalid ESMTP'])
    expect(await talk.say('EHLO client.example.com')).toBe('250 SIZE 26214400')
    expect(await talk.say('MAIL FROM:<a@example.com> SIZE=100 BODY=8BITMIME')).toMatch(/^250 2\.1\.0 /)
    expect(await talk.say('RCPT TO:<ada@example.org>')).toMatch(/^250 2\.1\.5 /)
    expect(await talk.say('DATA')).toMatch(/^354 /)
    expect(await talk.say(`${mail}.`)).toMatch(/^250 2\.0\.0 accepted <.*@emulator\.portside\.invalid>$/)
    expect(await talk.say('QUIT')).toMatch(/^221 2\.0\.0 /)
    expect(await talk.replies(1)).toEqual(['end'])
    expect(emulator.mailer.outbox).toHaveLength(1)
  })

  test('pipelined in one piece gets a reply to each command, in order', async () => {
    const emulator = await start()
    emulator.mailer.refuse('bob@example.org')
    const talk = await greeted(emulator)
    talk.write(
      'MAIL FROM:<a@example.com>\r\nRCPT TO:<ada@example.org>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n',
    )
    expect((await talk.replies(4)).map((reply) => reply.slice(0, 3))).toEqual(['250', '250', '550', '354'])
    talk.write(`${mail}.\r\nMAIL FROM:<b@example.com>\r\nRSET\r\nNOOP\r\nQUIT\r\n`)
    expect((await talk.replies(5)).map((reply) => reply.slice(0, 3))).toEqual([
      '250',
      '250',
      '250',
      '250',
      '221',
    ])
    expect(emulator.mailer.outbox.map(({ recipients }) => recipients)).toEqual([['ada@example.org']])
  })

  test.each([
    ['EXPN list', /^502 5\.5\.1 /],
    ['ETRN example.org', /^502 /],
    ['BDAT 10 LAST', /^502 /],
    ['XCLIENT NAME=x', /^502 /],
    ['WIZ', /^502 /],
    ['nonsense', /^502 /],
    ['STARTTLS', /^502 /],
    ['AUTH PLAIN AAAA', /^502 /],
    ['VRFY ada', /^252 /],
    ['RCPT TO:<ada@example.org>', /^503 /],
    ['DATA', /^503 /],
    ['MAIL FROM:<a@example.com> RET=FULL', /^555 5\.5\.4 /],
    ['MAIL FROM:<a@example.com> SIZE=x', /^501 /],
    ['MAIL FROM:<a..b@example.com>', /^501 5\.1\.7 /],
    ['MAIL FROM:a@example.com', /^501 /],
    ['MAIL FROM:<>', /^250 /],
  ])('%s is answered %s', async (line, expected) => {
    const talk = await greeted(await start())
    expect(await talk.say(line)).toMatch(expected)
    expect(await talk.say('NOOP')).toMatch(/^250 /)
  })

  test('with an unknown parameter or an impossible address of a recipient goes on without that one', async () => {
    const talk = await greeted(await start())
    await talk.say('MAIL FROM:<a@example.com>')
    expect(await talk.say('RCPT TO:<ada@example.org> NOTIFY=NEVER')).toMatch(/^555 5\.5\.4 /)
    expect(await talk.say(`RCPT TO:<${'a'.repeat(65)}@example.org>`)).toMatch(/^501 5\.1\.3 /)
    expect(await talk.say('RCPT TO:<ada@example.org>')).toMatch(/^250 /)
  })
})

describe('logging in', () => {
  test('by PLAIN and LOGIN; other mechanisms are 504, wrong passwords and names of any object 535', async () => {
    const emulator = await start({ users: { shop: 's3cret' } })
    expect(await (await greeted(emulator)).say(plain('shop', 's3cret'))).toMatch(/^235 2\.7\.0 /)
    const talk = await greeted(emulator)
    expect(await talk.say('MAIL FROM:<a@example.com>')).toMatch(/^530 5\.7\.0 /)
    expect(await talk.say('AUTH CRAM-MD5')).toMatch(/^504 5\.5\.4 /)
    expect(await talk.say(plain('shop', 'wrong'))).toMatch(/^535 5\.7\.8 /)
    expect(await talk.say(plain('constructor', 's3cret'))).toMatch(/^535 5\.7\.8 /)
    expect(await talk.say('AUTH LOGIN')).toMatch(/^334 /)
    expect(await talk.say(Buffer.from('shop').toString('base64'))).toMatch(/^334 /)
    expect(await talk.say(Buffer.from('s3cret').toString('base64'))).toMatch(/^235 /)
    expect(await talk.say('MAIL FROM:<a@example.com>')).toMatch(/^250 /)
  })
})

describe('TLS', () => {
  test('after STARTTLS forgets what was said before, and what was slipped in behind it', async () => {
    const emulator = await start({ tls: 'starttls' })
    const talk = await greeted(emulator)
    talk.write('STARTTLS\r\nMAIL FROM:<slipped@example.com>\r\n')
    expect((await talk.replies(1))[0]).toMatch(/^220 /)
    const failed = await talk.secure(emulator.certificate ?? '').then(
      (secured) => secured.say('RCPT TO:<ada@example.org>'),
      () => '503 the handshake failed',
    )
    expect(failed).toMatch(/^503 /)
    expect(emulator.mailer.outbox).toHaveLength(0)
  })

  test('is offered once, and the conversation begins anew with it', async () => {
    const emulator = await start({ tls: 'starttls', users: { shop: 's3cret' } })
    const talk = await greeted(emulator)
    expect(await talk.say(plain('shop', 's3cret'))).toMatch(/^235 /)
    await talk.say('STARTTLS')
    const secured = await talk.secure(emulator.certificate ?? '')
    expect(await secured.say('MAIL FROM:<a@example.com>')).toMatch(/^503 /)
    await secured.say('EHLO client.example.com')
    expect(await secured.say('MAIL FROM:<a@example.com>')).toMatch(/^530 /)
    expect(await secured.say('STARTTLS')).toMatch(/^503 /)
    expect(await secured.say(plain('shop', 's3cret'))).toMatch(/^235 /)
  })

  test.each(['AUTH PLAIN AAAA', 'MAIL FROM:<a@example.com>', 'VRFY ada'])(
    'where it is required %s is 530 in the clear',
    async (line) => {
      const emulator = await start({ tls: 'required', users: { shop: 's3cret' } })
      expect(await (await greeted(emulator)).say(line)).toMatch(/^530 5\.7\.0 must issue a STARTTLS/)
    },
  )

  test('closes while a client is in the middle of its handshake', async () => {
    for (const tls of ['starttls', 'implicit'] as const) {
      const emulator = await start({ tls })
      if (tls === 'starttls') await (await greeted(emulator)).say('STARTTLS')
      else Talk.to(emulator).write('\x16\x03')
      await emulator.close()
    }
  })

  test('may be with a certificate of the caller', async () => {
    const own = selfSignedCertificate()
    const emulator = await start({ tls: { mode: 'implicit', ...own } })
    expect(emulator.url).toBe(`smtps://127.0.0.1:${emulator.port}`)
    expect(emulator.certificate).toBe(own.cert)
    const secured = connectTls({ port: emulator.port, host: '127.0.0.1', ca: own.cert })
    expect((await new Talk(secured).replies(1))[0]).toMatch(/^220 /)
  })

  test('has a certificate of its own for this machine, a year long', () => {
    const now = new Date('2049-06-01T00:00:00Z')
    const { cert, key } = selfSignedCertificate(undefined, now)
    const read = new X509Certificate(cert)
    expect(read.checkHost('localhost')).toBe('localhost')
    expect(read.checkIP('127.0.0.1')).toBe('127.0.0.1')
    expect(read.checkHost('example.org')).toBeUndefined()
    expect(read.verify(read.publicKey)).toBe(true)
    expect(read.ca).toBe(true)
    expect([read.validFromDate, read.validToDate]).toEqual([
      new Date('2049-05-31T00:00:00Z'),
      new Date('2050-06-01T00:00:00Z'),
    ])
    expect(key).toContain('PRIVATE KEY')
    expect(new X509Certificate(selfSignedCertificate().cert).serialNumber).not.toBe(read.serialNumber)
  })
})

describe('what is too large', () => {
  test('is 552 at MAIL FROM where its size is told, else after it was read, and none of it is kept', async () => {
    const emulator = await start()
    emulator.mailer.limitSize(1_000)
    const talk = Talk.to(emulator)
    await talk.replies(1)
    expect(await talk.say('EHLO client.example.com')).toBe('250 SIZE 1000')
    expect(await talk.say('MAIL FROM:<a@example.com> SIZE=1001')).toMatch(/^552 5\.3\.4 /)
    await talk.say('MAIL FROM:<a@example.com>')
    await talk.say('RCPT TO:<ada@example.org>')
    await talk.say('DATA')
    expect(await talk.say(`${mail}${'x'.repeat(70)}\r\n`.repeat(40).concat('.'))).toMatch(/^552 5\.3\.4 /)
    expect(emulator.mailer.outbox).toHaveLength(0)
    await talk.say('MAIL FROM:<a@example.com> SIZE=1000')
    await talk.say('RCPT TO:<ada@example.org>')
    await talk.say('DATA')
    expect(await talk.say(`${mail}.`)).toMatch(/^250 /)
  })
})

describe('recipients', () => {
  test('beyond the limit are 452 4.5.3; one that is repeated is no further one', async () => {
    const emulator = await start()
    emulator.mailer.limitRecipients(1)
    const talk = await greeted(emulator)
    await talk.say('MAIL FROM:<a@example.com>')
    expect(await talk.say('RCPT TO:<ada@example.org>')).toMatch(/^250 /)
    expect(await talk.say('RCPT TO:<bob@example.org>')).toMatch(/^452 4\.5\.3 /)
    expect(await talk.say('RCPT TO:<ADA@example.org>')).toMatch(/^250 /)
  })

  test('on the greylist are 450 4.7.1 until their time has come, each sender on its own', async () => {
    const clock = new VirtualClock()
    const emulator = await start({}, new FakeMailer({ clock }))
    emulator.mailer.greylist(60_000)
    const attempt = async (from: string): Promise<string> => {
      const talk = await greeted(emulator)
      await talk.say(`MAIL FROM:<${from}>`)
      return talk.say('RCPT TO:<ada@example.org>')
    }
    expect(await attempt('a@example.com')).toMatch(/^450 4\.7\.1 greylisted, try again in 60 seconds/)
    clock.advance(59_999)
    expect(await attempt('a@example.com')).toMatch(/^450 4\.7\.1 .* 1 seconds/)
    clock.advance(1)
    expect(await attempt('a@example.com')).toMatch(/^250 /)
    expect(await attempt('b@example.com')).toMatch(/^450 4\.7\.1 /)
  })
})

/** What brings a fresh connection to just before each stage, and the line that reaches it. */
const ways: Readonly<
  Record<Exclude<SmtpStage, 'connect'>, readonly [before: readonly string[], line: string]>
> = {
  ehlo: [[], 'EHLO client.example.com'],
  starttls: [['EHLO x'], 'STARTTLS'],
  auth: [['EHLO x'], plain('shop', 's3cret')],
  mail: [['EHLO x', plain('shop', 's3cret')], 'MAIL FROM:<a@example.com>'],
  rcpt: [['EHLO x', plain('shop', 's3cret'), 'MAIL FROM:<a@example.com>'], 'RCPT TO:<ada@example.org>'],
  data: [
    ['EHLO x', plain('shop', 's3cret'), 'MAIL FROM:<a@example.com>', 'RCPT TO:<ada@example.org>'],
    'DATA',
  ],
  content: [
    ['EHLO x', plain('shop', 's3cret'), 'MAIL FROM:<a@example.com>', 'RCPT TO:<ada@example.org>', 'DATA'],
    `${mail}.`,
  ],
  quit: [['EHLO x'], 'QUIT'],
}

describe.each(Object.entries(ways) as [SmtpStage, (typeof ways)['ehlo']][])(
  'forced at %s',
  (stage, [before, line]) => {
    async function reach(
      reply: ForcedReply,
    ): Promise<{ emulator: SmtpEmulator; talk: Talk; answer: string }> {
      const emulator = await start({ tls: 'starttls', users: { shop: 's3cret' } })
      emulator.force(stage, reply)
      const talk = Talk.to(emulator)
      await talk.replies(1)
      for (const said of before) expect(await talk.say(said)).toMatch(/^[23]/)
      return { emulator, talk, answer: await talk.say(line) }
    }

    test('a reply comes once, as it was written', async () => {
      const { emulator, talk, answer } = await reach({ code: 451, text: '4.3.0 not today' })
      expect(answer).toBe('451 4.3.0 not today')
      expect(emulator.forced).toEqual([])
      expect(emulator.mailer.outbox).toEqual([])
      if (stage === 'quit') expect(await talk.replies(1)).toEqual(['end'])
      else expect(await talk.say('NOOP')).toMatch(/^250 /)
    })

    test('421 ends the connection', async () => {
      const { talk, answer } = await reach({ code: 421, text: '4.3.2 shutting down' })
      expect(answer).toBe('421 4.3.2 shutting down')
      expect(await talk.replies(1)).toEqual(['end'])
    })

    test('an end of the connection comes without a word', async () => {
      const { emulator, answer } = await reach({ drop: true })
      expect(answer).toBe('end')
      expect(emulator.mailer.outbox).toEqual([])
      await until(() => emulator.connections === 0)
    })

    test('a latency passes on the clock of the fake, then the server answers as ever', async () => {
      const { emulator, answer } = await reach({ latencyMs: 3_600_000 })
      expect(answer).toMatch(/^[23]/)
      expect(emulator.mailer.clock.now()).toBeGreaterThanOrEqual(Date.parse('2026-01-01T01:00:00Z'))
    })
  },
)

describe('force', () => {
  test('at the greeting', async () => {
    const emulator = await start()
    emulator.force('connect', { code: 554, text: '5.7.1 not you' })
    emulator.force('connect', { drop: true })
    expect(await Talk.to(emulator).replies(2)).toEqual(['554 5.7.1 not you', 'end'])
    expect(await Talk.to(emulator).replies(1)).toEqual(['end'])
    expect((await Talk.to(emulator).replies(1))[0]).toMatch(/^220 /)
  })

  test('at the content, after: the mail is taken and the answer lost', async () => {
    const emulator = await start()
    emulator.force('content', { drop: true, when: 'after' })
    const talk = await greeted(emulator)
    talk.write('MAIL FROM:<a@example.com>\r\nRCPT TO:<ada@example.org>\r\nDATA\r\n')
    await talk.replies(3)
    expect(await talk.say(`${mail}.`)).toBe('end')
    expect(emulator.mailer.outbox).toHaveLength(1)
  })

  test('for one recipient, several times, until it is taken back', async () => {
    const emulator = await start()
    emulator.force('rcpt', { code: 450, match: 'bob@example.org', times: 3 })
    const talk = await greeted(emulator)
    await talk.say('MAIL FROM:<a@example.com>')
    expect(await talk.say('RCPT TO:<ada@example.org>')).toMatch(/^250 /)
    expect(await talk.say('RCPT TO:<BOB@example.org>')).toMatch(/^450 /)
    expect(emulator.forced).toMatchObject([{ stage: 'rcpt', code: 450, left: 2 }])
    emulator.clearForced()
    expect(await talk.say('RCPT TO:<bob@example.org>')).toMatch(/^250 /)
  })

  test.each([
    ['nowhere', { code: 450 }],
    ['mail', {}],
    ['mail', { code: 250 }],
    ['mail', { code: 600 }],
    ['mail', { code: 450.5 }],
    ['mail', { code: 450, drop: true }],
    ['mail', { drop: false }],
    ['mail', { drop: true, when: 'after' }],
    ['content', { code: 450, when: 'after' }],
    ['content', { drop: true, when: 'later' }],
    ['mail', { code: 450, text: 'two\r\nlines' }],
    ['mail', { drop: true, text: 'no one hears it' }],
    ['mail', { code: 450, times: 0 }],
    ['mail', { latencyMs: -1 }],
    ['data', { code: 450, match: 'ada@example.org' }],
    ['mail', { code: 450, cod: 451 }],
  ])('at %s of %j is refused', async (stage, reply) => {
    const emulator = await start()
    expect(() => emulator.force(stage as SmtpStage, reply as ForcedReply)).toThrow(
      expect.objectContaining({ code: 'invalid-argument' }),
    )
    expect(emulator.forced).toEqual([])
  })
})

describe('starting', () => {
  test.each([
    { port: -1 },
    { prot: 25 },
    { tls: 'maybe' },
    { tls: { mode: 'implicit', key: 'only a key' } },
    { tls: { mode: 'implicit', keys: 'x' } },
  ])('with %j is refused', async (options) => {
    await expect(startSmtpEmulator(new FakeMailer(), options as SmtpEmulatorOptions)).rejects.toMatchObject({
      code: 'invalid-argument',
    })
  })

  test('on a port that is taken is unavailable', async () => {
    const { port } = await start()
    await expect(startSmtpEmulator(new FakeMailer(), { port })).rejects.toMatchObject({ code: 'unavailable' })
  })

  test('closing ends every connection, and closing twice resolves', async () => {
    const emulator = await start({}, new FakeMailer({ clock: systemClock }))
    const talks = [await greeted(emulator), await greeted(emulator)]
    expect(emulator.connections).toBe(2)
    await Promise.all([emulator.close(), emulator.close()])
    for (const talk of talks) expect(await talk.replies(1)).toEqual(['end'])
  })
})
