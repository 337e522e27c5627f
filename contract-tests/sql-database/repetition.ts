/** Transactions that clash with others: which of them run again, and how often. */
import assert from 'node:assert/strict'
import { sql } from '../../src/ports/sql.ts'
import type { SqlTransaction } from '../../src/ports/sql-database.ts'
import { expectPortError } from '../expect.ts'
import { makeSeats, type SqlBehaviour, withOther } from './seats.ts'

export const repetitionBehaviours: readonly SqlBehaviour[] = [
  {
    id: 'transaction/racers-lose-no-increment',
    sentence: 'Serializable transactions that clash are run again until none of their increments is lost.',
    async check({ port }) {
      await port.execute(sql`CREATE TABLE counter AS SELECT 0 AS n`)
      const racers = 6
      const rounds = 5
      let runs = 0
      const increment = async (transaction: SqlTransaction): Promise<void> => {
        runs += 1
        const { n } = await transaction.one<{ n: number }>(sql`SELECT n FROM counter`)
        await transaction.execute(sql`UPDATE counter SET n = ${n + 1}`)
      }
      await Promise.all(
        Array.from({ length: racers }, async () => {
          for (let round = 0; round < rounds; round += 1) {
            await port.transaction(increment, { isolation: 'serializable', attempts: 100 })
          }
        }),
      )
      assert.deepEqual(await port.one(sql`SELECT n FROM counter`), { n: racers * rounds })
      assert.ok(runs > racers * rounds, 'nothing clashed, so nothing was shown')
    },
  },
  {
    id: 'transaction/gives-up-after-its-attempts',
    sentence:
      'A transaction that goes on clashing runs as often as attempts says, then rejects with conflict.',
    needs: ['openAnother'],
    async check(context) {
      const { port } = context
      await port.execute(sql`CREATE TABLE counter AS SELECT 0 AS n`)
      await withOther(context, async (other) => {
        for (const attempts of [1, 3]) {
          let runs = 0
          const call = port.transaction(
            async (transaction) => {
              runs += 1
              await transaction.one(sql`SELECT n FROM counter`)
              await other.execute(sql`UPDATE counter SET n = n + 1`)
              await transaction.execute(sql`UPDATE counter SET n = n + 1`)
            },
            { isolation: 'repeatable read', attempts },
          )
          const error = await expectPortError(call, 'conflict', { retryable: true, outcome: 'not-applied' })
          assert.equal(error.details.sqlstate, '40001')
          assert.equal(runs, attempts)
        }
      })
    },
  },
  {
    id: 'transaction/deadlocks-are-run-again',
    sentence: 'Of two transactions that wait for each other one is run again, and both succeed.',
    async check({ port }) {
      await makeSeats(port)
      await port.execute(sql`INSERT INTO seats (id) VALUES (1), (2)`)
      let runs = 0
      const take = (first: number, second: number): Promise<void> =>
        port.transaction(async (transaction) => {
          runs += 1
          await transaction.execute(sql`UPDATE seats SET price = price + 1 WHERE id = ${first}`)
          await transaction.execute(sql`SELECT pg_sleep(0.1)`)
          await transaction.execute(sql`UPDATE seats SET price = price + 1 WHERE id = ${second}`)
        })
      await Promise.all([take(1, 2), take(2, 1)])
      assert.deepEqual(await port.query(sql`SELECT price FROM seats`), [{ price: 3 }, { price: 3 }])
      assert.ok(runs > 2, 'nothing clashed, so nothing was shown')
    },
  },
  {
    id: 'transaction/the-app-s-errors-are-not-run-again',
    sentence: 'Work that throws an error of its own runs once.',
    async check({ port }) {
      let runs = 0
      const call = port.transaction(async () => {
        runs += 1
        throw new Error('no')
      })
      await assert.rejects(call)
      assert.equal(runs, 1)
    },
  },
  {
    id: 'transaction/a-clash-that-work-hides-is-run-again',
    sentence:
      'A transaction that clashed is run again also where work swallows the clash, or throws an error of its own for it.',
    needs: ['openAnother'],
    async check(context) {
      const { port } = context
      await port.execute(sql`CREATE TABLE counter AS SELECT 0 AS n`)
      await withOther(context, async (other) => {
        for (const throwsItsOwn of [false, true]) {
          let runs = 0
          await port.transaction(
            async (transaction) => {
              runs += 1
              await transaction.one(sql`SELECT n FROM counter`)
              if (runs === 1) await other.execute(sql`UPDATE counter SET n = n + 1`)
              try {
                await transaction.execute(sql`UPDATE counter SET n = n + 1`)
              } catch (cause) {
                if (throwsItsOwn) throw new Error('it did not work out', { cause })
              }
            },
            { isolation: 'repeatable read' },
          )
          assert.equal(runs, 2)
        }
      })
      assert.deepEqual(await port.one(sql`SELECT n FROM counter`), { n: 4 })
    },
  },
]
