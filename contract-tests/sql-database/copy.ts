/** Bulk loads: exact values, all or nothing. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { PortErrorCode } from '../../src/errors.ts'
import type { CallOptions } from '../../src/port.ts'
import { type SqlValue, sql } from '../../src/ports/sql.ts'
import { collect, expectPortError, hasNoBackslashKey } from '../expect.ts'
import { currentSchema, eventually, makeSeats, type SqlBehaviour, seatIds, withOther } from './seats.ts'

const seats = { table: 'seats', columns: ['id', 'price'] }

// Of a source that is to be left before its end: one without end would keep what does not leave it from being told.
const longest = 3_000_000

async function* numbered(count: number, failAt?: number): AsyncGenerator<readonly SqlValue[]> {
  for (let id = 1; id <= count; id += 1) {
    if (id === failAt) throw new RangeError('the source failed')
    yield [id, id % 7]
  }
}

export const copyBehaviours: readonly SqlBehaviour[] = [
  {
    id: 'copy/many-rows',
    sentence: 'A hundred thousand rows arrive, from an async iterable and from an array.',
    async check({ port }) {
      await makeSeats(port)
      assert.equal(await port.copyIn(seats, numbered(100_000)), 100_000)
      assert.deepEqual(await port.one(sql`SELECT count(*)::int AS count, sum(id)::text AS sum FROM seats`), {
        count: 100_000,
        sum: '5000050000',
      })
      await port.execute(sql`TRUNCATE seats`)
      assert.equal(
        await port.copyIn({ ...seats, table: `${await currentSchema(port)}.seats` }, [
          [1, 1],
          [2, 2],
        ]),
        2,
      )
      assert.equal(await port.copyIn(seats, []), 0)
      assert.deepEqual(await seatIds(port), [1, 2])
    },
  },
  {
    id: 'copy/values-are-exact',
    sentence: 'Every value arrives by copyIn as it does by a parameter.',
    async check({ port }) {
      await port.execute(sql`
        CREATE TABLE exact (id int, t text, b bytea, d timestamptz, f float8, n bigint, l text[], j jsonb)`)
      const text = fc.string({ unit: 'binary' }).filter((t) => t.isWellFormed() && !t.includes('\0'))
      const hostile = fc.constantFrom(
        '\\.',
        '\\N',
        '\t',
        '\n',
        '\r\n',
        '\\',
        'a\\tb',
        '',
        '\b\f\v',
        'NULL',
        '{}',
      )
      const texts = fc.oneof(text, hostile)
      const row = fc.tuple(
        texts,
        fc.uint8Array(),
        fc.date({ min: new Date(-2e14), max: new Date(8.6e15), noInvalidDate: true }),
        fc.double(),
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        fc.array(fc.option(texts, { nil: undefined })),
        fc.dictionary(fc.string(), fc.integer()).filter(hasNoBackslashKey),
      )
      const columns = ['id', 't', 'b', 'd', 'f', 'n', 'l', 'j']
      await fc.assert(
        fc.asyncProperty(fc.array(row), async (rows) => {
          await port.execute(sql`TRUNCATE exact`)
          await port.copyIn(
            { table: 'exact', columns },
            rows.map((values, id) => [id, ...values]),
          )
          const back = await port.query(sql`SELECT t, b, d, f, n, l, j FROM exact ORDER BY id`)
          assert.deepEqual(
            back.map((values) => Object.values(values)),
            rows.map(([t, b, d, f, n, l, j]) => [t, b, d, f, n, l, { ...j }]),
          )
        }),
        { numRuns: 40 },
      )
      const nothing = columns.map(() => undefined)
      await port.execute(sql`TRUNCATE exact`)
      await port.copyIn({ table: 'exact', columns }, [nothing])
      assert.deepEqual(Object.values(await port.one(sql`SELECT * FROM exact`)), nothing)
    },
  },
  {
    id: 'copy/failing-source-leaves-nothing',
    sentence: 'What the source of the rows throws reaches the caller as it is, and none of the rows is kept.',
    async check({ port }) {
      await makeSeats(port)
      for (const failAt of [1, 2, 30_000]) {
        await assert.rejects(port.copyIn(seats, numbered(50_000, failAt)), (error) => {
          return error instanceof RangeError && error.message === 'the source failed'
        })
        assert.deepEqual(await seatIds(port), [])
      }
      for (let round = 0; round < 15; round += 1) {
        await assert.rejects(port.copyIn(seats, numbered(9, 5)), RangeError)
      }
      assert.equal(await port.copyIn(seats, numbered(9)), 9)
    },
  },
  {
    id: 'copy/failing-row-leaves-nothing',
    sentence:
      'A row that the database refuses, at whatever place, fails the load and none of the rows is kept.',
    async check({ port }) {
      await makeSeats(port)
      for (const at of [0, 500, 999]) {
        const rows = Array.from({ length: 1_000 }, (_, id) => [id, id === at ? -1 : 1])
        const error = await expectPortError(port.copyIn(seats, rows), 'invalid-argument', {
          outcome: 'not-applied',
          subject: 'seats',
        })
        assert.equal(error.details.constraint, 'seats_price_check')
        const twice = Array.from({ length: 1_000 }, (_, id) => [id === at ? (at + 1) % 1_000 : id, 1])
        await expectPortError(port.copyIn(seats, twice), 'already-exists')
        assert.deepEqual(await seatIds(port), [])
      }
    },
  },
  {
    id: 'copy/bad-rows-are-refused',
    sentence: 'A row of another length, or with a value that SQL cannot hold, is invalid-argument.',
    async check({ port }) {
      await makeSeats(port)
      const bad = [
        [1],
        [1, 2, 3],
        [1, '\0'],
        [1, null],
        [1, new Map()],
        'ab',
        undefined,
        { 0: 1, 1: 2, length: 2 },
      ]
      for (const row of bad) {
        await expectPortError(port.copyIn(seats, [[7, 7], row as never]), 'invalid-argument')
      }
      assert.deepEqual(await seatIds(port), [])
    },
  },
  {
    id: 'copy/bad-target-is-refused',
    sentence: 'A target without columns, with one twice or with a name that is none is invalid-argument.',
    async check({ port }) {
      const columns = ['id']
      const targets = [
        { table: '', columns },
        { table: 'a.b.c', columns },
        { table: 'a.', columns },
        { table: 'a\0', columns },
        { table: 'x'.repeat(64), columns },
        { table: 'seats', columns: [] },
        { table: 'seats', columns: ['id', 'id'] },
        { table: 'seats', columns: [''] },
        { table: 'seats' },
        'seats',
        undefined,
      ]
      for (const target of targets) {
        await expectPortError(port.copyIn(target as never, [[1]]), 'invalid-argument', {
          outcome: 'not-applied',
        })
      }
      for (const rows of [undefined, null, 5, 'rows', {}]) {
        await expectPortError(port.copyIn(seats, rows as never), 'invalid-argument')
      }
      await expectPortError(port.copyIn({ table: 'no_such', columns }, [[1]]), 'invalid-argument')
    },
  },
  {
    id: 'copy/abort-leaves-nothing',
    sentence:
      'Aborting a load, also one whose source hangs, keeps none of its rows and frees the connection.',
    async check({ port }) {
      await makeSeats(port)
      for (let round = 0; round < 12; round += 1) {
        const abort = new AbortController()
        async function* hanging(): AsyncGenerator<readonly SqlValue[]> {
          yield* numbered(20_000)
          setTimeout(() => abort.abort(), 5)
          await new Promise(() => {})
        }
        const loading = port.copyIn(seats, hanging(), { signal: abort.signal })
        await expectPortError(loading, 'cancelled', { outcome: 'not-applied' })
        assert.deepEqual(await seatIds(port), [])
      }
      const late = port.copyIn(
        seats,
        (async function* () {
          yield [1, 1]
          await new Promise(() => {})
        })(),
        { timeoutMs: 50 },
      )
      await expectPortError(late, 'timeout', { outcome: 'not-applied' })
      assert.equal(await port.copyIn(seats, numbered(9)), 9)
    },
  },
  {
    id: 'copy/source-is-told-to-end',
    sentence:
      'Whatever ends a load before its source does, the source is told to end, and what it throws then changes nothing.',
    async check({ port }) {
      await makeSeats(port)
      const abort = new AbortController()
      const endings: readonly (readonly [PortErrorCode, number, readonly SqlValue[], CallOptions?])[] = [
        ['invalid-argument', 3, [3, -1]],
        ['invalid-argument', 3, [3]],
        ['cancelled', 30_000, [], { signal: abort.signal }],
      ]
      for (const [code, at, row, options] of endings) {
        let ended = 0
        async function* source(): AsyncGenerator<readonly SqlValue[]> {
          try {
            for (let id = 1; id < longest; id += 1) {
              if (id === at && options !== undefined) abort.abort()
              yield id === at && options === undefined ? row : [id, 1]
            }
          } finally {
            ended += 1
            // biome-ignore lint/correctness/noUnsafeFinally: what it does is what this is about
            throw new RangeError('the source failed to end')
          }
        }
        const error = await expectPortError(port.copyIn(seats, source(), options), code)
        // A busy server may confirm the end of a load later than an aborted call is kept waiting.
        if (options === undefined) assert.equal(error.outcome, 'not-applied')
        else assert.notEqual(error.outcome, 'applied')
        await eventually(async () => ended === 1, `the source is told of ${code} at ${at}`)
        assert.deepEqual(await seatIds(port), [])
      }
    },
  },
  {
    id: 'copy/lets-others-run',
    sentence:
      'A load from a source that never waits for anything lets timers run meanwhile, so that it ends by its deadline.',
    async check({ port }) {
      await makeSeats(port)
      let taken = 0
      async function* source(): AsyncGenerator<readonly SqlValue[]> {
        for (; taken < longest; taken += 1) yield [taken, 1]
      }
      await expectPortError(port.copyIn(seats, source(), { timeoutMs: 200 }), 'timeout')
      assert.ok(taken < longest, 'it was read to its end')
      assert.deepEqual(await seatIds(port), [])
    },
  },
  {
    id: 'copy/back-pressure',
    sentence:
      'A load that the database does not take in yet takes no more of its source than fits into a buffer.',
    needs: ['openAnother'],
    async check(context) {
      const { port } = context
      await makeSeats(port)
      await withOther(context, (other) =>
        other.transaction(async (holder) => {
          await holder.execute(sql`LOCK TABLE seats IN ACCESS EXCLUSIVE MODE`)
          let taken = 0
          async function* source(): AsyncGenerator<readonly SqlValue[]> {
            for (; taken < longest; taken += 1) yield [taken, 1]
          }
          const abort = new AbortController()
          const loading = expectPortError(port.copyIn(seats, source(), { signal: abort.signal }), 'cancelled')
          const rests = async (): Promise<boolean> => {
            const before = taken
            await new Promise((passed) => setTimeout(passed, 100))
            return taken > 0 && taken === before
          }
          await Promise.all([loading, eventually(rests, 'it waits').finally(() => abort.abort())])
          assert.ok(taken < 200_000, `${taken} rows were taken, of which the database had none`)
        }),
      )
    },
  },
  {
    id: 'copy/in-a-transaction',
    sentence: 'A load in a transaction is seen there, and is undone with it.',
    async check({ port }) {
      await makeSeats(port)
      const boom = new Error('no')
      await assert.rejects(
        port.transaction(async (transaction) => {
          assert.equal(await transaction.copyIn(seats, numbered(100)), 100)
          assert.equal((await collect(transaction.stream(sql`SELECT 1 FROM seats`))).length, 100)
          throw boom
        }),
        boom,
      )
      assert.deepEqual(await seatIds(port), [])
      await port.transaction(async (transaction) => {
        const failing = transaction.savepoint((inner) => inner.copyIn(seats, numbered(9, 5)))
        await assert.rejects(failing, RangeError)
        assert.equal(await transaction.copyIn(seats, numbered(3)), 3)
      })
      assert.deepEqual(await seatIds(port), [1, 2, 3])
    },
  },
]
