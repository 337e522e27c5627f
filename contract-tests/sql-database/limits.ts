/** What the server or the pool has no more of, and the codes of a database as a whole. */
import assert from 'node:assert/strict'
import type { PortErrorCode } from '../../src/errors.ts'
import { type SqlStatement, sql } from '../../src/ports/sql.ts'
import { lent } from '../common/kit.ts'
import { collect, expectPortError } from '../expect.ts'
import { insideOf } from './inside.ts'
import type { SqlBehaviour } from './seats.ts'

/** Every code that a `SqlDatabase` on a server can fail with. What it can never mean is missing here. */
export const sqlDatabaseCodes: readonly PortErrorCode[] = [
  'already-exists',
  'cancelled',
  'closed',
  'conflict',
  'corrupt',
  'invalid-argument',
  'not-found',
  'permission-denied',
  'precondition-failed',
  'quota-exceeded',
  'rate-limited',
  'rejected',
  'timeout',
  'unauthenticated',
  'unavailable',
  'unsupported',
]

const refused = { outcome: 'not-applied', retryable: false } as const

/** A statement that raises the error of a damaged page, which cannot be had without damaging one. */
const damaged: SqlStatement = sql`
  DO $$ BEGIN RAISE EXCEPTION 'invalid page in block 0' USING ERRCODE = 'data_corrupted'; END $$`

export const limitBehaviours: readonly SqlBehaviour[] = [
  {
    id: 'limit/pool-in-use',
    sentence:
      'With every connection in use a call ends by its deadline or as rate-limited, was not applied, and later ones work.',
    needs: ['inside'],
    check: (context) =>
      lent(
        () => insideOf(context).openNarrow({ maxConnections: 2, connectTimeoutMs: 250 }),
        async ({ port }) => {
          await port.execute(sql`CREATE TABLE seats (id int)`)
          const insert = sql`INSERT INTO seats VALUES (1)`
          const free = Promise.withResolvers<void>()
          const begun = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
          const holders = begun.map((begin) =>
            port.transaction(async (transaction) => {
              await transaction.query(sql`SELECT 1`)
              begin.resolve()
              await free.promise
            }),
          )
          await Promise.all(begun.map((begin) => begin.promise))
          const expected = { outcome: 'not-applied', retryable: true } as const
          const abort = new AbortController()
          const calls = [
            expectPortError(port.execute(insert, { timeoutMs: 100 }), 'timeout', expected),
            expectPortError(port.execute(insert), 'rate-limited', expected),
            expectPortError(
              port.transaction((inner) => inner.execute(insert)),
              'rate-limited',
              expected,
            ),
            expectPortError(collect(port.stream(sql`SELECT 1`)), 'rate-limited', expected),
            expectPortError(
              port.copyIn({ table: 'seats', columns: ['id'] }, [[1]]),
              'rate-limited',
              expected,
            ),
            expectPortError(port.execute(insert, { signal: abort.signal }), 'cancelled', {
              outcome: 'not-applied',
            }),
          ]
          abort.abort()
          await Promise.all(calls)
          free.resolve()
          await Promise.all(holders)
          await Promise.all(Array.from({ length: 20 }, () => port.query(sql`SELECT 1`)))
          assert.deepEqual(await port.query(sql`SELECT * FROM seats`), [])
        },
      ),
  },
  {
    id: 'limit/server-takes-no-more',
    sentence: 'A server that has no connection left is rate-limited, retryable, and not applied.',
    needs: ['inside'],
    check: (context) =>
      insideOf(context).whileFull(async (late) => {
        const expected = { outcome: 'not-applied', retryable: true } as const
        await expectPortError(late.port.query(sql`SELECT 1`), 'rate-limited', expected)
        await expectPortError(late.ping(), 'rate-limited', expected)
      }),
  },
  {
    id: 'limit/disk',
    sentence:
      'A statement that needs more disk than there is for it is quota-exceeded, and the next one works.',
    needs: ['inside'],
    check: (context) =>
      insideOf(context).whileDiskIsFull(async ({ port }) => {
        const big = sql`SELECT count(*) FROM (SELECT * FROM generate_series(1, 400000) AS n ORDER BY n::text) AS sorted`
        await expectPortError(port.query(big), 'quota-exceeded', refused)
        assert.deepEqual(await port.one(sql`SELECT 1 AS one`), { one: 1 })
      }),
  },
  {
    id: 'error/unsupported',
    sentence: 'What the database does not support is unsupported.',
    async check({ port }) {
      const error = await expectPortError(
        port.query(sql`SELECT count(*) FROM pg_class FOR UPDATE`),
        'unsupported',
        refused,
      )
      assert.equal(error.details.sqlstate, '0A000')
    },
  },
  {
    id: 'error/corrupt',
    sentence: 'Data that the server finds damaged is corrupt, and not retryable.',
    async check({ port }) {
      const error = await expectPortError(port.execute(damaged), 'corrupt', refused)
      assert.equal(error.details.sqlstate, 'XX001')
    },
  },
]
