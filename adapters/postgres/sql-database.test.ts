/** What is the adapter's own: its pool, its URL, its connections. The rest is the contract's. */
import { spawn } from 'node:child_process'
import { connect, createServer, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { expectPortError } from '../../contract-tests/expect.ts'
import { type FreshPlace, freshPostgres } from '../../contract-tests/servers.ts'
import type { DatastoreDriver } from '../../src/adapter.ts'
import { systemClock } from '../../src/calls/clock.ts'
import { type Guarded, guard } from '../../src/calls/guard.ts'
import { sql } from '../../src/ports/sql.ts'
import { SqlDatabase } from '../../src/ports/sql-database.ts'
import { ServiceUrl } from '../../src/services/url.ts'
import { postgres } from './index.ts'
import { clientConfig } from './pool.ts'
import { postgresSqlDatabase } from './sql-database.ts'

let place: FreshPlace
const open: Guarded<SqlDatabase>[] = []
beforeAll(async () => {
  place = await freshPostgres()
})
afterEach(async () => {
  for (const guarded of open.splice(0)) await guarded.close()
})
afterAll(() => place.drop())

function parse(text: string): ServiceUrl {
  const parsed = ServiceUrl.parse(text, postgres.parameters)
  if (!('url' in parsed)) throw new Error(parsed.problems.join('; '))
  return parsed.url
}

async function attached(
  parameters: Readonly<Record<string, string>> = {},
  change: (url: URL) => void = () => {},
): Promise<Guarded<SqlDatabase> & { readonly driver: DatastoreDriver<SqlDatabase> }> {
  const url = new URL(place.url)
  change(url)
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
  const driver = await postgres.open(parse(url.href), { service: 'orders', clock: systemClock })
  const guarded = guard(SqlDatabase, driver, { service: 'orders' })
  open.push(guarded)
  return Object.assign(guarded, { driver })
}

const pidOf = async (db: Pick<SqlDatabase, 'one'>): Promise<number> =>
  (await db.one<{ pid: number }>(sql`SELECT pg_backend_pid() AS pid`)).pid

/** Stands between client and server; cuts the connection when the client has sent `word`. */
async function proxy(reaction: (client: Socket, upstream: Socket) => void): Promise<{
  readonly port: number
  /** How many clients are connected. */
  clients(): number
  arm(word: string): void
  close(): void
}> {
  let word: string | undefined
  const sockets = new Set<Socket>()
  const clients = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect(Number(new URL(place.url).port), '127.0.0.1')
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => {})
    }
    clients.add(client)
    client.on('close', () => {
      clients.delete(client)
      upstream.destroy()
    })
    upstream.on('close', () => client.destroy())
    upstream.pipe(client)
    client.on('data', (chunk) => {
      upstream.write(chunk)
      if (word === undefined || !chunk.includes(word)) return
      upstream.unpipe(client)
      reaction(client, upstream)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as { port: number }).port,
    clients: () => clients.size,
    arm: (armed) => {
      word = armed
    },
    close: () => {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

describe('the pool', () => {
  test('leaves no socket open when a connection fails on this side', async () => {
    const between = await proxy(() => {})
    try {
      const { port } = await attached({}, (url) => {
        url.port = String(between.port)
        url.password = ''
      })
      await expectPortError(port.query(sql`SELECT 1`), 'unauthenticated')
      await vi.waitFor(() => expect(between.clients()).toBe(0))
    } finally {
      between.close()
    }
  })

  test('in use to the last, ends a call by its deadline or by the pool’s own, and recovers', async () => {
    const { port } = await attached({ maxConnections: '2', connectTimeoutMs: '300' })
    let free: () => void = () => {}
    const held = new Promise<void>((resolve) => {
      free = resolve
    })
    const holders = [1, 2].map(() => port.transaction(() => held))
    await vi.waitFor(() => expect(holders).toHaveLength(2))
    const insert = sql`SELECT 1`
    await expectPortError(port.execute(insert, { timeoutMs: 100 }), 'timeout', { outcome: 'not-applied' })
    await expectPortError(port.execute(insert), 'rate-limited', { outcome: 'not-applied', retryable: true })
    const abort = new AbortController()
    const waiting = port.execute(insert, { signal: abort.signal })
    abort.abort()
    await expectPortError(waiting, 'cancelled', { outcome: 'not-applied' })
    free()
    await Promise.all(holders)
    await Promise.all(Array.from({ length: 20 }, () => port.execute(insert)))
  })

  test('has as many connections as it may, and no more', async () => {
    const { port, native } = await attached({ maxConnections: '3' })
    const pids = await Promise.all(
      Array.from({ length: 30 }, () =>
        port.one<{ pid: number }>(sql`SELECT pg_backend_pid() AS pid, pg_sleep(0.01)::text`),
      ),
    )
    expect(new Set(pids.map(({ pid }) => pid)).size).toBe(3)
    expect((native as pg.Pool).totalCount).toBe(3)
  })

  test('survives connections that the server ends, idle or in use', async () => {
    const { port } = await attached()
    const other = await attached()
    for (let round = 0; round < 3; round += 1) {
      const pid = await pidOf(port)
      await other.port.query(sql`SELECT pg_terminate_backend(${pid})`)
      await vi.waitFor(async () => expect(await pidOf(port)).not.toBe(pid))
    }
    const slow = port.query(sql`SELECT pg_sleep(600)::text AS pool_in_use`)
    const failed = expectPortError(slow, 'unavailable', { outcome: 'unknown' })
    await vi.waitFor(async () => {
      const ended = await other.port.query(sql`
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE query LIKE '%pool_in_use%' AND pid <> pg_backend_pid() AND state = 'active'`)
      expect(ended).toHaveLength(1)
    })
    await failed
    await pidOf(port)
  })

  test('hears the end of every connection: while it is handed out, in use, idle, or given up', async () => {
    const { driver, port } = await attached()
    const pool = driver.native as pg.Pool
    const clients = new Set<pg.PoolClient>()
    // An error event that no one listens to ends the process. A server that goes down may send one along with its
    // very answer that the connection stands: before the call that waits for that has come to run.
    const heard: number[] = []
    pool.on('acquire', (client) => {
      clients.add(client)
      queueMicrotask(() => heard.push(client.listenerCount('error')))
    })
    const listening = (): number[] => [...clients].map((client) => client.listenerCount('error'))

    await port.transaction(async (tx) => {
      await tx.execute(sql`SELECT 1`)
      heard.push(...listening())
    })
    heard.push(...listening())
    await expectPortError(port.execute(sql`SELECT pg_sleep(10)`, { timeoutMs: 100 }), 'timeout')
    heard.push(...listening())
    expect(heard.length).toBeGreaterThanOrEqual(5)
    expect(Math.min(...heard)).toBeGreaterThanOrEqual(1)
  })

  test('closes at once, though a call hangs and a reader has gone away', async () => {
    const guarded = await attached()
    const { port } = guarded
    const rows = port.stream(sql`SELECT generate_series(1, 1000)`, { batchRows: 1 })[Symbol.asyncIterator]()
    await rows.next()
    const hanging = port.query(sql`SELECT pg_sleep(600)::text`)
    const ended = expectPortError(hanging, 'closed')
    await guarded.close({ drainMs: 50 })
    await ended
  })

  test('says by name who is connected, in UTC', async () => {
    const { port } = await attached()
    expect(
      await port.one(
        sql`SELECT current_setting('application_name') AS name, current_setting('TimeZone') AS zone`,
      ),
    ).toEqual({ name: 'orders', zone: 'UTC' })
    const named = await attached({ applicationName: 'the shop' })
    expect(await named.port.one(sql`SELECT current_setting('application_name') AS name`)).toEqual({
      name: 'the shop',
    })
  })
})

test('the server says its version', async () => {
  const { driver } = await attached()
  const identity = await driver.identify({ signal: AbortSignal.timeout(5_000) })
  expect(identity).toEqual({ engine: 'postgresql', version: '17.10' })
})

describe('a pool of the app’s own', () => {
  test('is used, left as it is, and not ended', async () => {
    const pool = new pg.Pool({ connectionString: place.url })
    try {
      const guarded = guard(SqlDatabase, postgresSqlDatabase(pool))
      expect(guarded.native).toBe(pool)
      expect(await guarded.port.one(sql`SELECT 1::bigint AS one, NULL AS nothing`)).toEqual({
        one: 1n,
        nothing: undefined,
      })
      // What pg itself gives to others is as before.
      expect((await pool.query('SELECT 1::bigint AS one, NULL AS nothing')).rows).toEqual([
        { one: '1', nothing: null },
      ])
      await guarded.close()
      await expectPortError(guarded.port.one(sql`SELECT 1`), 'closed')
      expect((await pool.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
      expect([pool.listenerCount('error'), pool.listenerCount('connect')]).toEqual([0, 0])
    } finally {
      await pool.end()
    }
  })

  test('gets nothing back that is in the middle of a transaction', async () => {
    const pool = new pg.Pool({ connectionString: place.url, max: 1 })
    try {
      const driver = postgresSqlDatabase(pool)
      const rows = driver.calls.stream(sql`SELECT generate_series(1, 9) AS n`, { batchRows: 1 })
      await rows[Symbol.asyncIterator]().next()
      await driver.close()
      // In a transaction that had begun before, the time would stand still.
      const next = await pool.query('SELECT now() = statement_timestamp() AS alone')
      expect(next.rows).toEqual([{ alone: true }])
    } finally {
      await pool.end()
    }
  })
})

describe('a URL', () => {
  test.each([
    ['postgres://u:p@localhost', 'database'],
    ['postgres://u:p@localhost/', 'database'],
    ['postgres://u:p@localhost/a/b', 'database'],
    ['postgres://localhost/orders', 'user'],
    ['postgres:///orders', 'host'],
    ['postgres://u:p@localhost/orders?sslrootcert=/ca.pem', 'sslrootcert'],
  ])('that lacks something is a problem: %s', (text, what) => {
    expect(postgres.validate?.(parse(text)).join()).toContain(what)
  })

  test.each([
    ['postgres://u:p@localhost/orders'],
    ['postgresql://u@db.internal:6432/orders?sslmode=verify-full&sslrootcert=/ca.pem'],
    ['postgres://u:p@[::1]/orders?maxConnections=1&connectTimeoutMs=1'],
  ])('that is complete is none: %s', (text) => {
    expect(postgres.validate?.(parse(text))).toEqual([])
  })

  test.each([
    ['maxConnections=0'],
    ['maxConnections=ten'],
    ['sslmode=prefer'],
    ['connectTimeoutMs=-1'],
    ['ssl=true'],
  ])('with a parameter that is none is a problem: %s', (query) => {
    expect(
      ServiceUrl.parse(`postgres://u:p@localhost/orders?${query}`, postgres.parameters).problems,
    ).toHaveLength(1)
  })

  test('decides on TLS by sslmode, and without one by whether the host is this machine', () => {
    const ssl = (rest: string): unknown => clientConfig(parse(`postgres://u:p@${rest}`), 'orders').ssl
    expect(ssl('localhost/orders')).toBe(false)
    expect(ssl('127.0.0.1/orders')).toBe(false)
    expect(ssl('[::1]/orders')).toBe(false)
    expect(ssl('db.example.com/orders')).toEqual({ rejectUnauthorized: true })
    expect(ssl('db.example.com/orders?sslmode=disable')).toBe(false)
    expect(ssl('db.example.com/orders?sslmode=require')).toEqual({ rejectUnauthorized: false })
    expect(ssl('localhost/orders?sslmode=verify-full')).toEqual({ rejectUnauthorized: true })
  })

  test('that asks for TLS of a server without it fails, and sends no password', async () => {
    const { port } = await attached({ sslmode: 'require' })
    await expectPortError(port.query(sql`SELECT 1`), 'precondition-failed', { outcome: 'not-applied' })
  })

  test('decides alone: the environment’s variables for PostgreSQL are not read', async () => {
    const { password } = new URL(place.url)
    vi.stubEnv('PGPASSWORD', password)
    vi.stubEnv('PGSSLMODE', 'require')
    vi.stubEnv('PGAPPNAME', 'someone else')
    vi.stubEnv('PGOPTIONS', '-c TimeZone=Asia/Tokyo')
    try {
      const right = await attached()
      expect(
        await right.port.one(
          sql`SELECT current_setting('application_name') AS name, current_setting('TimeZone') AS zone`,
        ),
      ).toEqual({ name: 'orders', zone: 'UTC' })
      const without = await attached({}, (url) => {
        url.password = ''
      })
      await expectPortError(without.port.query(sql`SELECT 1`), 'unauthenticated', { outcome: 'not-applied' })
    } finally {
      vi.unstubAllEnvs()
    }
  })
})

describe('an answer that is lost', () => {
  test('at the commit leaves the outcome unknown, and here it was applied', async () => {
    const direct = await attached()
    await direct.port.execute(sql`CREATE TABLE lost (id int)`)
    const between = await proxy((client, upstream) => {
      // The server has answered by then; the answer is what is lost.
      upstream.once('data', () => client.destroy())
      upstream.resume()
    })
    try {
      const { port } = await attached({}, (url) => {
        url.port = String(between.port)
      })
      // With its terminator: "READ COMMITTED" is no commit.
      between.arm('COMMIT\0')
      const call = port.transaction((transaction) => transaction.execute(sql`INSERT INTO lost VALUES (1)`))
      await expectPortError(call, 'unavailable', { outcome: 'unknown', operation: 'transaction' })
      expect(await direct.port.query(sql`SELECT id FROM lost`)).toEqual([{ id: 1 }])
    } finally {
      between.close()
    }
  })

  test('to a statement ends it with its deadline, unknown, and closing does not wait for the server', async () => {
    const between = await proxy(() => {})
    try {
      const guarded = await attached({}, (url) => {
        url.port = String(between.port)
      })
      await guarded.port.query(sql`SELECT 1`)
      between.arm('swallowed')
      await expectPortError(guarded.port.execute(sql`SELECT 'swallowed'`, { timeoutMs: 100 }), 'timeout', {
        outcome: 'unknown',
      })
      await guarded.close({ drainMs: 50 })
    } finally {
      between.close()
    }
  })
})

describe('closing leaves nothing that keeps a program alive', () => {
  const program = fileURLToPath(new URL('./fixtures/open-and-close.ts', import.meta.url))

  test.each(['used', 'unused', 'cancelled', 'unreachable'])('%s', async (how) => {
    const url = how === 'unreachable' ? 'postgres://someone:secret@127.0.0.1:1/orders' : place.url
    const child = spawn(process.execPath, [program, url, how])
    let output = ''
    for (const from of [child.stdout, child.stderr]) {
      from.on('data', (data) => {
        output += data
      })
    }
    const code = await new Promise((exited) => child.once('close', exited))
    expect({ code, output }).toEqual({ code: 0, output: 'closed, no handle left\n' })
  })
})
