/** Values: what goes in comes back, type by type. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { type SqlStatement, type SqlValue, sql } from '../../src/ports/sql.ts'
import type { SqlDatabase } from '../../src/ports/sql-database.ts'
import { expectPortError, hasNoBackslashKey } from '../expect.ts'
import type { SqlBehaviour } from './seats.ts'

const text = fc.string({ unit: 'binary' }).filter((value) => value.isWellFormed() && !value.includes('\0'))
// To 4713 BC, and beyond what four digits of a year can hold.
const date = fc.date({ min: new Date(-2e14), max: new Date(8.6e15), noInvalidDate: true })

/** Of each type: how the column is declared, and what it can hold. */
const types: Readonly<Record<string, fc.Arbitrary<SqlValue>>> = {
  boolean: fc.boolean(),
  smallint: fc.integer({ min: -(2 ** 15), max: 2 ** 15 - 1 }),
  integer: fc.integer(),
  bigint: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  'double precision': fc.double(),
  text,
  bytea: fc.uint8Array(),
  timestamptz: date,
  uuid: fc.uuid(),
}

/** The types of PostgreSQL's own that a column may have, pseudo-types, geometry and the catalogue's own aside. */
const ownTypes: readonly string[] = `
  bool bytea int8 int2 int4 oid float4 float8 json jsonb timestamptz "char" name text bpchar varchar numeric money
  date time timetz timestamp interval uuid xml bit varbit inet cidr macaddr macaddr8 tid xid cid jsonpath pg_lsn
  int4range numrange tsrange tstzrange daterange int8range
  int4multirange nummultirange tsmultirange tstzmultirange datemultirange int8multirange`
  .trim()
  .split(/\s+/)

async function roundTrip(db: SqlDatabase, value: SqlValue, type: string): Promise<unknown> {
  return (await db.one(sql`SELECT ${value}::${raw(type)} AS value`)).value
}

/** The name of a type of this file's own. */
function raw(type: string): SqlStatement {
  return sql(Object.assign([type], { raw: [type] }))
}

const given: readonly (readonly [written: SqlStatement, read: unknown])[] = [
  [sql`NULL::int`, undefined],
  [sql`'NaN'::float8`, Number.NaN],
  [sql`'-Infinity'::float4`, Number.NEGATIVE_INFINITY],
  [sql`'-0'::float8`, -0],
  [sql`9223372036854775807`, 9223372036854775807n],
  [sql`12345678901234567890.123456789000`, '12345678901234567890.123456789000'],
  [sql`'NaN'::numeric`, 'NaN'],
  [sql`'2026-01-02'::date`, '2026-01-02'],
  [sql`'2026-01-02 03:04:05.678901'::timestamp`, '2026-01-02 03:04:05.678901'],
  [sql`'03:04:05'::time`, '03:04:05'],
  [sql`'1 year 2 days 03:04:05'::interval`, '1 year 2 days 03:04:05'],
  [sql`'2026-01-02 03:04:05.678901+05:30'::timestamptz`, new Date('2026-01-01T21:34:05.678Z')],
  [sql`'infinity'::timestamptz`, Number.POSITIVE_INFINITY],
  [sql`'-infinity'::timestamptz`, Number.NEGATIVE_INFINITY],
  [sql`'0044-03-15 12:00:00+00 BC'::timestamptz`, new Date('-000043-03-15T12:00:00Z')],
  [sql`'\\x00ff5c27'::bytea`, new Uint8Array([0, 255, 92, 39])],
  [sql`'null'::jsonb`, null],
  [sql`'{"a": [1, null, "x"]}'::json`, { a: [1, null, 'x'] }],
  [sql`ARRAY[1, NULL, 3]`, [1, undefined, 3]],
  [sql`ARRAY[]::text[]`, []],
  [sql`ARRAY['NULL', NULL, '', 'a"b\\c,{}', ' ']`, ['NULL', undefined, '', 'a"b\\c,{}', ' ']],
  [
    sql`ARRAY[[1, 2], [3, NULL]]::bigint[]`,
    [
      [1n, 2n],
      [3n, undefined],
    ],
  ],
  [sql`'[2:3]={7,8}'::int[]`, [7, 8]],
  [sql`ARRAY['{"a": null}', NULL]::jsonb[]`, [{ a: null }, undefined]],
  [sql`ARRAY['\\x0102', NULL]::bytea[]`, [new Uint8Array([1, 2]), undefined]],
  [sql`ARRAY['2026-01-02 00:00:00Z'::timestamptz]`, [new Date('2026-01-02T00:00:00Z')]],
  [sql`ARRAY['[1,3)'::int4range]`, ['[1,3)']],
  [sql`'[1,3)'::int4range`, '[1,3)'],
  [sql`'127.0.0.1'::inet`, '127.0.0.1'],
  [sql`ROW(1, 'a b')`, '(1,"a b")'],
]

