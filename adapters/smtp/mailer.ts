/**
 * {@link Mailer} over nodemailer: EHLO, STARTTLS, AUTH, then MAIL, one RCPT a recipient and DATA. Each recipient's reply
 * becomes part of the receipt; the mail goes to those accepted.
 *
 * Not supported: addresses beyond ASCII (SMTPUTF8), delivery reports (DSN), signing (give the transporter its own
 * `dkim`). For these and all else the transporter is there through `native()`.
 */
import { randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import type { SendMailOptions, SentMessageInfo, Transporter, TransportOptions } from 'nodemailer'
import type { Driver } from '../../src/adapter.ts'
import { PortError } from '../../src/errors.ts'
import type { CallOptions } from '../../src/port.ts'
import { addressOf, mailRecipients, mailSize, sameAddress } from '../../src/ports/mail-message.ts'
import type {
  MailAddress,
  MailAttachment,
  Mailer,
  MailMessage,
  MailReceipt,
  MailRefusal,
} from '../../src/ports/mailer.ts'
import { classifySmtpError, isRetryableRefusal, printable } from './errors.ts'

/** A transporter of nodemailer that sends over SMTP, pooled or not. */
export type SmtpTransporter = Transporter<SentMessageInfo, TransportOptions>

/** What one mail carries through nodemailer, so that its stream can be looked at when sending fails. */
interface Sending {
  content: Readable | undefined
}

/** The key under which {@link Sending} travels in the mail's data. */
const sendingKey = 'portsideSending'

/** What the errors of nodemailer say of one refused recipient. */
interface RecipientError {
  readonly recipient?: string | undefined
  readonly response?: string | undefined
  readonly responseCode?: number | undefined
}

const pieceBytes = 16_384

export interface SmtpMailerOptions {
  /** Strings that must appear in no error, such as the password. @default none */
  readonly secrets?: readonly string[]
}

/**
 * The driver over a transporter that the app already has; the app closes it.
 * Adds one plugin to it, which touches only the mailer's own mails. With the transporter's own `dkim`, or with a
 * plugin that rewrites the stream, a lost connection is of unknown outcome more often than it must be.
 */
export function smtpMailer(transporter: SmtpTransporter, options: SmtpMailerOptions = {}): Driver<Mailer> {
  const mailer = new SmtpMailer(transporter)
  return {
    calls: mailer,
    secrets: options.secrets ?? [],
    native: transporter,
    classify: (error) => classifySmtpError(error, { contentSent: mailer.contentSent(error) }),
    async ping({ signal }) {
      // verify() takes no signal. Its connection ends by itself, at the latest with the transporter's timeouts.
      await Promise.race([transporter.verify(), rejectedOnAbort(signal)])
    },
    async close() {},
  }
}

class SmtpMailer implements Mailer {
  readonly #transporter: SmtpTransporter
  /** The errors of mails that had been handed over whole. */
  readonly #sentWhole = new WeakSet<object>()

  constructor(transporter: SmtpTransporter) {
    this.#transporter = transporter
    transporter.use('stream', (mail, done) => {
      const sending = (mail.data as Record<string, unknown>)[sendingKey] as Sending | undefined
      if (sending !== undefined) {
        mail.message.processFunc((content: Readable) => {
          sending.content = Readable.from(inPieces(content), { objectMode: false })
          return sending.content
        })
      }
      done()
    })
  }

  async send(message: MailMessage, { signal }: CallOptions = {}): Promise<MailReceipt> {
    const from = addressOf(message.from)
    const recipients = mailRecipients(message)
    const messageId = message.messageId ?? `<${randomUUID()}@${from.slice(from.lastIndexOf('@') + 1)}>`
    const sending: Sending = { content: undefined }
    try {
      const { accepted = [], rejectedErrors = [] } = await this.#transporter.sendMail({
        ...mailOptions(message),
        messageId,
        envelope: { from: plain(from), to: recipients.map(plain), size: mailSize(message) },
        signal,
        [sendingKey]: sending,
      } as SendMailOptions)
      return receipt(messageId, recipients, accepted, rejectedErrors)
    } catch (error) {
      const refusals = (error as { rejectedErrors?: readonly RecipientError[] }).rejectedErrors ?? []
      if (refusals.length >= recipients.length) throw allRefused(refusals, error)
      if (sending.content?.readableEnded === true && error instanceof Error) this.#sentWhole.add(error)
      throw error
    }
  }

  contentSent(error: unknown): boolean {
    return error instanceof Error && this.#sentWhole.has(error)
  }
}

