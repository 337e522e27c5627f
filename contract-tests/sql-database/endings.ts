/** All or nothing, whatever ends a transaction, and at whatever place in it. */
import assert from 'node:assert/strict'
import type { PortErrorCode } from '../../src/errors.ts'
import { sql } from '../../src/ports/sql.ts'
import type { SqlDatabase, SqlTransaction, SqlTransactionOptions } from '../../src/ports/sql-database.ts'
import { collect, expectPortError } from '../expect.ts'
import { makeSeats, type SqlBehaviour, seatIds, withOther } from './seats.ts'

/** One way in which a transaction ends badly. */
interface Ending {
  readonly how: string
  /** The code it ends with; absent where it ends with an error of the caller's own. */
  readonly code?: PortErrorCode
  readonly options?: SqlTransactionOptions
  /** Brings the end about; what was written before it stands in the table, as the transaction sees it. */
  bring(inside: Inside): Promise<unknown>
}

interface Inside {
  readonly transaction: SqlTransaction
  /** A client outside of the transaction. */
  readonly other: SqlDatabase
  readonly abort: () => void
}

class OwnError extends Error {}

const failing = (text: ReturnType<typeof sql>) => ({
  bring: ({ transaction }: Inside): Promise<unknown> => transaction.execute(text),
})
const hang = (): Promise<never> => new Promise(() => {})

const endings: readonly Ending[] = [
  {
    how: 'an error of the caller',
    bring: () => Promise.reject(new OwnError('no')),
  },
  { how: 'a unique key', code: 'already-exists', ...failing(sql`INSERT INTO seats (id) VALUES (0)`) },
  {
    how: 'a foreign key',
    code: 'precondition-failed',
    ...failing(sql`UPDATE seats SET owner = 'nobody'`),
  },
  { how: 'not null', code: 'invalid-argument', ...failing(sql`UPDATE seats SET price = NULL`) },
  { how: 'a check', code: 'invalid-argument', ...failing(sql`UPDATE seats SET price = -1`) },
  {
    how: 'an exclusion',
    code: 'precondition-failed',
    ...failing(sql`INSERT INTO seats (id, taken) VALUES (50, '[1,3)')`),
  },
  {
    how: 'a value of another type',
    code: 'invalid-argument',
    ...failing(sql`INSERT INTO seats (id) VALUES (${'x'})`),
  },
  {
    how: 'a value that SQL cannot hold',
    code: 'invalid-argument',
    bring: ({ transaction }) => transaction.execute(sql`INSERT INTO owners VALUES (${'\ud800'})`),
  },
  {
    how: 'a statement that is none',
    code: 'invalid-argument',
    bring: ({ transaction }) => transaction.execute('DROP TABLE seats' as never),
  },
  {
    how: 'a deferred key at the commit',
    code: 'already-exists',
    ...failing(sql`INSERT INTO seats (id, later) VALUES (51, 7), (52, 7)`),
  },
  {
    how: 'a refusal of a function',
    code: 'rejected',
    ...failing(sql`DO 'BEGIN RAISE EXCEPTION ''no''; END'`),
  },
  {
    how: 'a load whose source fails',
    bring: ({ transaction }) =>
      transaction.copyIn(
        { table: 'seats', columns: ['id'] },
        (async function* () {
          yield [60]
          throw new OwnError('no')
        })(),
      ),
  },
  {
    how: 'a stream that fails',
    code: 'invalid-argument',
    bring: ({ transaction }) =>
      collect(transaction.stream(sql`SELECT 1 / (3 - n) FROM generate_series(1, 5) AS n`)),
  },
  {
    how: 'no row where one is expected',
    code: 'not-found',
    bring: ({ transaction }) => transaction.one(sql`SELECT 1 WHERE false`),
  },
  {
    how: 'a lock that is not to be had',
    code: 'conflict',
    bring: ({ transaction, other }) =>
      other.transaction(async (holder) => {
        await holder.execute(sql`LOCK TABLE owners IN ACCESS EXCLUSIVE MODE`)
        await transaction.execute(sql`LOCK TABLE owners IN SHARE MODE NOWAIT`)
      }),
  },
  {
    how: 'a serialization failure',
    code: 'conflict',
    options: { isolation: 'repeatable read', attempts: 1 },
    async bring({ transaction, other }) {
      await transaction.query(sql`SELECT * FROM counter`)
      await other.execute(sql`UPDATE counter SET n = n + 1`)
      await transaction.execute(sql`UPDATE counter SET n = n + 1`)
    },
  },
  {
    how: 'an abort while it waits for the database',
    code: 'cancelled',
    async bring({ transaction, abort }) {
      const sleeping = transaction.query(sql`SELECT pg_sleep(600)::text`)
      setTimeout(abort, 20)
      await sleeping
    },
  },
  {
    how: 'an abort while it waits for something else',
    code: 'cancelled',
    bring({ abort }) {
      setTimeout(abort, 5)
      return hang()
    },
  },
  { how: 'its deadline', code: 'timeout', options: { timeoutMs: 120 }, bring: hang },
  {
    how: 'the end of its connection',
    code: 'unavailable',
    async bring({ transaction, other }) {
      const { pid } = await transaction.one<{ pid: number }>(sql`SELECT pg_backend_pid() AS pid`)
      await other.query(sql`SELECT pg_terminate_backend(${pid})`)
      await transaction.query(sql`SELECT pg_sleep(600)::text`)
    },
  },
]

