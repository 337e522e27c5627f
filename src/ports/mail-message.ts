/** A mail: its parts, what makes it possible to send, and the facts of it that every mailer needs: recipients and size. */
import { byteLength, checkBytes, checkFields, checkText, typeName } from '../calls/arguments.ts'
import { invalidArgument } from '../errors.ts'

/**
 * `ada@example.org`, or with a name for people to read. The part of RFC 5321 that mail systems agree on:
 * letters, digits and ``!#$%&'*+-/=?^_`{|}~`` with single dots between, at most 64 characters; then a host name of
 * letters, digits and hyphens; at most 254 characters in all. Quoted local parts, IP literals and letters
 * beyond ASCII are refused: give an international domain in its `xn--` form.
 */
export type MailAddress = string | { readonly address: string; readonly name: string }

export interface MailAttachment {
  /** 1 to 255 bytes in UTF-8, without slashes and control characters. */
  readonly filename: string
  /** A string is sent as UTF-8. Arrives byte for byte, but for mails (`message/rfc822`), whose line ends become CRLF. */
  readonly content: Uint8Array | string
  /** @default by the filename's ending, else 'application/octet-stream' */
  readonly contentType?: string
  /** For `cid:` links in the HTML, without angle brackets; makes the attachment inline. */
  readonly contentId?: string
}

/**
 * A mail. Text may come out with other line ends than it went in: the protocol has only CRLF. White space at the ends of
 * a subject, a name or a header may be lost on the way.
 */
export interface MailMessage {
  readonly from: MailAddress
  /** `to`, `cc` and `bcc` name 1 to 1 000 recipients in all; one that stands there twice gets the mail once. */
  readonly to?: readonly MailAddress[]
  readonly cc?: readonly MailAddress[]
  /** Never shown in a header. */
  readonly bcc?: readonly MailAddress[]
  readonly replyTo?: readonly MailAddress[]
  /** One line, at most 900 bytes in UTF-8; may be empty. */
  readonly subject: string
  /** At least one of `text` and `html`; both make alternatives of one another. */
  readonly text?: string
  readonly html?: string
  /** At most 100. */
  readonly attachments?: readonly MailAttachment[]
  /** Further headers, one line of 1 to 900 bytes each; none of those that the other fields make. */
  readonly headers?: Readonly<Record<string, string>>
  /** `<unique@domain>`; give the same one when repeating a send, so that receivers can drop the second. @default made */
  readonly messageId?: string
}

/** What any mail may have at most. A server may take less. */
export const mailLimits = {
  /** The whole mail as {@link mailSize} estimates it: what large mail systems take (25 MiB). */
  bytes: 26_214_400,
  recipients: 1_000,
  attachments: 100,
  /** Subject, names and each header's value, in UTF-8: a line of 998 with room for the header's name. */
  lineBytes: 900,
} as const

const messageFields = [
  'from',
  'to',
  'cc',
  'bcc',
  'replyTo',
  'subject',
  'text',
  'html',
  'attachments',
  'headers',
  'messageId',
]
const attachmentFields = ['filename', 'content', 'contentType', 'contentId']

/** Headers that the fields of a mail make, or the servers on its way. */
const reservedHeader =
  /^(from|to|cc|bcc|sender|reply-to|subject|date|message-id|mime-version|content-.*|received|return-path|resent-.*|dkim-signature|arc-.*|authentication-results)$/i

