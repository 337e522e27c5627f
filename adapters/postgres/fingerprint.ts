/**
 * What two PostgreSQL servers of one version may still differ in: how text is stored and sorted, what the session
 * is set to, which extensions there are, what the role may do, whether the server follows another. Read from
 * catalogues and settings that any role may see.
 */
import type { Fact, Fingerprint, Severity } from '../../src/adapter.ts'
import { sql } from '../../src/ports/sql.ts'
import type { SqlQueries } from '../../src/ports/sql-database.ts'

/**
 * Settings that change what statements answer or what is kept, by how much that matters. Those that every session
 * of the adapter sets itself (encoding, formats, time zone) are the same everywhere, and are here for pools of the
 * app's own.
 */
const settings: Readonly<Record<Severity, readonly string[]>> = {
  high: [
    'TimeZone',
    'DateStyle',
    'IntervalStyle',
    'client_encoding',
    'default_transaction_isolation',
    'default_transaction_read_only',
    'standard_conforming_strings',
    'backslash_quote',
    'transform_null_equals',
    'array_nulls',
    'search_path',
    'session_replication_role',
    'row_security',
    'fsync',
    'full_page_writes',
    'synchronous_commit',
  ],
  medium: [
    'lc_messages',
    'lc_monetary',
    'lc_numeric',
    'lc_time',
    'default_text_search_config',
    'default_transaction_deferrable',
    'statement_timeout',
    'lock_timeout',
    'idle_in_transaction_session_timeout',
    'idle_session_timeout',
    'transaction_timeout',
    'max_connections',
    'max_prepared_transactions',
    'max_locks_per_transaction',
    'deadlock_timeout',
    'temp_file_limit',
    'extra_float_digits',
    'bytea_output',
    'xmloption',
    'check_function_bodies',
    'plan_cache_mode',
    'shared_preload_libraries',
    'local_preload_libraries',
    'session_preload_libraries',
    'default_tablespace',
    'ssl',
    'data_checksums',
    'block_size',
    'max_identifier_length',
    'wal_level',
    'synchronous_standby_names',
  ],
  low: ['jit', 'work_mem', 'password_encryption', 'default_toast_compression', 'log_timezone', 'autovacuum'],
}

/** Rights of a role beyond those of an ordinary one, as pg_roles names them. */
const rights = {
  superuser: 'rolsuper',
  'create-database': 'rolcreatedb',
  'create-role': 'rolcreaterole',
  'bypass-row-security': 'rolbypassrls',
  replication: 'rolreplication',
} as const

/** Asks, one statement after another; each reads only. */
export async function fingerprintPostgres(queries: SqlQueries, signal: AbortSignal): Promise<Fingerprint> {
  const facts: Record<string, Fact> = {}
  const unknown: Record<string, string> = {}
  const add = (name: string, value: unknown, severity: Severity): void => {
    if (value !== undefined && value !== null) facts[name] = { value: String(value), severity }
  }
  await addTexts(queries, signal, add, unknown)
  await addSettings(queries, signal, add, unknown)
  await addExtensions(queries, signal, add)
  await addRole(queries, signal, add)
  await addReplication(queries, signal, add)
  return { facts: Object.fromEntries(Object.entries(facts).toSorted(byName)), unknown }
}

type Add = (name: string, value: unknown, severity: Severity) => void

const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : 1)
const providers: Readonly<Record<string, string>> = { c: 'libc', i: 'icu', b: 'builtin' }

/** Encoding, collation and the libraries that sort: another version of one makes indexes of texts wrong. */
async function addTexts(
  queries: SqlQueries,
  signal: AbortSignal,
  add: Add,
  unknown: Record<string, string>,
): Promise<void> {
  const { database, number, built, encoding } = await queries.one<{
    database: Readonly<Record<string, string | number | null>>
    number: number
    built: string
    encoding: string
  }>(
    // As JSON, because the columns are not the same in every version.
    sql`SELECT to_jsonb(d) - 'datacl' AS database, pg_encoding_to_char(d.encoding) AS encoding, version() AS built,
          current_setting('server_version_num')::int AS number
        FROM pg_catalog.pg_database d WHERE d.datname = current_database()`,
    { signal },
  )
  add('encoding', encoding, 'high')
  add('collation.provider', providers[String(database.datlocprovider ?? 'c')], 'high')
  add('collation.collate', database.datcollate, 'high')
  add('collation.ctype', database.datctype, 'high')
  add('collation.locale', database.datlocale ?? database.daticulocale, 'high')
  add('collation.rules', database.daticurules, 'high')
  add('collation.version', database.datcollversion, 'high')
  // `PostgreSQL 17.10 on x86_64-pc-linux-gnu, compiled by …`
  const [, platform] = / on ([\w.-]+),/.exec(built) ?? []
  add('platform', platform, 'low')
  add('libc', platform === undefined ? undefined : libcOf(platform), 'high')
  if (number < 150_000) return
  const versions = await queries.one<{ actual?: string; libc?: string; icu?: string }>(
    sql`SELECT
          (SELECT pg_database_collation_actual_version(oid) FROM pg_catalog.pg_database
           WHERE datname = current_database()) AS actual,
          (SELECT max(pg_collation_actual_version(oid)) FROM pg_catalog.pg_collation
           WHERE collprovider = 'c' AND collname NOT IN ('C', 'POSIX', 'ucs_basic')) AS libc,
          (SELECT pg_collation_actual_version(oid) FROM pg_catalog.pg_collation
           WHERE collname = 'und-x-icu' LIMIT 1) AS icu`,
    { signal },
  )
  add('libc.version', versions.libc, 'medium')
  if (versions.libc === undefined) unknown['libc.version'] = 'no collation of the server tells it'
  add('icu.version', versions.icu, 'medium')
  // JSON has null where a row has nothing.
  if (versions.actual !== (database.datcollversion ?? undefined)) {
    add('collation.stale', `recorded ${database.datcollversion}, found ${versions.actual}`, 'high')
  }
}

