/**
 * Values to and from PostgreSQL's text forms. Done here rather than by pg's type parsers: those are one table for
 * the whole process, make an instant of a timestamp without zone, and give `null`.
 */

import { PortError } from '../../src/errors.ts'
import type { SqlValue } from '../../src/ports/sql.ts'
import { isSqlJson } from '../../src/ports/sql-value.ts'

/** A parameter as pg sends it on: text, bytes or NULL. Values were checked when the statement was made. */
export function encodeValue(value: SqlValue): string | Buffer | null {
  return value instanceof Uint8Array
    ? Buffer.from(value.buffer, value.byteOffset, value.byteLength)
    : encodeText(value)
}

/** A value in text form, as COPY and array literals take it. `null` is NULL. */
export function encodeText(value: SqlValue): string | null {
  if (value === undefined) return null
  if (typeof value === 'string') return value
  if (typeof value === 'number') return Object.is(value, -0) ? '-0' : String(value)
  if (typeof value !== 'object') return String(value)
  if (value instanceof Date) return encodeDate(value)
  if (value instanceof Uint8Array) return `\\x${Buffer.from(value).toString('hex')}`
  if (isArray(value)) return encodeArray(value)
  if (isSqlJson(value)) return value.text
  return JSON.stringify(value)
}

function isArray(value: object): value is readonly SqlValue[] {
  return Array.isArray(value)
}

function encodeArray(items: readonly SqlValue[]): string {
  const encoded = items.map((item) => {
    if (typeof item === 'object' && isArray(item)) return encodeArray(item)
    const text = encodeText(item)
    return text === null ? 'NULL' : `"${text.replace(/["\\]/g, '\\$&')}"`
  })
  return `{${encoded.join(',')}}`
}

/** ISO 8601 but for the years: PostgreSQL writes none below 1, and no sign. */
function encodeDate(date: Date): string {
  const year = date.getUTCFullYear()
  const rest = date.toISOString().replace(/^[+-]?\d+/, '')
  return year > 0
    ? `${String(year).padStart(4, '0')}${rest}`
    : `${String(1 - year).padStart(4, '0')}${rest} BC`
}

type Decode = (text: string) => unknown

const decoders: ReadonlyMap<number, Decode> = withArrays([
  // [oid, oid of its array type, decoder]; `select oid, typarray from pg_type` lists them.
  [16, 1000, (text) => text === 't'],
  [17, 1001, decodeBytes],
  [20, 1016, BigInt],
  [21, 1005, Number],
  [23, 1007, Number],
  [26, 1028, Number],
  [700, 1021, Number],
  [701, 1022, Number],
  [114, 199, decodeJson],
  [3802, 3807, decodeJson],
  [1184, 1185, decodeInstant],
  // As text, by name: "char" name text bpchar varchar numeric money date time timetz timestamp interval uuid xml
  // bit varbit inet cidr macaddr macaddr8 tid xid cid jsonpath pg_lsn, and the ranges and multiranges.
  ...(
    [
      [18, 1002],
      [19, 1003],
      [25, 1009],
      [1042, 1014],
      [1043, 1015],
      [1700, 1231],
      [790, 791],
      [1082, 1182],
      [1083, 1183],
      [1266, 1270],
      [1114, 1115],
      [1186, 1187],
      [2950, 2951],
      [142, 143],
      [1560, 1561],
      [1562, 1563],
      [869, 1041],
      [650, 651],
      [829, 1040],
      [774, 775],
      [27, 1010],
      [28, 1011],
      [29, 1012],
      [4072, 4073],
      [3220, 3221],
      [3904, 3905],
      [3906, 3907],
      [3908, 3909],
      [3910, 3911],
      [3912, 3913],
      [3926, 3927],
      [4451, 6150],
      [4532, 6151],
      [4533, 6152],
      [4534, 6153],
      [4535, 6155],
      [4536, 6157],
    ] as const
  ).map(([oid, array]) => [oid, array, (text: string) => text] as const),
])

