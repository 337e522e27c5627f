/**
 * A relational database that speaks PostgreSQL's SQL.
 *
 * What comes out, by the column's type:
 *
 * | PostgreSQL | JavaScript |
 * |---|---|
 * | NULL | `undefined`, inside arrays too |
 * | boolean | `boolean` |
 * | smallint, integer, oid, real, double precision | `number` |
 * | bigint | `bigint` |
 * | numeric, money | `string`, with every digit |
 * | text, varchar, char, name, uuid, inet, enums, ranges, xml and all others | `string` |
 * | timestamptz | `Date`, cut to milliseconds; `infinity` as the number `Infinity` |
 * | timestamp, date, time, interval | `string`, for they name no instant |
 * | bytea | `Uint8Array` |
 * | json, jsonb | the parsed value; JSON's own null stays `null` |
 * | arrays of the above (not of enums and other types an app makes) | arrays |
 *
 * Two columns of one name leave the last one's value: give them names of their own with `AS`.
 */
import { checkInteger, checkIterator, checkIteratorResult, readable, typeName } from '../calls/arguments.ts'
import { invalidArgument } from '../errors.ts'
import { type CallOptions, type CallScope, definePort, type Operations, type Port } from '../port.ts'
import {
  checkSqlStatement,
  maxSqlParameters,
  quoteIdentifier,
  type SqlStatement,
  type SqlValue,
} from './sql.ts'
import { copySqlValue } from './sql-value.ts'

/** A row as the database gives it. SQL's NULL is `undefined`. */
export type SqlRow = Readonly<Record<string, unknown>>

export interface SqlStreamOptions extends CallOptions {
  /** How many rows are fetched at a time, from 1 to 100 000. @default 500 */
  readonly batchRows?: number | undefined
}

export interface SqlCopyTarget {
  /** `table` or `schema.table`, each part a name whose letter case counts. */
  readonly table: string
  /** The columns that a row's values are for, in that order; the others take their defaults. */
  readonly columns: readonly string[]
}

/**
 * What can be asked of a database and inside a transaction alike. A statement outside a transaction is one of its
 * own: it is applied as a whole or not at all, on any connection of the pool, so settings of a session do not
 * carry over. A text of several statements is `invalid-argument`, and so are `BEGIN`, `COMMIT`, `ROLLBACK` and
 * `SAVEPOINT`: use `transaction`.
 *
 * Aborting the signal stops the statement in the database, too. Where that is confirmed, the error's outcome is
 * `not-applied`; where the answer was lost, it is `unknown`.
 *
 * Errors of the database carry `details.sqlstate`, and where it names them, `details.constraint`, `.table`,
 * `.column` and `.schema`: a unique key taken is `already-exists`; a foreign key or an exclusion that does not
 * hold is `precondition-failed`; NULL or a value that the column, its type or a check refuses is
 * `invalid-argument`, and so is wrong SQL; a serialization failure or a deadlock is `conflict`. With every
 * connection in use, a call waits as long as its deadline or the pool allows: `timeout` or `rate-limited`.
 */
export interface SqlQueries {
  /** All rows, in memory at once. For more than that takes, use `stream`. */
  query<Row extends object = SqlRow>(statement: SqlStatement, options?: CallOptions): Promise<readonly Row[]>
  /** Exactly one row: none is `not-found`, more are `precondition-failed` (a change is made nevertheless). */
  one<Row extends object = SqlRow>(statement: SqlStatement, options?: CallOptions): Promise<Row>
  /** The row, or `undefined`; more than one are `precondition-failed` (a change is made nevertheless). */
  maybeOne<Row extends object = SqlRow>(
    statement: SqlStatement,
    options?: CallOptions,
  ): Promise<Row | undefined>
  /** Runs a statement; resolves with the number of rows it affected, 0 where it counts none. */
  execute(statement: SqlStatement, options?: CallOptions): Promise<number>
  /**
   * Rows one by one by a cursor: a batch is fetched when the one before is used up. Outside a transaction all
   * rows are of one snapshot and the statement must not write. Leaving early frees the connection; not reading
   * on keeps it. Only for SELECT, VALUES, TABLE and WITH … SELECT.
   */
  stream<Row extends object = SqlRow>(statement: SqlStatement, options?: SqlStreamOptions): AsyncIterable<Row>
  /**
   * Bulk load by COPY: all rows or none, whether the database, the signal or `rows` itself ends it; resolves with
   * their number. What `rows` throws reaches the caller as it is. A row of another length than `columns`, and a
   * value that SQL cannot hold, are `invalid-argument`.
   */
  copyIn(
    target: SqlCopyTarget,
    rows: AsyncIterable<readonly SqlValue[]> | Iterable<readonly SqlValue[]>,
    options?: CallOptions,
  ): Promise<number>
}

