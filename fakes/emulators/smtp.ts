/**
 * SMTP in front of a {@link FakeMailer}, on loopback: any program that can send mail sends it into the fake's outbox. The
 * fake's refusals answer RCPT, its size limit is advertised, its faults answer the mail itself; `after` takes the
 * mail and cuts the connection without an answer. Size and recipients are judged before the mail: where it is too
 * large or all are refused, no fault is reached. Needs the optional peer `smtp-server`. No TLS: loopback only.
 */
import { randomUUID } from 'node:crypto'
import type { AddressInfo, Socket } from 'node:net'
import { SMTPServer, type SMTPServerDataStream, type SMTPServerSession } from 'smtp-server'
import { checkFields, checkInteger } from '../../src/calls/arguments.ts'
import { invalidArgument, PortError, type PortErrorCode } from '../../src/errors.ts'
import type { FakeMailer } from '../mailer.ts'
import { readMail } from './mime.ts'

/** Where in the conversation a forced reply comes: at the greeting, AUTH, MAIL FROM, RCPT TO, or after the mail. */
export type SmtpStage = 'connect' | 'auth' | 'mail' | 'rcpt' | 'data'

/** A reply in place of the fake's own, or the end of the connection in place of any reply. */
export type ForcedReply =
  | { readonly code: number; readonly text?: string; readonly times?: number }
  | { readonly drop: true; readonly times?: number }

export interface SmtpEmulatorOptions {
  /** @default 0, which is a free one */
  readonly port?: number
  /** Who may send, by name and password. @default anyone, without logging in */
  readonly users?: Readonly<Record<string, string>>
}

export interface SmtpEmulator extends AsyncDisposable {
  readonly mailer: FakeMailer
  readonly port: number
  /** `smtp://127.0.0.1:PORT`, without credentials. */
  readonly url: string
  /** Forces what is answered at `stage`, before the fake is asked. */
  force(stage: SmtpStage, reply: ForcedReply): void
  /** Stops it and cuts every connection. Closing twice resolves. */
  close(): Promise<void>
}

/** What a server answers for the failures that a fault can force. */
const replies: Readonly<Partial<Record<PortErrorCode, string>>> = {
  unauthenticated: '530 5.7.0 authentication required',
  'permission-denied': '550 5.7.1 not permitted',
  rejected: '554 5.6.0 message refused',
  'invalid-argument': '554 5.6.0 message refused',
  'rate-limited': '450 4.7.1 too many messages, slow down',
  'quota-exceeded': '552 5.3.4 message too big',
  unsupported: '504 5.5.4 not implemented',
}
const otherReply = '451 4.3.0 local error in processing'

/**
 * Starts it and answers once it listens.
 * @throws PortError `unavailable` where the port is taken
 */
export async function startSmtpEmulator(
  mailer: FakeMailer,
  options: SmtpEmulatorOptions = {},
): Promise<SmtpEmulator> {
  checkFields('options', options, ['port', 'users'])
  const { port = 0, users } = options
  checkInteger('port', port, { min: 0, max: 65_535 })
  const emulator = new Emulator(mailer, users)
  await emulator.listen(port)
  return emulator
}

class Emulator implements SmtpEmulator {
  readonly mailer: FakeMailer
  readonly #server: SMTPServer
  readonly #sockets = new Map<number, Socket>()
  readonly #forced: { readonly stage: SmtpStage; readonly reply: ForcedReply; left: number }[] = []
  #closed: Promise<void> | undefined