function withArrays(types: readonly (readonly [number, number, Decode])[]): ReadonlyMap<number, Decode> {
  return new Map(
    types.flatMap(([oid, array, decode]): [number, Decode][] => [
      [oid, decode],
      [array, (text) => decodeArray(text, decode)],
    ]),
  )
}

/** Turns rows of texts into objects by the columns' types. */
export function decodeRows(
  fields: readonly { readonly name: string; readonly dataTypeID: number }[],
  rows: readonly (readonly (string | null)[])[],
): Record<string, unknown>[] {
  const columns = fields.map(({ name, dataTypeID }) => ({ name, decode: decoders.get(dataTypeID) }))
  return rows.map((texts) => {
    const row: Record<string, unknown> = {}
    for (const [index, { name, decode }] of columns.entries()) {
      const text = texts[index]
      const value =
        text === null || text === undefined ? undefined : decode === undefined ? text : decode(text)
      // Assigned, this one name would become the row's prototype.
      if (name === '__proto__') {
        Object.defineProperty(row, name, { value, enumerable: true, configurable: true, writable: true })
      } else row[name] = value
    }
    return row
  })
}

function decodeJson(text: string): unknown {
  return JSON.parse(text)
}

function decodeBytes(text: string): Uint8Array {
  // bytea_output = escape, which a pool of the app's own may have.
  if (!text.startsWith('\\x')) {
    const bytes = text.replace(/\\(\\|[0-7]{3})/g, (_, code: string) =>
      code === '\\' ? '\\' : String.fromCharCode(Number.parseInt(code, 8)),
    )
    return Uint8Array.from(Buffer.from(bytes, 'latin1'))
  }
  return Uint8Array.from(Buffer.from(text.slice(2), 'hex'))
}

const instant =
  /^(\d{4,6})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?( BC)?$/

function decodeInstant(text: string): Date | number {
  if (text === 'infinity') return Number.POSITIVE_INFINITY
  if (text === '-infinity') return Number.NEGATIVE_INFINITY
  const match = instant.exec(text)
  if (match === null) {
    throw new PortError({
      code: 'unsupported',
      message: "the session's DateStyle must be ISO for a timestamptz to be read; set it on the pool",
    })
  }
  const [, year, month, day, hour, minute, second, fraction = '', sign, ...offset] = match
  const [hours = 0, minutes = 0, seconds = 0] = offset.slice(0, 3).map((part) => Number(part ?? 0))
  const offsetMs = (hours * 3_600 + minutes * 60 + seconds) * 1_000 * (sign === '-' ? -1 : 1)
  const date = new Date(0)
  date.setUTCFullYear(
    match.at(-1) === undefined ? Number(year) : 1 - Number(year),
    Number(month) - 1,
    Number(day),
  )
  date.setUTCHours(Number(hour), Number(minute), Number(second), Number(fraction.padEnd(3, '0').slice(0, 3)))
  return new Date(date.getTime() - offsetMs)
}

/** Reads an array literal: `{1,NULL,"a \"b\""}`, nested, with or without bounds in front. */
export function decodeArray(text: string, decode: Decode): unknown[] {
  let at = text.startsWith('[') ? text.indexOf('=') + 1 : 0
  const items = (): unknown[] => {
    const found: unknown[] = []
    at += 1
    if (text[at] === '}') {
      at += 1
      return found
    }
    for (;;) {
      found.push(item())
      at += 1
      if (text[at - 1] !== ',') return found
    }
  }
  const item = (): unknown => {
    if (text[at] === '{') return items()
    if (text[at] === '"') return decode(quoted())
    const start = at
    while (at < text.length && text[at] !== ',' && text[at] !== '}') at += 1
    const word = text.slice(start, at)
    return word === 'NULL' ? undefined : decode(word)
  }
  const quoted = (): string => {
    const start = at + 1
    for (at = start; text[at] !== '"'; at += 1) if (text[at] === '\\') at += 1
    at += 1
    return text.slice(start, at - 1).replace(/\\([\s\S])/g, '$1')
  }
  return items()
}
