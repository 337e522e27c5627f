/** What becomes of the connection that a call used: kept where it is good, replaced where it is not, never held for nobody. */
import assert from 'node:assert/strict'
import { setImmediate } from 'node:timers/promises'
import type { Guarded } from '../../src/calls/guard.ts'
import type { PortErrorCode } from '../../src/errors.ts'
import { type SqlStatement, type SqlValue, sql } from '../../src/ports/sql.ts'
import type { SqlDatabase, SqlQueries } from '../../src/ports/sql-database.ts'
import { lent } from '../common/kit.ts'
import { overNetwork, upAgain } from '../common/network.ts'
import { collect, expectPortError } from '../expect.ts'
import { insideOf } from './inside.ts'
import { eventually, makeSeats, running, type SqlBehaviour, type SqlContext, withOther } from './seats.ts'

const target = { table: 'seats', columns: ['id'] }
const taken = sql`INSERT INTO seats (id) VALUES (0)`

/** Calls that end by themselves, well or badly. None of them gives the connection a reason to be closed. */
const calls: Readonly<Record<string, (port: SqlDatabase) => Promise<unknown>>> = {
  'a query': (port) => port.query(sql`SELECT 1`),
  'a statement that fails': (port) => expectPortError(port.execute(taken), 'already-exists'),
  'one of no row': (port) => expectPortError(port.one(sql`SELECT 1 WHERE false`), 'not-found'),
  'a stream': (port) => collect(port.stream(sql`SELECT generate_series(1, 9)`, { batchRows: 2 })),
  'a stream that is left': async (port) => {
    for await (const _ of port.stream(sql`SELECT generate_series(1, 9)`, { batchRows: 2 })) break
  },
  'a stream that fails': (port) =>
    expectPortError(collect(port.stream(sql`SELECT 1 / 0`)), 'invalid-argument'),
  'a load': (port) => port.copyIn(target, []),
  'a load that is refused': (port) => expectPortError(port.copyIn(target, [[0]]), 'already-exists'),
  'a load whose source fails': (port) =>
    assert.rejects(
      port.copyIn(
        target,
        (async function* (): AsyncGenerator<readonly SqlValue[]> {
          yield [1]
          throw new RangeError('the source failed')
        })(),
      ),
      RangeError,
    ),
  'a transaction': (port) => port.transaction((transaction) => transaction.query(sql`SELECT 1`)),
  'a transaction whose work throws': (port) =>
    assert.rejects(
      port.transaction(async (transaction) => {
        await transaction.query(sql`SELECT 1`)
        throw new RangeError('no')
      }),
      RangeError,
    ),
  'a transaction that fails': (port) =>
    expectPortError(
      port.transaction((transaction) => transaction.execute(taken)),
      'already-exists',
    ),
  'a transaction that fails at its commit': (port) =>
    expectPortError(
      port.transaction((transaction) =>
        transaction.execute(sql`INSERT INTO seats (id, later) VALUES (1, 7), (2, 7)`),
      ),
      'already-exists',
    ),
  'a savepoint that fails': (port) =>
    port.transaction((transaction) =>
      expectPortError(
        transaction.savepoint((inner) => inner.execute(taken)),
        'already-exists',
      ),
    ),
}

const asleep = (marker: SqlStatement): SqlStatement => sql`SELECT pg_sleep(600)::text AS ${marker}`
const marked = (name: string): SqlStatement => sql.identifier(name)

async function session(db: SqlQueries): Promise<number> {
  return (await db.one<{ pid: number }>(sql`SELECT pg_backend_pid() AS pid`)).pid
}

/** A client of one connection, so that whatever keeps that is in the way of the next call. */
function withSingle(
  context: SqlContext,
  work: (single: Guarded<SqlDatabase>) => Promise<void>,
): Promise<void> {
  return lent(() => insideOf(context).openNarrow({ maxConnections: 1, connectTimeoutMs: 20_000 }), work)
}

