/**
 * Reads a mail as it came over the wire: headers, texts, attachments (RFC 5322, 2045–2047, 2231). Enough for what mail
 * clients and libraries make; what it cannot read is kept as an attachment, and the bytes themselves are kept beside.
 */
import type { MailAddress, MailAttachment, MailMessage } from '../../src/ports/mailer.ts'

interface Header {
  readonly name: string
  /** Unfolded, not decoded; one character a byte. */
  readonly value: string
}

interface Part {
  readonly headers: readonly Header[]
  /** One character a byte. */
  readonly body: string
}

interface Found {
  text?: string
  html?: string
  attachments: MailAttachment[]
}

/** Headers that a message has fields for, or that describe its form. */
const known =
  /^(from|to|cc|bcc|reply-to|subject|date|message-id|mime-version|content-.*|received|return-path)$/i
const deepest = 20

/**
 * The mail in `source` as the port would describe it.
 * @param from the sender of the envelope, where the headers name none
 * @param recipients the envelope's; those in no header are the mail's `bcc`
 */
export function readMail(source: Uint8Array, from: string, recipients: readonly string[]): MailMessage {
  const root = partOf(Buffer.from(source.buffer, source.byteOffset, source.length).toString('latin1'))
  const found: Found = { attachments: [] }
  collect(root, found, 0)
  const to = addressesOf(root, 'to')
  const cc = addressesOf(root, 'cc')
  const replyTo = addressesOf(root, 'reply-to')
  const shown = new Set(
    [...to, ...cc].map((one) => (typeof one === 'string' ? one : one.address).toLowerCase()),
  )
  const bcc = recipients.filter((recipient) => !shown.has(recipient.toLowerCase()))
  const headers = root.headers.filter(({ name }) => !known.test(name))
  const messageId = field(root, 'message-id')?.trim()
  return {
    from: addressesOf(root, 'from')[0] ?? from,
    ...(to.length > 0 && { to }),
    ...(cc.length > 0 && { cc }),
    ...(bcc.length > 0 && { bcc }),
    ...(replyTo.length > 0 && { replyTo }),
    subject: decodeWords(field(root, 'subject') ?? ''),
    ...(found.text !== undefined && { text: found.text }),
    ...(found.html !== undefined && { html: found.html }),
    ...(found.attachments.length > 0 && { attachments: found.attachments }),
    ...(headers.length > 0 && {
      headers: Object.fromEntries(headers.map(({ name, value }) => [name, decodeWords(value)])),
    }),
    ...(messageId !== undefined && { messageId }),
  }
}

function partOf(text: string): Part {
  const end = /\r?\n\r?\n/.exec(`\n${text}`)
  const head = end === null ? text : text.slice(0, Math.max(0, end.index - 1))
  const body = end === null ? '' : text.slice(end.index - 1 + end[0].length)
  const headers = head
    .replace(/\r?\n(?=[ \t])/g, '')
    .split(/\r?\n/)
    .flatMap((line): Header[] => {
      const colon = line.indexOf(':')
      return colon < 1 ? [] : [{ name: line.slice(0, colon).trim(), value: line.slice(colon + 1).trim() }]
    })
  return { headers, body }
}

function collect(part: Part, found: Found, depth: number): void {
  const type = parameters(field(part, 'content-type') ?? 'text/plain')
  const boundary = type.get('boundary')
  if (type.get('')?.startsWith('multipart/') && boundary !== undefined && depth < deepest) {
    for (const child of split(part.body, boundary)) collect(partOf(child), found, depth + 1)
    return
  }
  const disposition = parameters(field(part, 'content-disposition') ?? '')
  const contentId = field(part, 'content-id')?.trim().replace(/^<|>$/g, '')
  const filename = disposition.get('filename') ?? type.get('name')
  const contentType = type.get('') ?? 'text/plain'
  const isBody =
    disposition.get('') !== 'attachment' && filename === undefined && /^text\/(plain|html)$/.test(contentType)
  const key = contentType === 'text/html' ? 'html' : 'text'
  if (isBody && found[key] === undefined) {
    const text = decodeText(decodeTransfer(part), type.get('charset')).replaceAll('\r\n', '\n')
    // Within a multipart the last line end belongs to the boundary; alone it is the client's.
    found[key] = depth === 0 ? text.replace(/\n$/, '') : text
    return
  }
  found.attachments.push({
    filename: filename ?? 'attachment',
    content: Uint8Array.from(decodeTransfer(part)),
    contentType,
    ...(contentId && { contentId }),
  })
}

