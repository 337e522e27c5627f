/**
 * Keeps secrets out of everything that is thrown, logged or printed. A secret is replaced wherever it stands,
 * as it is and in the forms in which clients repeat it: escaped, percent-encoded, hexadecimal, base64 at any
 * alignment (a Basic header's is that of `user:secret`).
 */
import { types } from 'node:util'

const mask = '***'
// Shorter ones would mask ordinary words; a secret that short is guessed anyway.
const shortestSecret = 4
// What a vendor's error may hold before the rest of it is dropped unread.
const deepest = 6
const mostValues = 10_000

/** Replaces a fixed set of secrets in texts and errors. */
export class Redactor {
  readonly #forms: RegExp | undefined
  readonly #bytes: readonly Buffer[]

  constructor(secrets: Iterable<string>) {
    const own = [...new Set(secrets)].filter((secret) => secret.length >= shortestSecret)
    // The longest first, so that no secret is masked as part of another.
    const forms = own.sort((a, b) => b.length - a.length).flatMap(formsOf)
    this.#forms = forms.length === 0 ? undefined : new RegExp([...new Set(forms)].join('|'), 'g')
    this.#bytes = own.map((secret) => Buffer.from(secret))
  }

  /** `text` with every secret, and every password in a URL, replaced by `***`. */
  text(text: string): string {
    let clean = text
    // A mask beside what stood there may spell a secret again; each pass is shorter, so this ends.
    for (let before = ''; before !== clean; ) {
      before = clean
      if (this.#forms !== undefined) clean = clean.replace(this.#forms, mask)
    }
    return clean.replace(/([a-z][a-z0-9+.-]{0,30}:\/\/[^\s:/?#@]*):[^\s/?#@]+@/gi, `$1:${mask}@`)
  }

  /**
   * Cleans an error in place, so that it stays the vendor's own object: message, stack, every string in it and
   * in what it refers to, some levels deep. What cannot be cleaned (a frozen object) is replaced by a copy. Runs
   * no code of the error's own, and never throws.
   */
  error(error: unknown): unknown {
    try {
      return new Cleaning(this).clean(error, deepest)
    } catch {
      return mask
    }
  }

  /** Whether bytes hold a secret as UTF-8 or in one of its written forms. */
  inBytes(bytes: Uint8Array): boolean {
    const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const text = view.toString('latin1')
    return this.#bytes.some((secret) => view.includes(secret)) || this.text(text) !== text
  }
}

/** One pass over one error. */
class Cleaning {
  readonly #redactor: Redactor
  readonly #seen = new Map<object, unknown>()
  #left = mostValues

  constructor(redactor: Redactor) {
    this.#redactor = redactor
  }

  clean(value: unknown, depth: number): unknown {
    if (typeof value === 'string') return this.#redactor.text(value)
    if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'symbol') {
      return this.#redactor.text(String(value)) === String(value) ? value : mask
    }
    if (typeof value === 'function') return undefined
    if (typeof value !== 'object' || value === null) return value
    // Even to ask a proxy for its kind would run its code.
    if (types.isProxy(value)) return undefined
    if (value instanceof Uint8Array) return this.#redactor.inBytes(value) ? mask : value
    if (ArrayBuffer.isView(value)) return value
    if (this.#seen.has(value)) return this.#seen.get(value)
    // Beyond this nothing is known of what it holds, so nothing of it is kept.
    this.#left -= 1
    if (depth === 0 || this.#left < 0) return mask
    const kept = isFixed(value) ? copyOf(value) : value
    this.#seen.set(value, kept)
    for (const key of Reflect.ownKeys(value)) {
      if (Array.isArray(value) && key === 'length') continue
      this.#left -= 1
      if (this.#left < 0) delete (kept as Record<PropertyKey, unknown>)[key]
      else this.#cleanProperty(value, kept, key, depth)
    }
    return kept
  }

  #cleanProperty(from: object, to: object, key: PropertyKey, depth: number): void {
    const descriptor = Object.getOwnPropertyDescriptor(from, key)
    if (descriptor === undefined) return
    const shownKey = typeof key === 'symbol' ? (key.description ?? '') : String(key)
    const cleanKey = this.#redactor.text(shownKey)
    const value = 'value' in descriptor ? descriptor.value : accessed(from, key, descriptor)
    // A client's socket, request or connection holds credentials in forms no mask can know, and is live.
    const clean = isLive(value) ? undefined : this.clean(value, depth - 1)
    if (cleanKey === shownKey && from === to && 'value' in descriptor && Object.is(clean, descriptor.value))
      return
    const { enumerable = false } = descriptor
    if (cleanKey !== shownKey) {
      if (from === to) Reflect.deleteProperty(to, key)
      Object.defineProperty(to, cleanKey, { value: clean, enumerable, configurable: true, writable: true })
    } else if (from !== to || descriptor.configurable) {
      Object.defineProperty(to, key, { value: clean, enumerable, configurable: true, writable: true })
    } else {
      // Not configurable, but writable: anything else would have been copied.
      Reflect.set(to, key, clean)
    }
  }
}

/** The value behind an accessor where that is V8's own `stack`; no other is run. */
function accessed(owner: object, key: PropertyKey, { get }: PropertyDescriptor): unknown {
  if (key !== 'stack' || get === undefined || !types.isNativeError(owner)) return undefined
  if (get !== stackGetter) return undefined
  return Reflect.apply(get, owner, [])
}

const stackGetter: unknown = Object.getOwnPropertyDescriptor(new Error('one to look at'), 'stack')?.get

/** Whether something about it cannot be changed, so that cleaning needs a copy; a brand (`true`) needs none. */
function isFixed(value: object): boolean {
  if (!Object.isExtensible(value)) return true
  return Reflect.ownKeys(value).some((key) => {
    if (Array.isArray(value) && key === 'length') return false
    const descriptor = Object.getOwnPropertyDescriptor(value, key)
    return descriptor?.configurable === false && descriptor.writable !== true && descriptor.value !== true
  })
}

/** An empty object of its kind, for its cleaned properties. */
function copyOf(value: object): object {
  if (Array.isArray(value)) return new Array(value.length)
  if (value instanceof Error) {
    const copy = new Error('')
    Object.setPrototypeOf(copy, Object.getPrototypeOf(value))
    return copy
  }
  return {}
}

function isLive(value: unknown): boolean {
  if (typeof value === 'function') return true
  if (typeof value !== 'object' || value === null) return false
  if (types.isProxy(value)) return true
  if (value instanceof Error) return false
  const prototype = Object.getPrototypeOf(value)
  return !(
    prototype === null ||
    prototype === Object.prototype ||
    Array.isArray(value) ||
    ArrayBuffer.isView(value) ||
    types.isDate(value)
  )
}

/** Patterns for every form in which `secret` may be repeated. */
function formsOf(secret: string): string[] {
  const utf8 = Buffer.from(secret)
  const binary = Buffer.from(secret, 'latin1')
  const encodings = binary.toString('latin1') === secret && !binary.equals(utf8) ? [utf8, binary] : [utf8]
  return [
    [...secret].map(writtenForms).join(''),
    ...encodings.flatMap((bytes) => [0, 1, 2].map((before) => base64Form(bytes, before))),
    ...encodings.map((bytes) => anyCase(bytes.toString('hex'))),
  ]
}

/** One character as it is, percent-encoded, or escaped as JSON and `inspect` do. */
function writtenForms(character: string): string {
  const forms = [literal(character), percentEncoded(character)]
  if (character === ' ') forms.push('\\+')
  if ('"\'`\\/'.includes(character)) forms.unshift(`\\\\+${literal(character)}`)
  const short = JSON.stringify(character).slice(1, -1)
  if (/^\\[bfnrt]$/.test(short)) forms.push(`\\\\+${short.slice(1)}`)
  const units = Array.from({ length: character.length }, (_, at) => character.charCodeAt(at))
  forms.push(units.map((unit) => `\\\\+u${anyCase(unit.toString(16).padStart(4, '0'))}`).join(''))
  const [unit = 0] = units
  if (units.length === 1 && unit < 0x100) forms.push(`\\\\+x${anyCase(unit.toString(16).padStart(2, '0'))}`)
  return `(?:${forms.join('|')})`
}

function percentEncoded(character: string): string {
  return [...Buffer.from(character)].map((byte) => `%${anyCase(byte.toString(16).padStart(2, '0'))}`).join('')
}

/**
 * The characters of a base64 text that depend on `bytes` alone, where they stand after `before` (mod 3) others;
 * in either alphabet, percent-encoded or not.
 */
function base64Form(bytes: Buffer, before: number): string {
  const text = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64')
  const first = Math.ceil((before * 8) / 6)
  const end = Math.floor(((before + bytes.length) * 8) / 6)
  const shared = [...text.slice(first, end)].map((character) => {
    if (character === '+') return '(?:[+-]|%2[bB])'
    return character === '/' ? '(?:[/_]|%2[fF])' : character
  })
  // A character at either end is shared with the neighbour, and still tells some bits of the secret.
  return `${before === 0 ? '' : '[\\w+/-]?'}${shared.join('')}${((before + bytes.length) * 8) % 6 === 0 ? '' : '[\\w+/-]?'}(?:=|%3[dD]){0,2}`
}

function anyCase(hex: string): string {
  return [...hex].map((digit) => (/[a-f]/.test(digit) ? `[${digit}${digit.toUpperCase()}]` : digit)).join('')
}

/** A pattern for exactly this text, whatever it means in patterns. */
function literal(text: string): string {
  const units = Array.from({ length: text.length }, (_, at) => text.charCodeAt(at))
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('')
}
