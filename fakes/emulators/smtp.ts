/**
 * SMTP in front of a {@link FakeMailer}, on loopback: any program that can send mail sends it into the fake's outbox. The
 * fake's refusals, greylist and limit of recipients answer RCPT, its size limit is advertised and holds, its faults
 * answer the mail itself; `after` takes the mail and cuts the connection without an answer. Size and recipients are
 * judged before the mail: where it is too large or all are refused, no fault is reached. {@link SmtpEmulator.force}
 * answers in the server's place at any stage.
 *
 * Modelled: EHLO, STARTTLS, AUTH PLAIN and LOGIN, SIZE, 8BITMIME, SMTPUTF8, PIPELINING, ENHANCEDSTATUSCODES. Any other command is
 * 502, another mechanism 504, another parameter of MAIL or RCPT 555. Needs the optional peer `smtp-server`.
 */
import { randomUUID } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import {
  SMTPServer,
  type SMTPServerAddress,
  type SMTPServerDataStream,
  type SMTPServerSession,
} from 'smtp-server'
import { checkFields, checkInteger, checkText } from '../../src/calls/arguments.ts'
import { PortError } from '../../src/errors.ts'
import type { FakeMailer } from '../mailer.ts'
import { cannotListen, reachableHost } from './http.ts'
import { readMail } from './mime.ts'
import { type Connection, converse, cut, Reply } from './smtp/conversation.ts'
import { badRecipient, badSender, refusalOf, replyTo } from './smtp/replies.ts'
import { ForcedReplies, type ForcedReply, type ForcedReplyRule, type SmtpStage } from './smtp/stages.ts'
import { type SecuredTls, type SmtpTls, type SmtpTlsMode, secured } from './smtp/tls.ts'

export type { ForcedReply, ForcedReplyRule, SmtpStage } from './smtp/stages.ts'
export { smtpStages } from './smtp/stages.ts'
export type { SmtpTls, SmtpTlsMode } from './smtp/tls.ts'

export interface SmtpEmulatorOptions {
  /** @default 0, which is a free one */
  readonly port?: number
  /** The address to listen on. Any but this machine's own lets other machines in. @default '127.0.0.1' */
  readonly host?: string
  /** Who may send, by name and password. @default anyone, without logging in */
  readonly users?: Readonly<Record<string, string>>
  /** @default everything in the clear */
  readonly tls?: SmtpTlsMode | SmtpTls
}

export interface SmtpEmulator extends AsyncDisposable {
  readonly mailer: FakeMailer
  readonly port: number
  /** `smtp://127.0.0.1:PORT`, or `smtps:` where TLS is implicit, or with the host given; without credentials. */
  readonly url: string
  /** What a client must trust, in PEM; absent without TLS. */
  readonly certificate: string | undefined
  /** How many connections are open now. */
  readonly connections: number
  /** What is forced and still to come. */
  readonly forced: readonly (ForcedReplyRule & { readonly left: number })[]
  /**
   * Forces what is answered at `stage`, before the fake is asked. Several for one stage come one after another.
   * @throws PortError `invalid-argument` for an unknown stage, field or number
   */
  force(stage: SmtpStage, reply: ForcedReply): void
  /** Takes back every {@link force}. */
  clearForced(): void
  /** Stops it and cuts every connection. Closing twice resolves. */
  close(): Promise<void>
}

/**
 * Starts it and answers once it listens.
 * @throws PortError `unavailable` where the port is taken; `invalid-argument` for options that cannot be
 */
export async function startSmtpEmulator(
  mailer: FakeMailer,
  options: SmtpEmulatorOptions = {},
): Promise<SmtpEmulator> {
  checkFields('options', options, ['port', 'host', 'users', 'tls'])
  const { port = 0, host = '127.0.0.1', users, tls } = options
  checkInteger('port', port, { min: 0, max: 65_535 })
  checkText('host', host)
  const emulator = new Emulator(mailer, users, tls === undefined ? undefined : secured(tls))
  await emulator.listen(port, host)
  return emulator
}

type Next = (error?: Error | null) => void

class Emulator implements SmtpEmulator {
  readonly mailer: FakeMailer
  readonly certificate: string | undefined
  readonly #server: SMTPServer
  #host = '127.0.0.1'
  readonly #isImplicit: boolean
  readonly #connections = new Map<string, Connection>()
  readonly #forced = new ForcedReplies()
  #closed: Promise<void> | undefined

