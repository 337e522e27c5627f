/** Streams: order, back-pressure, and every way of leaving one. */
import assert from 'node:assert/strict'
import { sql } from '../../src/ports/sql.ts'
import { collect, expectPortError } from '../expect.ts'
import { eventually, makeSeats, type SqlBehaviour, seatIds } from './seats.ts'

const count = 5_000

export const streamBehaviours: readonly SqlBehaviour[] = [
  {
    id: 'stream/all-rows-in-order',
    sentence: 'A stream gives every row once and in order, whatever the batch.',
    async check({ port }) {
      const numbers = Array.from({ length: count }, (_, index) => ({ number: index + 1 }))
      for (const batchRows of [1_000, 999, 100_000, undefined]) {
        const rows = port.stream(sql`SELECT generate_series(1, ${count}::int) AS number`, { batchRows })
        assert.deepEqual(await collect(rows), numbers)
      }
      const few = port.stream(sql`SELECT generate_series(1, 3) AS number`, { batchRows: 1 })
      assert.deepEqual(await collect(few), numbers.slice(0, 3))
      assert.deepEqual(await collect(port.stream(sql`SELECT 1 WHERE false`)), [])
    },
  },
  {
    id: 'stream/back-pressure',
    sentence: 'A stream computes no more rows than are read, and a batch.',
    async check({ port }) {
      await port.execute(sql`CREATE SEQUENCE computed`)
      await port.transaction(async (transaction) => {
        let read = 0
        for await (const _ of transaction.stream(
          sql`SELECT nextval('computed') FROM generate_series(1, 100000)`,
          { batchRows: 10 },
        )) {
          read += 1
          if (read === 25) break
        }
      })
      const { last } = await port.one<{ last: bigint }>(sql`SELECT last_value AS last FROM computed`)
      assert.ok(last >= 25n && last <= 40n, `${last} rows were computed for 25 that were read`)
    },
  },
  {
    id: 'stream/leaving-frees-the-connection',
    sentence: 'Leaving a stream early frees its connection, however often.',
    async check({ port }) {
      for (let round = 0; round < 30; round += 1) {
        for await (const _ of port.stream(sql`SELECT generate_series(1, 1000)`, { batchRows: 2 })) break
      }
      await assert.rejects(async () => {
        for await (const _ of port.stream(sql`SELECT 1`)) throw new Error('the reader failed')
      }, /the reader failed/)
      assert.deepEqual(await port.one(sql`SELECT 1 AS one`), { one: 1 })
    },
  },
  {
    id: 'stream/abort',
    sentence: 'Aborting ends a stream with cancelled, while it is read and while it waits for the database.',
    async check({ port }) {
      for (let round = 0; round < 15; round += 1) {
        const abort = new AbortController()
        const rows = port.stream(sql`SELECT generate_series(1, 1000)`, { batchRows: 1, signal: abort.signal })
        const reading = async (): Promise<void> => {
          for await (const _ of rows) abort.abort()
        }
        await expectPortError(reading(), 'cancelled')
      }
      for (let round = 0; round < 15; round += 1) {
        const waiting = collect(
          port.stream(sql`SELECT pg_sleep(600)::text`, { signal: AbortSignal.timeout(30) }),
        )
        await expectPortError(waiting, 'cancelled')
      }
      const late = collect(port.stream(sql`SELECT pg_sleep(600)::text`, { timeoutMs: 50 }))
      await expectPortError(late, 'timeout')
      assert.deepEqual(await port.one(sql`SELECT 1 AS one`), { one: 1 })
    },
  },
  {
    id: 'stream/fails-where-the-statement-does',
    sentence: 'An error comes where it happens, after the rows before it; the connection stays good.',
    async check({ port }) {
      const seen: unknown[] = []
      const reading = async (): Promise<void> => {
        const rows = port.stream(sql`SELECT 10 / (3 - n) AS n FROM generate_series(1, 5) AS n`, {
          batchRows: 1,
        })
        for await (const { n } of rows) seen.push(n)
      }
      await expectPortError(reading(), 'invalid-argument', { operation: 'stream' })
      assert.deepEqual(seen, [5, 10])
      await expectPortError(collect(port.stream(sql`SELECT * FROM no_such_table`)), 'invalid-argument')
      assert.deepEqual(await port.one(sql`SELECT 1 AS one`), { one: 1 })
    },
  },
  {
    id: 'stream/does-not-write',
    sentence: 'A stream outside a transaction cannot write, and takes no statement but a query.',
    async check({ port }) {
      await makeSeats(port)
      const insert = collect(port.stream(sql`INSERT INTO seats (id) VALUES (1) RETURNING id`))
      await expectPortError(insert, 'invalid-argument')
      await port.execute(sql`
        CREATE FUNCTION take_seat() RETURNS int LANGUAGE sql AS 'INSERT INTO seats (id) VALUES (1) RETURNING id'`)
      await expectPortError(collect(port.stream(sql`SELECT take_seat()`)), 'precondition-failed')
      assert.deepEqual(await seatIds(port), [])
    },
  },
  {
    id: 'stream/one-snapshot',
    sentence: 'All rows of a stream are of the moment it began.',
    async check({ port }) {
      await makeSeats(port)
      await port.execute(sql`INSERT INTO seats (id) SELECT generate_series(1, 10)`)
      const seen: unknown[] = []
      for await (const { id } of port.stream(sql`SELECT id FROM seats ORDER BY id`, { batchRows: 2 })) {
        if (id === 1) await port.execute(sql`DELETE FROM seats WHERE id > 1`)
        seen.push(id)
      }
      assert.equal(seen.length, 10)
    },
  },
  {
    id: 'stream/statements-between-rows',
    sentence: 'In a transaction, other statements and streams run between two rows of a stream.',
    async check({ port }) {
      await makeSeats(port)
      await port.transaction(async (transaction) => {
        for await (const { n } of transaction.stream(sql`SELECT generate_series(1, 9) AS n`, {
          batchRows: 2,
        })) {
          await transaction.execute(sql`INSERT INTO seats (id) VALUES (${n as number})`)
          for await (const _ of transaction.stream(sql`SELECT generate_series(1, 5)`, { batchRows: 2 })) break
        }
        // An open cursor would be in the way of this.
        await transaction.execute(sql`ALTER TABLE seats ADD COLUMN note text`)
      })
      assert.equal((await seatIds(port)).length, 9)
    },
  },
  {
    id: 'stream/close-does-not-wait-for-a-reader',
    sentence: 'Closing ends a stream that nobody reads on; its reader gets closed.',
    async check({ guarded, port }) {
      const reader = port
        .stream(sql`SELECT generate_series(1, 1000)`, { batchRows: 1 })
        [Symbol.asyncIterator]()
      await reader.next()
      await guarded.close()
      await expectPortError(reader.next(), 'closed')
    },
  },
  {
    id: 'stream/bad-batch',
    sentence: 'A batchRows that is not a whole number from 1 to 100 000 is invalid-argument.',
    async check({ port }) {
      for (const batchRows of [0, -1, 1.5, Number.NaN, 100_001, Number.POSITIVE_INFINITY, '5' as never]) {
        await expectPortError(collect(port.stream(sql`SELECT 1`, { batchRows })), 'invalid-argument')
      }
    },
  },
  {
    id: 'stream/gone-connections-are-replaced',
    sentence: 'A stream whose connection the server ends fails with unavailable, and the next one works.',
    needs: ['openAnother'],
    async check({ port, openAnother }) {
      const other = await openAnother?.()
      assert.ok(other)
      try {
        const reading = async (): Promise<void> => {
          const rows = port.stream(sql`SELECT pg_backend_pid() AS pid FROM generate_series(1, 9)`, {
            batchRows: 1,
          })
          for await (const { pid } of rows) {
            await other.port.query(sql`SELECT pg_terminate_backend(${pid as number})`)
            await eventually(async () => {
              const alive = await other.port.query(
                sql`SELECT 1 FROM pg_stat_activity WHERE pid = ${pid as number}`,
              )
              return alive.length === 0
            }, 'the connection is gone')
          }
        }
        await expectPortError(reading(), 'unavailable', { retryable: true })
        assert.equal((await collect(port.stream(sql`SELECT 1`))).length, 1)
      } finally {
        await other.close()
      }
    },
  },
  {
    id: 'stream/leaves-nothing-in-its-transaction',
    sentence: 'A stream inside a transaction leaves no cursor open, read to its end or left early.',
    async check({ port }) {
      await port.transaction(async (transaction) => {
        const rows = (): AsyncIterable<unknown> =>
          transaction.stream(sql`SELECT generate_series(1, 10) AS number`, { batchRows: 3 })
        assert.equal((await collect(rows())).length, 10)
        // The nameless one is that of this question itself.
        const cursors = sql`SELECT name FROM pg_cursors WHERE name <> ''`
        assert.deepEqual(await transaction.query(cursors), [], 'read to its end')
        for await (const row of rows()) {
          assert.deepEqual(row, { number: 1 })
          break
        }
        assert.deepEqual(await transaction.query(cursors), [], 'left early')
      })
    },
  },
]
