/** Writes the little XML that S3 speaks: elements and text. `read-xml.ts` reads it. */

/** Text, numbers and truths as they are, times in S3's form, trees as elements; an array repeats its element. */
export type XmlValue = string | number | boolean | Date | undefined | XmlTree | readonly XmlValue[]

/** Elements by name, in order. What is `undefined` is left out. */
export interface XmlTree {
  readonly [name: string]: XmlValue
}

/** The namespace of all of S3's answers but its errors. */
export const s3Namespace = 'http://s3.amazonaws.com/doc/2006-03-01/'

const declaration = '<?xml version="1.0" encoding="UTF-8"?>\n'

/** A document with the elements of `tree` in `root`. */
export function writeXml(root: string, tree: XmlTree | string, namespace?: string): string {
  const xmlns = namespace === undefined ? '' : ` xmlns="${escapeXml(namespace)}"`
  const content = typeof tree === 'string' ? escapeXml(tree) : elements(tree)
  return `${declaration}<${root}${xmlns}>${content}</${root}>`
}

function elements(tree: XmlTree): string {
  return Object.entries(tree)
    .map(([name, value]) => element(name, value))
    .join('')
}

function element(name: string, value: XmlValue): string {
  if (value === undefined) return ''
  if (isList(value)) return value.map((item) => element(name, item)).join('')
  const content = contentOf(value)
  return content === '' ? `<${name}/>` : `<${name}>${content}</${name}>`
}

function contentOf(value: Exclude<XmlValue, undefined | readonly XmlValue[]>): string {
  if (typeof value === 'string') return escapeXml(value)
  if (value instanceof Date) return value.toISOString()
  return typeof value === 'object' ? elements(value) : String(value)
}

const isList = (value: XmlValue): value is readonly XmlValue[] => Array.isArray(value)

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
}

/**
 * Control characters become references, as S3 writes them, though XML 1.0 knows no such characters: a key may hold
 * them, and clients that fear them ask for `encoding-type=url`. Carriage returns are among them, which a parser would
 * else turn into line feeds.
 */
function escapeXml(text: string): string {
  return text.toWellFormed().replace(special, (c) => escapes[c] ?? `&#x${c.charCodeAt(0).toString(16)};`)
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it finds
const special = /[&<>"\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\ufffe\uffff]/g