export const valueBehaviours: readonly SqlBehaviour[] = [
  {
    id: 'value/round-trips',
    sentence: 'Every value of every type comes back as it was given, alone, in an array and as NULL.',
    async check({ port }) {
      for (const [type, values] of Object.entries(types)) {
        await fc.assert(
          fc.asyncProperty(values, fc.array(fc.option(values, { nil: undefined })), async (alone, list) => {
            assert.deepEqual(await roundTrip(port, alone, type), alone)
            assert.deepEqual(await roundTrip(port, list, `${type}[]`), list)
            assert.deepEqual(await roundTrip(port, undefined, type), undefined)
          }),
          { numRuns: 25 },
        )
      }
    },
  },
  {
    id: 'value/real-is-the-shortest-decimal',
    sentence: 'A real comes back as the shortest decimal that means it, so that 0.1 is 0.1.',
    async check({ port }) {
      assert.equal(await roundTrip(port, 0.1, 'real'), 0.1)
      await fc.assert(
        fc.asyncProperty(fc.float(), async (value) => {
          assert.deepEqual(Math.fround((await roundTrip(port, value, 'real')) as number), value)
        }),
        { numRuns: 40 },
      )
    },
  },
  {
    id: 'value/json-round-trips',
    sentence: 'Every JSON value comes back as it was given, and a field that is undefined is absent.',
    async check({ port }) {
      const values = fc
        .jsonValue({ stringUnit: 'binary' })
        .filter(hasNoBackslashKey)
        .map((value) => JSON.parse(JSON.stringify(value)) as unknown)
        .filter((value) => {
          const shown = JSON.stringify(value)
          return !shown.includes('\\u0000') && !/\\ud[89a-f]/i.test(shown) && !shown.includes('__proto__')
        })
      await fc.assert(
        fc.asyncProperty(values, async (value) => {
          const row = await port.one(sql`SELECT ${sql.json(value)}::json AS plain`)
          assert.deepEqual(row.plain, value)
        }),
        { numRuns: 60 },
      )
      const row = await port.one(sql`SELECT ${{ a: undefined, b: { c: [1] } }}::jsonb AS json`)
      assert.deepEqual(row.json, { b: { c: [1] } })
      assert.deepEqual(await roundTrip(port, sql.json(null), 'jsonb'), null)
      assert.deepEqual(await roundTrip(port, sql.json([1, [2]]), 'jsonb'), [1, [2]])
      assert.deepEqual(await roundTrip(port, [{ a: 1 }, undefined], 'jsonb[]'), [{ a: 1 }, undefined])
    },
  },
  {
    id: 'value/types-out',
    sentence:
      'Each type comes out as the port says: bigint, exact numerics as text, instants, bytes, arrays.',
    async check({ port }) {
      for (const [written, read] of given) {
        const { value } = await port.one<{ value: unknown }>(sql`SELECT ${written} AS value`)
        assert.deepEqual(value, read, written.text)
      }
    },
  },
  {
    id: 'value/instants-in-any-time-zone',
    sentence:
      'An instant comes back as it was given, whatever time zone the session is in, with hours, minutes or seconds.',
    async check({ port }) {
      const instants = ['1900-06-01T12:00:00Z', '1970-01-01T00:00:00Z', '2026-07-02T03:04:05.678Z']
      // Before 1920 these were +05:41:16, -03:30:52 and -00:43:08.
      for (const zone of ['Asia/Kathmandu', 'America/St_Johns', 'Africa/Monrovia']) {
        await port.transaction(async (transaction) => {
          await transaction.execute(raw(`SET LOCAL TimeZone = '${zone}'`))
          for (const instant of instants.map((text) => new Date(text))) {
            const row = await transaction.one(sql`SELECT ${instant}::timestamptz AS instant`)
            assert.deepEqual(row, { instant }, zone)
          }
        })
      }
    },
  },
  {
    id: 'value/arrays-of-every-type',
    sentence:
      'An array of any type of the database’s own comes out as an array, and NULL in it as undefined.',
    async check({ port }) {
      const lists = ownTypes.map((type) => sql`ARRAY[NULL]::${raw(`${type}[]`)} AS ${sql.identifier(type)}`)
      const row = await port.one(sql`SELECT ${sql.join(lists)}`)
      assert.deepEqual(row, Object.fromEntries(ownTypes.map((type) => [type, [undefined]])))
    },
  },
  {
    id: 'value/does-not-fit',
    sentence: 'A value that its column cannot hold is invalid-argument, and shows in no error.',
    async check({ port }) {
      const misfits: readonly (readonly [SqlValue, string])[] = [
        ['canary-4711', 'integer'],
        ['canary-4711', 'uuid'],
        ['canary-4711 "quoted"', 'timestamptz'],
        ['{canary-4711', 'int[]'],
        ['canary-4711', 'jsonb'],
        [Number.NaN, 'integer'],
        [40_000, 'smallint'],
        [1.5, 'integer'],
        [Number.POSITIVE_INFINITY, 'bigint'],
      ]
      for (const [value, type] of misfits) {
        const error = await expectPortError(roundTrip(port, value, type), 'invalid-argument', {
          outcome: 'not-applied',
          retryable: false,
        })
        const shown = `${error.stack} ${JSON.stringify(error)} ${(error.cause as Error).stack} ${JSON.stringify(error.cause)}`
        assert.ok(!shown.includes('4711'), `an error shows a value: ${shown}`)
      }
    },
  },
  {
    id: 'value/bytes-in-either-form',
    sentence: 'Bytes come back the same where the server is set to write them in its older form.',
    async check({ port }) {
      const bytes = Uint8Array.from({ length: 256 }, (_, index) => index)
      await port.transaction(async (transaction) => {
        await transaction.execute(sql`SET LOCAL bytea_output = 'escape'`)
        const [row] = await transaction.query(
          sql`SELECT ${bytes}::bytea AS bytes, ARRAY[${bytes}::bytea] AS list`,
        )
        assert.deepEqual(row, { bytes, list: [bytes] })
      })
    },
  },
]