/**
 * A transaction under way. Its calls run one after another on one connection, however they are started. After the
 * transaction's end they are `closed`. As PostgreSQL has it, a failed statement dooms the transaction: `work` that
 * goes on regardless is rolled back in the end, and the transaction rejects with that failure. What may fail
 * belongs under a savepoint.
 */
export interface SqlTransaction extends SqlQueries {
  /**
   * Runs `work` under a savepoint: what it throws undoes its own changes only, and is rejected with. Calls on the
   * outer object wait until it has ended; from inside `work` they are `precondition-failed`, for they would wait
   * for ever.
   */
  savepoint<Result>(work: (inner: SqlTransaction) => Promise<Result>, options?: CallOptions): Promise<Result>
}

export interface SqlTransactionOptions extends CallOptions {
  /** @default 'read committed' */
  readonly isolation?: SqlIsolation | undefined
  /**
   * Writing is then `precondition-failed`. An adapter with a read replica may run it there: what was written by
   * way of the same database object is read in any case, what others wrote just now may be missing. Where the replica is lost under way, `work` runs
   * again, as it does after a clash.
   * @default false
   */
  readonly readOnly?: boolean | undefined
  /**
   * How often `work` runs in all when the database reports a serialization failure or a deadlock, or a replica is
   * lost, from 1 to 100.
   * `work` must therefore do nothing outside the transaction that may not be done twice.
   * @default 5
   */
  readonly attempts?: number | undefined
}

export type SqlIsolation = 'read committed' | 'repeatable read' | 'serializable'

export interface SqlDatabase extends SqlQueries {
  /**
   * Commits when `work` resolves, rolls back when it throws, and rejects with what it threw. On abort and deadline
   * it rolls back without waiting for `work`. A failed commit is rejected with, too; only where the connection is
   * lost during the commit is the outcome `unknown`. Calls on the database itself inside `work` are no part of the
   * transaction. The deadline, 60 s by default, is for all attempts together.
   */
  transaction<Result>(
    work: (transaction: SqlTransaction) => Promise<Result>,
    options?: SqlTransactionOptions,
  ): Promise<Result>
}

const isolations: readonly string[] = ['read committed', 'repeatable read', 'serializable']
const transactionTimeoutMs = 60_000

// Through a pool these would act on some connection, and leave it in a state that its next user does not expect.
const transactionControl =
  /^(?:\s|--[^\n]*(?:\n|$)|\/\*(?:[^*]|\*(?!\/))*\*\/)*(?:begin|start\s+transaction|commit|end|rollback|abort|savepoint|release|prepare\s+transaction)\b/i

function checkStatement(statement: unknown): void {
  checkSqlStatement('the statement', statement)
  const { text, values } = statement
  if (text.trim() === '') throw invalidArgument('the statement is empty')
  if (values.length > maxSqlParameters) {
    throw invalidArgument(
      `the statement has ${values.length} parameters; at most ${maxSqlParameters} are possible: pass arrays, or use copyIn`,
    )
  }
  if (transactionControl.test(text)) {
    throw invalidArgument(
      'transactions are not begun or ended by a statement; use transaction() or savepoint()',
    )
  }
}

function checkWork(work: unknown): void {
  if (typeof work !== 'function') throw invalidArgument(`work must be a function; got ${typeName(work)}`)
}

function checkCopyTarget(target: unknown): asserts target is SqlCopyTarget {
  if (typeof target !== 'object' || target === null) {
    throw invalidArgument(`the target must be { table, columns }; got ${typeName(target)}`)
  }
  const { table, columns } = target as Partial<SqlCopyTarget>
  if (typeof table !== 'string') throw invalidArgument(`table must be a string; got ${typeName(table)}`)
  const names = table.split('.')
  if (names.length > 2) throw invalidArgument('table must be "table" or "schema.table"')
  quoteIdentifier(names)
  if (!Array.isArray(columns) || columns.length === 0) {
    throw invalidArgument('columns must be an array of at least one name')
  }
  for (const column of columns) quoteIdentifier([column])
  if (new Set(columns).size !== columns.length) throw invalidArgument('columns must not name one twice')
}

function checkRows(rows: unknown): void {
  const made = typeof rows === 'object' && rows !== null ? (rows as Partial<AsyncIterable<unknown>>) : {}
  const make: unknown = made[Symbol.asyncIterator] ?? (made as Partial<Iterable<unknown>>)[Symbol.iterator]
  if (typeof make !== 'function')
    throw invalidArgument(`rows must be an iterable of arrays; got ${typeName(rows)}`)
}

type Rows = AsyncIterable<readonly SqlValue[]> | Iterable<readonly SqlValue[]>

