/** What a pooler says, and what may not be asked behind one. What works through it is the contract's: contract-tests/pgbouncer.test.ts. */
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { expectPortError } from '../../contract-tests/expect.ts'
import type { Outcome, PortErrorCode } from '../../src/errors.ts'
import { ServiceUrl } from '../../src/services/url.ts'
import { classifyPostgresError, endsConnection } from './errors.ts'
import { postgres } from './index.ts'
import { migrate } from './migrate.ts'
import { agreeOnSettings, refuseSessionState } from './pooler.ts'

function pooler(message: string): Error {
  return Object.assign(new Error(message), { severity: 'FATAL', code: '08P01' })
}

const rows: readonly (readonly [text: string, code: PortErrorCode, outcome: Outcome])[] = [
  ['unsupported startup parameter: options', 'precondition-failed', 'not-applied'],
  ['unsupported startup parameter in options: bytea_output', 'precondition-failed', 'not-applied'],
  ['password authentication failed', 'unauthenticated', 'not-applied'],
  ['SASL authentication failed', 'unauthenticated', 'not-applied'],
  ['no such user: someone', 'unauthenticated', 'not-applied'],
  ['no such database: orders', 'not-found', 'not-applied'],
  ['database "orders" is disabled', 'not-found', 'not-applied'],
  ['no more connections allowed (max_client_conn)', 'rate-limited', 'not-applied'],
  ['client connections exceeded (max_db_client_connections)', 'rate-limited', 'not-applied'],
  ['too many connections for role "orders"', 'rate-limited', 'not-applied'],
  ['sorry, too many clients already', 'rate-limited', 'not-applied'],
  ['query_wait_timeout', 'unavailable', 'not-applied'],
  ['server login has been failing, try again later (server_login_retry)', 'unavailable', 'not-applied'],
  [
    'server login has been failing, cached error: connect failed (server_login_retry)',
    'unavailable',
    'not-applied',
  ],
  ['client_login_timeout (server down)', 'unavailable', 'not-applied'],
  ['the database system is starting up', 'unavailable', 'not-applied'],
  ['server conn crashed?', 'unavailable', 'unknown'],
  ['server shutting down', 'unavailable', 'unknown'],
  ['database configuration changed', 'unavailable', 'unknown'],
  ['query_timeout', 'timeout', 'unknown'],
  ['what no release has said so far', 'unavailable', 'unknown'],
]

describe('the words of PgBouncer', () => {
  test.each(rows)('%s', (text, code, outcome) => {
    expect(classifyPostgresError(pooler(text))).toMatchObject({ code, outcome })
    expect(endsConnection(pooler(text))).toBe(true)
  })

  test('are not those of a statement that the server refuses', () => {
    const refused = Object.assign(new Error('bind message supplies 1 parameters'), {
      severity: 'ERROR',
      code: '08P01',
    })
    expect(classifyPostgresError(refused)).toMatchObject({ code: 'invalid-argument' })
  })
})

describe('what would stay behind in a session', () => {
  test.each([
    'SET search_path TO tenant_1',
    "  set session time zone 'UTC'",
    '-- first\n/* then */ SET x.y = 1',
    'RESET ALL',
    'LISTEN seats',
    'UNLISTEN *',
    'PREPARE p AS SELECT 1',
    'DEALLOCATE ALL',
    'DISCARD ALL',
    "LOAD 'auto_explain'",
    'DECLARE c CURSOR WITH HOLD FOR SELECT 1',
    'CREATE TEMP TABLE t (id int)',
    'CREATE TEMPORARY TABLE t (id int) ON COMMIT DELETE ROWS',
    'SELECT 1 AS id INTO TEMP t',
    "SELECT set_config('app.tenant', $1, false)",
    "SELECT set_config('app.tenant', $1, $2)",
    'SELECT pg_advisory_lock(1)',
    'SELECT pg_try_advisory_lock_shared (1, 2)',
    'SELECT pg_advisory_unlock_all()',
  ])('is unsupported: %s', async (text) => {
    await expectPortError((async () => refuseSessionState(text))(), 'unsupported', {
      outcome: 'not-applied',
      retryable: false,
    })
  })

  test.each([
    'SET LOCAL search_path TO tenant_1',
    'SET TRANSACTION DEFERRABLE',
    'SET CONSTRAINTS ALL DEFERRED',
    'DECLARE c CURSOR FOR SELECT 1',
    'CREATE TEMP TABLE t (id int) ON COMMIT DROP',
    'CREATE TABLE temp (id int)',
    "SELECT set_config('app.tenant', $1, true)",
    'SELECT pg_advisory_xact_lock(1)',
    'SELECT pg_try_advisory_xact_lock_shared(1)',
    'UPDATE seats SET owner = NULL',
    'SELECT set_id FROM settings',
    'INSERT INTO prepared VALUES (1)',
  ])('is not this: %s', (text) => {
    expect(() => refuseSessionState(text)).not.toThrow()
  })
})

test('migrations, which need a session of their own, are refused before any connection', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'portside-migrations-'))
  const parsed = ServiceUrl.parse('postgres://u:p@127.0.0.1:1/orders?pooler=transaction', postgres.parameters)
  if (!('url' in parsed)) throw new Error(parsed.problems.join('; '))
  const error = await expectPortError(migrate(parsed.url, directory), 'invalid-argument')
  expect(error.message).toContain('the URL of the server itself')
})

test('a setting that no pooler carries must be as results need it', async () => {
  const saying = (row: object) => ({ query: async () => ({ rows: [row] }) }) as never
  const right = { IntervalStyle: 'postgres', bytea_output: 'hex', extra_float_digits: '1' }
  await agreeOnSettings(saying(right))
  const error = await expectPortError(
    agreeOnSettings(saying({ ...right, bytea_output: 'escape' })),
    'precondition-failed',
    { outcome: 'not-applied' },
  )
  expect(error.message).toContain('bytea_output = hex')
})