  constructor(
    mailer: FakeMailer,
    users: Readonly<Record<string, string>> | undefined,
    tls: SecuredTls | undefined,
  ) {
    this.mailer = mailer
    this.certificate = tls?.cert
    this.#isImplicit = tls?.mode === 'implicit'
    this.#server = new SMTPServer({
      name: 'emulator.portside.invalid',
      disabledCommands: [
        ...(tls === undefined || this.#isImplicit ? ['STARTTLS'] : []),
        ...(users === undefined ? ['AUTH'] : []),
      ],
      authMethods: ['PLAIN', 'LOGIN'],
      allowInsecureAuth: true,
      hideENHANCEDSTATUSCODES: false,
      disableReverseLookup: true,
      // The library's own check is stricter than RFC 5321 §4.5.3.1.3, by one character.
      lenientAddressParsing: true,
      logger: false,
      closeTimeout: 100,
      size: mailer.maxBytes,
      secure: this.#isImplicit,
      ...(tls && { key: tls.key, cert: tls.cert }),
      onConnect: (session, done) => {
        // Told by the EHLO that follows.
        this.#server.options.size = mailer.maxBytes
        this.#answer('connect', session, '', done)
      },
      onAuth: ({ username = '', password }, session, done) => {
        this.#answer('auth', session, username, (error) => {
          if (error) return done(error)
          const isKnown =
            users !== undefined && Object.hasOwn(users, username) && users[username] === password
          if (isKnown) done(null, { user: username })
          else done(new Reply('535 5.7.8 authentication credentials invalid'))
        })
      },
      onMailFrom: (sender, session, done) => {
        this.#answer('mail', session, sender.address, (error) => {
          done(error ?? badSender(sender))
        })
      },
      onRcptTo: (recipient, session, done) => {
        this.#answer('rcpt', session, recipient.address, (error) => {
          done(error ?? badRecipient(recipient) ?? this.#refusal(recipient, session))
        })
      },
      onData: (stream, session, done) => {
        this.#receive(stream, session).then(
          (messageId) => done(null, `2.0.0 accepted ${messageId}`),
          (error: unknown) => this.#fail(error, session, done),
        )
      },
      onClose: ({ id }) => {
        this.#connections.delete(id)
      },
    })
    const connect = this.#server.connect.bind(this.#server)
    this.#server.connect = (socket, options) => {
      connect(socket, options)
      const connection = [...this.#server.connections].at(-1)
      if (connection === undefined) return
      this.#connections.set(connection.id, connection)
      converse(connection, {
        requiresTls: tls?.mode === 'required',
        forced: (stage) => {
          const forced = this.#forced.take(stage, '')
          return forced && this.#outcomeOf(forced)
        },
      })
    }
    this.#server.on('error', () => {
      // A client that cuts its connection, or trusts no one, is that client's affair.
    })
  }

  get port(): number {
    return (this.#server.server.address() as AddressInfo).port
  }

  get url(): string {
    return `${this.#isImplicit ? 'smtps' : 'smtp'}://${this.#host}:${this.port}`
  }

  get connections(): number {
    return this.#connections.size
  }

  get forced(): readonly (ForcedReplyRule & { readonly left: number })[] {
    return this.#forced.pending
  }

  async listen(port: number, host: string): Promise<void> {
    this.#host = reachableHost(host)
    await new Promise<void>((resolve, reject) => {
      this.#server.server.once('error', (cause) => reject(cannotListen(host, port, cause)))
      this.#server.listen(port, host, resolve)
    })
  }

  force(stage: SmtpStage, reply: ForcedReply): void {
    this.#forced.add(stage, reply)
  }

  clearForced(): void {
    this.#forced.clear()
  }

  close(): Promise<void> {
    this.#closed ??= new Promise((resolve) => {
      this.#server.close(() => resolve())
      for (const connection of this.#connections.values()) cut(connection)
    })
    return this.#closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** Goes on, with an error where a reply is forced at this stage; not at all where the connection was cut. */
  #answer(stage: SmtpStage, session: SMTPServerSession, about: string, next: Next): void {
    const forced = this.#forced.take(stage, about)
    if (forced === undefined) {
      next()
      return
    }
    void this.#outcomeOf(forced).then((outcome) => {
      if (outcome === 'cut') this.#cut(session)
      else next(outcome)
    })
  }

  async #outcomeOf({
    code,
    text = 'forced',
    drop,
    latencyMs,
  }: ForcedReply): Promise<Reply | 'cut' | undefined> {
    if (latencyMs !== undefined) await this.mailer.clock.sleep(latencyMs)
    if (drop === true) return 'cut'
    return code === undefined ? undefined : new Reply(`${code} ${text}`)
  }

  #refusal({ address }: SMTPServerAddress, session: SMTPServerSession): Reply | undefined {
    const judgement = this.mailer.judge({
      recipient: address,
      from: senderOf(session),
      client: session.remoteAddress,
      accepted: session.envelope.rcptTo.map((taken) => taken.address),
    })
    return judgement && refusalOf(judgement)
  }

  async #receive(stream: SMTPServerDataStream, session: SMTPServerSession): Promise<string> {
    const chunks: Uint8Array[] = []
    for await (const chunk of stream as AsyncIterable<Uint8Array>) {
      // What is too large anyway is read to its end, but not kept.
      if (!stream.sizeExceeded) chunks.push(chunk)
    }
    const forced = this.#forced.take('content', '')
    const outcome = forced && (await this.#outcomeOf(forced))
    if (outcome instanceof Reply) throw outcome
    if (outcome === 'cut' && forced?.when !== 'after') throw new Lost()
    if (stream.sizeExceeded) throw replyTo({ code: 'quota-exceeded', reason: undefined })
    const source = Buffer.concat(chunks)
    const recipients = session.envelope.rcptTo.map(({ address }) => address)
    const message = readMail(source, senderOf(session), recipients)
    const messageId = message.messageId ?? `<${randomUUID()}@emulator.portside.invalid>`
    const receipt = await this.mailer.receive({
      message: { ...message, messageId },
      from: senderOf(session),
      recipients,
      bytes: source.length,
      source,
      client: session.remoteAddress,
    })
    if (outcome === 'cut') throw new Lost()
    return receipt.messageId
  }

  #fail(error: unknown, session: SMTPServerSession, done: (error: Error) => void): void {
    if (error instanceof Reply) done(error)
    // Else the client left in the middle of its mail, and no one is there to answer.
    else if (!PortError.is(error) || error.outcome === 'unknown') this.#cut(session)
    else done(replyTo(error))
  }

  #cut({ id }: SMTPServerSession): void {
    const connection = this.#connections.get(id)
    if (connection !== undefined) cut(connection)
  }
}

/** The connection ends here, without an answer. */
class Lost extends Error {}

function senderOf({ envelope: { mailFrom } }: SMTPServerSession): string {
  return mailFrom === false ? '' : mailFrom.address
}
