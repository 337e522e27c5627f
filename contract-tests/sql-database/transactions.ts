/** Transactions: all or nothing, isolation, repetition, and how they end. */
import assert from 'node:assert/strict'
import { PortError, type PortErrorCode } from '../../src/errors.ts'
import { type SqlStatement, sql } from '../../src/ports/sql.ts'
import type { SqlTransaction } from '../../src/ports/sql-database.ts'
import { collect, expectPortError } from '../expect.ts'
import { eventually, makeSeats, type SqlBehaviour, seatIds, withOther } from './seats.ts'

/** Every kind of statement that fails, with the code it fails with. */
const failing: readonly (readonly [SqlStatement, PortErrorCode])[] = [
  [sql`INSERT INTO seats (id) VALUES (0)`, 'already-exists'],
  [sql`INSERT INTO seats (id, owner) VALUES (50, 'nobody')`, 'precondition-failed'],
  [sql`INSERT INTO seats (id, price) VALUES (50, NULL)`, 'invalid-argument'],
  [sql`INSERT INTO seats (id, price) VALUES (50, -1)`, 'invalid-argument'],
  [sql`INSERT INTO seats (id, taken) VALUES (50, '[1,3)')`, 'precondition-failed'],
  [sql`INSERT INTO seats (id) VALUES (${'x'})`, 'invalid-argument'],
  [sql`SELECT * FROM no_such_table`, 'invalid-argument'],
  [sql`SELECT 1 / ${0}::int`, 'invalid-argument'],
]

