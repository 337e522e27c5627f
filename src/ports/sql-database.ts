/** A relational database that speaks PostgreSQL's SQL. */
import type { CallOptions } from '../port.ts'
import type { SqlStatement, SqlValue } from './sql.ts'

/** A row as the database gives it. SQL's NULL is `undefined`. */
export type SqlRow = Readonly<Record<string, unknown>>

export interface SqlStreamOptions extends CallOptions {
  /** How many rows are fetched at a time. @default 500 */
  readonly batchRows?: number
}

export interface SqlCopyTarget {
  /** `table` or `schema.table`, each part an identifier. */
  readonly table: string
  readonly columns: readonly string[]
}

/** What can be asked of a database and inside a transaction alike. */
export interface SqlQueries {
  query<Row extends object = SqlRow>(statement: SqlStatement, options?: CallOptions): Promise<readonly Row[]>
  /** Exactly one row: none is `not-found`, more are `precondition-failed`. */
  one<Row extends object = SqlRow>(statement: SqlStatement, options?: CallOptions): Promise<Row>
  /** The row, or `undefined`; more than one are `precondition-failed`. */
  maybeOne<Row extends object = SqlRow>(
    statement: SqlStatement,
    options?: CallOptions,
  ): Promise<Row | undefined>
  /** Runs a statement; resolves with the number of rows it affected. */
  execute(statement: SqlStatement, options?: CallOptions): Promise<number>
  /** Rows one by one by a cursor, with back-pressure. */
  stream<Row extends object = SqlRow>(statement: SqlStatement, options?: SqlStreamOptions): AsyncIterable<Row>
  /** Bulk load by COPY: all rows or none; resolves with their number. */
  copyIn(
    target: SqlCopyTarget,
    rows: AsyncIterable<readonly SqlValue[]> | Iterable<readonly SqlValue[]>,
    options?: CallOptions,
  ): Promise<number>
}

export interface SqlTransaction extends SqlQueries {
  /** Runs `work` under a savepoint: what it throws undoes its own changes only. */
  savepoint<Result>(work: (inner: SqlTransaction) => Promise<Result>, options?: CallOptions): Promise<Result>
}

export interface SqlTransactionOptions extends CallOptions {
  /** @default 'read committed' */
  readonly isolation?: 'read committed' | 'repeatable read' | 'serializable'
  /** @default false */
  readonly readOnly?: boolean
  /** How often `work` runs in all when the database reports a serialization failure or a deadlock. @default 5 */
  readonly attempts?: number
}

export interface SqlDatabase extends SqlQueries {
  /** Commits when `work` resolves, rolls back when it throws, and rejects with what it threw. */
  transaction<Result>(
    work: (transaction: SqlTransaction) => Promise<Result>,
    options?: SqlTransactionOptions,
  ): Promise<Result>
}
