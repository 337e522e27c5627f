/** What overlaps in a transaction: calls that wait for their turn, come late, or go on after an abort. */
import assert from 'node:assert/strict'
import { setImmediate, setTimeout } from 'node:timers/promises'
import { sql } from '../../src/ports/sql.ts'
import type { SqlTransaction } from '../../src/ports/sql-database.ts'
import { expectPortError } from '../expect.ts'
import { eventually, makeSeats, type SqlBehaviour, seatIds, withOther } from './seats.ts'

export const overlapBehaviours: readonly SqlBehaviour[] = [
  {
    id: 'transaction/late-calls-are-closed',
    sentence:
      'A call made after work has resolved is closed and does nothing, also while a call that work did not wait for is under way.',
    async check({ port }) {
      await makeSeats(port)
      const { promise: left, resolve: leave } = Promise.withResolvers<SqlTransaction>()
      const late = async (): Promise<void> => {
        const transaction = await left
        await setTimeout(20)
        const insert = transaction.execute(sql`INSERT INTO seats (id) VALUES (2)`)
        await expectPortError(insert, 'closed', { outcome: 'not-applied' })
      }
      const call = port.transaction(async (transaction) => {
        const insert = sql`INSERT INTO seats (id) SELECT 1 FROM pg_sleep(0.2)`
        transaction.execute(insert).catch(() => {})
        leave(transaction)
      })
      await Promise.all([call, late()])
      assert.deepEqual(
        await seatIds(port),
        [1],
        'what was under way is waited for, what came late is not done',
      )
    },
  },
  {
    id: 'transaction/aborted-before-its-turn',
    sentence: 'A call that is aborted while it waits for its turn is not sent, and the transaction goes on.',
    async check({ port }) {
      await makeSeats(port)
      await port.transaction(async (transaction) => {
        const abort = new AbortController()
        const { signal } = abort
        const insert = (id: number) => sql`INSERT INTO seats (id) VALUES (${id})`
        const waiting = [
          transaction.execute(insert(1), { signal }),
          transaction.copyIn({ table: 'seats', columns: ['id'] }, [[2]], { signal }),
          transaction.savepoint((inner) => inner.execute(insert(3)), { signal }),
        ]
        const first = transaction.query(sql`SELECT pg_sleep(0.1)::text`)
        abort.abort()
        await Promise.all([first, ...waiting.map((call) => expectPortError(call, 'cancelled'))])
        await transaction.execute(insert(4))
      })
      assert.deepEqual(await seatIds(port), [4])
    },
  },
  {
    id: 'savepoint/aborted-while-it-is-undone',
    sentence:
      'An abort that comes while a savepoint is being undone changes nothing: it is undone, and rejects with what its work threw.',
    async check({ port }) {
      await makeSeats(port)
      for (let round = 0; round < 10; round += 1) {
        await port.transaction(async (transaction) => {
          const abort = new AbortController()
          const boom = new RangeError('no')
          const call = transaction.savepoint(
            async (inner) => {
              await inner.execute(sql`INSERT INTO seats (id) VALUES (1)`)
              void setImmediate().then(() => abort.abort())
              throw boom
            },
            { signal: abort.signal },
          )
          await assert.rejects(call, boom)
          await transaction.execute(sql`DELETE FROM seats`)
          await transaction.execute(sql`INSERT INTO seats (id) VALUES (2)`)
        })
        assert.deepEqual(await seatIds(port), [2])
      }
    },
  },
  {
    id: 'transaction/work-that-goes-on-writes-nothing',
    sentence: 'Work that goes on writing after its transaction was aborted writes nothing that stays.',
    async check({ port }) {
      await makeSeats(port)
      for (let round = 0; round < 8; round += 1) {
        const abort = new AbortController()
        const { promise: over, resolve: end } = Promise.withResolvers<void>()
        let isOver = false
        let writes = 0
        const call = port.transaction(
          async (transaction) => {
            for (let id = 0; !isOver; id += 1) {
              const write = transaction.execute(sql`INSERT INTO seats (id) VALUES (${id})`)
              await write.then(
                () => {
                  writes += 1
                },
                () => {},
              )
              if (writes === 10) abort.abort()
              await setImmediate()
            }
            end()
          },
          { signal: abort.signal },
        )
        await expectPortError(call, 'cancelled', { outcome: 'not-applied' })
        isOver = true
        await over
        assert.ok(writes >= 10)
        await port.transaction((next) => next.execute(sql`LOCK TABLE seats`))
        assert.deepEqual(await seatIds(port), [])
      }
    },
  },
  {
    id: 'transaction/commit-under-way-is-not-cancelled',
    sentence:
      'An abort that comes while the commit is under way does not undo it: the outcome is unknown until the database has answered.',
    needs: ['openAnother'],
    async check(context) {
      const { port } = context
      await makeSeats(port)
      // A commit that waits for a lock, which the behaviour holds.
      await port.execute(sql`
        CREATE FUNCTION wait_at_commit() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN PERFORM 1 FROM owners WHERE name = ''gate'' FOR UPDATE; RETURN NULL; END'`)
      await port.execute(sql`
        CREATE CONSTRAINT TRIGGER waits AFTER INSERT ON seats DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION wait_at_commit()`)
      await port.execute(sql`INSERT INTO owners VALUES ('gate')`)
      await withOther(context, async (other) => {
        await other.transaction(async (gate) => {
          await gate.query(sql`SELECT 1 FROM owners FOR UPDATE`)
          const abort = new AbortController()
          const call = port.transaction((inner) => inner.execute(sql`INSERT INTO seats (id) VALUES (1)`), {
            signal: abort.signal,
          })
          const waits = eventually(async () => {
            const waiting = await port.query(sql`
              SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query = 'COMMIT'
              AND state = 'active' AND wait_event_type = 'Lock'`)
            return waiting.length === 1
          }, 'the commit waits')
          await Promise.all([
            expectPortError(call, 'cancelled', { outcome: 'unknown' }),
            waits.then(() => abort.abort()),
          ])
        })
        await eventually(async () => (await seatIds(port)).length === 1, 'it was committed')
      })
    },
  },
]
