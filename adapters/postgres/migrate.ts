/**
 * Migrations as an admin step: plain SQL files `0001_create-seats.sql`, run in order by node-pg-migrate, each in a
 * transaction of its own together with the note that it has run (table `pgmigrations`). A session's advisory lock,
 * the same that node-pg-migrate's own command takes, lets one run at a time; the others wait.
 *
 * A file is not to be changed once it has run anywhere. What cannot be in a transaction, such as CREATE INDEX
 * CONCURRENTLY, is not for these files.
 */
import { readdir, readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import pg from 'pg'
import type { MigrateOptions, MigrationReport } from '../../src/adapter.ts'
import { invalidArgument, PortError } from '../../src/errors.ts'
import type { ServiceUrl } from '../../src/services/url.ts'
import { loadVendor } from '../../src/services/vendor.ts'
import { classifyPostgresError, withoutValues } from './errors.ts'
import { clientConfig, isPooled } from './pool.ts'
import { notSent } from './session.ts'

const fileName = /^(\d{1,17})_[A-Za-z0-9][\w.-]*\.sql$/
/** Where node-pg-migrate notes what has run. */
export const migrationsTable = 'pgmigrations'

/**
 * Brings the database at `url` up to date with the files of `directory`.
 * @throws PortError `invalid-argument` for a folder that cannot be read, a file that is no migration and the URL
 * of a pooler, before any I/O with the database; `precondition-failed` for a new file that belongs before one that has run. What the
 * database says of a failing migration names the file in `details.migration`: that one is rolled back, those
 * before it stay.
 */
export async function migrate(
  url: ServiceUrl,
  directory: string,
  { signal, onProgress = () => {} }: MigrateOptions = {},
): Promise<MigrationReport> {
  await migrationNames(directory)
  if (isPooled(url)) {
    throw invalidArgument(
      'migrations hold a lock of their session, which a pooler in transaction mode gives to others; migrate by the URL of the server itself',
    )
  }
  const { runner, PG_MIGRATE_LOCK_ID } = await loadVendor(
    () => import('node-pg-migrate'),
    ['node-pg-migrate'],
  )
  if (signal?.aborted) throw aborted()
  const client = new pg.Client(clientConfig(url, 'portside migrate'))
  // The failure shows in the query that it ends; unheard, this event would end the process.
  client.on('error', () => {})
  const onAbort = (): void => {
    // The server rolls back what a connection leaves behind.
    client.connection.stream.destroy()
  }
  signal?.addEventListener('abort', onAbort, { once: true })
  let current: string | undefined
  try {
    await client.connect().catch((error: unknown) => {
      throw notSent(error)
    })
    await client.query('SELECT pg_advisory_lock($1)', [String(PG_MIGRATE_LOCK_ID)])
    const done = await runner({
      dbClient: client,
      dir: directory,
      direction: 'up',
      migrationsTable,
      checkOrder: true,
      // One transaction a migration: a failure keeps what came before it, and a long series holds no locks on.
      singleTransaction: false,
      noLock: true,
      logger: { debug: silent, info: silent, warn: silent, error: silent },
      migrationLoaderStrategies: [
        {
          extensions: ['.sql'],
          loader: (files) =>
            Promise.all(
              files.map(async (file) => {
                const text = await readFile(file, 'utf8')
                const up = (builder: { sql(text: string): void }): void => {
                  // Called when the migration is about to run.
                  current = basename(file, '.sql')
                  onProgress(`migrating ${current}`)
                  builder.sql(text)
                }
                return { id: file, filePaths: [file], actions: { up, down: false as const } }
              }),
            ),
        },
      ],
    })
    return { applied: done.map(({ name }) => name) }
  } catch (error) {
    if (signal?.aborted) throw aborted(error)
    throw failure(withoutValues(error), current, url)
  } finally {
    signal?.removeEventListener('abort', onAbort)
    // Ends the session, and with it the lock and an unfinished transaction.
    await client.end().catch(() => {})
  }
}

/** What it has to say comes as an error or as the report. */
const silent = (): void => {}

/**
 * The names of a folder's migrations, without `.sql`, in the order in which they run.
 * @throws PortError `invalid-argument` for a folder that cannot be read and a file that is no migration
 */
export async function migrationNames(directory: string): Promise<readonly string[]> {
  let names: string[]
  try {
    const entries = await readdir(directory, { withFileTypes: true })
    names = entries.filter(({ name }) => !name.startsWith('.')).map(({ name }) => name)
  } catch (cause) {
    throw new PortError({
      code: 'invalid-argument',
      message: `the folder of migrations "${directory}" cannot be read`,
      cause,
    })
  }
  const numbers = new Map<bigint, string>()
  for (const name of names) {
    const number = fileName.exec(name)?.[1]
    if (number === undefined) {
      throw invalidArgument(
        `"${name}" in the folder of migrations is no migration; they are named like 0001_create-seats.sql`,
      )
    }
    const other = numbers.get(BigInt(number))
    if (other !== undefined) {
      throw invalidArgument(`two migrations have the number ${number}: "${other}" and "${name}"`)
    }
    numbers.set(BigInt(number), name)
  }
  const inOrder = [...numbers].toSorted(([a], [b]) => (a < b ? -1 : 1))
  return inOrder.map(([, name]) => basename(name, '.sql'))
}

function aborted(cause?: unknown): PortError {
  return new PortError({ code: 'cancelled', message: 'the migrations were aborted', cause })
}

function failure(error: unknown, migration: string | undefined, url: ServiceUrl): PortError {
  const facts = { service: undefined, operation: 'migrate', subject: migration ?? url.path }
  if (PortError.is(error)) {
    return new PortError({ ...error, ...facts, message: error.detail, cause: error.cause })
  }
  if (error instanceof Error && error.message.includes('is preceding already run migration')) {
    return new PortError({ ...facts, code: 'precondition-failed', message: error.message, cause: error })
  }
  const known = classifyPostgresError(error) ?? {
    code: 'internal' as const,
    message: `the migrations failed: ${error instanceof Error ? error.message : typeof error}`,
  }
  const details = { ...known.details, ...(migration === undefined ? {} : { migration }) }
  const message =
    migration === undefined
      ? known.message
      : `migration ${migration} failed and was rolled back: ${known.message}`
  return new PortError({ ...facts, ...known, message, details, cause: error })
}
