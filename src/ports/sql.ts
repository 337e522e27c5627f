/**
 * Statements: text and parameters kept apart, so that no value is ever read as SQL.
 *
 * A statement comes from the `sql` tag and nowhere else. It holds copies of its values, checked when it is made,
 * so a mistake shows where it was written and later changes to an array or a buffer change nothing.
 */
import { byteLength, checkText, isBranded, typeName } from '../calls/arguments.ts'
import { invalidArgument } from '../errors.ts'
import { copySqlValue, type SqlJson, type SqlValue, sqlJson } from './sql-value.ts'

export type { SqlJson, SqlValue } from './sql-value.ts'

const brand: unique symbol = Symbol.for('portside.SqlStatement') as never

/** A statement or a part of one. Made by the {@link sql} tag only; an object of the same form is refused. */
export interface SqlStatement {
  /** The text with `$1`, `$2` … for the parameters. Holds none of the values. */
  readonly text: string
  /** The parameters in order. */
  readonly values: readonly SqlValue[]
  /** The text around the parameters: one more than there are values. */
  readonly parts: readonly string[]
  readonly [brand]: true
}

/** PostgreSQL counts parameters with 16 bits. */
export const maxSqlParameters = 65_535

// NAMEDATALEN - 1: the server would cut a longer name short, and so mean another thing.
const maxIdentifierBytes = 63

class Statement implements SqlStatement {
  readonly parts: readonly string[]
  readonly values: readonly SqlValue[]
  #text: string | undefined
  declare readonly [brand]: true

  constructor(parts: readonly string[], values: readonly SqlValue[]) {
    this.parts = Object.freeze(parts)
    this.values = Object.freeze(values)
    Object.defineProperty(this, brand, { value: true })
    Object.freeze(this)
  }

  get text(): string {
    this.#text ??= textOf(this.parts)
    return this.#text
  }
}

/** Puts statements together from text parts and values, flattening nested statements. */
class Builder {
  readonly #parts: string[] = []
  readonly #values: SqlValue[] = []
  #tail = ''

  text(text: string): void {
    this.#tail += text
  }

  value(value: SqlValue): void {
    this.#parts.push(this.#tail)
    this.#values.push(value)
    this.#tail = ''
  }

  add(item: SqlStatement | SqlValue, name: () => string): void {
    if (!isSqlStatement(item)) {
      this.value(copySqlValue(name(), item))
      return
    }
    for (const [index, part] of item.parts.entries()) {
      this.text(part)
      // Values of a statement are copies already.
      if (index < item.values.length) this.value(item.values[index])
    }
  }