  constructor(mailer: FakeMailer, users: Readonly<Record<string, string>> | undefined) {
    this.mailer = mailer
    this.#server = new SMTPServer({
      name: 'emulator.portside.invalid',
      disabledCommands: ['STARTTLS', ...(users === undefined ? ['AUTH'] : [])],
      authMethods: ['PLAIN', 'LOGIN'],
      allowInsecureAuth: true,
      disableReverseLookup: true,
      logger: false,
      closeTimeout: 100,
      size: mailer.maxBytes,
      onConnect: (session, done) => {
        // Told by the EHLO that follows.
        this.#server.options.size = mailer.maxBytes
        this.#answer('connect', session, done)
      },
      onAuth: (auth, session, done) => {
        const isKnown = auth.username !== undefined && users?.[auth.username] === auth.password
        this.#answer('auth', session, (error) => {
          if (error) done(error)
          else if (isKnown) done(null, { user: auth.username })
          else done(replyError('535 5.7.8 authentication credentials invalid'))
        })
      },
      onMailFrom: (_address, session, done) => this.#answer('mail', session, done),
      onRcptTo: ({ address }, session, done) => {
        this.#answer('rcpt', session, (error) => done(error ?? this.#refusal(address)))
      },
      onData: (stream, session, done) => {
        this.#receive(stream, session).then(
          (messageId) => done(null, `2.0.0 accepted ${messageId}`),
          (error: unknown) => this.#fail(error, session, done),
        )
      },
    })
    this.#server.on('error', () => {
      // A client that cuts its connection is that client's affair.
    })
  }

  get port(): number {
    return (this.#server.server.address() as AddressInfo).port
  }

  get url(): string {
    return `smtp://127.0.0.1:${this.port}`
  }

  async listen(port: number): Promise<void> {
    const { server } = this.#server
    server.on('connection', (socket: Socket) => {
      const { remotePort = 0 } = socket
      this.#sockets.set(remotePort, socket)
      socket.once('close', () => this.#sockets.delete(remotePort))
    })
    await new Promise<void>((resolve, reject) => {
      server.once('error', (cause) => {
        const message = `port ${port} cannot be listened on; give another, or 0 for a free one`
        reject(new PortError({ code: 'unavailable', message, outcome: 'not-applied', cause }))
      })
      this.#server.listen(port, '127.0.0.1', resolve)
    })
  }

  force(stage: SmtpStage, reply: ForcedReply): void {
    checkFields('reply', reply, ['code', 'text', 'drop', 'times'])
    if ('code' in reply) checkInteger('code', reply.code, { min: 400, max: 599 })
    else if (reply.drop !== true) throw invalidArgument('a forced reply has a code, or drop: true')
    const { times = 1 } = reply
    checkInteger('times', times, { min: 1 })
    this.#forced.push({ stage, reply, left: times })
  }

  close(): Promise<void> {
    this.#closed ??= new Promise((resolve) => {
      this.#server.close(() => resolve())
      for (const socket of this.#sockets.values()) socket.destroy()
    })
    return this.#closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** Goes on, with an error where a reply is forced at this stage; not at all where the connection was cut. */
  #answer(stage: SmtpStage, session: SMTPServerSession, next: (error?: Error | null) => void): void {
    const forced = this.#forced.find((one) => one.stage === stage && one.left > 0)
    if (forced === undefined) {
      next()
      return
    }
    forced.left -= 1
    const { reply } = forced
    if ('code' in reply) next(replyError(`${reply.code} ${reply.text ?? 'forced'}`))
    else this.#cut(session)
  }

  #refusal(address: string): Error | undefined {
    const refusal = this.mailer.refusalOf(address)
    if (refusal === undefined) return undefined
    return replyError(`${refusal.retryable ? '450 4.2.1' : '550 5.1.1'} ${refusal.reason}`)
  }

  async #receive(stream: SMTPServerDataStream, session: SMTPServerSession): Promise<string> {
    const chunks: Uint8Array[] = []
    for await (const chunk of stream as AsyncIterable<Uint8Array>) chunks.push(chunk)
    // The server itself answers 552.
    if (stream.sizeExceeded) return 'nothing'
    await new Promise<void>((resolve, reject) => {
      this.#answer('data', session, (error) => (error ? reject(error) : resolve()))
    })
    const source = Buffer.concat(chunks)
    const { mailFrom, rcptTo } = session.envelope
    const recipients = rcptTo.map(({ address }) => address)
    const message = readMail(source, mailFrom === false ? '' : mailFrom.address, recipients)
    const messageId = message.messageId ?? `<${randomUUID()}@emulator.portside.invalid>`
    const receipt = await this.mailer.receive({
      message: { ...message, messageId },
      recipients,
      bytes: source.length,
      source,
    })
    return receipt.messageId
  }

  #fail(error: unknown, session: SMTPServerSession, done: (error: Error) => void): void {
    if (!PortError.is(error)) {
      // A forced reply; or the client left in the middle of its mail, and no one is there to answer.
      if (error instanceof Error && 'responseCode' in error) done(error)
      else this.#cut(session)
      return
    }
    if (error.outcome === 'unknown') this.#cut(session)
    else if (error.reason === 'bad-recipient') done(replyError('550 5.1.1 no such user here'))
    else done(replyError(replies[error.code] ?? otherReply))
  }

  #cut(session: SMTPServerSession): void {
    this.#sockets.get(session.remotePort)?.destroy()
  }
}

function replyError(reply: string): Error {
  return Object.assign(new Error(reply.slice(4)), { responseCode: Number(reply.slice(0, 3)) })
}
