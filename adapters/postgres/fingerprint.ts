/**
 * What two PostgreSQL servers of one version may still differ in: how text is stored and sorted, what the session
 * is set to, which extensions there are, what the role may do, whether the server follows another. Read from
 * catalogues and settings that any role may see.
 */
import type { Fact, FactDrift, Fingerprint, Severity } from '../../src/adapter.ts'
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
    'timezone_abbreviations',
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
    'gin_fuzzy_search_limit',
    'default_table_access_method',
    'lo_compat_privileges',
    'xmlbinary',
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

/** What was found until now. */
interface Findings {
  readonly facts: Record<string, Fact>
  readonly unknown: Record<string, string>
  readonly drift: FactDrift[]
  add(name: string, value: unknown, severity: Severity): void
}

type Part = (queries: SqlQueries, signal: AbortSignal, findings: Findings) => Promise<void>

/** Asks, one statement after another; each reads only. What the role may not read is unknown, and stops nothing. */
export async function fingerprintPostgres(queries: SqlQueries, signal: AbortSignal): Promise<Fingerprint> {
  const facts: Record<string, Fact> = {}
  const unknown: Record<string, string> = {}
  const drift: FactDrift[] = []
  const findings: Findings = {
    facts,
    unknown,
    drift,
    add(name, value, severity) {
      if (value !== undefined && value !== null) facts[name] = { value: String(value), severity }
    },
  }
  for (const [names, part] of parts) {
    try {
      await part(queries, signal, findings)
    } catch (error) {
      const why = refusalOf(error)
      if (why === undefined) throw error
      for (const name of names) unknown[name] = why
    }
  }
  return { facts: Object.fromEntries(Object.entries(facts).toSorted(byName)), unknown, drift }
}

/** Each with what is not known where it is refused: facts, or the word before the dot of many. */
const parts: readonly (readonly [names: readonly string[], part: Part])[] = [
  [['encoding', 'collation', 'libc', 'platform'], addTexts],
  [['libc.version', 'icu.version', 'collation.actual'], addLibraries],
  [['setting'], addSettings],
  [['extension'], addExtensions],
  [['role'], addRole],
  [['replication'], addReplication],
]

/** Why the role may not know: it has no right to read that, or the server has no such thing. */
export function refusalOf(error: unknown): string | undefined {
  const { code } = (error ?? {}) as { readonly code?: unknown }
  if (code === '42501') return 'the role may not read it'
  // A function, a table or a column that is not there: a server that is compatible with PostgreSQL, not it.
  return code === '42883' || code === '42P01' || code === '42703' ? 'the server does not have it' : undefined
}

const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : 1)
const providers: Readonly<Record<string, string>> = { c: 'libc', i: 'icu', b: 'builtin' }

/** Encoding, collation and the library that the server is built on. */
async function addTexts(queries: SqlQueries, signal: AbortSignal, { add }: Findings): Promise<void> {
  const { database, built, encoding } = await queries.one<{
    database: Readonly<Record<string, string | number | null>>
    built: string
    encoding: string
  }>(
    // As JSON, because the columns are not the same in every version.
    sql`SELECT to_jsonb(d) - 'datacl' AS database, pg_encoding_to_char(d.encoding) AS encoding, version() AS built
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
}

/** The libraries that sort: another version than an index of texts was made with makes it wrong. */
async function addLibraries(
  queries: SqlQueries,
  signal: AbortSignal,
  { add, unknown, drift, facts }: Findings,
): Promise<void> {
  const { number } = await queries.one<{ number: number }>(
    sql`SELECT current_setting('server_version_num')::int AS number`,
    { signal },
  )
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
  const ofLibc = facts['collation.provider']?.value === 'libc' ? versions.actual : undefined
  const libc = versions.libc ?? ofLibc
  add('libc.version', libc, 'medium')
  if (libc === undefined) unknown['libc.version'] = 'no collation of the server tells it'
  add('icu.version', versions.icu, 'medium')
  const recorded = facts['collation.version']?.value
  if (recorded !== undefined && versions.actual !== undefined && recorded !== versions.actual) {
    add('collation.actual', versions.actual, 'high')
    drift.push({ severity: 'high', what: 'collation.version', expected: recorded, found: versions.actual })
  }
  const stale = await queries.query<{ name: string; recorded: string; actual: string }>(
    // Those that nothing uses make no index wrong; after an upgrade of ICU there are hundreds.
    sql`SELECT c.collname AS name, c.collversion AS recorded, pg_collation_actual_version(c.oid) AS actual
        FROM pg_catalog.pg_collation c
        WHERE c.collversion IS NOT NULL
          AND EXISTS (SELECT FROM pg_catalog.pg_depend d
                      WHERE d.refclassid = 'pg_catalog.pg_collation'::regclass AND d.refobjid = c.oid)
        ORDER BY c.collname`,
    { signal },
  )
  for (const { name, recorded: expected, actual: found = 'none' } of stale) {
    if (found !== expected) drift.push({ severity: 'high', what: `collation.${name}`, expected, found })
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
  { add, unknown, drift }: Findings,
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
  const waiting = await queries.query<{ name: string; setting: string }>(
    sql`SELECT name, setting FROM pg_catalog.pg_settings WHERE pending_restart ORDER BY name`,
    { signal },
  )
  for (const { name, setting } of waiting) {
    drift.push({
      severity: 'low',
      what: `setting.${name}`,
      expected: "as the server's files say",
      // Of the others the value may be a secret: a setting of an extension's, a command with a key in it.
      found: `${severityOf.has(name) ? setting : 'the value before'} until it is restarted`,
    })
  }
}

async function addExtensions(queries: SqlQueries, signal: AbortSignal, { add }: Findings): Promise<void> {
  const rows = await queries.query<{ name: string; version: string }>(
    sql`SELECT extname AS name, extversion AS version FROM pg_catalog.pg_extension`,
    { signal },
  )
  for (const { name, version } of rows) add(`extension.${name}`, version, 'high')
}

async function addRole(queries: SqlQueries, signal: AbortSignal, { add }: Findings): Promise<void> {
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

async function addReplication(queries: SqlQueries, signal: AbortSignal, { add }: Findings): Promise<void> {
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
