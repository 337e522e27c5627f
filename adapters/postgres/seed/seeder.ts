/**
 * Fills a database with rows that fit its schema: deterministic (the same seed, schema and version give the same
 * bytes), in one transaction, so that one that fails or is stopped leaves nothing behind.
 *
 * Not known here: what triggers want, and keys over expressions of several columns. Where the database refuses a row
 * for such a reason, all is rolled back and the error names what refused it.
 */
import { createHash } from 'node:crypto'
import { createRequire } from 'node:module'
import type { Faker, Randomizer } from '@faker-js/faker'
import pg from 'pg'
import type { DatastoreSeeder, SeedOptions, SeedReport } from '../../../src/adapter.ts'
import { checkFields, checkInteger } from '../../../src/calls/arguments.ts'
import { invalidArgument, PortError } from '../../../src/errors.ts'
import { quoteIdentifier } from '../../../src/ports/sql.ts'
import { isLoopback, type ServiceUrl } from '../../../src/services/url.ts'
import { loadVendor } from '../../../src/services/vendor.ts'
import { classifyPostgresError, withoutValues } from '../errors.ts'
import { clientConfig } from '../pool.ts'
import { notSent } from '../session.ts'
import type { SeedDefinition } from './define.ts'
import { type Plan, planOf, type TablePlan } from './plan.ts'
import type { Random } from './random.ts'
import { columnsRefused } from './refusal.ts'
import { NoAgreement, Rows } from './rows.ts'
import { readSchema, type Schema, type Table } from './schema.ts'
import { CheckUnmet, trySample, type Unmet, write } from './write.ts'

/** Raised whenever the rows of a seed change. */
const generation = 2
const defaultRows = 100
const defaultSeed = 1
const defaultReferenceDate = '2025-01-01T00:00:00Z'
/** How many rows of a table that is kept are referred to. */
const mostKept = 100_000

export const seeder: DatastoreSeeder = { seed, hash: seedHash }

/**
 * Fills the database at `url`.
 * @throws PortError `invalid-argument` before any I/O for options that do not do; `precondition-failed`, with nothing
 * written, for a server that is not on this machine, a database that has rows, and a schema that cannot be met: the
 * message says all that is wrong. What the database refuses rolls everything back.
 */
export async function seed(url: ServiceUrl, options: SeedOptions = {}): Promise<SeedReport> {
  const settings = checkOptions(options)
  if (!settings.really && !isLoopback(url.host)) {
    throw refusal(
      'the server is not on this machine, so it may be more than a development or test server',
      url,
    )
  }
  const faker = await loadVendor(() => import('@faker-js/faker/locale/en'), ['@faker-js/faker'])
  const { signal, onProgress = () => {} } = options
  if (signal?.aborted) throw stopped()
  const client = new pg.Client(clientConfig(url, 'portside seed'))
  // The failure shows in the query that it ends; unheard, this event would end the process.
  client.on('error', () => {})
  // The server rolls back what a connection leaves behind.
  const onAbort = (): void => void client.connection.stream.destroy()
  signal?.addEventListener('abort', onAbort, { once: true })
  const started = Date.now()
  let schema: Schema | undefined
  try {
    await client.connect().catch((error: unknown) => {
      throw notSent(error)
    })
    await client.query('BEGIN')
    // One at a time: the second one finds the rows of the first.
    await client.query("SELECT pg_advisory_xact_lock(hashtext('portside seed'))")
    if (!settings.really) await refuseStandbys(client, url)
    schema = await readSchema(client)
    const kept = await existing(client, schema, settings.existing, url)
    const { rows, definition, referenceDate } = settings
    const plan = planOf(schema, {
      rows,
      definition,
      referenceDate,
      kept: new Map([...kept].map(([table, held]) => [table, held.length])),
    })
    refuseProblems(plan.problems, url)
    const makeRows = new Rows(plan, {
      seed: settings.seed,
      referenceDate,
      makeFaker: (random) => fakerOn(random, faker.faker, referenceDate),
      kept: new Map(plan.tables.flatMap((each) => pairOf(each, kept.get(each.table)))),
    })
    const total = plan.order.flat().reduce((sum, each) => sum + each.rows, 0)
    let done = 0
    const writing = {
      client,
      rows: makeRows,
      onRows: ({ table }: TablePlan, count: number) => {
        done += count
        onProgress({ table: table.name, done, total })
      },
    }
    refuseProblems(await trySample(plan, writing), url)
    const { digest, lacking } = await write(plan, writing)
    await client.query('COMMIT')
    return { ...reportOf(plan, lacking), digest, elapsedMs: Date.now() - started }
  } catch (error) {
    if (signal?.aborted) throw stopped(error)
    throw failure(error, url, schema)
  } finally {
    signal?.removeEventListener('abort', onAbort)
    // Ends the session, and with it the lock and an unfinished transaction.
    await client.end().catch(() => {})
  }
}

