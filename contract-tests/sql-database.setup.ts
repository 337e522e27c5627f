/** Opens the SQL database on a PostgreSQL URL for its contract. */
import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { postgres } from '../adapters/postgres/index.ts'
import { systemClock } from '../src/calls/clock.ts'
import { type CallEvent, type Guarded, guard } from '../src/calls/guard.ts'
import type { PortErrorCode } from '../src/errors.ts'
import { SqlDatabase } from '../src/ports/sql-database.ts'
import { ServiceUrl } from '../src/services/url.ts'
import { notingCodes } from './codes.ts'
import type { OpenSubject } from './contract.ts'
import { networkTo } from './network.ts'
import type { InsideSqlDatabase } from './sql-database/inside.ts'

export interface OpenOptions {
  /** The superuser's URL of the server itself. */
  readonly admin: string
  /** Where the code of every failure goes. */
  readonly seen?: Set<PortErrorCode>
  /** Makes what the superuser changed about the role count for every connection from now on. */
  readonly onRoleChanged?: () => Promise<void>
}

/** Opens the adapter on a URL. */
export async function openPostgres(
  text: string,
  seen: Set<PortErrorCode> = new Set(),
  observe?: (event: CallEvent) => void,
): Promise<Guarded<SqlDatabase>> {
  const parsed = ServiceUrl.parse(text, postgres.parameters)
  if (!('url' in parsed)) throw new Error(parsed.problems.join('; '))
  const driver = await postgres.open(parsed.url, { service: 'orders', clock: systemClock })
  const guarded = guard(SqlDatabase, driver, { service: 'orders', secrets: parsed.url.secrets, observe })
  return notingCodes(SqlDatabase, guarded, seen)
}

/** Opens the database at `url`, with all means that a server of the tests' own gives. */
export async function openOn(url: string, options: OpenOptions): Promise<OpenSubject<SqlDatabase>> {
  const { seen } = options
  const refused = `canary-${randomBytes(8).toString('hex')}`
  const network = networkTo(Number(new URL(url).port), (port) =>
    openPostgres(changed(url, { port: String(port) }), seen),
  )
  return {
    guarded: await openPostgres(url, seen),
    openAnother: () => openPostgres(url, seen),
    openObserved: (observe) => openPostgres(url, seen, observe),
    openRefused: () => openPostgres(changed(url, { password: refused }), seen),
    canaries: [new URL(url).password, refused],
    inside: insideOf(url, options),
    network,
    dispose: () => network.close(),
  }
}

/** Opens it where nothing listens. */
export async function openNowhere(seen?: Set<PortErrorCode>): Promise<OpenSubject<SqlDatabase>> {
  const secret = `canary-${randomBytes(8).toString('hex')}`
  // Port 1 is reserved, and nothing listens there.
  return {
    guarded: await openPostgres(`postgres://someone:${secret}@127.0.0.1:1/orders`, seen),
    canaries: [secret],
  }
}

/** Leaves nothing of what the behaviours made in the database at `url`. */
export async function empty(url: string): Promise<void> {
  await run(url, 'DROP SCHEMA public CASCADE; CREATE SCHEMA public')
}

/** Runs SQL by a connection of its own. */
export async function run(url: string, text: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, lock_timeout: 5_000 })
  await client.connect()
  try {
    await client.query(text)
  } finally {
    await client.end()
  }
}

/** `text` with other parts and with more parameters. */
export function changed(
  text: string,
  parts: Partial<Record<'password' | 'port', string>>,
  parameters: Readonly<Record<string, string | number>> = {},
): string {
  const url = Object.assign(new URL(text), parts)
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, String(value))
  return url.href
}

function insideOf(
  url: string,
  { admin, seen, onRoleChanged = async () => {} }: OpenOptions,
): InsideSqlDatabase {
  const role = pg.escapeIdentifier(new URL(url).username)
  const alter = async (change: string): Promise<void> => {
    await run(admin, `ALTER ROLE ${role} ${change}`)
    await onRoleChanged()
  }
  const lendWhile = async (
    begin: string,
    end: string,
    work: (client: Guarded<SqlDatabase>) => Promise<void>,
  ): Promise<void> => {
    await alter(begin)
    const client = await openPostgres(url, seen)
    try {
      await work(client)
    } finally {
      await client.close()
      await alter(end)
    }
  }
  return {
    openNarrow: (limits) => openPostgres(changed(url, {}, { ...limits }), seen),
    whileFull: (work) => lendWhile('CONNECTION LIMIT 0', 'CONNECTION LIMIT -1', work),
    whileDiskIsFull: (work) => lendWhile("SET temp_file_limit = '64kB'", 'RESET temp_file_limit', work),
  }
}
