/**
 * What PostgreSQL's and pg's errors mean. Pure; `errors.test.ts` holds the table of real errors.
 *
 * SQLSTATEs: https://www.postgresql.org/docs/17/errcodes-appendix.html
 */
import type { Classification, CodeTable } from '../../src/adapter.ts'
import { classifyPoolerError } from './pooler-errors.ts'

/** Five characters: the exact state. Two: the rest of that class. */
const codes: CodeTable = {
  '08': 'unavailable',
  // Mostly a placeholder that stands inside quotes, and so is text.
  '08P01': 'invalid-argument',
  '0A': 'unsupported',
  '0L': 'permission-denied',
  '0P': 'permission-denied',
  '21': 'precondition-failed',
  '22': 'invalid-argument',
  '23': 'precondition-failed',
  '23502': 'invalid-argument',
  '23505': 'already-exists',
  '23514': 'invalid-argument',
  '25': 'precondition-failed',
  '25P03': 'timeout',
  '25P04': 'timeout',
  '28': 'unauthenticated',
  '2B': 'precondition-failed',
  '2D': 'invalid-argument',
  '3B': 'precondition-failed',
  '3D': 'not-found',
  '3F': 'invalid-argument',
  '40': 'conflict',
  '40002': 'precondition-failed',
  '40003': 'unavailable',
  '42': 'invalid-argument',
  '42501': 'permission-denied',
  '42701': 'already-exists',
  '42710': 'already-exists',
  '42723': 'already-exists',
  '42P03': 'already-exists',
  '42P04': 'already-exists',
  '42P05': 'already-exists',
  '42P06': 'already-exists',
  '42P07': 'already-exists',
  '44': 'invalid-argument',
  '53': 'unavailable',
  '53100': 'quota-exceeded',
  '53300': 'rate-limited',
  '53400': 'quota-exceeded',
  '54': 'invalid-argument',
  '55': 'precondition-failed',
  '55006': 'conflict',
  '55P03': 'conflict',
  '57': 'unavailable',
  '57014': 'cancelled',
  '57P04': 'not-found',
  '58030': 'unavailable',
  '72': 'conflict',
  P0001: 'rejected',
  P0002: 'not-found',
  P0003: 'precondition-failed',
  XX001: 'corrupt',
  XX002: 'corrupt',
}

/** What to say where the server's own words could repeat a value of the caller's. */
const meanings: Readonly<Record<string, string>> = {
  '08': 'the connection to the database failed',
  '08P01': 'the parameters do not fit the statement; a placeholder inside quotes is text, not a parameter',
  '0A': 'the database does not support this',
  '21': 'a row was found more than once where only one can be',
  '22': 'a value does not fit its type or range',
  '22001': 'a value is too long for its column',
  '22003': 'a number is out of range',
  '22012': 'division by zero',
  '22P02': 'a value is not of the form that its type asks for',
  '23': 'a constraint does not hold',
  '23502': 'a column that must have a value got NULL',
  '23503': 'a foreign key does not hold: the row referred to is missing, or the row is still referred to',
  '23505': 'a row with this unique key exists',
  '23514': 'a check constraint refused the row',
  '23P01': 'an exclusion constraint refused the row, for another is in its way',
  '25': 'the transaction is not in a state that allows this',
  '25006': 'the transaction or the server is read-only',
  '25P02': 'a statement before this one failed, and with it the transaction',
  '25P03': 'the transaction was idle for longer than the server allows',
  '25P04': 'the transaction took longer than the server allows',
  '28': 'the database refused the credentials; check user and password in the URL',
  '3D': 'there is no such database on the server; check the path in the URL',
  '40': 'the transaction clashed with another one; run it again',
  '40P01': 'the transaction and another one waited for each other; run it again',
  '42501': 'the user lacks a privilege for this',
  '53': 'the server lacks resources',
  '53100': "the server's disk is full",
  '53300': 'the server has no connection left for this user',
  '55P03': 'a lock could not be had at once or in time',
  '57': 'the server shut down or is starting up',
  '57014': 'the statement was cancelled on the server',
  '58030': 'the server failed to read or write its files',
  P0001: 'a function of the database refused the call; its words are in the cause',
  XX001: 'the server found its data damaged',
  XX002: 'the server found an index damaged',
}