function split(body: string, boundary: string): readonly string[] {
  const parts: string[] = []
  let current: string[] | undefined
  for (const line of body.split(/\r?\n/)) {
    const isEnd = line.trimEnd() === `--${boundary}--`
    if (isEnd || line.trimEnd() === `--${boundary}`) {
      if (current !== undefined) parts.push(current.join('\r\n'))
      if (isEnd) return parts
      current = []
    } else {
      current?.push(line)
    }
  }
  if (current !== undefined) parts.push(current.join('\r\n'))
  return parts
}

function field({ headers }: Part, name: string): string | undefined {
  return headers.find((header) => header.name.toLowerCase() === name)?.value
}

function decodeTransfer(part: Part): Buffer {
  switch ((field(part, 'content-transfer-encoding') ?? '7bit').trim().toLowerCase()) {
    case 'base64':
      return Buffer.from(part.body, 'base64')
    case 'quoted-printable':
      return fromQuoted(part.body.replace(/[ \t]+(?=\r?\n|$)/g, '').replace(/=\r?\n/g, ''))
    default:
      return Buffer.from(part.body, 'latin1')
  }
}

function fromQuoted(text: string): Buffer {
  return Buffer.from(
    text.replace(/=([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  )
}

function decodeText(bytes: Uint8Array, charset = 'utf-8'): string {
  try {
    return new TextDecoder(charset).decode(bytes)
  } catch {
    // A character set that the runtime does not know.
    return new TextDecoder('latin1').decode(bytes)
  }
}

/** RFC 2047's encoded words, and bare UTF-8 where a client sent that. */
function decodeWords(value: string): string {
  return value
    .replace(/(\?=)\s+(?==\?)/g, '$1')
    .split(/(=\?[^?\s]+\?[bq]\?[^?\s]*\?=)/i)
    .map((piece) => {
      const word = /^=\?([^?*\s]+)(?:\*[^?\s]*)?\?([bq])\?([^?\s]*)\?=$/i.exec(piece)
      if (word === null) return decodeText(Buffer.from(piece, 'latin1'))
      const [, charset, encoding = '', content = ''] = word
      const bytes =
        encoding.toLowerCase() === 'b'
          ? Buffer.from(content, 'base64')
          : fromQuoted(content.replaceAll('_', ' '))
      return decodeText(bytes, charset)
    })
    .join('')
}

/** A structured header's value under '' in lower case, and its parameters by name, with RFC 2231's pieces joined. */
function parameters(value: string): ReadonlyMap<string, string> {
  const [first = '', ...rest] = value.match(/(?:"(?:[^"\\]|\\.)*"|[^;"])+/g) ?? []
  const result = new Map([['', first.trim().toLowerCase()]])
  const pieces = new Map<
    string,
    { readonly index: number; readonly encoded: boolean; readonly text: string }[]
  >()
  for (const parameter of rest) {
    const equals = parameter.indexOf('=')
    if (equals < 1) continue
    const quoted = parameter.slice(equals + 1).trim()
    const text = quoted.startsWith('"') ? quoted.slice(1, -1).replace(/\\(.)/g, '$1') : quoted
    const named = /^([^*]+)(?:\*(\d+))?(\*)?$/.exec(parameter.slice(0, equals).trim().toLowerCase())
    if (named === null) continue
    const [, name = '', index = '0', star] = named
    const list = pieces.get(name) ?? []
    pieces.set(name, [...list, { index: Number(index), encoded: star !== undefined, text }])
  }
  for (const [name, list] of pieces) result.set(name, joinPieces(list))
  return result
}

function joinPieces(
  pieces: readonly { readonly index: number; readonly encoded: boolean; readonly text: string }[],
): string {
  const ordered = pieces.toSorted((a, b) => a.index - b.index)
  if (!ordered.some(({ encoded }) => encoded)) return decodeWords(ordered.map(({ text }) => text).join(''))
  const charset = /^([^']*)'[^']*'/.exec(ordered[0]?.text ?? '')
  const bytes = ordered.map(({ encoded, text }, position) => {
    const own = position === 0 && charset !== null ? text.slice(charset[0].length) : text
    return encoded ? fromQuoted(own.replaceAll('%', '=')) : Buffer.from(own, 'latin1')
  })
  return decodeText(Buffer.concat(bytes), charset?.[1] || 'utf-8')
}

function addressesOf(part: Part, name: string): readonly MailAddress[] {
  const list = field(part, name)?.match(/(?:"(?:[^"\\]|\\.)*"|<[^>]*>|[^,"<])+/g) ?? []
  return list.flatMap((text): MailAddress[] => {
    const angle = /^(.*)<([^>]*)>\s*$/s.exec(text)
    if (angle === null) return text.trim() === '' ? [] : [text.trim()]
    const [, shown = '', address = ''] = angle
    const plain = shown
      .trim()
      .replace(/^"(.*)"$/s, '$1')
      .replace(/\\(.)/g, '$1')
    return [plain === '' ? address.trim() : { address: address.trim(), name: decodeWords(plain) }]
  })
}