function libcOf(platform: string): string | undefined {
  if (platform.includes('musl')) return 'musl'
  return platform.includes('linux-gnu') ? 'glibc' : platform.split('-').slice(1).join('-')
}

/** As this session has them, whatever set them: the server, the database, the role, the client. */
async function addSettings(
  queries: SqlQueries,
  signal: AbortSignal,
  add: Add,
  unknown: Record<string, string>,
): Promise<void> {
  const severityOf = new Map(
    Object.entries(settings).flatMap(([severity, names]) =>
      names.map((name) => [name, severity as Severity] as const),
    ),
  )
  const rows = await queries.query<{ name: string; setting: string; unit: string | undefined }>(
    sql`SELECT name, setting, unit FROM pg_catalog.pg_settings WHERE name = ANY(${[...severityOf.keys()]}::text[])`,
    { signal },
  )
  for (const { name, setting, unit } of rows) {
    add(
      `setting.${name}`,
      unit === undefined ? setting : `${setting} × ${unit}`,
      severityOf.get(name) ?? 'low',
    )
  }
  const seen = rows.map(({ name }) => name)
  // A version that does not have it shows it to nobody; these are hidden from ordinary roles alone.
  for (const name of ['shared_preload_libraries', 'session_preload_libraries']) {
    if (severityOf.has(name) && !seen.includes(name))
      unknown[`setting.${name}`] = 'needs pg_read_all_settings'
  }
}

async function addExtensions(queries: SqlQueries, signal: AbortSignal, add: Add): Promise<void> {
  const rows = await queries.query<{ name: string; version: string }>(
    sql`SELECT extname AS name, extversion AS version FROM pg_catalog.pg_extension`,
    { signal },
  )
  for (const { name, version } of rows) add(`extension.${name}`, version, 'high')
}

async function addRole(queries: SqlQueries, signal: AbortSignal, add: Add): Promise<void> {
  const { role, owner, create, temporary, schema, member } = await queries.one<{
    role: Readonly<Record<string, unknown>>
    owner: boolean
    create: boolean
    temporary: boolean
    schema?: boolean
    member: readonly string[]
  }>(
    sql`SELECT to_jsonb(r) AS role,
          d.datdba = r.oid AS owner,
          has_database_privilege(d.oid, 'CREATE') AS create,
          has_database_privilege(d.oid, 'TEMPORARY') AS temporary,
          (SELECT has_schema_privilege(n.oid, 'CREATE') FROM pg_catalog.pg_namespace n WHERE n.nspname = 'public') AS schema,
          ARRAY(SELECT g.rolname::text FROM pg_catalog.pg_roles g
                WHERE g.rolname <> 'pg_database_owner' AND g.rolname LIKE 'pg\\_%' AND NOT r.rolsuper AND pg_has_role(r.oid, g.oid, 'USAGE') ORDER BY 1) AS member
        FROM pg_catalog.pg_roles r, pg_catalog.pg_database d
        WHERE r.rolname = current_user AND d.datname = current_database()`,
    { signal },
  )
  for (const [name, column] of Object.entries(rights)) add(`role.${name}`, role[column], 'high')
  add('role.connection-limit', role.rolconnlimit, 'low')
  add('role.owns-database', owner, 'medium')
  add('role.create-in-database', create, 'medium')
  add('role.temporary-tables', temporary, 'medium')
  add('role.create-in-public', schema, 'medium')
  add('role.predefined', member.join(' ') || 'none', 'medium')
}

async function addReplication(queries: SqlQueries, signal: AbortSignal, add: Add): Promise<void> {
  const { standby, standbys, publications, subscriptions } = await queries.one<{
    standby: boolean
    standbys: number
    publications: number
    subscriptions: number
  }>(
    sql`SELECT pg_is_in_recovery() AS standby,
          (SELECT count(*)::int FROM pg_catalog.pg_stat_replication) AS standbys,
          (SELECT count(*)::int FROM pg_catalog.pg_publication) AS publications,
          (SELECT count(*)::int FROM pg_catalog.pg_stat_subscription) AS subscriptions`,
    { signal },
  )
  add('replication.standby', standby, 'high')
  add('replication.standbys', standbys, 'low')
  add('replication.publications', publications, 'low')
  add('replication.subscriptions', subscriptions, 'low')
}
