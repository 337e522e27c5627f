/** JSON that gives back what it was given: what it would silently alter is refused. */
import { readable, typeName } from '../calls/arguments.ts'
import { invalidArgument } from '../errors.ts'

const deepest = 200

/**
 * `value` as JSON. A field that is `undefined` is left out, and `-0` becomes `0`; everything else comes back equal.
 * @throws PortError `invalid-argument` for what JSON has no form for (`NaN`, a bigint, a `Date`, a `Map`, `undefined`
 * in an array, an object of a class, a cycle); the message names the place and never the value
 */
export function toJson(value: unknown): string {
  return readable('the value', () => {
    check(value, 'the value', 0)
    return JSON.stringify(value)
  })
}

/** The value of JSON in UTF-8, or `undefined` where the bytes are none. */
export function fromJson(bytes: Uint8Array): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) }
  } catch {
    return undefined
  }
}

function check(value: unknown, place: string, depth: number): void {
  if (depth > deepest) throw refused(place, `nested deeper than ${deepest}, or within itself`)
  if (value === null || typeof value === 'boolean') return
  if (typeof value === 'string') {
    if (!value.isWellFormed()) throw refused(place, 'a string with a lone surrogate')
    return
  }
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw refused(place, `${value}`)
    return
  }
  if (Array.isArray(value)) {
    // By index, so that a hole is seen as the undefined that it is.
    for (let index = 0; index < value.length; index += 1) check(value[index], `${place}[${index}]`, depth + 1)
    return
  }
  if (typeof value !== 'object' || !isPlain(value)) throw refused(place, typeName(value))
  if ('toJSON' in value && typeof value.toJSON === 'function') throw refused(place, 'an object with toJSON')
  for (const [key, item] of Object.entries(value)) {
    if (item !== undefined) check(item, `${place}.${key.slice(0, 40)}`, depth + 1)
  }
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype
}

function refused(place: string, what: string): Error {
  return invalidArgument(`${place} is ${what}, which JSON would alter; turn it into a string or number first`)
}
