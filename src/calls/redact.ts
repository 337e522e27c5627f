/**
 * Keeps secrets out of everything that is thrown, logged or printed. A secret is replaced wherever it stands,
 * as it is and in the forms in which clients repeat it: percent-encoded, base64, in a Basic header.
 */

const mask = '***'
// Shorter ones would mask ordinary words; a secret that short is guessed anyway.
const shortestSecret = 4

/** Replaces a fixed set of secrets in texts and errors. */
export class Redactor {
  readonly #forms: readonly string[]

  constructor(secrets: Iterable<string>) {
    const forms = new Set<string>()
    for (const secret of secrets) {
      if (secret.length < shortestSecret) continue
      forms.add(secret)
      forms.add(encodeURIComponent(secret))
      forms.add(encodeURI(secret))
      forms.add(JSON.stringify(secret).slice(1, -1))
      forms.add(Buffer.from(secret).toString('base64'))
      forms.add(Buffer.from(secret).toString('base64url'))
    }
    // The longest first, so that no form is masked in part by another.
    this.#forms = [...forms].sort((a, b) => b.length - a.length)
  }

  /** `text` with every secret, and every password in a URL, replaced by `***`. */
  text(text: string): string {
    let clean = text
    for (const form of this.#forms) clean = clean.replaceAll(form, mask)
    return clean.replace(/([a-z][a-z0-9+.-]*:\/\/[^\s:/?#@]*):[^\s/?#@]+@/gi, `$1:${mask}@`)
  }

  /**
   * Cleans an error in place, so that it stays the vendor's own object: message, stack, every string in it and
   * in what it refers to, some levels deep. What cannot be cleaned (a frozen object) is replaced by a copy.
   */
  error(error: unknown): unknown {
    return this.#scrub(error, 6, new Map())
  }

  #scrub(value: unknown, depth: number, seen: Map<object, unknown>): unknown {
    if (typeof value === 'string') return this.text(value)
    if (typeof value !== 'object' || value === null) return value
    if (ArrayBuffer.isView(value)) return value instanceof Uint8Array ? this.#bytes(value) : value
    const done = seen.get(value)
    if (done !== undefined) return done
    // Beyond this depth nothing is known of what it holds, so nothing of it is kept.
    if (depth === 0) return mask
    if (Object.isFrozen(value)) {
      const copy = value instanceof Error ? new Error(this.text(value.message)) : '[frozen]'
      seen.set(value, copy)
      return copy
    }
    seen.set(value, value)
    for (const key of Object.getOwnPropertyNames(value)) {
      const descriptor = Object.getOwnPropertyDescriptor(value, key)
      if (descriptor === undefined || !('value' in descriptor)) continue
      // A client's socket, request or connection holds credentials in forms no mask can know, and is live.
      const clean = isLive(descriptor.value) ? undefined : this.#scrub(descriptor.value, depth - 1, seen)
      if (clean === descriptor.value) continue
      if (descriptor.configurable) Object.defineProperty(value, key, { ...descriptor, value: clean })
      else if (descriptor.writable) (value as Record<string, unknown>)[key] = clean
    }
    // An accessor in some versions of V8, and then not among the values above.
    if (value instanceof Error && typeof value.stack === 'string') value.stack = this.text(value.stack)
    return value
  }

  #bytes(bytes: Uint8Array): Uint8Array | string {
    const text = Buffer.from(bytes).toString('latin1')
    return this.#forms.some((form) => text.includes(form)) ? mask : bytes
  }
}

function isLive(value: unknown): boolean {
  if (typeof value === 'function') return true
  if (typeof value !== 'object' || value === null || value instanceof Error) return false
  const prototype = Object.getPrototypeOf(value)
  return !(
    prototype === null ||
    prototype === Object.prototype ||
    Array.isArray(value) ||
    ArrayBuffer.isView(value) ||
    value instanceof Date
  )
}

/** Knows no secret; still masks the passwords of URLs. */
export const plainRedactor: Redactor = new Redactor([])