/** After these the statement may have been carried out; after any other answer of the server it was not. */
const uncertain: ReadonlySet<string> = new Set([
  '08000',
  '08003',
  '08006',
  '08007',
  '40003',
  '57P01',
  '57P02',
])

interface DatabaseError {
  readonly code: string
  readonly message: string
  readonly severity: string
  readonly schema?: string
  readonly table?: string
  readonly column?: string
  readonly constraint?: string
  readonly dataType?: string
}

/** Translates an error of the server, of pg, of its pool or of the socket; `undefined` for any other. */
export function classifyPostgresError(error: unknown): Classification | undefined {
  if (isDatabaseError(error)) return classifyDatabaseError(error)
  if (!(error instanceof Error)) return undefined
  return classifySocketError(error) ?? classifyTlsError(error) ?? classifyClientError(error)
}

/** Whether running the whole transaction again may help. */
export function isSerializationFailure(sqlstate: string | undefined): boolean {
  return sqlstate === '40001' || sqlstate === '40P01'
}

/** The SQLSTATE of an error of the server. */
export function sqlstateOf(error: unknown): string | undefined {
  return isDatabaseError(error) ? error.code : undefined
}

/** Whether the connection that gave this error is not to be used again. */
export function endsConnection(error: unknown): boolean {
  if (!isDatabaseError(error)) return classifyPostgresError(error)?.code === 'unavailable'
  // The severity may be in the server's language; the states of a shutdown are not.
  return /^(?:FATAL|PANIC)$/.test(error.severity) || /^(?:57P|08|25P0[34])/.test(error.code)
}

function classifyDatabaseError(error: DatabaseError): Classification {
  const sqlstate = error.code
  // The server's own are errors of a statement. A pooler speaks English whatever the server's language.
  if (sqlstate === '08P01' && error.severity === 'FATAL') {
    const meaning = classifyPoolerError(error.message)
    return { ...meaning, message: `${meaning.message} (SQLSTATE ${sqlstate})`, details: detailsOf(error) }
  }
  const code = lookUp(codes, sqlstate) ?? 'internal'
  return {
    code,
    message: `${meaningOf(error)}${namesIn(error)} (SQLSTATE ${sqlstate})`,
    outcome: uncertain.has(sqlstate) ? 'unknown' : 'not-applied',
    details: detailsOf(error),
    ...(code === 'rejected' ? { reason: 'raised' } : {}),
  }
}

function meaningOf({ code, message }: DatabaseError): string {
  const meaning = lookUp(meanings, code)
  if (meaning !== undefined) return meaning
  // Of wrong SQL the server quotes names and text of the statement, in which no parameter stands.
  if (code.startsWith('42') || code.startsWith('3F')) return message
  return 'the database refused the statement'
}

function lookUp<Value>(table: Readonly<Record<string, Value>>, sqlstate: string): Value | undefined {
  return table[sqlstate] ?? table[sqlstate.slice(0, 2)]
}

function namesIn({ constraint, table, column }: DatabaseError): string {
  const names = [
    constraint === undefined ? '' : `constraint "${constraint}"`,
    column === undefined ? '' : `column "${column}"`,
    table === undefined ? '' : `table "${table}"`,
  ].filter((name) => name !== '')
  return names.length === 0 ? '' : `: ${names.join(' of ')}`
}

function detailsOf(error: DatabaseError): Record<string, string> {
  const { code: sqlstate, schema, table, column, constraint, dataType } = error
  const details = { sqlstate, schema, table, column, constraint, dataType }
  return Object.fromEntries(
    Object.entries(details).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  )
}

const notConnected: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EAI_FAIL',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'EADDRNOTAVAIL',
  'ENOENT',
])
const connectionLost: ReadonlySet<string> = new Set(['ECONNRESET', 'ECONNABORTED', 'EPIPE', 'ETIMEDOUT'])

