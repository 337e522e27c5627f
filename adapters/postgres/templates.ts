/**
 * Templates: a migrated, seeded database that tests get copies of. Its name stands for what is in it, the server's
 * version and extensions among that; it is built aside by whoever comes first, and there under its name only when whole.
 */
import { createHash, randomBytes } from 'node:crypto'
import pg from 'pg'
import { systemClock } from '../../src/calls/clock.ts'
import { PortError } from '../../src/errors.ts'
import type { SupplyOptions, TestRights } from '../../src/servers/isolation.ts'
import { type Registry, withDatabase } from './registry.ts'
import { scramVerifier } from './scram.ts'

/** Changes with whatever this module makes of the same migrations. */
const format = 1

/** How long a template that no one has used is kept. */
export const unusedDays = 7

export interface Template {
  readonly name: string
  /** The role whose rights a test has: the test's own is a member of it. */
  readonly group: string
  /** Whether the test's role owns the database. */
  readonly owned: boolean
}

/** The template that `options` ask for, built where it is absent. */
export async function openTemplate(registry: Registry, options: SupplyOptions): Promise<Template> {
  const hash = await templateHash(registry.pool, options)
  const name = `portside_template_${hash}`
  const template = { name, group: groupOf(hash, options.rights), owned: options.rights === 'owner' }
  if (!(await used(registry.pool, name))) {
    const onWait = (): void =>
      options.onProgress?.(`waiting for another process to make the template of ${options.service}`)
    await registry.alone(name, { signal: options.signal, onWait }, async () => {
      if (await used(registry.pool, name)) return
      options.onProgress?.(`making the template of ${options.service}`)
      await build(registry, hash, template, options)
    })
  }
  return template
}

/** Notes that a template is in use; answers whether it is there. */
async function used(pool: pg.Pool, name: string): Promise<boolean> {
  const { rowCount } = await pool.query(
    `insert into portside_tests.templates (name) select datname::text from pg_database where datname = $1
     on conflict (name) do update set used_at = now()`,
    [name],
  )
  return rowCount === 1
}

async function templateHash(pool: pg.Pool, options: SupplyOptions): Promise<string> {
  const { rows } = await pool.query<{ server: string; extensions: string }>(
    `select version() as server,
       (select string_agg(name || ' ' || default_version, ',' order by name) from pg_available_extensions) as extensions`,
  )
  const { template, rights, extensions = [] } = options
  const content = [format, rows[0], template?.key ?? '', rights, [...extensions].sort()]
  return createHash('sha256').update(JSON.stringify(content)).digest('hex').slice(0, 16)
}

function groupOf(hash: string, rights: TestRights): string {
  if (typeof rights === 'object') return rights.role
  return rights === 'owner' ? ownerOf(hash) : `portside_data_${hash}`
}

function ownerOf(hash: string): string {
  return `portside_owner_${hash}`
}

async function build(
  registry: Registry,
  hash: string,
  { name, group }: Template,
  options: SupplyOptions,
): Promise<void> {
  const { pool, url } = registry
  const { rights, template, extensions = [] } = options
  const unfinished = `${name}_unfinished`
  const owner = ownerOf(hash)
  const id = pg.escapeIdentifier
  // Of a builder that was killed.
  await dropDatabase(pool, unfinished)
  const password = randomBytes(24).toString('base64url')
  await ensureRole(pool, owner)
  await pool.query(`alter role ${id(owner)} login password ${pg.escapeLiteral(scramVerifier(password))}`)
  await ensureRole(pool, group)
  if (typeof rights === 'object') await refusePowerful(pool, group)
  try {
    await pool.query(`create database ${id(unfinished)} owner ${id(owner)} template template0`)
    await pool.query(`revoke all on database ${id(unfinished)} from public`)
    await withDatabase(url, unfinished, async (client) => {
      for (const extension of extensions) await client.query(`create extension ${id(extension)} cascade`)
    })
    await template?.build(placeUrl(registry, owner, password, unfinished))
    await withDatabase(url, unfinished, async (client) => {
      if (rights === 'data') await grantData(client, group)
      await client.query('analyze')
    })
    await pool.query(`alter role ${id(owner)} nologin password null`)
    await pool.query(`alter database ${id(unfinished)} with is_template true allow_connections false`)
    await untilAlone(pool, unfinished)
    await pool.query(`alter database ${id(unfinished)} rename to ${id(name)}`)
    await used(pool, name)
  } catch (error) {
    await dropDatabase(pool, unfinished).catch(() => {
      // Why it could not be built is what to tell; the next builder drops it.
    })
    throw error
  }
}

