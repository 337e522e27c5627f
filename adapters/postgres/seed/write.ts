/** Writes a plan's rows by COPY, inside the transaction that its client is in. */
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type pg from 'pg'
import { quoteIdentifier } from '../../../src/ports/sql.ts'
import { loadVendor } from '../../../src/services/vendor.ts'
import { type Plan, rowColumn, type TablePlan } from './plan.ts'
import type { Refusals, Rows } from './rows.ts'
import type { Check, Column } from './schema.ts'

/** How often a row that a check refuses is made anew. */
const attempts = 100
/** How many rows of a table are tried before anything is written. */
const sampleSize = 100
/** How many rows are laid out to be asked about at a time. */
const batchSize = 5000
// Large enough that the protocol's own cost does not count, small enough to hold in memory many times.
const chunkLength = 64 * 1024

export interface Writing {
  readonly client: pg.Client
  readonly rows: Rows
  /** Rows that were written since the last call. */
  readonly onRows: (table: TablePlan, count: number) => void
}

/** A check that rows of a sample did not meet. */
export interface Unmet {
  readonly check: Check
  readonly rows: number
}

/** What the plan's rows do not meet and retries do not mend: one sentence a check. Writes nothing that stays. */
export async function trySample(plan: Plan, writing: Writing): Promise<string[]> {
  const problems: string[] = []
  for (const table of plan.order.flat()) {
    if (table.open.length === 0) continue
    const count = Math.min(table.rows, sampleSize)
    const layout = await layOut(table, writing)
    const { unmet, failing } = await layout.settle(0, count)
    await layout.drop()
    if (mayLack(plan, table, failing.length, count)) continue
    problems.push(...unmet.map((each) => sentence(table, each, count)))
  }
  return problems
}

function sentence({ table }: TablePlan, { check, rows }: Unmet, of: number): string {
  const columns = check.columns
    .map((number) => table.columns.find((column) => column.number === number)?.name)
    .join(', ')
  return (
    `${table.name}: ${rows} of ${of} rows do not meet ${check.name} (${check.shown}) in ${attempts} tries each; ` +
    `say in the seed file how to fill ${columns}`
  )
}

/**
 * Whether so many rows of a table may be left out, for which nothing was found that meets its checks: those of pairs in
 * order that begin with the last, as an example. Not where others may refer to them, and not where it is more than a quarter.
 */
function mayLack(plan: Plan, table: TablePlan, lacking: number, of: number): boolean {
  const isReferredTo = plan.tables.some(({ references }) =>
    references.some(({ target }) => plan.tables[target] === table),
  )
  return !isReferredTo && lacking * 4 <= of
}

/** A check that could not be met for a row, after the sample had. */
export class CheckUnmet extends Error {}

export interface Written {
  /** Of all that was sent, in its order. */
  readonly digest: string
  /** How many rows of a table were left out, and the check that they would not have met. */
  readonly lacking: ReadonlyMap<TablePlan, Unmet>
}

/** @throws CheckUnmet where a row meets a check in no try */
export async function write(plan: Plan, writing: Writing): Promise<Written> {
  const hash = createHash('sha256')
  const lacking = new Map<TablePlan, Unmet>()
  for (const step of plan.order) {
    const together = step.length > 1 || step.some(refersAhead)
    const held: { table: TablePlan; layout: Layout }[] = []
    for (const table of step) {
      hash.update(`${table.table.name}\n`)
      if (!together && table.open.length === 0) await copyAll(table, table.table.sqlName, writing, hash)
      else {
        const layout = await layOut(table, writing)
        await fill(plan, table, layout, together, writing, hash, lacking)
        if (together) held.push({ table, layout })
        else await layout.drop()
      }
    }
    if (held.length === 0) continue
    // Foreign keys are looked at when a statement ends, and this is one.
    const inserts = held.map(
      ({ table, layout }, index) => `i${index} AS (${insertFrom(table, layout.whole)})`,
    )
    await writing.client.query(`WITH ${inserts.join(', ')} SELECT`)
    for (const { table, layout } of held) {
      await layout.drop()
      writing.onRows(table, 0)
    }
  }
  await setSequences(plan, writing.client)
  return { digest: hash.digest('hex'), lacking }
}

/** Whether a row may refer to a later one of its own table. */
function refersAhead({ references, table, open }: TablePlan): boolean {
  return (
    open.length > 0 &&
    references.some(
      ({ key, digit, shared }) => key.table === table.oid && (digit !== undefined || shared.length > 0),
    )
  )
}