/**
 * What rows come of: the seed, how many, the definition and the versions of this generator and of faker, as one text. With
 * the schema (that is, the migrations) and the server's version it names the contents of a database. What the functions
 * of a definition import is not seen: `version` in the definition is for that.
 */
export function seedHash(options: Pick<SeedOptions, 'rows' | 'seed' | 'definition'> = {}): string {
  const { rows, seed: number, definition } = checkOptions(options)
  return createHash('sha256')
    .update(canonical({ generation, faker: fakerVersion(), rows, seed: number, definition }))
    .digest('hex')
}

function fakerVersion(): string | undefined {
  try {
    const { version } = createRequire(import.meta.url)('@faker-js/faker/package.json') as { version: string }
    return version
  } catch {
    // Whoever makes rows is told that it is not installed.
    return undefined
  }
}

interface Settings {
  readonly rows: number
  readonly seed: number
  readonly definition: SeedDefinition
  readonly referenceDate: number
  readonly existing: NonNullable<SeedOptions['existing']>
  readonly really: boolean
}

function checkOptions(options: SeedOptions): Settings {
  checkFields('the options of a seed', options, [
    ...['rows', 'seed', 'definition', 'existing', 'really', 'signal', 'onProgress'],
  ])
  const {
    rows = defaultRows,
    seed: number = defaultSeed,
    existing: rule = 'refuse',
    really = false,
  } = options
  checkInteger('rows', rows, { min: 0, max: 1_000_000_000 })
  checkInteger('seed', number, { min: 0, max: Number.MAX_SAFE_INTEGER })
  if (!['refuse', 'keep', 'replace'].includes(rule))
    throw invalidArgument('existing is refuse, keep or replace')
  const definition = (options.definition ?? {}) as SeedDefinition
  checkFields('the definition of a seed', definition, ['referenceDate', 'version', 'tables'])
  for (const [name, table] of Object.entries(definition.tables ?? {})) {
    if (table === false || table === undefined) continue
    checkFields(`the seed of the table "${name}"`, table, ['rows', 'columns'])
    for (const [column, said] of Object.entries(table.columns ?? {})) {
      const does = typeof said === 'function' || (Array.isArray(said) ? said.length > 0 : isBetween(said))
      if (!does) {
        throw invalidArgument(
          `the seed of the column "${name}.${column}" must be a list of values, { min, max } or a function`,
        )
      }
    }
  }
  const referenceDate = new Date(definition.referenceDate ?? defaultReferenceDate).getTime()
  if (Number.isNaN(referenceDate)) throw invalidArgument('referenceDate must be a date such as 2025-01-01')
  return { rows, seed: number, definition, referenceDate, existing: rule, really }
}

function isBetween(said: unknown): boolean {
  if (typeof said !== 'object' || said === null) return false
  const names = Object.keys(said)
  return names.length > 0 && names.every((name) => name === 'min' || name === 'max')
}

/** As JSON in one order of names only, with functions as they are written. */
function canonical(value: unknown): string {
  if (typeof value === 'function') return JSON.stringify(`function ${value.toString()}`)
  if (typeof value === 'bigint') return `${value}n`
  if (value instanceof Date) return JSON.stringify(`date ${value.toISOString()}`)
  if (value instanceof Uint8Array) return JSON.stringify(`bytes ${Buffer.from(value).toString('hex')}`)
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'undefined'
  const fields = Object.entries(value).filter(([, field]) => field !== undefined)
  const sorted = fields.toSorted(([a], [b]) => (a < b ? -1 : 1))
  return `{${sorted.map(([name, field]) => `${JSON.stringify(name)}:${canonical(field)}`).join(',')}}`
}

/** What a copy of production's data would do to it: a server with a standby is no development server. */
async function refuseStandbys(client: pg.Client, url: ServiceUrl): Promise<void> {
  const { rows } = await client.query('SELECT FROM pg_stat_replication LIMIT 1')
  if (rows.length > 0)
    throw refusal('the server has a standby, so it may be more than a development or test server', url)
}

function refusal(reason: string, url: ServiceUrl): PortError {
  return new PortError({
    code: 'precondition-failed',
    operation: 'seed',
    subject: url.path,
    message: `${reason}; nothing was written; --really seeds it all the same`,
  })
}