export const connectionBehaviours: readonly SqlBehaviour[] = [
  {
    id: 'connection/is-used-again',
    sentence:
      'A call or transaction that ends by itself, well or badly, leaves its connection to the next one.',
    needs: ['inside'],
    check: (context) =>
      withSingle(context, async ({ port }) => {
        await makeSeats(port)
        await port.execute(taken)
        const first = await session(port)
        const warnings: string[] = []
        const onWarning = ({ name }: Error): void => void warnings.push(name)
        process.on('warning', onWarning)
        try {
          for (const [what, call] of Object.entries(calls)) {
            await call(port)
            assert.equal(await session(port), first, `after ${what} it is another connection`)
          }
          // Node warns of listeners that pile up on it, in a turn of its own.
          await setImmediate()
        } finally {
          process.off('warning', onWarning)
        }
        assert.ok(!warnings.includes('MaxListenersExceededWarning'), 'listeners pile up on the connection')
      }),
  },
  {
    id: 'connection/that-the-server-ended-is-replaced',
    sentence:
      'The very next call after one whose connection the server ended gets another, and so does the next transaction.',
    needs: ['inside', 'openAnother'],
    check: (context) =>
      withOther(context, (other) =>
        withSingle(context, async ({ port }) => {
          const end = async (pid: number): Promise<void> => {
            await other.query(sql`SELECT pg_terminate_backend(${pid})`)
          }
          for (let round = 0; round < 5; round += 1) {
            const pid = await session(port)
            const marker = `contract_ended_${round}`
            const next = async (): Promise<number> => {
              await expectPortError(port.query(asleep(marked(marker))), 'unavailable', { retryable: true })
              return session(port)
            }
            const [after] = await Promise.all([
              next(),
              eventually(async () => (await running(other, marker)) === 1, 'it runs').then(() => end(pid)),
            ])
            assert.notEqual(after, pid)
            const lost = port.transaction(async (transaction) => {
              await end(await session(transaction))
              await transaction.query(asleep(marked(marker)))
            })
            await expectPortError(lost, 'unavailable', { outcome: 'not-applied' })
            await port.transaction(session)
          }
        }),
      ),
  },
  {
    id: 'connection/is-not-kept-by-an-aborted-stream',
    sentence: 'Aborting a stream frees its connection, also where its reader never asks for another row.',
    needs: ['inside'],
    check: (context) =>
      withSingle(context, async ({ port }) => {
        for (let round = 0; round < 3; round += 1) {
          const abort = new AbortController()
          const options = { batchRows: 1, signal: abort.signal }
          const reader = port
            .stream(sql`SELECT generate_series(1, 1000) AS n`, options)
            [Symbol.asyncIterator]()
          assert.deepEqual((await reader.next()).value, { n: 1 })
          abort.abort()
          assert.deepEqual(await port.one(sql`SELECT 1 AS one`), { one: 1 })
          await expectPortError(reader.next(), 'cancelled')
        }
      }),
  },
  {
    id: 'connection/is-not-kept-for-a-call-that-waited-in-vain',
    sentence:
      'A call that is aborted while it waits for a connection is not applied, and keeps none from the others.',
    needs: ['inside'],
    check: (context) =>
      withSingle(context, async ({ port }) => {
        await makeSeats(port)
        for (let round = 0; round < 3; round += 1) {
          await port.transaction(async () => {
            const abort = new AbortController()
            const { signal } = abort
            const waiting = [port.execute(taken, { signal }), port.transaction(session, { signal })]
            const refused = waiting.map((call) =>
              expectPortError(call, 'cancelled', { outcome: 'not-applied' }),
            )
            abort.abort()
            await Promise.all(refused)
          })
          assert.deepEqual(await port.query(sql`SELECT id FROM seats`), [])
        }
      }),
  },
  {
    id: 'connection/that-was-aborted-is-as-good-as-new',
    sentence: 'However many calls are aborted, the next one gets a connection with nothing of theirs on it.',
    needs: ['inside'],
    check: (context) =>
      withSingle(context, async ({ port }) => {
        await makeSeats(port)
        const slow = sql`INSERT INTO seats (id) SELECT 1 FROM pg_sleep(600)`
        const aborted: readonly (readonly [PortErrorCode, () => Promise<unknown>])[] = [
          ['timeout', () => port.execute(slow, { timeoutMs: 30 })],
          ['timeout', () => port.transaction((inner) => inner.execute(slow), { timeoutMs: 30 })],
          ['timeout', () => port.transaction(() => new Promise(() => {}), { timeoutMs: 30 })],
          ['timeout', () => collect(port.stream(sql`SELECT pg_sleep(600)::text`, { timeoutMs: 30 }))],
        ]
        for (const [code, call] of aborted) {
          for (let round = 0; round < 3; round += 1) {
            await expectPortError(call(), code)
            const locks = await port.query(sql`
              SELECT mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'seats'::regclass`)
            assert.deepEqual(locks, [])
            assert.deepEqual(await port.query(sql`SELECT id FROM seats`), [])
          }
        }
      }),
  },
  {
    id: 'network/cut-while-a-call-is-being-cancelled',
    sentence:
      'A network that fails while a cancellation is on its way fails nothing else: the call is cancelled, and the client works when it is mended.',
    needs: ['network'],
    check: (context) =>
      overNetwork(context, async (guarded, network) => {
        for (let round = 0; round < 3; round += 1) {
          const marker = `contract_cancelling_${round}`
          await upAgain(guarded)
          const abort = new AbortController()
          const call = guarded.port.query(asleep(marked(marker)), { signal: abort.signal })
          const runs = eventually(async () => (await running(context.port, marker)) === 1, 'it runs')
          await Promise.all([
            expectPortError(call, 'cancelled'),
            runs.then(() => {
              network.freeze()
              abort.abort()
            }),
          ])
          network.cut()
          network.mend()
          await upAgain(guarded)
          // The server, which has not heard of any of it, goes on.
          await context.port.query(sql`
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE query LIKE ${`%${marker}%`} AND pid <> pg_backend_pid()`)
        }
      }),
  },
]
