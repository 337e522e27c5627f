/** Whether a call's argument is what a test expected, and where it is not. */
import { inspect, isDeepStrictEqual } from 'node:util'

/** One place in which an argument is not what was expected, in words. */
export interface Difference {
  /** `argument 1.to[0]`. */
  readonly path: string
  readonly expected: string
  readonly actual: string
}

declare const takes: unique symbol

/** Stands in an expectation where a value would. Made by {@link any} and {@link like}. */
export interface Matcher<in Value> {
  readonly [takes]: (value: Value) => void
}

type Compare = (actual: unknown, path: string) => readonly Difference[]

class OwnMatcher implements Matcher<unknown> {
  declare readonly [takes]: (value: unknown) => void
  readonly #text: string
  /** Where a value is not what this stands for; empty where it is. */
  readonly differences: Compare

  constructor(text: string, differences: Compare) {
    this.#text = text
    this.differences = differences
  }

  [inspect.custom](): string {
    return this.#text
  }
}

export function isMatcher(value: unknown): boolean {
  return value instanceof OwnMatcher
}

/** What is compared as a whole: there is nothing in it to put a matcher in. */
type Whole =
  | undefined
  | null
  | boolean
  | number
  | bigint
  | symbol
  | Uint8Array
  | Date
  | URL
  | AbortSignal
  | AsyncIterable<unknown>

type Shape<Value> = Value extends string
  ? Value | RegExp
  : Value extends Whole | ((...args: never[]) => unknown)
    ? Value
    : { [Key in keyof Value]: Matching<Value[Key]> }

/**
 * What an argument of the type `Value` may be expected to be: the value itself, compared deeply; a matcher; a
 * predicate, which answers `true` for what it takes; for text also a regular expression. All of these at any depth.
 */
export type Matching<Value> = Value | Matcher<Value> | ((value: Value) => boolean) | Shape<Value>

type Some<Value> = unknown extends Value
  ? // Made apart from what it is expected of: then its fields are nobody's yet.
    object
  : Value extends object
    ? { readonly [Key in keyof Value]?: Matching<Value[Key]> }
    : never

/** Matches whatever comes, and also that nothing does. */
export function any(): Matcher<unknown> {
  return anythingAs('any()')
}

/** As {@link any}, with another look. */
export function anythingAs(text: string): Matcher<unknown> {
  return new OwnMatcher(text, () => [])
}

/** Matches an object with at least these fields. What is nested in them is compared whole, unless it is a `like` too. */
export function like<Value>(fields: NoInfer<Some<Value>>): Matcher<Value> {
  const own = snapshot(fields) as Fields
  const matcher: OwnMatcher = new OwnMatcher(`like(${show(own)})`, (actual, path) => {
    if (typeof actual !== 'object' || actual === null) return [different(matcher, actual, path)]
    return Object.keys(own).flatMap((key) =>
      differences(own[key], fieldOf(actual, key), fieldPath(path, key)),
    )
  })
  return matcher
}

/** Where `actual` is not as `expected` has it; empty where it matches. A field that is `undefined` is one left out. */
export function differences(expected: unknown, actual: unknown, path: string): readonly Difference[] {
  if (expected instanceof OwnMatcher) return expected.differences(actual, path)
  if (expected === actual || Object.is(expected, actual)) return []
  if (typeof expected === 'function') return ofPredicate(expected as Predicate, actual, path)
  if (typeof expected === 'string' && typeof actual === 'string') return [ofTexts(expected, actual, path)]
  if (expected instanceof Uint8Array && actual instanceof Uint8Array) return ofBytes(expected, actual, path)
  if (Array.isArray(expected) && Array.isArray(actual)) {
    const indexes = Array.from({ length: Math.max(expected.length, actual.length) }, (_, index) => index)
    return indexes.flatMap((index) => differences(expected[index], actual[index], `${path}[${index}]`))
  }
  if (haveFields(expected, actual)) {
    const [wanted, given] = [expected as object, actual as object]
    const keys = new Set([...Object.keys(wanted), ...Object.keys(given)])
    return [...keys].flatMap((key) =>
      differences(fieldOf(wanted, key), fieldOf(given, key), fieldPath(path, key)),
    )
  }
  return isSame(expected, actual) ? [] : [different(expected, actual, path)]
}

type Fields = Readonly<Record<string, unknown>>
type Predicate = (value: unknown) => unknown

