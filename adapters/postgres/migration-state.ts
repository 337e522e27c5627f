/** Which migrations have run, asked without a lock and without changing anything: for checks before traffic. */
import pg from 'pg'
import type { MigrateOptions, MigrationState } from '../../src/adapter.ts'
import { PortError } from '../../src/errors.ts'
import type { ServiceUrl } from '../../src/services/url.ts'
import { classifyPostgresError, withoutValues } from './errors.ts'
import { migrationNames, migrationsTable } from './migrate.ts'
import { clientConfig } from './pool.ts'

/**
 * Compares the files of `directory` with what the database at `url` notes as run.
 * @throws PortError `invalid-argument` for a folder that cannot be read, before any I/O with the database
 */
export async function migrationState(
  url: ServiceUrl,
  directory: string,
  { signal }: Pick<MigrateOptions, 'signal'> = {},
): Promise<MigrationState> {
  const files = await migrationNames(directory)
  if (signal?.aborted) throw aborted()
  const client = new pg.Client(clientConfig(url, 'portside migration state'))
  // The failure shows in the query that it ends; unheard, this event would end the process.
  client.on('error', () => {})
  const onAbort = (): void => void client.connection.stream.destroy()
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    await client.connect()
    const run = await namesOfRun(client)
    return {
      applied: files.filter((name) => run.includes(name)),
      pending: files.filter((name) => !run.includes(name)),
      unknown: run.filter((name) => !files.includes(name)),
    }
  } catch (error) {
    if (signal?.aborted) throw aborted(error)
    const clean = withoutValues(error)
    const known = classifyPostgresError(clean) ?? {
      code: 'internal' as const,
      message: 'the migrations that have run could not be read',
    }
    throw new PortError({ ...known, operation: 'migrationState', cause: clean })
  } finally {
    signal?.removeEventListener('abort', onAbort)
    client.connection.stream.destroy()
  }
}

/** None where no migration has ever run. */
async function namesOfRun(client: pg.Client): Promise<readonly string[]> {
  const { rows: tables } = await client.query<{ there: boolean }>(
    'SELECT to_regclass($1) IS NOT NULL AS there',
    [`public.${migrationsTable}`],
  )
  if (tables[0]?.there !== true) return []
  const { rows } = await client.query<{ name: string }>(
    `SELECT name FROM public.${migrationsTable} ORDER BY run_on, id`,
  )
  return rows.map(({ name }) => name)
}

function aborted(cause?: unknown): PortError {
  return new PortError({ code: 'cancelled', message: 'the question was aborted', cause })
}
