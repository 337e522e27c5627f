/**
 * The translation as a table. The rows have the fields and texts of PostgreSQL 17, pg 8.23 and Node; what connecting
 * can fail with is provoked on the real server below.
 */
import pg from 'pg'
import { describe, expect, inject, test } from 'vitest'
import type { Outcome, PortErrorCode } from '../../src/errors.ts'
import { classifyPostgresError, endsConnection, withoutValues } from './errors.ts'

type Row = readonly [what: string, error: unknown, code: PortErrorCode, outcome: Outcome]

function server(code: string, message: string, fields: Readonly<Record<string, string>> = {}): Error {
  return Object.assign(new Error(message), { severity: 'ERROR', code, ...fields })
}
function system(code: string, fields: Readonly<Record<string, string>> = {}): Error {
  return Object.assign(new Error(`${fields.syscall ?? 'read'} ${code}`), { code, ...fields })
}

const rows: readonly Row[] = [
  ['refused', system('ECONNREFUSED', { syscall: 'connect' }), 'unavailable', 'not-applied'],
  [
    'refused on both addresses',
    Object.assign(new AggregateError([]), { code: 'ECONNREFUSED' }),
    'unavailable',
    'not-applied',
  ],
  ['no such host', system('ENOTFOUND', { syscall: 'getaddrinfo' }), 'unavailable', 'not-applied'],
  ['no answer from DNS', system('EAI_AGAIN', { syscall: 'getaddrinfo' }), 'unavailable', 'not-applied'],
  ['no route', system('EHOSTUNREACH', { syscall: 'connect' }), 'unavailable', 'not-applied'],
  ['connecting took too long', system('ETIMEDOUT', { syscall: 'connect' }), 'unavailable', 'not-applied'],
  ['reset while connecting', system('ECONNRESET', { syscall: 'connect' }), 'unavailable', 'not-applied'],
  ['reset', system('ECONNRESET', { syscall: 'read' }), 'unavailable', 'unknown'],
  ['broken pipe', system('EPIPE', { syscall: 'write' }), 'unavailable', 'unknown'],
  ['keep-alive found it dead', system('ETIMEDOUT', { syscall: 'read' }), 'unavailable', 'unknown'],
  ['ended', new Error('Connection terminated unexpectedly'), 'unavailable', 'unknown'],
  ['no PostgreSQL', new Error('received invalid response: 48'), 'unavailable', 'unknown'],
  ['ended by us', new Error('Connection terminated'), 'unavailable', 'unknown'],
  [
    'broken before',
    new Error('Client has encountered a connection error and is not queryable'),
    'unavailable',
    'not-applied',
  ],
  [
    'pool: connecting',
    new Error('Connection terminated due to connection timeout'),
    'unavailable',
    'not-applied',
  ],
  ['client: connecting', new Error('timeout expired'), 'unavailable', 'not-applied'],
  ['pool: all in use', new Error('timeout exceeded when trying to connect'), 'rate-limited', 'not-applied'],
  ['pool: ended', new Error('Cannot use a pool after calling end on the pool'), 'closed', 'not-applied'],
  ['no TLS', new Error('The server does not support SSL connections'), 'precondition-failed', 'not-applied'],
  ['self-signed', system('DEPTH_ZERO_SELF_SIGNED_CERT'), 'unauthenticated', 'not-applied'],
  ['unknown authority', system('UNABLE_TO_VERIFY_LEAF_SIGNATURE'), 'unauthenticated', 'not-applied'],
  ['other host', system('ERR_TLS_CERT_ALTNAME_INVALID'), 'unauthenticated', 'not-applied'],
  [
    'no password',
    new Error('SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a non-empty string'),
    'unauthenticated',
    'not-applied',
  ],
  [
    'wrong password',
    server('28P01', 'password authentication failed for user "u"'),
    'unauthenticated',
    'not-applied',
  ],
  [
    'no pg_hba entry',
    server('28000', 'no pg_hba.conf entry for host "10.0.0.1"'),
    'unauthenticated',
    'not-applied',
  ],
  ['no such database', server('3D000', 'database "x" does not exist'), 'not-found', 'not-applied'],
  ['too many connections', server('53300', 'sorry, too many clients already'), 'rate-limited', 'not-applied'],
  [
    'disk full',
    server('53100', 'could not extend file: No space left on device'),
    'quota-exceeded',
    'not-applied',
  ],
  ['out of memory', server('53200', 'out of memory'), 'unavailable', 'not-applied'],
  ['starting up', server('57P03', 'the database system is starting up'), 'unavailable', 'not-applied'],
  [
    'shut down',
    server('57P01', 'terminating connection due to administrator command'),
    'unavailable',
    'unknown',
  ],
  [
    'crashed',
    server('57P02', 'terminating connection because of crash of another server process'),
    'unavailable',
    'unknown',
  ],
  ['cancelled', server('57014', 'canceling statement due to user request'), 'cancelled', 'not-applied'],
  [
    'serialization',
    server('40001', 'could not serialize access due to concurrent update'),
    'conflict',
    'not-applied',
  ],
  ['deadlock', server('40P01', 'deadlock detected'), 'conflict', 'not-applied'],
  ['not known whether completed', server('40003', 'statement completion unknown'), 'unavailable', 'unknown'],
  ['lock timeout', server('55P03', 'canceling statement due to lock timeout'), 'conflict', 'not-applied'],
  [
    'transaction timeout',
    server('25P04', 'terminating connection due to transaction timeout'),
    'timeout',
    'not-applied',
  ],
  [
    'idle transaction',
    server('25P03', 'terminating connection due to idle-in-transaction timeout'),
    'timeout',
    'not-applied',
  ],
  [
    'read-only',
    server('25006', 'cannot execute INSERT in a read-only transaction'),
    'precondition-failed',
    'not-applied',
  ],
  [
    'not supported',
    server('0A000', 'cross-database references are not implemented'),
    'unsupported',
    'not-applied',
  ],
  ['too complex', server('54001', 'stack depth limit exceeded'), 'invalid-argument', 'not-applied'],
  [
    'more than one row',
    server('21000', 'more than one row returned by a subquery'),
    'precondition-failed',
    'not-applied',
  ],
  ['damaged', server('XX001', 'invalid page in block 0 of relation base/5/1'), 'corrupt', 'not-applied'],
  ['bug in the server', server('XX000', 'cache lookup failed for type 1'), 'internal', 'not-applied'],
  ['no data found', server('P0002', 'query returned no rows'), 'not-found', 'not-applied'],
]

