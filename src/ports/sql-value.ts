/** What a parameter may be, and the check and copy that each one goes through. */
import { checkText, isBranded, readable, typeName } from '../calls/arguments.ts'
import { invalidArgument } from '../errors.ts'

const brand: unique symbol = Symbol.for('portside.SqlJson') as never

/** A JSON value as one parameter. Made by `sql.json`. */
export interface SqlJson {
  readonly text: string
  readonly [brand]: true
}

/**
 * What a parameter may be:
 * - `undefined` — NULL. `null` is refused, so that one thing has one name.
 * - `string` — without NUL and lone surrogates, which PostgreSQL's text cannot hold.
 * - `number` — NaN and the infinities are floating point values to PostgreSQL too; other columns refuse them.
 * - `bigint` — from -2^63 to 2^63-1. A larger `numeric` is given as a string.
 * - `Date` — an instant, to the millisecond. Not before 4713 BC.
 * - `Uint8Array` — bytea.
 * - an array — one SQL array, nested ones of equal length throughout.
 * - a plain object or `sql.json(…)` — JSON.
 */
export type SqlValue =
  | string
  | number
  | bigint
  | boolean
  | Date
  | Uint8Array
  | SqlJson
  | undefined
  | readonly SqlValue[]
  | { readonly [key: string]: unknown }

const minBigint = -(2n ** 63n)
const maxBigint = 2n ** 63n - 1n
// PostgreSQL's first day; JavaScript counts 4713 BC as year -4712.
const firstYear = -4712
// PostgreSQL's own limit on the dimensions of an array.
const maxDimensions = 6
const maxJsonDepth = 1_000

/** Checks a value and copies what could change. `name` says which one it is, for the message. */
export function copySqlValue(name: string, value: unknown): SqlValue {
  switch (typeof value) {
    case 'string':
      checkText(name, value)
      if (value.includes('\0')) {
        throw invalidArgument(`${name} holds a NUL character, which PostgreSQL's text cannot; use bytes`)
      }
      return value
    case 'undefined':
    case 'boolean':
    case 'number':
      return value
    case 'bigint':
      if (value < minBigint || value > maxBigint) {
        throw invalidArgument(`${name} is beyond 64 bits; give a larger numeric as a string`)
      }
      return value
    case 'object':
      return readable(name, () => copyObject(name, value))
    default:
      throw invalidArgument(`${name} must be a value that SQL can hold; got ${typeName(value)}`)
  }
}

function copyObject(name: string, value: object | null): SqlValue {
  if (value === null) throw invalidArgument(`${name} is null; NULL is written as undefined`)
  if (value instanceof Date) return copyDate(name, value)
  if (value instanceof Uint8Array) return Uint8Array.from(value)
  if (Array.isArray(value)) return copyArray(name, value)
  if (isSqlJson(value)) return value
  if (isPlain(value)) return sqlJson(name, value)
  throw invalidArgument(
    `${name} must be a value that SQL can hold; got ${typeName(value)}, which has no SQL form of its own`,
  )
}

function copyDate(name: string, value: Date): Date {
  if (Number.isNaN(value.getTime())) throw invalidArgument(`${name} is an invalid Date`)
  if (value.getUTCFullYear() < firstYear) {
    throw invalidArgument(`${name} lies before 4713 BC, where PostgreSQL's timestamps begin`)
  }
  return new Date(value)
}

function copyArray(name: string, value: readonly unknown[]): readonly SqlValue[] {
  checkShape(name, value)
  const copy = (items: readonly unknown[]): readonly SqlValue[] =>
    Object.freeze(
      Array.from(items, (item, index) =>
        Array.isArray(item) ? copy(item) : copySqlValue(`element ${index} of ${name}`, item),
      ),
    )
  return copy(value)
}

/** The lengths per dimension must agree: SQL's arrays are rectangles, and `[[], []]` would come back as `[]`. */
function checkShape(name: string, value: readonly unknown[]): void {
  const lengths: number[] = []
  for (let level: unknown = value; Array.isArray(level); level = level[0]) {
    if (lengths.length === maxDimensions) {
      throw invalidArgument(`${name} has more than ${maxDimensions} dimensions; use sql.json for such data`)
    }
    lengths.push(level.length)
  }
  const fits = (items: readonly unknown[], depth: number): boolean =>
    items.length === lengths[depth] &&
    (depth > 0 ? items.length > 0 : true) &&
    items.every((item) =>
      depth + 1 < lengths.length ? Array.isArray(item) && fits(item, depth + 1) : !Array.isArray(item),
    )
  if (!fits(value, 0)) {
    throw invalidArgument(
      `${name} is no rectangle: the nested arrays of an SQL array are of one length and not empty; use sql.json for JSON`,
    )
  }
}

/** Whether `value` was made by `sql.json`. */
export function isSqlJson(value: unknown): value is SqlJson {
  return isBranded(value, brand)
}

/** The text of `value` as JSON, after checking that nothing of it gets lost. */
export function sqlJson(name: string, value: unknown): SqlJson {
  const text = readable(name, () => {
    checkJson(name, value, [])
    return JSON.stringify(value)
  })
  const json = { text }
  return Object.freeze(Object.defineProperty(json, brand, { value: true })) as SqlJson
}

function checkJson(name: string, value: unknown, within: object[]): void {
  if (value === null || typeof value === 'boolean') return
  if (typeof value === 'string') {
    copySqlValue(`a string in ${name}`, value)
    return
  }
  if (typeof value === 'number') {
    if (Number.isFinite(value)) return
    throw invalidArgument(`${name} holds ${value}, which JSON cannot`)
  }
  if (typeof value !== 'object') {
    throw invalidArgument(`${name} holds a ${typeName(value)}, which JSON cannot`)
  }
  if (within.includes(value)) throw invalidArgument(`${name} refers to itself, which JSON cannot`)
  if (within.length >= maxJsonDepth) {
    throw invalidArgument(`${name} is nested more than ${maxJsonDepth} levels deep`)
  }
  if (value instanceof Date) {
    copyDate(`a Date in ${name}`, value)
    return
  }
  if (!Array.isArray(value) && !isPlain(value)) {
    throw invalidArgument(`${name} holds a ${typeName(value)}; turn it into a plain object first`)
  }
  within.push(value)
  if (Array.isArray(value)) for (const item of value) checkJson(name, item, within)
  else {
    for (const [key, item] of Object.entries(value)) {
      copySqlValue(`a key in ${name}`, key)
      // As everywhere in JSON, a field that is undefined is a field that is absent.
      if (item !== undefined) checkJson(name, item, within)
    }
  }
  within.pop()
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype
}