/** Removes a database, a template among them, whoever is connected to it; does nothing where it is absent. */
export async function dropDatabase(pool: pg.Pool, name: string): Promise<void> {
  const id = pg.escapeIdentifier(name)
  const { rows } = await pool.query<{ template: boolean }>(
    'select datistemplate as template from pg_database where datname = $1',
    [name],
  )
  if (rows[0]?.template) await pool.query(`alter database ${id} with is_template false`)
  await pool.query(`drop database if exists ${id} with (force)`)
}

/** A connection ends a moment after its client has closed it; a database is renamed when none is left. */
async function untilAlone(pool: pg.Pool, database: string): Promise<void> {
  for (let tries = 0; tries < 200; tries += 1) {
    const { rowCount } = await pool.query(
      'select pg_terminate_backend(pid) from pg_stat_activity where datname = $1',
      [database],
    )
    if (rowCount === 0) return
    await systemClock.sleep(10)
  }
}

async function ensureRole(pool: pg.Pool, name: string): Promise<void> {
  try {
    await pool.query(`create role ${pg.escapeIdentifier(name)} nologin`)
  } catch (error) {
    // There, or made by another at this moment.
    if (!['42710', '23505'].includes((error as { code?: string }).code ?? '')) throw error
  }
}

/** A role that others made: as a test's it must have no right that production's should not have. */
async function refusePowerful(pool: pg.Pool, role: string): Promise<void> {
  const { rows } = await pool.query<{ powerful: boolean }>(
    `select rolsuper or rolcreatedb or rolcreaterole or rolbypassrls or rolreplication as powerful
     from pg_roles where rolname = $1`,
    [role],
  )
  if (!rows[0]?.powerful) return
  throw new PortError({
    code: 'precondition-failed',
    outcome: 'not-applied',
    message: `the role "${role}" of the tests is more than an app's: take superuser, createdb, createrole, bypassrls and replication from it`,
  })
}

/** What an app does with a schema that it does not change. The table of the migrations is only to be read. */
async function grantData(client: pg.Client, group: string): Promise<void> {
  const role = pg.escapeIdentifier(group)
  const { rows } = await client.query<{ name: string }>(
    `select nspname as name from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'`,
  )
  for (const { name } of rows) {
    const schema = pg.escapeIdentifier(name)
    await client.query(`
      grant usage on schema ${schema} to ${role};
      grant select, insert, update, delete on all tables in schema ${schema} to ${role};
      grant usage, select, update on all sequences in schema ${schema} to ${role};
      grant execute on all routines in schema ${schema} to ${role}`)
    const { rowCount } = await client.query(
      `select from pg_tables where schemaname = $1 and tablename = 'pgmigrations'`,
      [name],
    )
    if (rowCount === 0) continue
    await client.query(`revoke insert, update, delete on ${schema}.pgmigrations from ${role}`)
  }
}

export function placeUrl({ url }: Registry, role: string, password: string, database: string): string {
  const host = url.host.includes(':') ? `[${url.host}]` : url.host
  const ssl = new URLSearchParams()
  for (const name of ['sslmode', 'sslrootcert']) {
    const value = url.text(name)
    if (value !== undefined) ssl.set(name, value)
  }
  const query = ssl.size === 0 ? '' : `?${ssl}`
  return `postgres://${role}:${password}@${host}:${url.port ?? 5432}/${database}${query}`
}

/** Removes templates that no one has used for long, unless a place of theirs is still there. */
export async function dropUnused(registry: Registry): Promise<void> {
  const { pool } = registry
  const { rows } = await pool.query<{ name: string }>(
    `select name from portside_tests.templates
     where used_at < now() - make_interval(days => $1)
       and not exists (select from portside_tests.places where template = templates.name)`,
    [unusedDays],
  )
  for (const { name } of rows) {
    await registry.alone(name, {}, async () => {
      const stale = `delete from portside_tests.templates where name = $1 and used_at < now() - make_interval(days => $2)`
      if ((await pool.query(stale, [name, unusedDays])).rowCount === 0) return
      const hash = name.slice('portside_template_'.length)
      await dropDatabase(pool, name)
      for (const role of [ownerOf(hash), `portside_data_${hash}`]) {
        await pool.query(`drop role if exists ${pg.escapeIdentifier(role)}`)
      }
    })
  }
}