describe('an error of the server, pg or Node', () => {
  test.each(rows)('%s', (_, error, code, outcome) => {
    const classified = classifyPostgresError(error)
    expect(classified?.code).toBe(code)
    expect(classified?.outcome ?? 'not-applied').toBe(outcome)
    expect(classified?.message).not.toBe('')
  })

  test.each([
    [undefined],
    ['a string'],
    [new Error('something else')],
    [new TypeError('x')],
    [system('ENOSPC')],
  ])('of another origin is left alone: %s', (error) => {
    expect(classifyPostgresError(error)).toBeUndefined()
  })
})

test('an error that ends the connection is told from one that does not', () => {
  const fatal = Object.assign(server('57P01', 'terminating connection'), { severity: 'FATAL' })
  // As a server whose messages are in German says it.
  const translated = Object.assign(server('57P01', 'breche Verbindung ab'), { severity: 'FATAL_' })
  for (const error of [
    fatal,
    translated,
    system('ECONNRESET'),
    new Error('Connection terminated unexpectedly'),
  ]) {
    expect(endsConnection(error)).toBe(true)
  }
  for (const error of [
    server('23505', 'duplicate key'),
    server('57014', 'cancelled'),
    new Error('of the app'),
  ]) {
    expect(endsConnection(error)).toBe(false)
  }
})

test('values are taken out of the error itself', () => {
  const error = server('22P02', 'invalid input syntax for type integer: "my "secret" value"', {
    detail: 'Token "secret" is invalid.',
    where: "unnamed portal parameter $1 = 'secret'",
  })
  // V8 writes the stack when it is first read.
  expect(error.stack).toContain('secret')
  withoutValues(error)
  expect(`${error.stack} ${JSON.stringify(error)}`).not.toContain('secret')
  expect(error.message).toBe('invalid input syntax for type integer: "…"')
})

describe('on the real server', () => {
  const connect = async (change: (url: URL) => void): Promise<unknown> => {
    const url = new URL(inject('postgresUrl'))
    change(url)
    const client = new pg.Client({ connectionString: url.href, connectionTimeoutMillis: 5_000 })
    client.on('error', () => {})
    try {
      await client.connect()
      return undefined
    } catch (error) {
      return error
    } finally {
      await client.end().catch(() => {})
    }
  }
  const attempts: readonly (readonly [string, (url: URL) => void, PortErrorCode])[] = [
    [
      'a wrong password',
      (url) => {
        url.password = 'wrong'
      },
      'unauthenticated',
    ],
    [
      'an unknown user',
      (url) => {
        url.username = 'nobody'
      },
      'unauthenticated',
    ],
    [
      'an unknown database',
      (url) => {
        url.pathname = '/no_such_database'
      },
      'not-found',
    ],
    [
      'a closed port',
      (url) => {
        url.port = '1'
      },
      'unavailable',
    ],
    [
      'an unknown host',
      (url) => {
        url.hostname = 'no-such-host.invalid'
      },
      'unavailable',
    ],
    [
      'TLS where there is none',
      (url) => {
        url.searchParams.set('sslmode', 'verify-full')
      },
      'precondition-failed',
    ],
  ]
  test.each(attempts)('%s', async (_, change, code) => {
    const error = await connect(change)
    expect(classifyPostgresError(error)).toMatchObject({ code, outcome: 'not-applied' })
  })
})