/** The rows, checked and copied one by one; what the caller's own iterable throws stays the caller's. */
function ownRows(rows: Rows, width: number, scope: CallScope): AsyncIterable<readonly SqlValue[]> {
  return {
    [Symbol.asyncIterator]() {
      let iterator: AsyncIterator<readonly SqlValue[]> | Iterator<readonly SqlValue[]> | undefined
      let count = 0
      const begin = scope.callback(async () =>
        Symbol.asyncIterator in rows ? rows[Symbol.asyncIterator]() : rows[Symbol.iterator](),
      )
      const end = async (from: NonNullable<typeof iterator>) => from.return?.()
      const pull = scope.callback(async (from: NonNullable<typeof iterator>) => from.next())
      return {
        async next() {
          if (iterator === undefined) {
            const begun = await begin()
            checkIterator('rows', begun)
            iterator = begun
          }
          const step = await pull(iterator)
          checkIteratorResult('rows', step)
          if (step.done) return { done: true, value: undefined }
          count += 1
          try {
            return { done: false, value: ownRow(step.value, width, count) }
          } catch (error) {
            // Who reads takes a failure of `next` for the rows' own end, and tells them of none.
            end(iterator).catch(() => {})
            throw error
          }
        },
        async return() {
          if (iterator !== undefined) await end(iterator)
          return { done: true, value: undefined }
        },
      }
    },
  }
}

function ownRow(row: unknown, width: number, count: number): readonly SqlValue[] {
  return readable(`row ${count}`, () => {
    if (!Array.isArray(row)) throw invalidArgument(`row ${count} must be an array; got ${typeName(row)}`)
    if (row.length !== width) {
      throw invalidArgument(`row ${count} has ${row.length} values for ${width} columns`)
    }
    return Array.from(row, (value, index) => copySqlValue(`value ${index + 1} of row ${count}`, value))
  })
}

const one = {
  kind: 'call',
  effect: 'write',
  idempotent: false,
  arity: 1,
  check: checkStatement,
} as const

const queries: Operations<SqlQueries> = {
  query: one,
  one,
  maybeOne: one,
  execute: one,
  stream: {
    kind: 'stream',
    effect: 'read',
    idempotent: true,
    arity: 1,
    options: ['batchRows'],
    check(statement, { batchRows }) {
      checkStatement(statement)
      if (batchRows !== undefined) checkInteger('batchRows', batchRows, { min: 1, max: 100_000 })
    },
  },
  copyIn: {
    kind: 'call',
    effect: 'write',
    idempotent: false,
    arity: 2,
    check(target, rows) {
      checkCopyTarget(target)
      checkRows(rows)
    },
    subject: ({ table }) => table,
    copy: ([{ table, columns }, rows]) => [{ table, columns: [...columns] }, rows],
    input: ([target, rows], scope) => [target, ownRows(rows, target.columns.length, scope)],
  },
}

type Work = (transaction: SqlTransaction) => Promise<unknown>

/** Gives `work` a guarded transaction that ends with the call, and lets through what it throws. */
function ownWork(work: Work, scope: CallScope): Work {
  return scope.callback(async (transaction) => work(scope.nested(SqlTransaction, transaction)))
}

/** The token of what a transaction's callback is given. */
export const SqlTransaction: Port<SqlTransaction> = definePort<SqlTransaction>({
  name: 'sql-transaction',
  operations: {
    ...queries,
    savepoint: {
      kind: 'call',
      effect: 'write',
      idempotent: false,
      arity: 1,
      timeoutMs: transactionTimeoutMs,
      check: checkWork,
      input: ([work], scope) => [ownWork(work, scope)],
    },
  },
})

/** The token of the port: see the interface of the same name. */
export const SqlDatabase: Port<SqlDatabase> = definePort<SqlDatabase>({
  name: 'sql-database',
  operations: {
    ...queries,
    transaction: {
      kind: 'call',
      effect: 'write',
      idempotent: false,
      arity: 1,
      timeoutMs: transactionTimeoutMs,
      options: ['isolation', 'readOnly', 'attempts'],
      check(work, { isolation, readOnly, attempts }) {
        checkWork(work)
        if (isolation !== undefined && !isolations.includes(isolation as string)) {
          throw invalidArgument(
            `isolation must be one of ${isolations.map((name) => `"${name}"`).join(', ')}`,
          )
        }
        if (readOnly !== undefined && typeof readOnly !== 'boolean') {
          throw invalidArgument(`readOnly must be a boolean; got ${typeName(readOnly)}`)
        }
        if (attempts !== undefined) checkInteger('attempts', attempts, { min: 1, max: 100 })
      },
      input: ([work], scope) => [ownWork(work, scope)],
    },
  },
})
