/** SqlDatabase with a read replica attached. */
import { readFileSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { postgres } from '../adapters/postgres/index.ts'
import type { Fingerprint } from '../src/adapter.ts'
import { systemClock } from '../src/calls/clock.ts'
import type { Guarded } from '../src/calls/guard.ts'
import { sql } from '../src/ports/sql.ts'
import { SqlDatabase, type SqlQueries } from '../src/ports/sql-database.ts'
import { ServiceUrl } from '../src/services/url.ts'
import { defineContract, type Subject } from './contract.ts'
import { collect, expectPortError } from './expect.ts'
import { type Replicated, startReplicated } from './servers/postgres-replica.setup.ts'
import { pins, startServer } from './servers.ts'
import { changed, empty, openNowhere, openOn, openPostgres, run } from './sql-database.setup.ts'
import { sqlDatabaseContract } from './sql-database.ts'
import { describeContract } from './vitest.ts'

let servers: Replicated
const open: Guarded<SqlDatabase>[] = []
beforeAll(async () => {
  servers = await startReplicated()
})
afterEach(async () => {
  for (const guarded of open.splice(0)) await guarded.close()
})
afterAll(() => servers?.dispose())

/** The URL of the primary's database, without the replica. */
const bare = (): string => Object.assign(new URL(servers.url), { search: '' }).href

async function attached(parameters: Readonly<Record<string, string | number>> = {}): Promise<SqlDatabase> {
  const guarded = await openPostgres(changed(servers.url, {}, parameters))
  open.push(guarded)
  return guarded.port
}

async function onReplica(db: SqlQueries): Promise<boolean> {
  return (await db.one<{ yes: boolean }>(sql`SELECT pg_is_in_recovery() AS yes`)).yes
}

const reading = { readOnly: true } as const
const readsThere = (db: SqlDatabase): Promise<boolean> => db.transaction(onReplica, reading)

/** Of a driver of its own. */
async function fingerprintOf(url: string): Promise<Fingerprint | undefined> {
  const parsed = ServiceUrl.parse(url, postgres.parameters)
  if (!('url' in parsed)) throw new Error('no URL')
  const driver = await postgres.open(parsed.url, { service: 'orders', clock: systemClock })
  try {
    return await driver.fingerprint?.({ signal: AbortSignal.timeout(20_000) })
  } finally {
    await driver.close()
  }
}

/** Waits until the replica has what the primary has. */
async function caughtUp(db: SqlDatabase): Promise<void> {
  await expect.poll(() => readsThere(db), { timeout: 20_000, interval: 20 }).toBe(true)
}

const admin = (url: string): string => url.replace(/\?.*/, '')

/** Holds the replica back while `work` runs: what it receives it does not apply. */
async function whileBehind(work: () => Promise<void>): Promise<void> {
  const url = admin(servers.replica.adminUrl())
  await run(url, 'SELECT pg_wal_replay_pause()')
  try {
    await work()
  } finally {
    await run(url, 'SELECT pg_wal_replay_resume()')
  }
}

describe('a read-only transaction', () => {
  test('goes to the replica, and nothing else does', async () => {
    const db = await attached()
    await caughtUp(db)
    expect(await db.transaction(onReplica, { ...reading, isolation: 'repeatable read' })).toBe(true)
    // A standby has none.
    expect(await db.transaction(onReplica, { ...reading, isolation: 'serializable' })).toBe(false)
    expect(await db.transaction(onReplica)).toBe(false)
    expect(await onReplica(db)).toBe(false)
    expect(await collect(db.stream(sql`SELECT pg_is_in_recovery() AS yes`))).toEqual([{ yes: false }])
  })

  test('reads on the replica what was streamed to it, by cursor and under savepoints too', async () => {
    const db = await attached()
    await db.execute(sql`CREATE TABLE IF NOT EXISTS reads (id int)`)
    await db.copyIn(
      { table: 'reads', columns: ['id'] },
      Array.from({ length: 1_000 }, (_, id) => [id]),
    )
    await caughtUp(db)
    await db.transaction(async (transaction) => {
      expect(await onReplica(transaction)).toBe(true)
      expect(await collect(transaction.stream(sql`SELECT id FROM reads`))).toHaveLength(1_000)
      expect(
        await transaction.savepoint((inner) => inner.one(sql`SELECT count(*)::int AS n FROM reads`)),
      ).toEqual({ n: 1_000 })
      await expectPortError(
        transaction.savepoint((inner) => inner.execute(sql`INSERT INTO reads VALUES (1)`)),
        'precondition-failed',
      )
    }, reading)
    await db.execute(sql`DROP TABLE reads`)
  })

  test('reads what this client wrote, whether the replica has it or not', async () => {
    const db = await attached()
    await db.execute(sql`CREATE TABLE own (id int)`)
    const count = (): Promise<{ n: number; there: boolean }> =>
      db.transaction(
        (transaction) =>
          transaction.one(sql`SELECT count(*)::int AS n, pg_is_in_recovery() AS there FROM own`),
        { ...reading, isolation: 'repeatable read' },
      )
    const writes = [
      () => db.execute(sql`INSERT INTO own VALUES (1)`),
      () => db.query(sql`WITH w AS (INSERT INTO own VALUES (2) RETURNING id) SELECT id FROM w`),
      () => db.copyIn({ table: 'own', columns: ['id'] }, [[3]]),
      () => db.transaction((transaction) => transaction.execute(sql`INSERT INTO own VALUES (4)`)),
      () =>
        db.transaction(async (transaction) => {
          await transaction.execute(sql`SET LOCAL synchronous_commit = off`)
          await transaction.execute(sql`INSERT INTO own VALUES (5)`)
        }),
    ]
    await whileBehind(async () => {
      for (const [done, write] of writes.entries()) {
        await write()
        expect(await count()).toEqual({ n: done + 1, there: false })
      }
    })
    await caughtUp(db)
    expect(await count()).toEqual({ n: 5, there: true })
    // In a race with the replica, one row never goes missing again.
    for (let n = 6; n < 60; n += 1) {
      await db.execute(sql`INSERT INTO own VALUES (${n})`)
      expect((await count()).n).toBe(n)
    }
    await db.execute(sql`DROP TABLE own`)
  })

  test('may miss what another client wrote, but not for longer than replicaMaxLagMs', async () => {
    const [writer, patient, strict] = [
      await attached(),
      await attached({ replicaMaxLagMs: 600_000 }),
      await attached({ replicaMaxLagMs: 300 }),
    ]
    await writer.execute(sql`CREATE TABLE others AS SELECT 1 AS id`)
    await caughtUp(writer)
    const count = (db: SqlDatabase): Promise<unknown> =>
      db.transaction((transaction) => transaction.one(sql`SELECT count(*)::int AS n FROM others`), reading)
    await whileBehind(async () => {
      await writer.execute(sql`INSERT INTO others VALUES (2)`)
      // Received, not applied: until then it counts as current.
      await new Promise((passed) => setTimeout(passed, 800))
      expect(await readsThere(patient)).toBe(true)
      expect(await count(patient)).toEqual({ n: 1 })
      expect(await readsThere(strict)).toBe(false)
      expect(await count(strict)).toEqual({ n: 2 })
    })
    await caughtUp(strict)
    await writer.execute(sql`DROP TABLE others`)
  })
})

test('a read that stands in the way of what the replica must apply runs again on the primary', async () => {
  const [db, writer] = [await attached(), await attached()]
  await writer.execute(sql`CREATE TABLE conflict AS SELECT 1 AS id`)
  const at = admin(servers.replica.adminUrl())
  await run(at, 'ALTER SYSTEM SET max_standby_streaming_delay = 0')
  await run(at, 'SELECT pg_reload_conf()')
  try {
    await caughtUp(writer)
    const ran: boolean[] = []
    const count = await db.transaction(async (transaction) => {
      const there = await onReplica(transaction)
      ran.push(there)
      const { n } = await transaction.one<{ n: number }>(sql`SELECT count(*)::int AS n FROM conflict`)
      if (there) {
        await writer.execute(sql`TRUNCATE conflict`)
        await transaction.query(sql`SELECT pg_sleep(20)::text`)
      }
      return n
    }, reading)
    expect(ran).toEqual([true, false])
    expect(count).toBe(0)
  } finally {
    await run(at, 'ALTER SYSTEM RESET max_standby_streaming_delay')
    await run(at, 'SELECT pg_reload_conf()')
    await writer.execute(sql`DROP TABLE conflict`)
  }
})

describe('when the replica is lost', () => {
  const lose = async (work: () => Promise<void>): Promise<void> => {
    await servers.replica.kill()
    try {
      await work()
    } finally {
      await servers.replica.restart()
    }
  }

  test('the primary is read, at once, and the replica again when it is back', async () => {
    const db = await attached()
    await caughtUp(db)
    await lose(async () => {
      for (let reads = 0; reads < 20; reads += 1) expect(await readsThere(db)).toBe(false)
      expect(await onReplica(db)).toBe(false)
    })
    await caughtUp(db)
  })

  test('from the beginning, the primary is read', async () => {
    await lose(async () => {
      const db = await attached()
      expect(await readsThere(db)).toBe(false)
    })
  })

  test('under way, the work runs again on the primary; where it may run only once it is told', async () => {
    const db = await attached()
    await caughtUp(db)
    const ran: boolean[] = []
    const gone = Promise.withResolvers<void>()
    const reads = (attempts: number): Promise<boolean> =>
      db.transaction(
        async (transaction) => {
          const there = await onReplica(transaction)
          ran.push(there)
          if (there) {
            await gone.promise
            await onReplica(transaction)
          }
          return there
        },
        { ...reading, attempts },
      )
    const settled = [
      reads(2),
      expectPortError(reads(1), 'unavailable', { outcome: 'not-applied', retryable: true }),
    ]
    await vi.waitFor(() => expect(ran).toEqual([true, true]))
    await lose(async () => {
      gone.resolve()
      expect((await Promise.all(settled))[0]).toBe(false)
      expect(ran).toEqual([true, true, false])
    })
  })

  test('a server that is no replica of it any more is not read', async () => {
    // The primary itself says that it is not in recovery, as a replica does that was promoted.
    const { host } = new URL(servers.url)
    const guarded = await openPostgres(`${bare()}?replica=${encodeURIComponent(host)}&maxConnections=1`)
    open.push(guarded)
    const pids = new Set<number>()
    for (let reads = 0; reads < 5; reads += 1) {
      const { pid } = await guarded.port.transaction(
        (transaction) => transaction.one<{ pid: number }>(sql`SELECT pg_backend_pid() AS pid`),
        reading,
      )
      pids.add(pid)
    }
    expect(pids).toEqual(
      new Set([(await guarded.port.one<{ pid: number }>(sql`SELECT pg_backend_pid() AS pid`)).pid]),
    )
  })

  test('a standby of another primary is not read, however current it is', async () => {
    await using other = await startServer('postgres', { durable: false })
    const { username, password } = new URL(servers.url)
    const root = admin(other.adminUrl())
    await run(root, `CREATE ROLE ${username} LOGIN PASSWORD '${password}'`)
    await run(root, 'CREATE DATABASE orders')
    await caughtUp(await attached())
    const mistaken = Object.assign(new URL(servers.url), { port: new URL(root).port }).href
    const guarded = await openPostgres(mistaken)
    open.push(guarded)
    for (let reads = 0; reads < 5; reads += 1) expect(await readsThere(guarded.port)).toBe(false)
    expect((await fingerprintOf(mistaken))?.drift).toMatchObject([
      { what: 'replica', found: 'a standby of another primary' },
    ])
  })

  test.runIf(process.platform === 'linux')(
    'without an answer rather than refused, a call waits a moment, and others not at all',
    async () => {
      const db = await attached()
      await caughtUp(db)
      process.kill(servers.replica.pid, 'SIGSTOP')
      const halted = backends(servers.replica.pid)
      for (const pid of halted) process.kill(pid, 'SIGSTOP')
      try {
        expect(await readsThere(db)).toBe(false)
        for (let reads = 0; reads < 10; reads += 1) expect(await readsThere(db)).toBe(false)
      } finally {
        for (const pid of [...halted, servers.replica.pid]) process.kill(pid, 'SIGCONT')
      }
      await caughtUp(db)
    },
  )
})

/** One subject to evidence. */
const subject: Subject<SqlDatabase> = {
  name: `pg on PostgreSQL ${pins.postgres} with a replica`,
  id: 'postgres-with-replica',
  kind: 'real',
  adapter: 'postgres',
  server: async () => ({ product: 'postgresql', version: pins.postgres }),
  openUnreachable: () => openNowhere(),
  async open() {
    await empty(bare())
    return openOn(servers.url, { admin: admin(servers.primary.adminUrl()) })
  },
}

const needless = sqlDatabaseContract.behaviours.filter(({ needs }) => !needs?.includes('server'))
describeContract(defineContract(SqlDatabase, needless), subject)

describe('the fingerprint', () => {
  const drift = (found: string): object => ({
    severity: 'medium',
    what: 'replica',
    expected: 'a standby of this primary',
    found,
  })

  test('tells of the replica and its version, and of none where there is none', async () => {
    const found = await fingerprintOf(servers.url)
    expect(found?.drift).toEqual([])
    expect(found?.facts).toMatchObject({
      'replica.attached': { value: 'true' },
      'replica.version': { value: pins.postgres },
    })
    expect(JSON.stringify(await fingerprintOf(bare()))).not.toContain('replica.')
  })

  test('drifts where the replica is no standby, or does not answer, which nobody else would notice', async () => {
    const at = (place: string): string => changed(bare(), {}, { replica: place })
    expect((await fingerprintOf(at(new URL(bare()).host)))?.drift).toEqual([
      drift('a server that is no standby'),
    ])
    const gone = await fingerprintOf(at('127.0.0.1:1'))
    expect(gone?.drift).toEqual([drift('no answer (unavailable)')])
    expect(gone?.unknown).toHaveProperty(['replica.version'])
    expect(gone?.facts).toHaveProperty(['encoding'])
  })
})

test('a bad replica in the URL is told before anything is connected', async () => {
  for (const replica of ['', 'user:secret@host', 'host:port', 'a/b/c', 'host?sslmode=disable']) {
    await expect(openPostgres(changed(bare(), {}, { replica })), replica).rejects.toThrow(/replica/)
  }
})

/** The processes that a server made for its connections and its own work. */
function backends(parent: number): number[] {
  const children = readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8')
  return children.trim().split(' ').map(Number)
}
