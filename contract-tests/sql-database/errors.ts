/** Errors of the database: the code, the names, and nothing of any value. */
import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import type { PortErrorCode } from '../../src/errors.ts'
import { type SqlStatement, sql } from '../../src/ports/sql.ts'
import { expectPortError } from '../expect.ts'
import { currentSchema, makeSeats, type SqlBehaviour } from './seats.ts'

interface Case {
  readonly statement: SqlStatement
  readonly code: PortErrorCode
  readonly details: Readonly<Record<string, string>>
}

const secret = 'canary-4711'

const cases: readonly Case[] = [
  {
    statement: sql`INSERT INTO owners VALUES (${secret})`,
    code: 'already-exists',
    details: { sqlstate: '23505', constraint: 'owners_pkey', table: 'owners' },
  },
  {
    statement: sql`INSERT INTO seats (id, owner) VALUES (1, ${`${secret}-unknown`})`,
    code: 'precondition-failed',
    details: { sqlstate: '23503', constraint: 'seats_owner_fkey', table: 'seats' },
  },
  {
    statement: sql`DELETE FROM owners WHERE name = ${secret}`,
    code: 'precondition-failed',
    details: { sqlstate: '23503', constraint: 'seats_owner_fkey', table: 'seats' },
  },
  {
    statement: sql`UPDATE seats SET price = ${undefined} WHERE owner = ${secret}`,
    code: 'invalid-argument',
    details: { sqlstate: '23502', column: 'price', table: 'seats' },
  },
  {
    statement: sql`UPDATE seats SET price = ${-4711}`,
    code: 'invalid-argument',
    details: { sqlstate: '23514', constraint: 'seats_price_check', table: 'seats' },
  },
  {
    statement: sql`INSERT INTO seats (id, taken) VALUES (4712, '[0,4711)')`,
    code: 'precondition-failed',
    details: { sqlstate: '23P01', constraint: 'seats_taken_excl' },
  },
  {
    statement: sql`SELECT ${secret}::date`,
    code: 'invalid-argument',
    details: { sqlstate: '22007' },
  },
  {
    statement: sql`SELECT no_such_column FROM seats`,
    code: 'invalid-argument',
    details: { sqlstate: '42703' },
  },
  { statement: sql`SELEC 1`, code: 'invalid-argument', details: { sqlstate: '42601' } },
  { statement: sql`SELECT '${1}'`, code: 'invalid-argument', details: { sqlstate: '08P01' } },
  { statement: sql`CREATE TABLE seats ()`, code: 'already-exists', details: { sqlstate: '42P07' } },
  { statement: sql`SELECT * FROM pg_authid`, code: 'permission-denied', details: { sqlstate: '42501' } },
  {
    statement: sql`COPY seats FROM PROGRAM 'true'`,
    code: 'permission-denied',
    details: { sqlstate: '42501' },
  },
  {
    statement: sql`SELECT reject(${secret})`,
    code: 'rejected',
    details: { sqlstate: 'P0001' },
  },
  {
    statement: sql`CREATE DATABASE "a" TEMPLATE no_such`,
    code: 'permission-denied',
    details: { sqlstate: '42501' },
  },
]

export const errorBehaviours: readonly SqlBehaviour[] = [
  {
    id: 'error/code-and-names',
    sentence:
      'Each kind of failure has its code, names the constraint, column and table, and was not applied.',
    async check({ port }) {
      await fill(port)
      // Whoever may do everything is denied nothing; the last of these is about a right that a plain owner may have.
      const { superuser, createdb } = await port.one<{ superuser: boolean; createdb: boolean }>(sql`
        SELECT rolsuper AS superuser, rolcreatedb AS createdb FROM pg_roles WHERE rolname = current_user`)
      const permitted = ({ statement, code }: Case): boolean =>
        code === 'permission-denied' &&
        (superuser || (createdb && statement.text.startsWith('CREATE DATABASE')))
      for (const { statement, code, details } of cases.filter((each) => !permitted(each))) {
        const error = await expectPortError(port.execute(statement), code, {
          outcome: 'not-applied',
          operation: 'execute',
        })
        for (const [name, value] of Object.entries(details)) {
          assert.equal(error.details[name], value, `${name} after ${statement.text}`)
        }
        assert.equal(error.reason, code === 'rejected' ? 'raised' : undefined)
        assert.ok(error.cause instanceof Error, 'the cause is the server’s own error')
        if (code === 'already-exists' && details.table !== undefined) {
          assert.equal(error.details.schema, await currentSchema(port))
        }
      }
    },
  },
  {
    id: 'error/shows-no-value',
    sentence: 'No error shows a value, neither of a parameter nor of a row that is in the way.',
    async check({ port }) {
      await fill(port)
      for (const { statement } of cases.filter(({ code }) => code !== 'rejected')) {
        const error: unknown = await port.execute(statement).catch((reason: unknown) => reason)
        assert.ok(error instanceof Error)
        const shown = [
          error.stack,
          JSON.stringify(error),
          inspect(error, { depth: 12, showHidden: true }),
        ].join('\n')
        assert.ok(!shown.includes('4711'), `an error shows a value: ${shown}`)
      }
    },
  },
  {
    id: 'error/lock-not-available',
    sentence: 'A row that is locked, asked for with NOWAIT, is conflict.',
    async check({ port }) {
      await fill(port)
      await port.transaction(async (transaction) => {
        await transaction.query(sql`SELECT * FROM seats FOR UPDATE`)
        const other = port.query(sql`SELECT * FROM seats FOR UPDATE NOWAIT`)
        await expectPortError(other, 'conflict', { retryable: true, outcome: 'not-applied' })
      })
    },
  },
  {
    id: 'error/leaves-the-connection-good',
    sentence: 'After a failed call the next one works, however many have failed.',
    async check({ port }) {
      for (let round = 0; round < 30; round += 1) {
        await expectPortError(port.query(sql`SELECT 1 / ${0}::int`), 'invalid-argument')
      }
      assert.deepEqual(await port.one(sql`SELECT 1 AS one`), { one: 1 })
    },
  },
]

async function fill(port: Parameters<typeof makeSeats>[0]): Promise<void> {
  await makeSeats(port)
  await port.execute(sql`INSERT INTO owners VALUES (${secret})`)
  await port.execute(sql`INSERT INTO seats (id, owner, taken) VALUES (4711, ${secret}, '[0,4711)')`)
  await port.execute(sql`
    CREATE FUNCTION reject(reason text) RETURNS void LANGUAGE plpgsql AS
    'BEGIN RAISE EXCEPTION ''refused: %'', reason; END'`)
}