async function copyAll(
  table: TablePlan,
  into: string,
  { client, rows, onRows }: Writing,
  hash: ReturnType<typeof createHash>,
): Promise<void> {
  if (table.fills.length === 0) {
    await client.query(`INSERT INTO ${into} SELECT FROM generate_series(1, ${table.rows})`)
    onRows(table, table.rows)
    return
  }
  function* chunks(): Generator<Buffer> {
    let chunk = ''
    let counted = 0
    for (let row = 0; row < table.rows; row += 1) {
      chunk += `${line(rows.row(table, row))}\n`
      if (chunk.length < chunkLength && row + 1 < table.rows) continue
      const bytes = Buffer.from(chunk)
      hash.update(bytes)
      yield bytes
      onRows(table, row + 1 - counted)
      counted = row + 1
      chunk = ''
    }
  }
  await copy(client, `${into} (${columnNames(table)})`, chunks())
}

async function copy(client: pg.Client, target: string, chunks: Iterable<Buffer>): Promise<void> {
  const { from } = await loadVendor(() => import('pg-copy-streams'), ['pg-copy-streams'])
  await pipeline(Readable.from(chunks), client.query(from(`COPY ${target} FROM STDIN`)))
}

const escapes: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' }

function line(texts: readonly (string | null)[]): string {
  return texts
    .map((text) => (text === null ? '\\N' : text.replace(/[\\\t\n\r]/g, (each) => escapes[each] ?? each)))
    .join('\t')
}

function columnNames({ fills }: TablePlan): string {
  return fills.map(({ column }) => quoteIdentifier([column.name])).join(', ')
}

function insertFrom(table: TablePlan, source: string): string {
  const names = columnNames(table)
  // What the database would count itself is counted here, also where it is "generated always".
  const into = table.fills.length === 0 ? '' : ` (${names}) OVERRIDING SYSTEM VALUE`
  return `INSERT INTO ${table.table.sqlName}${into} SELECT ${names} FROM ${source} ORDER BY ${rowColumn}`
}

async function fill(
  plan: Plan,
  table: TablePlan,
  layout: Layout,
  together: boolean,
  { client, rows, onRows }: Writing,
  hash: ReturnType<typeof createHash>,
  lacking: Map<TablePlan, Unmet>,
): Promise<void> {
  for (let from = 0; from < table.rows; from += batchSize) {
    const to = Math.min(table.rows, from + batchSize)
    const { unmet, failing, lines, refusals } = await layout.settle(from, to)
    const [first] = unmet
    if (first !== undefined) {
      if (!mayLack(plan, table, failing.length, to - from))
        throw new CheckUnmet(sentence(table, first, to - from))
      await client.query(`DELETE FROM ${layout.asked} WHERE ${rowColumn} = ANY ($1)`, [failing])
      for (const row of failing) lines.delete(row)
      const { check, rows: before } = lacking.get(table) ?? { check: first.check, rows: 0 }
      lacking.set(table, { check, rows: before + failing.length })
    }
    for (const [row, own] of refusals) rows.settled(table, row, own)
    for (let row = from; row < to; row += 1) if (lines.has(row)) hash.update(`${lines.get(row)}\n`)
    if (together) await client.query(`INSERT INTO ${layout.whole} SELECT * FROM ${layout.asked}`)
    else await client.query(insertFrom(table, layout.asked))
    onRows(table, to - from)
  }
}

/** Temporary tables in which rows are asked about before they go where they belong. */
interface Layout {
  /** Holds the rows of one batch. */
  readonly asked: string
  /** Holds all of them. */
  readonly whole: string
  /** Lays out rows of which each meets all checks, or says which ones are not met. */
  settle(
    from: number,
    to: number,
  ): Promise<{
    readonly unmet: readonly Unmet[]
    /** The rows that do not meet one. */
    readonly failing: readonly number[]
    readonly lines: Map<number, string>
    /** Of rows that were refused. */
    readonly refusals: ReadonlyMap<number, Refusals>
  }>
  drop(): Promise<void>
}

let layouts = 0