const positions = { first: 0, middle: 1, last: 2 } as const

async function prepare(port: SqlDatabase): Promise<void> {
  await makeSeats(port)
  await port.execute(sql`CREATE TABLE counter AS SELECT 0 AS n`)
  await port.execute(sql`INSERT INTO seats (id, taken) VALUES (0, '[1,2)')`)
}

/** Writes two seats, and at `position` among them brings the end about. */
async function write(inside: Inside, ending: Ending, position: number): Promise<void> {
  for (const step of [0, 1, 2]) {
    if (step === position) await ending.bring(inside)
    if (step < 2) await inside.transaction.execute(sql`INSERT INTO seats (id) VALUES (${step + 1})`)
  }
}

async function ends(call: Promise<unknown>, { how, code }: Ending): Promise<void> {
  if (code === undefined) await assert.rejects(call, OwnError, how)
  else await expectPortError(call, code, { outcome: 'not-applied' })
}

export const endingBehaviours: readonly SqlBehaviour[] = [
  ...(Object.keys(positions) as (keyof typeof positions)[]).map(
    (where): SqlBehaviour => ({
      id: `transaction/nothing-is-left-of-one-that-ends-badly-${where}`,
      sentence: `Whatever ends a transaction, ${where} among its writes, it rejects with that, and of the writes nothing is left.`,
      needs: ['openAnother'],
      check: (context) =>
        withOther(context, async (other) => {
          const { port } = context
          await prepare(port)
          for (const ending of endings) {
            const controller = new AbortController()
            const options = { signal: controller.signal, ...ending.options }
            const call = port.transaction(
              (transaction) =>
                write({ transaction, other, abort: () => controller.abort() }, ending, positions[where]),
              options,
            )
            await ends(call, ending)
            assert.deepEqual(await seatIds(other), [0], ending.how)
            // Not kept out by a lock of the one that ended.
            await port.transaction((next) => next.execute(sql`LOCK TABLE seats, owners, counter`), {
              timeoutMs: 5_000,
            })
          }
        }),
    }),
  ),
  {
    id: 'savepoint/nothing-is-left-of-one-that-ends-badly',
    sentence:
      'Whatever ends the work under a savepoint, the savepoint alone is undone and the transaction goes on.',
    needs: ['openAnother'],
    check: (context) =>
      withOther(context, async (other) => {
        const { port } = context
        await prepare(port)
        // A commit, a connection and an isolation are the transaction's, not the savepoint's.
        const outer = /commit|connection|serialization/
        for (const ending of endings.filter(({ how }) => !outer.test(how))) {
          await port.transaction(async (transaction) => {
            await transaction.execute(sql`INSERT INTO seats (id) VALUES (10)`)
            const controller = new AbortController()
            const { timeoutMs } = ending.options ?? {}
            const call = transaction.savepoint(
              (savepoint) =>
                write({ transaction: savepoint, other, abort: () => controller.abort() }, ending, 2),
              { signal: controller.signal, ...(timeoutMs === undefined ? {} : { timeoutMs }) },
            )
            await ends(call, ending)
            await transaction.execute(sql`INSERT INTO seats (id) VALUES (11)`)
          })
          assert.deepEqual(await seatIds(other), [0, 10, 11], ending.how)
          await port.execute(sql`DELETE FROM seats WHERE id > 0`)
        }
      }),
  },
]
