/** Savepoints: what fails under one undoes itself only. */
import assert from 'node:assert/strict'
import { PortError } from '../../src/errors.ts'
import { sql } from '../../src/ports/sql.ts'
import type { SqlQueries, SqlTransaction } from '../../src/ports/sql-database.ts'
import { expectPortError } from '../expect.ts'
import { makeSeats, type SqlBehaviour, seatIds } from './seats.ts'

const take = (db: SqlQueries, id: number): Promise<number> =>
  db.execute(sql`INSERT INTO seats (id) VALUES (${id})`)

export const savepointBehaviours: readonly SqlBehaviour[] = [
  {
    id: 'savepoint/undoes-itself-only',
    sentence: 'What a savepoint’s work throws undoes its own changes, and the transaction goes on.',
    async check({ port }) {
      await makeSeats(port)
      await port.transaction(async (transaction) => {
        await take(transaction, 1)
        const boom = new Error('no')
        const failed = transaction.savepoint(async (inner) => {
          await take(inner, 2)
          throw boom
        })
        await assert.rejects(failed, boom)
        assert.equal(await transaction.savepoint((inner) => take(inner, 3)), 1)
        const taken = transaction.savepoint((inner) => take(inner, 1))
        await expectPortError(taken, 'already-exists')
        await take(transaction, 4)
      })
      assert.deepEqual(await seatIds(port), [1, 3, 4])
    },
  },
  {
    id: 'savepoint/rejects-with-what-work-throws',
    sentence: 'What a savepoint’s work throws, of whatever kind, reaches the caller as it is.',
    async check({ port }) {
      await makeSeats(port)
      await port.transaction(async (transaction) => {
        const kinds = [
          new Error('no'),
          'a string',
          undefined,
          new PortError({ code: 'rejected', message: 'no' }),
        ]
        for (const thrown of kinds) {
          const call = transaction.savepoint(async (inner) => {
            await take(inner, 1)
            throw thrown
          })
          const outcome = await call.then(
            () => 'resolved',
            (error: unknown) => ({ error }),
          )
          assert.ok(typeof outcome === 'object' && outcome.error === thrown, String(thrown))
        }
      })
      assert.deepEqual(await seatIds(port), [])
    },
  },
  {
    id: 'savepoint/nests',
    sentence: 'Savepoints nest, and an outer one takes the inner ones with it.',
    async check({ port }) {
      await makeSeats(port)
      await port.transaction(async (transaction) => {
        await transaction.savepoint(async (outer) => {
          await take(outer, 1)
          await assert.rejects(
            outer.savepoint(async (inner) => {
              await take(inner, 2)
              throw new Error('no')
            }),
          )
          await outer.savepoint((inner) => take(inner, 3))
        })
        await assert.rejects(
          transaction.savepoint(async (outer) => {
            await outer.savepoint((inner) => take(inner, 4))
            throw new Error('no')
          }),
        )
      })
      assert.deepEqual(await seatIds(port), [1, 3])
    },
  },
  {
    id: 'savepoint/goes-with-the-transaction',
    sentence: 'A savepoint that succeeded is undone when its transaction is.',
    async check({ port }) {
      await makeSeats(port)
      const call = port.transaction(async (transaction) => {
        await transaction.savepoint((inner) => take(inner, 1))
        throw new Error('no')
      })
      await assert.rejects(call)
      assert.deepEqual(await seatIds(port), [])
    },
  },
  {
    id: 'savepoint/swallowed-failure-is-told',
    sentence:
      'Work under a savepoint that goes on after a failed statement is undone, and rejects with that.',
    async check({ port }) {
      await makeSeats(port)
      await port.transaction(async (transaction) => {
        const call = transaction.savepoint(async (inner) => {
          await take(inner, 1)
          await take(inner, 1).catch(() => {})
        })
        await expectPortError(call, 'already-exists')
        await take(transaction, 2)
      })
      assert.deepEqual(await seatIds(port), [2])
    },
  },
  {
    id: 'savepoint/parallel-ones-take-turns',
    sentence:
      'Savepoints and calls started together do not mix: one that fails undoes nothing of the others.',
    async check({ port }) {
      await makeSeats(port)
      await port.transaction(async (transaction) => {
        const failing = (id: number): Promise<void> =>
          transaction.savepoint(async (inner) => {
            await take(inner, id)
            await new Promise((resolve) => setTimeout(resolve, 5))
            throw new Error('no')
          })
        const results = await Promise.allSettled([
          failing(1),
          take(transaction, 2),
          failing(3),
          transaction.savepoint((inner) => take(inner, 4)),
          take(transaction, 5),
        ])
        assert.deepEqual(
          results.map(({ status }) => status),
          ['rejected', 'fulfilled', 'rejected', 'fulfilled', 'fulfilled'],
        )
      })
      assert.deepEqual(await seatIds(port), [2, 4, 5])
    },
  },
  {
    id: 'savepoint/the-outer-object-inside-is-refused',
    sentence:
      'The outer transaction used inside a savepoint’s work is precondition-failed, not a hanging call.',
    async check({ port }) {
      await makeSeats(port)
      await port.transaction(async (transaction) => {
        await transaction.savepoint(async (inner) => {
          await expectPortError(take(transaction, 1), 'precondition-failed', { outcome: 'not-applied' })
          await inner.savepoint(async () => {
            await expectPortError(take(transaction, 1), 'precondition-failed')
            await expectPortError(take(inner, 1), 'precondition-failed')
          })
          await take(inner, 2)
        })
        await take(transaction, 3)
      })
      assert.deepEqual(await seatIds(port), [2, 3])
    },
  },
  {
    id: 'savepoint/closed-after-its-end',
    sentence: 'After a savepoint’s end its object is closed, though the transaction goes on.',
    async check({ port }) {
      await makeSeats(port)
      await port.transaction(async (transaction) => {
        const kept: SqlTransaction[] = []
        await transaction.savepoint(async (inner) => void kept.push(inner))
        for (const inner of kept) await expectPortError(take(inner, 1), 'closed')
        assert.equal(kept.length, 1)
      })
    },
  },
]
