/** Which columns the database has refused rows for: those that the seed file is to fill in another way. */
import { type Schema, sourcesOf } from './schema.ts'

/** What a server's error tells of it, beside its message. */
interface Refused {
  readonly schema?: string
  readonly table?: string
  readonly column?: string
  readonly constraint?: string
  readonly where?: string
}

/** As `table.column`; empty where the error is about none. To be asked before values are taken out of the error. */
export function columnsRefused(error: unknown, { tables }: Schema): readonly string[] {
  if (typeof error !== 'object' || error === null) return []
  const { schema = 'public', table: name, column, constraint, where } = error as Refused
  // Of a text that is no value of its column, COPY alone says where: COPY orders, line 7, column price: "…"
  const [, copied, copiedColumn] = /^COPY (.+), line \d+, column (.+?):/m.exec(where ?? '') ?? []
  const table =
    name === undefined
      ? tables.find((each) => each.name === copied || each.name.endsWith(`.${copied}`))
      : tables.find((each) => each.name === (schema === 'public' ? name : `${schema}.${name}`))
  if (table === undefined) return []
  const named = column ?? copiedColumn
  const numbers = table.columns.flatMap((each) => (each.name === named ? [each.number] : []))
  const rules = [...table.keys, ...table.checks, ...table.foreignKeys]
  numbers.push(...(rules.find((each) => each.name === constraint)?.columns ?? []))
  // What the database makes is made of something.
  const sources = new Set(numbers.flatMap((number) => sourcesOf(number, table.columns)))
  return table.columns.flatMap((each) => (sources.has(each.number) ? [`${table.name}.${each.name}`] : []))
}