export const transactionBehaviours: readonly SqlBehaviour[] = [
  {
    id: 'transaction/commits',
    sentence:
      'What work did is there when the call resolves, for every client, and its result is the call’s.',
    needs: ['openAnother'],
    async check(context) {
      const { port } = context
      await makeSeats(port)
      await withOther(context, async (other) => {
        const result = await port.transaction(async (transaction) => {
          await transaction.execute(sql`INSERT INTO seats (id) VALUES (1)`)
          assert.deepEqual(await seatIds(transaction), [1])
          assert.deepEqual(await seatIds(other), [])
          assert.deepEqual(await seatIds(port), [])
          return { kept: 1 }
        })
        assert.deepEqual(result, { kept: 1 })
        assert.deepEqual(await seatIds(other), [1])
      })
    },
  },
  {
    id: 'transaction/rolls-back-what-throws',
    sentence: 'What work throws, of whatever kind, reaches the caller as it is, and nothing is kept.',
    async check({ port }) {
      await makeSeats(port)
      for (const thrown of [
        new Error('no'),
        'a string',
        undefined,
        new PortError({ code: 'rejected', message: 'no' }),
      ]) {
        const call = port.transaction(async (transaction) => {
          await transaction.execute(sql`INSERT INTO seats (id) VALUES (1)`)
          throw thrown
        })
        const outcome = await call.then(
          () => 'resolved',
          (error: unknown) => ({ error }),
        )
        assert.deepEqual(outcome, { error: thrown })
        assert.ok(typeof outcome === 'object' && outcome.error === thrown)
        assert.deepEqual(await seatIds(port), [])
      }
      const sync = (): never => {
        throw new TypeError('not even a promise')
      }
      await assert.rejects(port.transaction(sync), TypeError)
    },
  },
  {
    id: 'transaction/all-or-nothing',
    sentence:
      'A statement that fails, of each kind, first, in the middle or last, leaves nothing of the others.',
    async check({ port }) {
      await makeSeats(port)
      await port.execute(sql`INSERT INTO seats (id, taken) VALUES (0, '[1,2)')`)
      for (const [statement, code] of failing) {
        for (const position of [0, 1, 3]) {
          const call = port.transaction(async (transaction) => {
            for (const step of [0, 1, 2]) {
              if (step === position) await transaction.execute(statement)
              await transaction.execute(sql`INSERT INTO seats (id) VALUES (${step + 1})`)
            }
            if (position === 3) await transaction.execute(statement)
          })
          await expectPortError(call, code, { outcome: 'not-applied' })
          assert.deepEqual(await seatIds(port), [0], `after ${statement.text} at ${position}`)
        }
      }
    },
  },
  {
    id: 'transaction/swallowed-failure-is-told',
    sentence:
      'Work that goes on after a failed statement is rolled back, and the call rejects with that failure.',
    async check({ port }) {
      await makeSeats(port)
      const call = port.transaction(async (transaction) => {
        await transaction.execute(sql`INSERT INTO seats (id) VALUES (1)`)
        await transaction.execute(sql`INSERT INTO seats (id) VALUES (1)`).catch(() => {})
        return 'all is well'
      })
      const error = await expectPortError(call, 'already-exists', { outcome: 'not-applied' })
      assert.equal(error.details.constraint, 'seats_pkey')
      const notAwaited = port.transaction(async (transaction) => {
        transaction.execute(sql`INSERT INTO seats (id, price) VALUES (1, -1)`).catch(() => {})
      })
      await expectPortError(notAwaited, 'invalid-argument')
      assert.deepEqual(await seatIds(port), [])
    },
  },
  {
    id: 'transaction/failing-commit',
    sentence: 'A constraint that fails at the commit rejects the call, and nothing is kept.',
    async check({ port }) {
      await makeSeats(port)
      const call = port.transaction(async (transaction) => {
        await transaction.execute(sql`INSERT INTO seats (id, later) VALUES (1, 7), (2, 7)`)
        assert.deepEqual(await seatIds(transaction), [1, 2])
      })
      const error = await expectPortError(call, 'already-exists', {
        outcome: 'not-applied',
        operation: 'transaction',
      })
      assert.equal(error.details.constraint, 'seats_later_key')
      assert.deepEqual(await seatIds(port), [])
    },
  },
  {
    id: 'transaction/parallel-calls-take-turns',
    sentence: 'Calls started together on one transaction run one after another, in order.',
    async check({ port }) {
      await makeSeats(port)
      await port.execute(sql`CREATE TABLE log (at serial, id int)`)
      const ids = Array.from({ length: 20 }, (_, index) => index)
      await port.transaction(async (transaction) => {
        await Promise.all(ids.map((id) => transaction.execute(sql`INSERT INTO log (id) VALUES (${id})`)))
      })
      const logged = await port.query(sql`SELECT id FROM log ORDER BY at`)
      assert.deepEqual(
        logged.map(({ id }) => id),
        ids,
      )
    },
  },
  {
    id: 'transaction/closed-after-its-end',
    sentence: 'After the end, committed or not, every call on the transaction is closed.',
    async check({ port }) {
      await makeSeats(port)
      const kept: SqlTransaction[] = []
      await port.transaction(async (transaction) => void kept.push(transaction))
      const failed = port.transaction(async (transaction) => {
        kept.push(transaction)
        throw new Error('no')
      })
      await assert.rejects(failed)
      assert.equal(kept.length, 2)
      for (const transaction of kept) {
        const late = sql`INSERT INTO seats (id) VALUES (1)`
        const calls = [
          transaction.query(late),
          transaction.one(late),
          transaction.maybeOne(late),
          transaction.execute(late),
          collect(transaction.stream(sql`SELECT 1`)),
          transaction.copyIn({ table: 'seats', columns: ['id'] }, [[1]]),
          transaction.savepoint((inner) => inner.execute(late)),
        ]
        await Promise.all(calls.map((call) => expectPortError(call, 'closed', { outcome: 'not-applied' })))
      }
      assert.deepEqual(await seatIds(port), [])
    },
  },
  {
    id: 'transaction/abort-rolls-back',
    sentence: 'Aborting a transaction rolls it back, whether it waits for the database or for anything else.',
    async check({ port }) {
      await makeSeats(port)
      const waits: readonly ((transaction: SqlTransaction) => Promise<unknown>)[] = [
        () => new Promise(() => {}),
        (transaction) => transaction.query(sql`SELECT pg_sleep(600)::text`),
        (transaction) => transaction.savepoint(() => new Promise(() => {})),
        (transaction) => transaction.savepoint((inner) => inner.query(sql`SELECT pg_sleep(600)::text`)),
        (transaction) => collect(transaction.stream(sql`SELECT pg_sleep(600)::text`)),
        (transaction) =>
          transaction.copyIn(
            { table: 'seats', columns: ['id'] },
            (async function* () {
              yield [2]
              await new Promise(() => {})
            })(),
          ),
      ]
      for (const wait of waits) {
        for (const how of ['abort', 'deadline'] as const) {
          const abort = new AbortController()
          const call = port.transaction(
            async (transaction) => {
              await transaction.execute(sql`INSERT INTO seats (id) VALUES (1)`)
              if (how === 'abort') setTimeout(() => abort.abort(), 20)
              await wait(transaction)
            },
            how === 'abort' ? { signal: abort.signal } : { timeoutMs: 100 },
          )
          await expectPortError(call, how === 'abort' ? 'cancelled' : 'timeout', { outcome: 'not-applied' })
          // Not blocked by a lock that the other still holds.
          await port.execute(sql`INSERT INTO seats (id) VALUES (1)`, { timeoutMs: 5_000 })
          await port.execute(sql`DELETE FROM seats`)
        }
      }
    },
  },
  {
    id: 'transaction/abort-of-one-call',
    sentence: 'A call that is aborted inside a transaction dooms that, and under a savepoint only itself.',
    async check({ port }) {
      await makeSeats(port)
      const slow = sql`SELECT pg_sleep(600)::text`
      const call = port.transaction(async (transaction) => {
        await transaction.execute(sql`INSERT INTO seats (id) VALUES (1)`)
        await expectPortError(transaction.query(slow, { timeoutMs: 50 }), 'timeout')
      })
      await expectPortError(call, 'timeout', { outcome: 'not-applied' })
      assert.deepEqual(await seatIds(port), [])
      await port.transaction(async (transaction) => {
        await transaction.execute(sql`INSERT INTO seats (id) VALUES (1)`)
        const inner = transaction.savepoint((savepoint) => savepoint.query(slow, { timeoutMs: 50 }))
        await expectPortError(inner, 'timeout')
        await transaction.execute(sql`INSERT INTO seats (id) VALUES (2)`)
      })
      assert.deepEqual(await seatIds(port), [1, 2])
    },
  },
  {
    id: 'transaction/isolation-levels',
    sentence: 'Read committed sees what others commit meanwhile; repeatable read and serializable do not.',
    needs: ['openAnother'],
    async check(context) {
      const { port } = context
      await makeSeats(port)
      await withOther(context, async (other) => {
        for (const isolation of ['read committed', 'repeatable read', 'serializable', undefined] as const) {
          await port.execute(sql`DELETE FROM seats`)
          const seen = await port.transaction(
            async (transaction) => {
              const before = await seatIds(transaction)
              assert.deepEqual(before, [])
              await other.execute(sql`INSERT INTO seats (id) VALUES (1)`)
              return seatIds(transaction)
            },
            { isolation },
          )
          const sees = isolation === undefined || isolation === 'read committed'
          assert.deepEqual(seen, sees ? [1] : [], isolation)
        }
      })
    },
  },
  {
    id: 'transaction/read-only',
    sentence: 'A read-only transaction refuses to write.',
    async check({ port }) {
      await makeSeats(port)
      const write = port.transaction(
        (transaction) => transaction.execute(sql`INSERT INTO seats (id) VALUES (1)`),
        { readOnly: true },
      )
      await expectPortError(write, 'precondition-failed')
      assert.deepEqual(await port.transaction(seatIds, { readOnly: true, isolation: 'serializable' }), [])
    },
  },
  {
    id: 'transaction/bad-options-are-refused',
    sentence:
      'An unknown isolation, attempts out of range or a work that is no function are invalid-argument.',
    async check({ port }) {
      const work = async (): Promise<never> => assert.fail('it ran')
      for (const options of [
        { isolation: 'read uncommitted' },
        { isolation: "serializable'; DROP TABLE seats; --" },
        { isolation: 7 },
        { readOnly: 'yes' },
        { attempts: 0 },
        { attempts: -1 },
        { attempts: 1.5 },
        { attempts: 101 },
        { attempts: Number.NaN },
      ]) {
        await expectPortError(port.transaction(work, options as never), 'invalid-argument')
      }
      for (const bad of [undefined, null, 'work', {}]) {
        await expectPortError(port.transaction(bad as never), 'invalid-argument')
      }
    },
  },
  {
    id: 'transaction/lost-connection',
    sentence: 'A transaction whose connection is lost before the commit was surely not applied.',
    async check({ port }) {
      await makeSeats(port)
      const call = port.transaction(async (transaction) => {
        await transaction.execute(sql`INSERT INTO seats (id) VALUES (1)`)
        const { pid } = await transaction.one<{ pid: number }>(sql`SELECT pg_backend_pid() AS pid`)
        await port.query(sql`SELECT pg_terminate_backend(${pid})`)
        await eventually(async () => {
          const alive = await port.query(sql`SELECT 1 FROM pg_stat_activity WHERE pid = ${pid}`)
          return alive.length === 0
        }, 'the connection is gone')
        await transaction.execute(sql`INSERT INTO seats (id) VALUES (2)`)
      })
      await expectPortError(call, 'unavailable', { outcome: 'not-applied', retryable: true })
      assert.deepEqual(await seatIds(port), [])
    },
  },
]
