/** Statements: composition, injection, how many rows, cancellation, concurrency. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { sql } from '../../src/ports/sql.ts'
import { expectPortError } from '../expect.ts'
import { currentSchema, eventually, makeSeats, running, type SqlBehaviour, seatIds } from './seats.ts'

const hostile = [
  "'; DROP TABLE seats; --",
  "' OR '1'='1",
  '"; DROP TABLE seats; --',
  '$1',
  '$$; DROP TABLE seats; $$',
  "\\'; DROP TABLE seats; --",
  '/* */ --',
  '%_\\',
  '{a,NULL,"b"}',
  'ﾃﾞ é é 👩‍👩‍👧 \u202e',
  ' leading and trailing ',
  '\r\n\t\\N\\.',
  '',
]

export const statementBehaviours: readonly SqlBehaviour[] = [
  {
    id: 'statement/composes',
    sentence: 'Statements nest in statements, and every parameter arrives where it was written.',
    async check({ port }) {
      await makeSeats(port)
      const insert = (id: number, price: number) => sql`(${id}, ${price})`
      const rows = sql.join([insert(1, 10), insert(2, 20), insert(3, 30)])
      const table = sql.identifier(await currentSchema(port), 'seats')
      assert.equal(await port.execute(sql`INSERT INTO ${table} (id, price) VALUES ${rows}`), 3)
      const cheap = sql`price < ${25}`
      const few = sql`id = ANY(${[2, 3]})`
      const found = await port.query(sql`SELECT id FROM ${table} WHERE ${cheap} AND ${few}`)
      assert.deepEqual(found, [{ id: 2 }])
    },
  },
  {
    id: 'statement/hostile-text-is-a-value',
    sentence: 'Text that looks like SQL comes back as it was given, and changes nothing else.',
    async check({ port }) {
      await makeSeats(port)
      for (const text of hostile) {
        assert.deepEqual(await port.one(sql`SELECT ${text}::text AS text`), { text })
        assert.deepEqual(await port.one(sql`SELECT ${[text]}::text[] AS texts`), { texts: [text] })
        const json = { [text]: text }
        assert.deepEqual(await port.one(sql`SELECT ${json}::jsonb AS json`), { json })
      }
      assert.deepEqual(await seatIds(port), [])
    },
  },
  {
    id: 'statement/any-text-round-trips',
    sentence: 'Whatever strings are given, alone or in an array, they come back unaltered.',
    async check({ port }) {
      const text = fc
        .string({ unit: 'binary' })
        .filter((value) => value.isWellFormed() && !value.includes('\0'))
      await fc.assert(
        fc.asyncProperty(text, fc.array(text), async (alone, list) => {
          const row = await port.one(sql`SELECT ${alone}::text AS alone, ${list}::text[] AS list`)
          assert.deepEqual(row, { alone, list })
        }),
        { numRuns: 100 },
      )
    },
  },
  {
    id: 'statement/hostile-name-is-a-name',
    sentence: 'An identifier that looks like SQL names a table, column or row field of just that name.',
    async check({ port }) {
      for (const name of ['a"; DROP TABLE x; --', 'Ä b', '"', '__proto__', 'select', '$1', '{0}']) {
        const id = sql.identifier(name)
        await port.execute(sql`CREATE TABLE ${id} (${id} int)`)
        await port.execute(sql`INSERT INTO ${id} (${id}) VALUES (${7})`)
        const row = await port.one(sql`SELECT ${id} FROM ${id}`)
        assert.deepEqual(Object.entries(row), [[name, 7]])
        assert.equal(await port.copyIn({ table: name, columns: [name] }, [[8]]), 1)
      }
    },
  },
  {
    id: 'statement/only-from-the-tag',
    sentence: 'A string or an object of a statement’s form is invalid-argument, before any I/O.',
    async check({ port }) {
      for (const forged of ['SELECT 1', { text: 'SELECT 1', values: [], parts: ['SELECT 1'] }, undefined]) {
        await expectPortError(port.query(forged as never), 'invalid-argument', { outcome: 'not-applied' })
        await expectPortError(port.execute(forged as never), 'invalid-argument')
      }
    },
  },
  {
    id: 'statement/one-at-a-time',
    sentence: 'A text of several statements is invalid-argument and none of them runs; so is an empty one.',
    async check({ port }) {
      await makeSeats(port)
      const two = sql`INSERT INTO seats (id) VALUES (1); INSERT INTO seats (id) VALUES (2)`
      await expectPortError(port.execute(two), 'invalid-argument', { outcome: 'not-applied' })
      await expectPortError(port.query(two), 'invalid-argument')
      await expectPortError(port.execute(sql`  `), 'invalid-argument')
      assert.deepEqual(await seatIds(port), [])
    },
  },
  {
    id: 'statement/no-transaction-control',
    sentence: 'BEGIN, COMMIT and their like are invalid-argument and leave no connection in a transaction.',
    async check({ port }) {
      const control = [
        sql`BEGIN`,
        sql`/* hidden /* deep */ */ BEGIN`,
        sql`-- a comment
          START TRANSACTION`,
        sql`COMMIT`,
        sql`rollback`,
        sql`SAVEPOINT a`,
        sql`END`,
      ]
      for (const statement of control) {
        await expectPortError(port.execute(statement), 'invalid-argument')
        assert.deepEqual(await port.one(sql`SELECT 1 AS one`), { one: 1 }, `after ${statement.text}`)
      }
      await port.transaction(async (transaction) => {
        await expectPortError(transaction.execute(sql`COMMIT`), 'invalid-argument')
        assert.deepEqual(await transaction.one(sql`SELECT 1 AS one`), { one: 1 })
      })
      const states = await port.query(sql`
        SELECT state FROM pg_stat_activity
        WHERE datname = current_database() AND state LIKE 'idle in transaction%'`)
      assert.deepEqual(states, [])
    },
  },
  {
    id: 'statement/too-many-parameters',
    sentence: 'More than 65 535 parameters are invalid-argument; that many arrive.',
    async check({ port }) {
      const count = 65_535
      const many = sql.join(Array.from({ length: count }, (_, index) => index))
      const sum = sql`SELECT cardinality(ARRAY[${many}]) AS count`
      assert.deepEqual(await port.one(sum), { count })
      await expectPortError(port.query(sql`SELECT ${1}, ${sum}`), 'invalid-argument', {
        outcome: 'not-applied',
      })
    },
  },
  {
    id: 'rows/one-and-maybe-one',
    sentence: 'one asks for exactly one row, maybeOne for at most one; more are precondition-failed.',
    async check({ port }) {
      const none = sql`SELECT 1 AS one WHERE false`
      const two = sql`SELECT generate_series(1, 2) AS one`
      assert.deepEqual(await port.one(sql`SELECT 1 AS one`), { one: 1 })
      assert.deepEqual(await port.maybeOne(sql`SELECT 1 AS one`), { one: 1 })
      assert.equal(await port.maybeOne(none), undefined)
      await expectPortError(port.one(none), 'not-found', { outcome: 'not-applied', operation: 'one' })
      await expectPortError(port.one(two), 'precondition-failed', { outcome: 'not-applied' })
      await expectPortError(port.maybeOne(two), 'precondition-failed')
    },
  },
  {
    id: 'rows/one-tells-that-a-change-was-made',
    sentence: 'one of a change that touches two rows fails and says that it was applied.',
    async check({ port }) {
      await makeSeats(port)
      const insert = sql`INSERT INTO seats (id) VALUES (1), (2) RETURNING id`
      await expectPortError(port.one(insert), 'precondition-failed', { outcome: 'applied' })
      assert.deepEqual(await seatIds(port), [1, 2])
    },
  },
  {
    id: 'rows/execute-counts',
    sentence: 'execute resolves with the rows affected, and with 0 for what counts none.',
    async check({ port }) {
      await makeSeats(port)
      assert.equal(await port.execute(sql`INSERT INTO seats (id) SELECT generate_series(1, 7)`), 7)
      assert.equal(await port.execute(sql`UPDATE seats SET price = 2 WHERE id > ${4}`), 3)
      assert.equal(await port.execute(sql`DELETE FROM seats WHERE id > ${99}`), 0)
      assert.equal(await port.execute(sql`ANALYZE seats`), 0)
    },
  },
  {
    id: 'rows/are-copies',
    sentence: 'Changing a result, or a value after the call began, changes nothing in the database.',
    async check({ port }) {
      const bytes = new Uint8Array([1, 2, 3])
      await port.execute(sql`CREATE TABLE kept (bytes bytea, json jsonb)`)
      const inserting = port.execute(sql`INSERT INTO kept VALUES (${bytes}, ${{ list: [1] }})`)
      bytes.fill(9)
      await inserting
      type Kept = { bytes: Uint8Array; json: { list: number[] } }
      const first = await port.one<Kept>(sql`SELECT * FROM kept`)
      first.bytes.fill(7)
      first.json.list.push(2)
      const again = await port.one<Kept>(sql`SELECT * FROM kept`)
      assert.deepEqual(again, { bytes: new Uint8Array([1, 2, 3]), json: { list: [1] } })
    },
  },
  {
    id: 'call/reads-its-own-writes',
    sentence:
      'What a call wrote, the next call reads, whichever connection it gets; and so does another client.',
    needs: ['openAnother'],
    async check({ port, openAnother }) {
      await makeSeats(port)
      const other = await openAnother?.()
      assert.ok(other)
      try {
        for (let id = 1; id <= 20; id += 1) {
          await port.execute(sql`INSERT INTO seats (id) VALUES (${id})`)
          const reads: readonly (readonly number[])[] = await Promise.all([
            seatIds(port),
            seatIds(port),
            seatIds(other.port),
          ])
          for (const ids of reads) assert.equal(ids.length, id)
        }
      } finally {
        await other.close()
      }
    },
  },
  {
    id: 'call/many-at-once',
    sentence: 'Fifty calls at once on one client each get their own answer.',
    async check({ port }) {
      const numbers = Array.from({ length: 50 }, (_, index) => index)
      const answers = await Promise.all(
        numbers.map((number) =>
          port.one(sql`SELECT ${number}::int AS number, pg_sleep(0.01)::text AS slept`),
        ),
      )
      assert.deepEqual(
        answers.map(({ number }) => number),
        numbers,
      )
    },
  },
  {
    id: 'call/abort-stops-the-statement',
    sentence: 'Aborting a statement ends it on the server too, and what it did is undone.',
    async check({ port }) {
      await makeSeats(port)
      const abort = new AbortController()
      const slow = port.execute(sql`INSERT INTO seats (id) SELECT 1 FROM pg_sleep(600) AS contract_abort`, {
        signal: abort.signal,
      })
      await eventually(async () => (await running(port, 'contract_abort')) === 1, 'the statement runs')
      abort.abort()
      await expectPortError(slow, 'cancelled', { outcome: 'not-applied' })
      await eventually(async () => (await running(port, 'contract_abort')) === 0, 'the statement is gone')
      assert.deepEqual(await seatIds(port), [])
    },
  },
  {
    id: 'call/deadline-stops-the-statement',
    sentence:
      'A statement over its deadline fails with timeout, ends on the server, and frees its connection.',
    async check({ port }) {
      for (let round = 0; round < 15; round += 1) {
        const slow = port.query(sql`SELECT pg_sleep(600)::text AS contract_deadline`, { timeoutMs: 30 })
        await expectPortError(slow, 'timeout', { retryable: true })
      }
      await eventually(
        async () => (await running(port, 'contract_deadline')) === 0,
        'the statements are gone',
      )
      assert.deepEqual(await port.one(sql`SELECT 1 AS one`), { one: 1 })
    },
  },
  {
    id: 'call/close-waits-for-what-runs',
    sentence: 'Closing lets calls under way finish.',
    async check({ guarded, port }) {
      const slow = port.one(sql`SELECT pg_sleep(0.2)::text AS slept`)
      await Promise.all([slow, guarded.close()])
    },
  },
]
