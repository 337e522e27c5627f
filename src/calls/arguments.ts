/**
 * Checks of arguments that several ports share. Each throws `invalid-argument`, names the argument, says what
 * was wrong and what is expected, and never repeats a value that could be a secret.
 */
import { types } from 'node:util'
import { invalidArgument, PortError } from '../errors.ts'

const encoder = new TextEncoder()

/** The length of `text` in UTF-8 bytes. */
export function byteLength(text: string): number {
  return encoder.encode(text).length
}

/** A string without lone surrogates, which have no UTF-8 form and would come back altered. */
export function checkText(name: string, value: unknown): asserts value is string {
  if (typeof value !== 'string') throw invalidArgument(`${name} must be a string; got ${typeName(value)}`)
  if (!value.isWellFormed()) {
    throw invalidArgument(
      `${name} holds a lone surrogate, which has no UTF-8 form; mend it with toWellFormed()`,
    )
  }
}

/** A key: text of 1 to `maxBytes` UTF-8 bytes without NUL. It is passed on as it is, never normalised. */
export function checkKey(name: string, value: unknown, maxBytes: number): asserts value is string {
  checkText(name, value)
  if (value === '') throw invalidArgument(`${name} must not be empty`)
  if (value.includes('\0')) throw invalidArgument(`${name} must not hold a NUL character`)
  const bytes = byteLength(value)
  if (bytes > maxBytes) {
    throw invalidArgument(`${name} is ${bytes} bytes long in UTF-8; at most ${maxBytes} are possible`)
  }
}

/** A safe integer from `min` to `max`. */
export function checkInteger(
  name: string,
  value: unknown,
  { min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER }: { min?: number; max?: number } = {},
): asserts value is number {
  if (typeof value !== 'number') throw invalidArgument(`${name} must be a number; got ${typeName(value)}`)
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    throw invalidArgument(`${name} must be a whole number from ${min} to ${max}; got ${value}`)
  }
}

/** Bytes: a `Uint8Array` (a `Buffer` is one). */
export function checkBytes(name: string, value: unknown): asserts value is Uint8Array {
  if (!(value instanceof Uint8Array)) {
    throw invalidArgument(`${name} must be a Uint8Array; got ${typeName(value)}`)
  }
}

/**
 * A plain object of options or fields whose every key is in `known`. Instances of classes are refused: their
 * fields may be inherited, and a signal given in place of `{ signal }` would pass for an object with none.
 */
export function checkFields(name: string, value: unknown, known: readonly string[]): void {
  readable(name, () => {
    if (!isPlain(value)) throw invalidArgument(`${name} must be a plain object; got ${typeName(value)}`)
    for (const key of Reflect.ownKeys(value)) {
      if (typeof key === 'string' && known.includes(key)) continue
      const shown = typeof key === 'string' ? JSON.stringify(key.slice(0, longestShownKey)) : 'symbol'
      throw invalidArgument(
        `${name} has no ${shown}; it knows ${known.map((k) => `"${k}"`).join(', ') || 'none'}`,
      )
    }
  })
}

const longestShownKey = 60

/** An object literal, of this realm or of another (a test runner's, a `vm` context's). */
function isPlain(value: unknown): value is object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return (
    prototype === null ||
    (Object.hasOwn(prototype as object, 'isPrototypeOf') && Object.getPrototypeOf(prototype) === null)
  )
}

/** A valid `Date`. */
export function checkDate(name: string, value: unknown): asserts value is Date {
  if (!(value instanceof Date) || Number.isNaN(value.getTime())) {
    throw invalidArgument(`${name} must be a valid Date; got ${typeName(value)}`)
  }
}

/** What an iterable's own method must have made. `for await` would throw a `TypeError` of its own instead. */
export function checkIterator(name: string, value: unknown): void {
  const next: unknown = (value as Partial<Iterator<unknown>> | null | undefined)?.next
  if (typeof next !== 'function') throw invalidArgument(`${name} gave no iterator; got ${typeName(value)}`)
}

/** What an iterator's `next` must have answered. */
export function checkIteratorResult(name: string, value: unknown): void {
  if (typeof value === 'object' && value !== null) return
  throw invalidArgument(`${name} gave no iterator result; got ${typeName(value)}`)
}

/** Compares two strings by their UTF-8 bytes: the order of every list. JavaScript's own order is UTF-16's. */
export function compareUtf8(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}

/** What `read` answers; `invalid-argument` where code of the argument's own, an accessor or a proxy, throws. */
export function readable<Result>(name: string, read: () => Result): Result {
  try {
    return read()
  } catch (cause) {
    if (PortError.is(cause)) throw cause
    const message = `${name} cannot be read: code of its own, an accessor or a proxy, threw`
    throw new PortError({ code: 'invalid-argument', message, cause })
  }
}

/** Whether `value` carries the mark `brand`. A proxy that will not be looked at does not. */
export function isBranded(value: unknown, brand: symbol): boolean {
  try {
    return typeof value === 'object' && value !== null && brand in value
  } catch {
    return false
  }
}

/** What kind of thing `value` is, for a message: never the value itself. */
export function typeName(value: unknown): string {
  if (value === null) return 'null'
  if (types.isProxy(value)) return 'a proxy'
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'object') return classNameOf(value) ?? 'an object'
  return typeof value
}

/** Read without running code of the value's own: `constructor` may be an accessor, or hold anything. */
function classNameOf(value: object): string | undefined {
  if (types.isProxy(value)) return undefined
  for (let at: object | null = value; at !== null; at = Object.getPrototypeOf(at)) {
    if (types.isProxy(at)) return undefined
    const made: unknown = Object.getOwnPropertyDescriptor(at, 'constructor')?.value
    if (at === value || typeof made !== 'function') continue
    const name: unknown = Object.getOwnPropertyDescriptor(made, 'name')?.value
    return typeof name === 'string' && name !== '' ? name : undefined
  }
  return undefined
}
