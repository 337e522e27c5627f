/**
 * How long X takes a post to be: the weights of twitter-text's configuration 3, counted here because that
 * library is an unkept CommonJS one that carries its own list of all top-level domains.
 */
import { countryDomains, genericDomains } from './weighted-length-domains.ts'

/** The greatest weighted length of a post. */
export const longestPost = 280

const urlWeight = 23
const emojiWeight = 2

/** Ranges of code points that count 1; every other counts 2. */
const lightRanges = [
  [0x0000, 0x10ff],
  [0x2000, 0x200d],
  [0x2010, 0x201f],
  [0x2032, 0x2037],
] as const

// A keycap counts as one also without its variation selector, which RGI_Emoji asks for.
const emoji = /\p{RGI_Emoji}|[#*0-9]\u20e3/gv

// Not within a word, an address or a tag; a host with a dot and a top level of letters (or punycode); then port, path
// and query, without the punctuation that ends a sentence.
const label = String.raw`[\p{L}\p{N}](?:[\p{L}\p{N}_\-]*[\p{L}\p{N}])?`
const host = String.raw`(?:${label}\.)+(?:xn--[a-z0-9\-]+|\p{L}{2,})(?![\p{L}\p{N}@])`
const inPath = String.raw`[\p{L}\p{N}!*';:=+,.$\/%#\[\]\-–_~@\|&]`
const inBrackets = String.raw`\(${inPath}*\)`
const path = String.raw`\/(?:(?:${inPath}|${inBrackets})*(?:[\p{L}\p{N}=_#\/+\-]|${inBrackets}))?`
const query = String.raw`\?[a-z0-9!?*'@\(\);:&=+$\/%#\[\]\-_.,~\|]*[a-z0-9\-_&=#\/]`
const withScheme = String.raw`(?<![\p{L}\p{N}@$#_])https?:\/\/${host}(?::\d+)?(?:${path})?(?:${query})?`

// Without a scheme the host is Latin, its end is known, and before it stands nothing that could belong to it. Under a
// country alone (`is.it`, `readme.md`) it needs a label more or a path, except where the country's domain is sold to all.
const latin = String.raw`a-z0-9\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f`
const latinLabel = String.raw`[${latin}](?:[${latin}_\-]*[${latin}])?\.`
const ends = String.raw`(?![a-z0-9@+\-])`
const anyDomain = `(?:${[...genericDomains, ...countryDomains, String.raw`xn--[a-z0-9\-]+`].join('|')})${ends}`
const generalDomain = `(?:${[...genericDomains, 'co', 'tv', String.raw`xn--[a-z0-9\-]+`].join('|')})${ends}`
const withoutScheme =
  String.raw`(?<![${latin}@\uff20$#\uff03_\-.\/])` +
  String.raw`(?:(?:${latinLabel})+${anyDomain}(?::\d+)?${path}(?:${query})?` +
  `|(?:${latinLabel}){2,}${anyDomain}|${latinLabel}${generalDomain})`

const url = new RegExp(`${withScheme}|${withoutScheme}`, 'giu')

/**
 * The weighted length of `text`: after NFC, a link counts 23 however long it is, an emoji 2 however many code points
 * it has, any other character 1 or 2. A domain without `https://` is a link where X takes it for one. What X counts
 * otherwise: it knows all top-level domains, this function every country's and the others in common use; it knows the
 * emoji of its own list, this function those of the runtime's Unicode; the mentions that X puts before a reply are
 * free there. X has the last word: a text that is too long for it alone is `invalid-argument` as well, after I/O.
 */
export function weightedLength(text: string): number {
  const normal = text.normalize('NFC')
  let length = 0
  let rest = 0
  for (const match of normal.matchAll(url)) {
    length += weightWithoutUrls(normal.slice(rest, match.index)) + urlWeight
    rest = match.index + match[0].length
  }
  return length + weightWithoutUrls(normal.slice(rest))
}

function weightWithoutUrls(text: string): number {
  let emojis = 0
  const plain = text.replace(emoji, () => {
    emojis += 1
    return ''
  })
  let length = emojis * emojiWeight
  for (const character of plain) {
    const codePoint = character.codePointAt(0) ?? 0
    length += lightRanges.some(([first, last]) => codePoint >= first && codePoint <= last) ? 1 : 2
  }
  return length
}
