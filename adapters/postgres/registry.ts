/**
 * Who made which database for tests, and whether it still runs: a table in the administrator's own database, so that
 * every process that shares the server sees the same. A row is there before its database, and goes after it.
 *
 * An owner holds an advisory lock for as long as its connection lives, which SIGKILL and a lost machine end alike.
 */
import type { Socket } from 'node:net'
import pg from 'pg'
import { invalidArgument, PortError } from '../../src/errors.ts'
import { type PlaceOwner, placeOwner, runsHere } from '../../src/servers/isolation.ts'
import { ServiceUrl } from '../../src/services/url.ts'
import { classifyPostgresError } from './errors.ts'
import { clientConfig, openPool } from './pool.ts'
import { parameters } from './url.ts'

/** The first half of every advisory lock here: the letters "port". */
const lockSpace = 0x706f_7274
const lockOfSchema = 1

const schema = `
create schema if not exists portside_tests;
create table if not exists portside_tests.templates (
  name text primary key,
  wal_log_ms real[] not null default '{}',
  file_copy_ms real[] not null default '{}',
  used_at timestamptz not null default now()
);
create table if not exists portside_tests.places (
  name text primary key,
  template text not null,
  service text not null,
  state text not null check (state in ('making', 'ready', 'used', 'kept', 'dropping')),
  host text, pid integer, started_at text, key bigint,
  reason text,
  at timestamptz not null default now()
);
`

export interface PlaceRow {
  readonly name: string
  readonly host: string
  readonly pid: number
  readonly started_at: string
  readonly key: string
}

export class Registry {
  readonly owner: PlaceOwner = placeOwner()
  readonly url: ServiceUrl
  readonly pool: pg.Pool
  readonly #presence: pg.Client

  private constructor(url: ServiceUrl, pool: pg.Pool, presence: pg.Client) {
    this.url = url
    this.pool = pool
    this.#presence = presence
  }

  /** @throws PortError `invalid-argument` where `adminUrl` is no URL of PostgreSQL */
  static async open(adminUrl: string): Promise<Registry> {
    const parsed = ServiceUrl.parse(adminUrl, parameters)
    if (!('url' in parsed)) {
      throw invalidArgument(`the administrator's URL will not do: ${parsed.problems.join('; ')}`)
    }
    const { url } = parsed
    if (!['postgres', 'postgresql'].includes(url.scheme)) {
      throw invalidArgument(`the administrator's URL must begin with postgres:, not ${url.scheme}:`)
    }
    const { pool } = openPool(url, 'portside tests')
    pool.on('error', () => {})
    const presence = newClient(url, url.path)
    const registry = new Registry(url, pool, presence)
    try {
      await presence.connect()
      // Two that make the same table at once would both find it absent.
      await presence.query('select pg_advisory_lock($1, $2)', [lockSpace, lockOfSchema])
      await presence.query(schema)
      await presence.query('select pg_advisory_unlock($1, $2)', [lockSpace, lockOfSchema])
      await presence.query('select pg_advisory_lock($1)', [registry.owner.key])
      // A worker that forgets to close it may end all the same.
      ;(presence.connection.stream as Socket).unref()
      return registry
    } catch (error) {
      await registry.close()
      const meaning = classifyPostgresError(error)
      throw meaning === undefined ? error : new PortError({ ...meaning, operation: 'isolate', cause: error })
    }
  }

  /** Runs `work` while no other process runs one under the same `name`. */
  async alone<T>(
    name: string,
    options: { readonly signal?: AbortSignal | undefined; readonly onWait?: () => void },
    work: () => Promise<T>,
  ): Promise<T> {
    options.signal?.throwIfAborted()
    const client = newClient(this.url, this.url.path)
    const cut = (): void => void client.connection.stream.destroy()
    await client.connect()
    options.signal?.addEventListener('abort', cut, { once: true })
    try {
      const key = [lockSpace, name]
      const { rows } = await client.query<{ got: boolean }>(
        'select pg_try_advisory_lock($1, hashtext($2)) as got',
        key,
      )
      if (!rows[0]?.got) {
        options.onWait?.()
        await client.query('select pg_advisory_lock($1, hashtext($2))', key)
      }
      return await work()
    } catch (error) {
      options.signal?.throwIfAborted()
      throw error
    } finally {
      options.signal?.removeEventListener('abort', cut)
      // Ends the session, and with it the lock.
      await client.end().catch(() => {})
    }
  }

  /** Places whose owners have ended: unheard of on this machine, and without the lock that each holds on the server. */
  async abandoned(): Promise<readonly PlaceRow[]> {
    const { rows } = await this.pool.query<PlaceRow>(`
      select name, host, pid, started_at, key from portside_tests.places
      where state in ('making', 'used', 'dropping') and not exists (
        select from pg_locks
        where locktype = 'advisory' and objsubid = 1 and granted
          and database = (select oid from pg_database where datname = current_database())
          and (classid::bigint << 32) | objid::bigint = places.key
      )`)
    return rows.filter(({ host, pid, started_at }) => !runsHere({ host, pid, startedAt: started_at }))
  }

  async close(): Promise<void> {
    // Until it has ended this is something to do, even for a program that has nothing else.
    ;(this.#presence.connection.stream as Socket).ref()
    await Promise.allSettled([this.pool.end(), this.#presence.end()])
  }
}

/** A connection of the administrator to one of the server's databases. */
export async function withDatabase<T>(
  url: ServiceUrl,
  database: string,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = newClient(url, database)
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

function newClient(url: ServiceUrl, database: string): pg.Client {
  const client = new pg.Client({ ...clientConfig(url, 'portside tests'), database })
  // A server that dies under it fails the next query as well; the event alone must not end the process.
  client.on('error', () => {})
  return client
}