/**
 * The same bytes in small chunks. An encoded attachment comes as one chunk, which would leave the stream at once and
 * wait in the socket, so that its end would say nothing of what was sent.
 */
async function* inPieces(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of content) {
    for (let start = 0; start < chunk.length; start += pieceBytes)
      yield chunk.subarray(start, start + pieceBytes)
  }
}

/** The mail without its envelope: bcc is in none of it, so no header can show it. */
function mailOptions({
  from,
  to,
  cc,
  replyTo,
  subject,
  text,
  html,
  attachments,
  headers,
}: MailMessage): SendMailOptions {
  return {
    from: mailbox(from),
    ...(to && { to: to.map(mailbox) }),
    ...(cc && { cc: cc.map(mailbox) }),
    ...(replyTo && { replyTo: replyTo.map(mailbox) }),
    subject,
    ...(text !== undefined && { text: withLineEnds(text) }),
    ...(html !== undefined && { html: withLineEnds(html) }),
    ...(attachments && { attachments: attachments.map(attachmentOptions) }),
    ...(headers && { headers: { ...headers } }),
    // Nothing of the sender's software in the mail, and nothing read from disk or the network for it.
    xMailer: false,
    disableFileAccess: true,
    disableUrlAccess: true,
  }
}

/** Each CRLF, CR and LF as one line end. Nodemailer takes a CR before a CRLF away, and the line with it. */
function withLineEnds(text: string): string {
  return text.replace(/\r\n?/g, '\n')
}

// Objects rather than text: nodemailer takes them as they are and parses nothing.
function mailbox(address: MailAddress): { readonly address: string; readonly name: string } {
  return typeof address === 'string' ? plain(address) : { address: address.address, name: address.name }
}

function plain(address: string): { readonly address: string; readonly name: string } {
  return { address, name: '' }
}

function attachmentOptions({ filename, content, contentType, contentId }: MailAttachment): {
  filename: string
  content: Buffer
  contentDisposition: 'attachment' | 'inline'
} {
  return {
    filename,
    content:
      typeof content === 'string'
        ? Buffer.from(content)
        : Buffer.from(content.buffer, content.byteOffset, content.length),
    contentDisposition: contentId === undefined ? 'attachment' : 'inline',
    ...(contentType !== undefined && { contentType }),
    ...(contentId !== undefined && { cid: contentId }),
  }
}

function receipt(
  messageId: string,
  recipients: readonly string[],
  accepted: readonly string[],
  errors: readonly RecipientError[],
): MailReceipt {
  const taken = new Set(accepted.map((address) => address.toLowerCase()))
  const isTaken = (recipient: string): boolean => taken.has(recipient.toLowerCase())
  return {
    messageId,
    accepted: recipients.filter(isTaken),
    refused: recipients
      .filter((recipient) => !isTaken(recipient))
      .map((recipient) => {
        const error = errors.find((one) => sameAddress(one.recipient ?? '', recipient))
        return refusal(recipient, error)
      }),
  }
}

function refusal(recipient: string, error: RecipientError | undefined): MailRefusal {
  return {
    recipient,
    reason: printable(error?.response ?? 'the server did not say why'),
    retryable: isRetryableRefusal(error?.responseCode),
  }
}

function allRefused(errors: readonly RecipientError[], cause: unknown): PortError {
  const refusals = errors.map((error) => refusal(error.recipient ?? 'unknown', error))
  return new PortError({
    code: 'rejected',
    reason: 'bad-recipient',
    message: 'the server refused every recipient; see details for each',
    retryable: refusals.every(({ retryable }) => retryable),
    details: Object.fromEntries(refusals.map(({ recipient, reason }) => [recipient, reason])),
    cause,
  })
}

function rejectedOnAbort(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason)
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}