function refuseProblems(problems: readonly string[], url: ServiceUrl): void {
  if (problems.length === 0) return
  throw new PortError({
    code: 'precondition-failed',
    operation: 'seed',
    subject: url.path,
    message: `the schema cannot be met, and nothing was written:\n${problems.map((each) => `- ${each}`).join('\n')}`,
  })
}

type Held = readonly ReadonlyMap<number, string | null>[]

/** Does with tables that have rows what was asked for; answers what may be referred to of those that stay. */
async function existing(
  client: pg.Client,
  { tables }: Schema,
  rule: Settings['existing'],
  url: ServiceUrl,
): Promise<ReadonlyMap<Table, Held>> {
  const full = tables.filter(({ hasRows }) => hasRows)
  if (full.length === 0) return new Map()
  if (rule === 'refuse') {
    throw new PortError({
      code: 'precondition-failed',
      operation: 'seed',
      subject: url.path,
      message:
        `the database has rows in ${full.map(({ name }) => name).join(', ')}; nothing was written; ` +
        '--existing keep leaves these tables as they are and fills the others, --existing replace empties them first',
    })
  }
  if (rule === 'replace') {
    // All of them: one that is referred to is emptied only together with what may refer to it.
    await client.query(`TRUNCATE ${tables.map(({ sqlName }) => sqlName).join(', ')}`)
    return new Map()
  }
  const kept = new Map<Table, Held>()
  for (const table of full) {
    const referred = tables.flatMap(({ foreignKeys }) => foreignKeys.filter((key) => key.table === table.oid))
    const numbers = [...new Set(referred.flatMap(({ referenced }) => referenced))]
    const names = numbers.map((number) =>
      quoteIdentifier([table.columns.find((column) => column.number === number)?.name ?? '']),
    )
    const { rows } = await client.query<(string | null)[]>({
      text: `SELECT ${names.map((name) => `${name}::text`).join(', ')} FROM ${table.sqlName} ${names.length === 0 ? '' : `WHERE ${names.map((name) => `${name} IS NOT NULL`).join(' AND ')} ORDER BY ${names.join(', ')}`} LIMIT ${mostKept}`,
      rowMode: 'array',
    })
    kept.set(
      table,
      rows.map((row) => new Map(numbers.map((number, index) => [number, row[index] ?? null]))),
    )
  }
  return kept
}

function pairOf(plan: TablePlan, held: Held | undefined): (readonly [TablePlan, Held])[] {
  return held === undefined ? [] : [[plan, held]]
}

function fakerOn(random: Random, english: Faker, referenceDate: number): Faker {
  const randomizer: Randomizer = { next: () => random.next(), seed: () => {} }
  const made = new (english.constructor as typeof Faker)({ locale: english.rawDefinitions, randomizer })
  made.setDefaultRefDate(referenceDate)
  return made
}

function reportOf({ tables }: Plan, lacking: ReadonlyMap<TablePlan, Unmet>): Pick<SeedReport, 'tables'> {
  return {
    tables: tables.map((each) => {
      const { table, rows, kept, note } = each
      if (kept) return { name: table.name, rows: 0, note: 'kept as it was' }
      const left = lacking.get(each)
      const notes = [
        ...(note === undefined ? [] : [note]),
        ...(left === undefined
          ? []
          : [`for ${left.rows} more nothing was found that meets ${left.check.name}`]),
      ]
      return {
        name: table.name,
        rows: rows - (left?.rows ?? 0),
        ...(notes.length === 0 ? {} : { note: notes.join('; ') }),
      }
    }),
  }
}

function stopped(cause?: unknown): PortError {
  return new PortError({
    code: 'cancelled',
    operation: 'seed',
    message: 'the seed was stopped, and nothing of it stays',
    outcome: 'not-applied',
    cause,
  })
}

function failure(error: unknown, url: ServiceUrl, schema: Schema | undefined): PortError {
  const facts = { service: undefined, operation: 'seed', subject: url.path }
  if (PortError.is(error))
    return new PortError({ ...error, ...facts, message: error.detail, cause: error.cause })
  if (error instanceof CheckUnmet || error instanceof NoAgreement) {
    const message = `${error.message}; nothing of the seed stays`
    return new PortError({ ...facts, code: 'precondition-failed', message })
  }
  const columns = schema === undefined ? [] : columnsRefused(error, schema)
  const advice = columns.length === 0 ? '' : `; say in the seed file how to fill ${columns.join(', ')}`
  const bare = withoutValues(error)
  const known = classifyPostgresError(bare) ?? {
    code: 'internal' as const,
    message: `the seed failed: ${error instanceof Error ? error.message : typeof error}`,
  }
  return new PortError({
    ...facts,
    ...known,
    message: `${known.message}; nothing of the seed stays${advice}`,
    cause: bare,
  })
}