const localPart = /^[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+(\.[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+)*$/
const hostName =
  /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$/
const mediaType =
  /^[\w!#$&^.+-]{1,127}\/[\w!#$&^.+-]{1,127}(; ?[\w!#$&^.+-]+=([\w!#$&^.+-]+|"[^"\\\p{Cc}]*"))*$/u

/** Throws `invalid-argument` for what no mail server could take. Looks at every field: callers may be untyped. */
export function checkMailMessage(message: unknown): asserts message is MailMessage {
  checkFields('message', message, messageFields)
  const mail = message as Readonly<Record<keyof MailMessage, unknown>>
  checkAddress('from', mail.from)
  const lists = (['to', 'cc', 'bcc', 'replyTo'] as const).map((name) => checkAddresses(name, mail[name]))
  const recipients = lists.slice(0, 3).reduce((sum, count) => sum + count, 0)
  if (recipients === 0) throw invalidArgument('the message has no recipient; give one in to, cc or bcc')
  if (recipients > mailLimits.recipients) {
    throw invalidArgument(
      `the message has ${recipients} recipients; at most ${mailLimits.recipients} are possible, so send it in parts`,
    )
  }
  checkLine('subject', mail.subject)
  if (mail.text === undefined && mail.html === undefined) {
    throw invalidArgument('the message has neither text nor html; give at least one, "" if it is to be empty')
  }
  for (const name of ['text', 'html'] as const) if (mail[name] !== undefined) checkBody(name, mail[name])
  if (mail.attachments !== undefined) checkAttachments(mail.attachments)
  if (mail.headers !== undefined) checkHeaders(mail.headers)
  if (mail.messageId !== undefined) checkMessageId(mail.messageId)
  const bytes = mailSize(message as MailMessage)
  if (bytes > mailLimits.bytes) {
    throw invalidArgument(
      `the message is about ${bytes} bytes as it would be sent; at most ${mailLimits.bytes} are possible`,
    )
  }
}

function checkAddresses(name: string, value: unknown): number {
  if (value === undefined) return 0
  if (!Array.isArray(value)) {
    throw invalidArgument(`${name} must be an array of addresses; got ${typeName(value)}`)
  }
  // By index, so that a hole is seen as the undefined that it is.
  for (let index = 0; index < value.length; index += 1) checkAddress(`${name}[${index}]`, value[index])
  return value.length
}

function checkAddress(name: string, value: unknown): void {
  if (typeof value === 'string') {
    checkAddressText(name, value)
    return
  }
  checkFields(name, value, ['address', 'name'])
  const { address, name: shown } = value as { address: unknown; name: unknown }
  checkAddressText(`${name}.address`, address)
  checkLine(`${name}.name`, shown)
}

function checkAddressText(name: string, value: unknown): void {
  checkText(name, value)
  const at = value.lastIndexOf('@')
  const local = value.slice(0, Math.max(at, 0))
  const domain = value.slice(at + 1)
  // The longest first, so that the patterns below never see a long text.
  if (value.length <= 254 && local.length <= 64 && localPart.test(local) && hostName.test(domain)) return
  throw invalidArgument(
    `${name} is no mail address that is sure to work: it must look like ada@example.org, in ASCII, ` +
      'with at most 64 characters before the @ and 254 in all',
  )
}

/** One line: no control characters, so that nothing can begin another header. */
function checkLine(name: string, value: unknown): asserts value is string {
  checkText(name, value)
  if (/[\p{Cc}\u2028\u2029]/u.test(value)) {
    throw invalidArgument(`${name} holds a line break or another control character; it must be one line`)
  }
  const bytes = byteLength(value)
  if (bytes > mailLimits.lineBytes) {
    throw invalidArgument(`${name} is ${bytes} bytes long; at most ${mailLimits.lineBytes} are possible`)
  }
}

function checkBody(name: string, value: unknown): void {
  checkText(name, value)
  if (value.includes('\0')) throw invalidArgument(`${name} must not hold a NUL character`)
}

function checkAttachments(value: unknown): void {
  if (!Array.isArray(value)) {
    throw invalidArgument(`attachments must be an array; got ${typeName(value)}`)
  }
  if (value.length > mailLimits.attachments) {
    throw invalidArgument(
      `there are ${value.length} attachments; at most ${mailLimits.attachments} are possible`,
    )
  }
  for (let index = 0; index < value.length; index += 1) {
    checkAttachment(`attachments[${index}]`, value[index])
  }
}

function checkAttachment(name: string, value: unknown): void {
  checkFields(name, value, attachmentFields)
  const { filename, content, contentType, contentId } = value as Record<keyof MailAttachment, unknown>
  checkLine(`${name}.filename`, filename)
  if (filename === '' || byteLength(filename) > 255 || /[/\\]/.test(filename)) {
    throw invalidArgument(`${name}.filename must be a name of 1 to 255 bytes, not a path`)
  }
  if (typeof content === 'string') checkText(`${name}.content`, content)
  else checkBytes(`${name}.content`, content)
  if (contentType !== undefined) {
    checkLine(`${name}.contentType`, contentType)
    if (!mediaType.test(contentType) || /^multipart\//i.test(contentType)) {
      throw invalidArgument(`${name}.contentType must be a media type such as application/pdf, not multipart`)
    }
  }
  if (contentId !== undefined) {
    checkLine(`${name}.contentId`, contentId)
    if (!/^[A-Za-z0-9._%+@-]{1,200}$/.test(contentId)) {
      throw invalidArgument(
        `${name}.contentId must be 1 to 200 letters, digits and ._%+@- without angle brackets`,
      )
    }
  }
}

function checkHeaders(value: unknown): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalidArgument(`headers must be an object; got ${typeName(value)}`)
  }
  const seen = new Set<string>()
  for (const [name, text] of Object.entries(value)) {
    if (!/^[!-9;-~]{1,76}$/.test(name)) {
      throw invalidArgument(
        'a header has an impossible name; it must be 1 to 76 ASCII characters without colon and space',
      )
    }
    if (reservedHeader.test(name)) {
      throw invalidArgument(`the header "${name}" is made by the mailer; use the message's own field for it`)
    }
    if (seen.has(name.toLowerCase())) throw invalidArgument(`the header "${name}" stands there twice`)
    seen.add(name.toLowerCase())
    checkLine(`the header "${name}"`, text)
    if (text.trim() === '') throw invalidArgument(`the header "${name}" is empty; leave it out`)
  }
}

function checkMessageId(value: unknown): void {
  checkLine('messageId', value)
  if (!/^<[!-;=?A-Z[-~]{1,200}@[!-;=?A-Z[-~]{1,200}>$/.test(value)) {
    throw invalidArgument('messageId must look like <unique@example.org>, in ASCII without spaces')
  }
}

/** The address itself, without the name. */
export function addressOf(address: MailAddress): string {
  return typeof address === 'string' ? address : address.address
}

/**
 * Whether two addresses are one recipient: compared without regard to case. RFC 5321 leaves the local part's case to
 * the receiving system, but none that matters tells `Ada@` from `ada@`, and a mail sent twice is worse.
 */
export function sameAddress(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase()
}

/** Whom the mail goes to: to, cc, then bcc, each address once, as it was first written. */
export function mailRecipients({ to = [], cc = [], bcc = [] }: MailMessage): readonly string[] {
  const unique = new Map<string, string>()
  for (const address of [...to, ...cc, ...bcc].map(addressOf)) {
    const folded = address.toLowerCase()
    if (!unique.has(folded)) unique.set(folded, address)
  }
  return [...unique.values()]
}

/**
 * About how many bytes the mail is on the wire: texts as quoted-printable or base64, whichever is shorter,
 * attachments as base64 in lines of 76, and the headers.
 */
export function mailSize(message: MailMessage): number {
  const { from, to = [], cc = [], replyTo = [], subject, headers = {}, attachments = [] } = message
  const addresses = [from, ...to, ...cc, ...replyTo].map((address) =>
    typeof address === 'string' ? address : `${address.name} <${address.address}>`,
  )
  const lines = [subject, ...addresses, ...Object.entries(headers).flat()]
  const texts = [message.text ?? '', message.html ?? '']
  // 500 bytes for what every mail and every part has: date, ids, types, boundaries.
  return (
    500 * (1 + attachments.length) +
    [...lines, ...texts].reduce((sum, text) => sum + encodedSize(text), 0) +
    attachments.reduce((sum, { content }) => sum + base64Size(sizeOf(content)), 0)
  )
}

function sizeOf(content: Uint8Array | string): number {
  return typeof content === 'string' ? byteLength(content) : content.length
}

function encodedSize(text: string): number {
  const bytes = byteLength(text)
  // A character beyond ASCII is at least two bytes long, each of them three in quoted-printable.
  const ascii = text.replace(/\P{ASCII}+/gu, '').length
  return ascii === bytes ? bytes : Math.min(ascii + 3 * (bytes - ascii), base64Size(bytes))
}

function base64Size(bytes: number): number {
  const characters = Math.ceil(bytes / 3) * 4
  return characters + 2 * Math.ceil(characters / 76)
}

/** A copy that shares nothing with `message`. Fields given as undefined are left out. */
export function copyMailMessage(message: MailMessage): MailMessage {
  const { from, to, cc, bcc, replyTo, subject, text, html, attachments, headers, messageId } = message
  return {
    from: copyAddress(from),
    ...(to && { to: to.map(copyAddress) }),
    ...(cc && { cc: cc.map(copyAddress) }),
    ...(bcc && { bcc: bcc.map(copyAddress) }),
    ...(replyTo && { replyTo: replyTo.map(copyAddress) }),
    subject,
    ...(text !== undefined && { text }),
    ...(html !== undefined && { html }),
    ...(attachments && { attachments: attachments.map(copyAttachment) }),
    ...(headers && { headers: { ...headers } }),
    ...(messageId !== undefined && { messageId }),
  }
}

function copyAddress(address: MailAddress): MailAddress {
  return typeof address === 'string' ? address : { address: address.address, name: address.name }
}

function copyAttachment({ filename, content, contentType, contentId }: MailAttachment): MailAttachment {
  return {
    filename,
    // Not slice(): a Buffer's shares the memory.
    content: typeof content === 'string' ? content : Uint8Array.from(content),
    ...(contentType !== undefined && { contentType }),
    ...(contentId !== undefined && { contentId }),
  }
}