function classifySocketError(error: Error): Classification | undefined {
  const { code, syscall } = error as Error & { readonly code?: unknown; readonly syscall?: unknown }
  if (typeof code !== 'string') return undefined
  if (notConnected.has(code) || (connectionLost.has(code) && syscall === 'connect')) {
    return {
      code: 'unavailable',
      message: `the database could not be reached (${code}); check that it runs and that host and port are right`,
      outcome: 'not-applied',
      details: { errno: code },
    }
  }
  if (!connectionLost.has(code)) return undefined
  return {
    code: 'unavailable',
    message: `the connection to the database broke (${code})`,
    outcome: 'unknown',
    details: { errno: code },
  }
}

const certificateProblem =
  /^(?:ERR_TLS_|ERR_SSL_|CERT_|DEPTH_ZERO_SELF_SIGNED_CERT$|SELF_SIGNED_CERT|UNABLE_TO_(?:GET|VERIFY)_|HOSTNAME_MISMATCH$)/

function classifyTlsError(error: Error): Classification | undefined {
  const { code } = error as Error & { readonly code?: unknown }
  if (typeof code === 'string' && certificateProblem.test(code)) {
    return {
      code: 'unauthenticated',
      message: `the server's certificate was not accepted (${code}); give its authority as sslrootcert`,
      outcome: 'not-applied',
      details: { errno: code },
    }
  }
  if (!/SSL connection/.test(error.message)) return undefined
  return {
    code: 'precondition-failed',
    message:
      'the server offers no TLS; turn it on there, or set sslmode=disable where the network is trusted',
    outcome: 'not-applied',
  }
}

/** Errors that pg and its pool make themselves have no code: only their text tells them apart. */
function classifyClientError({ message }: Error): Classification | undefined {
  switch (message) {
    case 'timeout exceeded when trying to connect':
      return {
        code: 'rate-limited',
        message: 'every connection of the pool is in use; raise maxConnections, or hold them for shorter',
        outcome: 'not-applied',
      }
    case 'timeout expired':
    case 'Connection terminated due to connection timeout':
      return {
        code: 'unavailable',
        message: 'the database did not accept a connection within connectTimeoutMs',
        outcome: 'not-applied',
      }
    case 'Client has encountered a connection error and is not queryable':
    case 'Client was closed and is not queryable':
      return { code: 'unavailable', message: 'the connection was lost before', outcome: 'not-applied' }
    case 'Connection terminated':
    case 'Connection terminated unexpectedly':
      return { code: 'unavailable', message: 'the connection to the database broke', outcome: 'unknown' }
    case 'Cannot use a pool after calling end on the pool':
      return { code: 'closed', message: 'the pool has been ended' }
    default:
      if (message.startsWith('received invalid response')) {
        return {
          code: 'unavailable',
          message: 'what answered there is no PostgreSQL; check host and port',
          outcome: 'unknown',
          retryable: false,
        }
      }
      if (!message.startsWith('SASL')) return undefined
      return {
        code: 'unauthenticated',
        message: 'the password exchange failed; check user and password in the URL',
        outcome: 'not-applied',
      }
  }
}

function isDatabaseError(error: unknown): error is DatabaseError {
  // By its form: pg may be there in two copies, and an app's own pool brings another.
  if (!(error instanceof Error)) return false
  const { code, severity } = error as Error & { readonly code?: unknown; readonly severity?: unknown }
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && typeof severity === 'string'
}

/**
 * Takes out of a server's error what repeats values of the caller's or of other rows, in place: `detail`,
 * `where` and the like, and what is quoted in the message of a value that was refused.
 */
export function withoutValues(error: unknown): unknown {
  if (!isDatabaseError(error)) return error
  const bare = error as unknown as Record<string, unknown> & Error
  for (const field of ['detail', 'where', 'internalQuery', 'internalPosition']) delete bare[field]
  if (!error.code.startsWith('22')) return error
  const { message } = bare
  // Greedy: a value may hold quotes itself.
  const masked = message.replace(/".*"/s, '"…"')
  bare.message = masked
  if (typeof bare.stack === 'string') bare.stack = bare.stack.replace(message, () => masked)
  return error
}
