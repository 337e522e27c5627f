/** SqlDatabase through PgBouncer in transaction mode. */
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest'
import type { Guarded } from '../src/calls/guard.ts'
import { sql } from '../src/ports/sql.ts'
import { SqlDatabase } from '../src/ports/sql-database.ts'
import { defineContract, type Subject } from './contract.ts'
import { collect, expectPortError } from './expect.ts'
import { findPgBouncer, noPgBouncer, type PgBouncer, startPgBouncer } from './servers/pgbouncer.setup.ts'
import { type FreshPlace, freshPostgres, pins, startServer } from './servers.ts'
import { empty, openNowhere, openOn, openPostgres, run } from './sql-database.setup.ts'
import { sqlDatabaseContract } from './sql-database.ts'
import { describeContract } from './vitest.ts'

const program = await findPgBouncer()

describe.skipIf(program === undefined)(program === undefined ? noPgBouncer : 'PgBouncer', () => {
  let place: FreshPlace
  let bouncer: PgBouncer
  beforeAll(async () => {
    place = await freshPostgres()
    bouncer = await startPgBouncer(program ?? '', { users: [place.url] })
  })
  afterAll(async () => {
    await bouncer?.dispose()
    await place?.drop()
  })

  const open: Guarded<SqlDatabase>[] = []
  afterEach(async () => {
    for (const guarded of open.splice(0)) await guarded.close()
  })
  const attached = async (url: string): Promise<SqlDatabase> => {
    const guarded = await openPostgres(url)
    open.push(guarded)
    return guarded.port
  }
  /** One of a test's own, with so few connections to the server. */
  const narrow = (poolSize: number, settings: readonly string[] = []): Promise<PgBouncer> =>
    startPgBouncer(program ?? '', { users: [place.url], poolSize, settings })

  describe('a pooler in transaction mode', () => {
    test('that the URL does not tell of is told of', async () => {
      const db = await attached(Object.assign(new URL(bouncer.via(place.url)), { search: '' }).href)
      const error = await expectPortError(db.query(sql`SELECT 1`), 'precondition-failed', {
        outcome: 'not-applied',
      })
      expect(error.message).toContain('pooler=transaction')
    })

    test('serves many clients by few sessions, whatever they do', async () => {
      await using few = await narrow(2)
      await empty(place.url)
      const clients = await Promise.all(
        Array.from({ length: 6 }, () => attached(`${few.via(place.url)}&maxConnections=4`)),
      )
      await clients[0]?.execute(sql`CREATE TABLE seats (client int, id int)`)
      const pids = new Set<number>()
      await Promise.all(
        clients.map(async (db, client) => {
          for (let round = 0; round < 5; round += 1) {
            const [{ pid }] = await Promise.all([
              db.one<{ pid: number }>(sql`SELECT pg_backend_pid() AS pid`),
              db.transaction(async (transaction) => {
                await transaction.execute(sql`INSERT INTO seats VALUES (${client}, 1)`)
                await transaction.savepoint((inner) =>
                  inner.execute(sql`INSERT INTO seats VALUES (${client}, 2)`),
                )
              }),
              db.copyIn({ table: 'seats', columns: ['client', 'id'] }, [
                [client, 3],
                [client, 4],
              ]),
              collect(
                db.stream(sql`SELECT ${client}::int AS client FROM generate_series(1, 20)`, { batchRows: 3 }),
              ).then((rows) => expect(rows).toEqual(Array.from({ length: 20 }, () => ({ client })))),
            ])
            pids.add(pid)
          }
        }),
      )
      expect(await few.servers()).toBeLessThanOrEqual(2)
      expect(pids.size).toBeLessThanOrEqual(2)
      expect(
        await clients[0]?.query(sql`SELECT client, count(*)::int AS n FROM seats GROUP BY 1 ORDER BY 1`),
      ).toEqual(clients.map((_, client) => ({ client, n: 20 })))
    })

    test('does not mix the settings of its clients', async () => {
      await using one = await narrow(1)
      const db = await attached(one.via(place.url))
      const seen = (): Promise<unknown> =>
        db.one(sql`SELECT pg_backend_pid() AS pid, '2020-01-02 03:04:05+00'::timestamptz::text AS text`)
      const before = await seen()
      expect(before).toMatchObject({ text: '2020-01-02 03:04:05+00' })
      const neighbour = new pg.Client(Object.assign(new URL(one.via(place.url)), { search: '' }).href)
      await neighbour.connect()
      try {
        await neighbour.query("SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'SQL, DMY'")
        for (let turn = 0; turn < 3; turn += 1) {
          expect(await seen()).toEqual(before)
          const { rows } = await neighbour.query("SELECT current_setting('TimeZone') AS zone")
          expect(rows).toEqual([{ zone: 'Asia/Tokyo' }])
        }
      } finally {
        await neighbour.end()
      }
    })

    test('before a role whose sessions are otherwise than results need is refused, with what to set', async () => {
      const role = new URL(place.url).username
      await run(inject('postgresUrl'), `ALTER ROLE ${role} SET bytea_output = escape`)
      try {
        await using other = await narrow(1)
        const db = await attached(other.via(place.url))
        const refused = expectPortError(db.query(sql`SELECT 1`), 'precondition-failed', {
          outcome: 'not-applied',
        })
        expect((await refused).message).toContain('bytea_output = hex')
      } finally {
        await run(inject('postgresUrl'), `ALTER ROLE ${role} RESET bytea_output`)
      }
    })

    test('is given no statement that leaves something in a session, in a transaction or outside', async () => {
      const db = await attached(bouncer.via(place.url))
      const direct = await attached(place.url)
      const lock = sql`SELECT pg_advisory_lock(4711)::text`
      const refused = { outcome: 'not-applied' } as const
      await expectPortError(db.query(lock), 'unsupported', refused)
      await expectPortError(collect(db.stream(lock)), 'unsupported', refused)
      await expectPortError(
        db.transaction((transaction) => transaction.query(lock)),
        'unsupported',
        refused,
      )
      await direct.query(lock)
      expect(
        await db.transaction(async (transaction) => {
          await transaction.execute(sql`SET LOCAL work_mem = '123kB'`)
          return transaction.one(sql`SELECT current_setting('work_mem') AS mem`)
        }),
      ).toEqual({ mem: '123kB' })
      expect(await db.one(sql`SELECT current_setting('work_mem') AS mem`)).not.toEqual({ mem: '123kB' })
    })

    test('passes a cancellation on to the statement it is for, and to no other', async () => {
      await using few = await narrow(3)
      const [leaving, staying] = [await attached(few.via(place.url)), await attached(few.via(place.url))]
      let over = false
      const undisturbed = Promise.all(
        [1, 2].map(async () => {
          for (let count = 0; ; count += 1) {
            if (over) return count
            await staying.query(sql`SELECT pg_sleep(0.002)::text`)
          }
        }),
      )
      for (let round = 0; round < 15; round += 1) {
        const abort = new AbortController()
        const sleeping = leaving.query(sql`SELECT pg_sleep(600)::text`, { signal: abort.signal })
        setTimeout(() => abort.abort(), 5 * round)
        await expectPortError(sleeping, 'cancelled', { outcome: 'not-applied' })
      }
      over = true
      for (const count of await undisturbed) expect(count).toBeGreaterThan(0)
    })

    test('that dies is unavailable, of known effect, and used again when it is back', async () => {
      await using own = await narrow(4)
      await empty(place.url)
      const db = await attached(own.via(place.url))
      await db.execute(sql`CREATE TABLE seats (id int)`)
      await db.execute(sql`INSERT INTO seats VALUES (1)`)
      const slow = expectPortError(
        db.execute(sql`INSERT INTO seats SELECT 2 FROM pg_sleep(600)`),
        'unavailable',
        {
          outcome: 'unknown',
        },
      )
      const inTransaction = expectPortError(
        db.transaction(async (transaction) => {
          await transaction.execute(sql`INSERT INTO seats VALUES (3)`)
          await transaction.query(sql`SELECT pg_sleep(600)::text`)
        }),
        'unavailable',
        { outcome: 'not-applied' },
      )
      await new Promise((passed) => setTimeout(passed, 300))
      await own.kill()
      await Promise.all([slow, inTransaction])
      await expectPortError(db.query(sql`SELECT 1`), 'unavailable', {
        outcome: 'not-applied',
        retryable: true,
      })
      // The server itself hears of no death while it sleeps: what it was doing goes on, with its locks.
      await run(
        inject('postgresUrl'),
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query LIKE '%pg_sleep(600)%'",
      )
      await own.restart()
      expect(await db.query(sql`SELECT id FROM seats`)).toEqual([{ id: 1 }])
    })
  })

  const identity = {
    id: 'postgres-on-pgbouncer',
    kind: 'real',
    adapter: 'postgres',
    server: async () => ({ product: 'postgresql', version: pins.postgres }),
  } as const

  const shared: Subject<SqlDatabase> = {
    name: `pg by PgBouncer on PostgreSQL ${pins.postgres}`,
    ...identity,
    openUnreachable: () => openNowhere(),
    async open() {
      await empty(place.url)
      return openOn(bouncer.via(place.url), {
        admin: inject('postgresUrl'),
        onRoleChanged: () => bouncer.reconnect(),
      })
    },
  }

  /** A server behind it that may be killed. */
  const own: Subject<SqlDatabase> = {
    name: `pg by PgBouncer on a PostgreSQL ${pins.postgres} of its own`,
    ...identity,
    async open() {
      const server = await startServer('postgres', { durable: true })
      const url = await server.provision('orders')
      const before = await startPgBouncer(program ?? '', {
        users: [url],
        // While the server is down it lets calls wait, by its own choice for two minutes.
        settings: ['query_wait_timeout = 1'],
      })
      const open = await openOn(before.via(url), { admin: server.adminUrl() })
      return {
        ...open,
        server,
        async dispose() {
          await open.dispose?.()
          await before.dispose()
          await server.dispose()
        },
      }
    },
  }

  const { behaviours } = sqlDatabaseContract
  const needsServer = behaviours.filter(({ needs }) => needs?.includes('server'))
  const others = behaviours.filter((behaviour) => !needsServer.includes(behaviour))

  describeContract(defineContract(SqlDatabase, others), shared)
  describeContract(defineContract(SqlDatabase, needsServer), own)
})
