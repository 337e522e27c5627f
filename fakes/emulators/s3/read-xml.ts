/**
 * Reads the little XML that S3 is spoken to in: elements and text. Strict and bounded: what it does not know (document
 * types, processing instructions, text between elements) is `MalformedXML`.
 */
import { S3Error } from './errors.ts'

/** An element that was read. */
export interface XmlElement {
  /** Without a namespace's prefix. */
  readonly name: string
  /** Empty where there are children. */
  readonly text: string
  readonly children: readonly XmlElement[]
}

export interface ReadXmlOptions {
  /** The name that the outermost element must have. */
  readonly root: string
  /** @default 1 MiB */
  readonly maxBytes?: number
}

const deepest = 32

/** @throws S3Error `MalformedXML`, or `MaxMessageLengthExceeded` for a document longer than `maxBytes` */
export function readXml(bytes: Uint8Array, { root, maxBytes = 1024 * 1024 }: ReadXmlOptions): XmlElement {
  if (bytes.length > maxBytes) {
    throw new S3Error('MaxMessageLengthExceeded', { fields: { MaxMessageLengthBytes: maxBytes } })
  }
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw malformed()
  }
  const found = new Reader(text).document()
  if (found.name !== root) throw malformed()
  return found
}

/** The children of that name. */
export function childrenOf(parent: XmlElement, name: string): readonly XmlElement[] {
  return parent.children.filter((child) => child.name === name)
}

/**
 * The text of the child of that name; `undefined` where there is none.
 * @throws S3Error `MalformedXML` where there are several, or elements in it
 */
export function textOf(parent: XmlElement, name: string): string | undefined {
  const [child, ...others] = childrenOf(parent, name)
  if (others.length > 0 || (child !== undefined && child.children.length > 0)) throw malformed()
  return child?.text
}

/** Throws `MalformedXML` where `parent` has a child of another name than these. */
export function checkChildren(parent: XmlElement, known: readonly string[]): void {
  if (parent.children.some(({ name }) => !known.includes(name))) throw malformed()
}

function malformed(): S3Error {
  return new S3Error('MalformedXML')
}

const namePattern = '[\\p{L}_][\\p{L}\\p{N}._-]*'
const tokens = {
  declaration: /<\?xml[ \t\r\n]+version[ \t\r\n]*=[ \t\r\n]*(?:"1\.[01]"|'1\.[01]')[^?<>]*\?>/uy,
  space: /[ \t\r\n]*/y,
  comment: /<!--(?:[^-]|-[^-])*-->/y,
  cdata: /<!\[CDATA\[([\s\S]*?)\]\]>/y,
  open: new RegExp(`<(?:${namePattern}:)?(${namePattern})`, 'uy'),
  attribute: new RegExp(
    `[ \\t\\r\\n]+((?:${namePattern}:)?${namePattern})[ \\t\\r\\n]*=[ \\t\\r\\n]*(?:"([^"<]*)"|'([^'<]*)')`,
    'uy',
  ),
  openEnd: /[ \t\r\n]*(\/?)>/y,
  close: new RegExp(`</(?:${namePattern}:)?(${namePattern})[ \\t\\r\\n]*>`, 'uy'),
  text: /[^<]+/y,
}

class Reader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text.startsWith('\ufeff') ? text.slice(1) : text
  }

  document(): XmlElement {
    this.#take('declaration')
    this.#between()
    const root = this.#element(0)
    this.#between()
    if (this.#at !== this.#text.length) throw malformed()
    return root
  }

  /** What may stand beside the outermost element. */
  #between(): void {
    do this.#take('space')
    while (this.#take('comment') !== undefined)
  }

  #element(depth: number): XmlElement {
    const name = this.#take('open')?.[1]
    if (name === undefined || depth > deepest) throw malformed()
    this.#attributes()
    const end = this.#take('openEnd')
    if (end === undefined) throw malformed()
    if (end[1] === '/') return { name, text: '', children: [] }
    return this.#content(name, depth)
  }

  #attributes(): void {
    const seen = new Set<string>()
    for (let found = this.#take('attribute'); found !== undefined; found = this.#take('attribute')) {
      const [, name = '', double, single] = found
      if (seen.has(name)) throw malformed()
      seen.add(name)
      resolve(double ?? single ?? '')
    }
  }

  #content(name: string, depth: number): XmlElement {
    const texts: string[] = []
    const children: XmlElement[] = []
    for (;;) {
      const text = this.#take('text')?.[0]
      if (text !== undefined) {
        if (text.includes(']]>')) throw malformed()
        texts.push(resolve(text.replaceAll(/\r\n?/g, '\n')))
        continue
      }
      const cdata = this.#take('cdata')
      if (cdata !== undefined) {
        texts.push((cdata[1] ?? '').replaceAll(/\r\n?/g, '\n'))
        continue
      }
      if (this.#take('comment') !== undefined) continue
      const closed = this.#take('close')
      if (closed === undefined) {
        children.push(this.#element(depth + 1))
        continue
      }
      if (closed[1] !== name) throw malformed()
      const whole = texts.join('')
      if (children.length === 0) return { name, text: whole, children }
      if (whole.trim() !== '') throw malformed()
      return { name, text: '', children }
    }
  }

  #take(token: keyof typeof tokens): RegExpExecArray | undefined {
    const pattern = tokens[token]
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#text)
    if (found === null) return undefined
    this.#at = pattern.lastIndex
    return found
  }
}

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

/** Text with its references replaced. */
function resolve(text: string): string {
  if (!text.includes('&')) return text
  return text.replaceAll(/&([^;&]*);?/g, (reference, body: string) => {
    if (!reference.endsWith(';')) throw malformed()
    const entity = Object.hasOwn(entities, body) ? entities[body] : undefined
    if (entity !== undefined) return entity
    const [, hex, decimal] = /^#(?:x([0-9a-fA-F]{1,6})|([0-9]{1,7}))$/.exec(body) ?? []
    const point = hex !== undefined ? Number.parseInt(hex, 16) : Number(decimal ?? 0)
    if (point === 0 || point > 0x10_ff_ff || (point >= 0xd8_00 && point <= 0xdf_ff)) throw malformed()
    return String.fromCodePoint(point)
  })
}