  statement(): SqlStatement {
    return new Statement([...this.#parts, this.#tail], this.#values)
  }
}

function tag(strings: TemplateStringsArray, ...items: readonly (SqlStatement | SqlValue)[]): SqlStatement {
  if (!Array.isArray(strings) || !Array.isArray(strings.raw) || strings.length !== items.length + 1) {
    throw invalidArgument('sql is a template tag: write sql`…`, never sql("…")')
  }
  const builder = new Builder()
  for (const [index, text] of strings.entries()) {
    checkSqlText(text)
    builder.text(text)
    if (index < items.length) builder.add(items[index], () => `parameter ${index + 1}`)
  }
  return builder.statement()
}

/**
 * Makes statements: `` sql`SELECT * FROM seats WHERE event = ${id}` ``. Each `${…}` becomes a parameter, so its
 * content is never read as SQL; a statement among them is spliced in and its parameters are renumbered.
 *
 * A list is one array parameter: `` sql`WHERE id = ANY(${ids})` ``. `undefined` is NULL, and as SQL has it,
 * `= NULL` is never true: write `` IS NOT DISTINCT FROM ${value} `` where it may be absent.
 * @throws PortError `invalid-argument` for a value that SQL cannot hold: see {@link SqlValue}
 */
export const sql: {
  (strings: TemplateStringsArray, ...items: readonly (SqlStatement | SqlValue)[]): SqlStatement
  /** The statement of no text, for a part that is left out. */
  readonly empty: SqlStatement
  /**
   * A quoted name: `sql.identifier('shop', 'seats')` is `"shop"."seats"`. Letter case counts.
   * @throws PortError `invalid-argument` when a name is empty, over 63 bytes in UTF-8, or holds NUL
   */
  identifier(...names: readonly [string, ...string[]]): SqlStatement
  /** The items with `separator` between; without items {@link sql.empty}. @default separator a comma */
  join(items: readonly (SqlStatement | SqlValue)[], separator?: SqlStatement): SqlStatement
  /**
   * One parameter of JSON text, for what else would be an SQL array, and for JSON's own null.
   * @throws PortError `invalid-argument` for what JSON would lose or alter: NaN, bigint, a function, a Map
   */
  json(value: unknown): SqlJson
} = Object.freeze(
  Object.assign(tag, {
    empty: new Statement([''], []),
    identifier(...names: readonly [string, ...string[]]): SqlStatement {
      return new Statement([quoteIdentifier(names)], [])
    },
    join(items: readonly (SqlStatement | SqlValue)[], separator: SqlStatement = comma): SqlStatement {
      if (!Array.isArray(items)) throw invalidArgument(`sql.join takes an array; got ${typeName(items)}`)
      checkSqlStatement('the separator', separator)
      const builder = new Builder()
      for (const [index, item] of items.entries()) {
        if (index > 0) builder.add(separator, () => 'the separator')
        builder.add(item, () => `item ${index + 1}`)
      }
      return builder.statement()
    },
    json: (value: unknown): SqlJson => sqlJson('the value', value),
  }),
)

const comma: SqlStatement = new Statement([', '], [])

/** Whether `value` was made by the `sql` tag, of this copy of the package or of another. */
export function isSqlStatement(value: unknown): value is SqlStatement {
  // A symbol cannot come out of JSON or a form, so nothing that a user sends passes for a statement.
  return isBranded(value, brand)
}

/** @throws PortError `invalid-argument` unless `value` was made by the `sql` tag */
export function checkSqlStatement(name: string, value: unknown): asserts value is SqlStatement {
  if (isSqlStatement(value)) return
  throw invalidArgument(
    `${name} must be made by the sql tag, so that values and text stay apart; got ${typeName(value)}`,
  )
}

/** `"schema"."table"`. */
export function quoteIdentifier(names: readonly string[]): string {
  if (names.length === 0) throw invalidArgument('an identifier needs at least one name')
  return names
    .map((name) => {
      checkText('an identifier', name)
      if (name === '') throw invalidArgument('an identifier must not be empty')
      if (name.includes('\0')) throw invalidArgument('an identifier must not hold a NUL character')
      const bytes = byteLength(name)
      if (bytes > maxIdentifierBytes) {
        throw invalidArgument(
          `an identifier is ${bytes} bytes long in UTF-8; PostgreSQL cuts what is over ${maxIdentifierBytes}`,
        )
      }
      return `"${name.replaceAll('"', '""')}"`
    })
    .join('.')
}

function checkSqlText(text: unknown): asserts text is string {
  if (text === undefined) throw invalidArgument("the statement's text holds an invalid escape sequence")
  checkText("the statement's text", text)
  if (text.includes('\0')) throw invalidArgument("the statement's text must not hold a NUL character")
}

function textOf(parts: readonly string[]): string {
  let text = parts[0] ?? ''
  for (const [index, part] of parts.entries()) {
    if (index === 0) continue
    // Next to a digit or a letter "$1" would be another parameter ("$10") or part of a name ("id$1").
    const previous = parts[index - 1] ?? ''
    const before = previous === '' || endsWord.test(previous.slice(-1)) ? ' ' : ''
    const after = startsWord.test(part) ? ' ' : ''
    text += `${before}$${index}${after}${part}`
  }
  return text
}

const endsWord = /[\w$\u0080-\uffff]$/
const startsWord = /^[\w$\u0080-\uffff]/