async function layOut(table: TablePlan, { client, rows }: Writing): Promise<Layout> {
  layouts += 1
  const [asked, whole] = [`pg_temp.portside_seed_${layouts}`, `pg_temp.portside_seed_${layouts}_all`]
  const types = await typeNames(client, table.table.columns)
  const columns = table.table.columns.map((column, index) => {
    const { name, generated, default: byDefault } = column
    const isFilled = table.fills.some((each) => each.column === column)
    const rest = generated !== undefined ? ` GENERATED ALWAYS AS (${generated}) STORED` : ''
    const otherwise = !isFilled && byDefault !== undefined ? ` DEFAULT ${byDefault}` : ''
    return `${quoteIdentifier([name])} ${types[index]}${rest}${otherwise}`
  })
  await client.query(`CREATE TEMP TABLE ${asked.slice(8)} (${[`${rowColumn} int8`, ...columns].join(', ')})`)
  await client.query(`CREATE TEMP TABLE ${whole.slice(8)} AS SELECT * FROM ${asked} WITH NO DATA`)
  const names = table.fills.length === 0 ? rowColumn : `${rowColumn}, ${columnNames(table)}`
  const refused = table.open.map(({ text }) => `(${text}) IS FALSE`)
  const which = refused.map((text, index) => `CASE WHEN ${text} THEN ${index} END`).join(', ')
  const question =
    `SELECT ${rowColumn}::int AS row, array_remove(ARRAY[${which}]::int[], NULL) AS refused ` +
    `FROM ${asked} WHERE ${refused.join(' OR ')} ORDER BY 1`

  async function settle(from: number, to: number): ReturnType<Layout['settle']> {
    try {
      return await settled(from, to)
    } catch (error) {
      const { code, where } = error as { readonly code?: unknown; readonly where?: string }
      // Data exceptions: of a value that its column does not take, or with which a check cannot be worked out.
      if (typeof code !== 'string' || !code.startsWith('22')) throw error
      const [, named] = /, column (.+?):/.exec(where ?? '') ?? []
      const asked = new Set(table.open.flatMap(({ columns: numbers }) => numbers))
      const inQuestion = table.table.columns.filter(({ name, number }) =>
        named === undefined ? asked.has(number) : name === named,
      )
      throw new CheckUnmet(
        `${table.table.name}: its checks cannot be worked out on what is made for it (SQLSTATE ${code}); ` +
          `say in the seed file how to fill ${inQuestion.map(({ name }) => name).join(', ')}`,
      )
    }
  }

  async function settled(from: number, to: number): ReturnType<Layout['settle']> {
    await client.query(`TRUNCATE ${asked}`)
    const lines = new Map<number, string>()
    const refusals = new Map<number, Map<number, number>>()
    let wanting = Array.from({ length: to - from }, (_, index) => from + index)
    for (let attempt = 0; ; attempt += 1) {
      for (const row of wanting) lines.set(row, line(rows.row(table, row, refusals.get(row))))
      const text = wanting
        .map((row) => `${row}${table.fills.length === 0 ? '' : `\t${lines.get(row)}`}\n`)
        .join('')
      await copy(client, `${asked} (${names})`, [Buffer.from(text)])
      if (refused.length === 0) return { unmet: [], failing: [], lines, refusals }
      const { rows: found } = await client.query<{ row: number; refused: number[] }>(question)
      if (found.length === 0) return { unmet: [], failing: [], lines, refusals }
      // Only what is refused is made anew: what another check has taken need not be found again.
      const columnsOf = (each: { readonly refused: readonly number[] }): number[] => {
        const columns = each.refused.flatMap((index) => table.open[index]?.columns ?? [])
        return [...new Set(columns)].filter((number) => table.retried.has(number))
      }
      if (attempt === attempts || found.every((each) => columnsOf(each).length === 0)) {
        const unmet = table.open.flatMap((check, index) => {
          const count = found.filter((each) => each.refused.includes(index)).length
          return count === 0 ? [] : [{ check, rows: count }]
        })
        return { unmet, failing: found.map(({ row }) => row), lines, refusals }
      }
      wanting = found.map(({ row }) => row)
      for (const each of found) {
        const own = refusals.get(each.row) ?? new Map<number, number>()
        refusals.set(each.row, own)
        for (const number of columnsOf(each)) own.set(number, (own.get(number) ?? 0) + 1)
      }
      await client.query(`DELETE FROM ${asked} WHERE ${rowColumn} = ANY ($1)`, [wanting])
    }
  }
  return {
    asked,
    whole,
    settle,
    drop: async () => void (await client.query(`DROP TABLE ${asked}, ${whole}`)),
  }
}

/** Of what a domain is made, not the domain: a value that it refuses is to be asked about, not to be an error. */
async function typeNames(client: pg.Client, columns: readonly Column[]): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    'SELECT format_type(o, m) AS name FROM unnest($1::oid[], $2::int[]) WITH ORDINALITY AS t (o, m, n) ORDER BY n',
    [columns.map(({ type }) => type.oid), columns.map(({ modifier }) => modifier)],
  )
  return rows.map(({ name }) => name)
}

/** So that the next row an app inserts gets a number that no row has. */
async function setSequences(plan: Plan, client: pg.Client): Promise<void> {
  for (const { fills, rows } of plan.order.flat()) {
    for (const { sequence } of fills) {
      if (sequence === undefined || rows === 0) continue
      const { name, start, increment } = sequence
      const last = start + BigInt(rows - 1) * increment
      // Another table may count by it as well, and be further.
      await client.query(
        `SELECT setval($1::regclass, ${increment > 0n ? 'greatest' : 'least'}($2::int8, last_value)) FROM ${name}`,
        [name, last.toString()],
      )
    }
  }
}