/** Whether both are plain objects or both of one class that shows its fields: then each field is compared by itself. */
function haveFields(expected: unknown, actual: unknown): boolean {
  if (typeof expected !== 'object' || expected === null) return false
  if (typeof actual !== 'object' || actual === null) return false
  if (isPlain(expected) || isPlain(actual)) return isPlain(expected) && isPlain(actual)
  if (isHandle(expected) || Array.isArray(expected)) return false
  const alike = Object.getPrototypeOf(expected) === Object.getPrototypeOf(actual)
  return alike && [expected, actual].every((each) => Object.keys(each).length > 0)
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** A plain object's own field: one called `constructor` that is not there must not be that of every object. */
function fieldOf(from: object, key: string): unknown {
  return Object.hasOwn(from, key) || !isPlain(from) ? (from as Fields)[key] : undefined
}

/** A stream or a signal is what it is, whatever it looks like: two of them are never the same. */
function isHandle(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  return value instanceof EventTarget || Symbol.asyncIterator in value || 'next' in value
}

function isSame(expected: unknown, actual: unknown): boolean {
  if (expected instanceof RegExp && typeof actual === 'string') return actual.search(expected) >= 0
  if (expected instanceof URL && actual instanceof URL) return expected.href === actual.href
  return !isHandle(expected) && isDeepStrictEqual(expected, actual)
}

function ofPredicate(predicate: Predicate, actual: unknown, path: string): readonly Difference[] {
  const name = predicate.name === '' ? 'the predicate' : `the predicate ${predicate.name}`
  try {
    const answer = predicate(actual)
    if (answer === true) return []
    // A promise or a forgotten `return` must not pass for a yes.
    const said = answer === false ? '' : ` (it answered ${show(answer)}, not true)`
    return [{ path, expected: `what ${name} takes${said}`, actual: show(actual) }]
  } catch (error) {
    const thrown = error instanceof Error ? error.message : show(error)
    return [{ path, expected: `what ${name} takes (it threw: ${thrown})`, actual: show(actual) }]
  }
}

// Longer texts are shown around the place in which they differ.
const shortText = 60

function ofTexts(expected: string, actual: string, path: string): Difference {
  if (Math.max(expected.length, actual.length) <= shortText) return different(expected, actual, path)
  let at = 0
  while (expected[at] === actual[at]) at += 1
  const around = (text: string): string => {
    const from = Math.max(0, at - 20)
    const to = from + shortText
    return `${from > 0 ? '…' : ''}${show(text.slice(from, to))}${to < text.length ? '…' : ''}`
  }
  return { path: `${path}, from character ${at} on`, expected: around(expected), actual: around(actual) }
}

function ofBytes(expected: Uint8Array, actual: Uint8Array, path: string): readonly Difference[] {
  if (Buffer.compare(expected, actual) === 0) return []
  let at = 0
  while (expected[at] === actual[at]) at += 1
  const around = (bytes: Uint8Array): string => `${bytes.length} bytes, ${byteText(bytes, at)}`
  return [{ path: `${path}, from byte ${at} on`, expected: around(expected), actual: around(actual) }]
}

function byteText(bytes: Uint8Array, at: number): string {
  const shown = Buffer.from(bytes.subarray(at, at + 8)).toString('hex')
  return shown === '' ? 'none left' : `0x${shown}${at + 8 < bytes.length ? '…' : ''}`
}

function different(expected: unknown, actual: unknown, path: string): Difference {
  return { path, expected: show(expected), actual: show(actual) }
}

function fieldPath(path: string, key: string): string {
  return /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(key) ? `${path}.${key}` : `${path}[${show(key)}]`
}

/** A value in a message: cut where it is long, on more than one line where it is wide. */
export function show(value: unknown): string {
  if (value === undefined) return 'nothing'
  try {
    return inspect(value, {
      depth: 8,
      breakLength: 100,
      maxArrayLength: 20,
      maxStringLength: 400,
      compact: 3,
    })
  } catch {
    return 'what cannot be shown'
  }
}

/** A copy of plain data, as deep as it goes; what is none (a stream, a function, an instance of a class) is shared. */
export function snapshot(value: unknown): unknown {
  try {
    return copied(value, new Map())
  } catch {
    // An accessor or a proxy that throws; the port's own checks will say so.
    return value
  }
}

function copied(value: unknown, copies: Map<object, unknown>): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Uint8Array) return new Uint8Array(value)
  if (value instanceof Date) return new Date(value)
  if (copies.has(value)) return copies.get(value)
  if (Array.isArray(value)) {
    const items: unknown[] = []
    copies.set(value, items)
    for (const item of value) items.push(copied(item, copies))
    return items
  }
  if (!isPlain(value)) return value
  const fields: Record<string, unknown> = {}
  copies.set(value, fields)
  for (const [name, field] of Object.entries(value)) {
    Object.defineProperty(fields, name, {
      value: copied(field, copies),
      configurable: true,
      enumerable: true,
      writable: true,
    })
  }
  return fields
}
