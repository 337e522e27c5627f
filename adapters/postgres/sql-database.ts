/**
 * SqlDatabase over a `pg.Pool`.
 *
 * Every call takes a connection out of the pool, runs statements by the extended protocol and gives it back.
 * After a cancellation the connection is closed instead, so that no late one can hit the next call. Streams are
 * cursors of SQL, bulk loads are COPY.
 *
 * Not supported: LISTEN/NOTIFY, settings of a session, COPY out, prepared statements by name. For these take the
 * pool itself: `native(app.orders)`.
 */
import type pg from 'pg'
import type { DatastoreDriver, ServerIdentity } from '../../src/adapter.ts'
import { untilAborted } from '../../src/calls/abort.ts'
import { systemClock } from '../../src/calls/clock.ts'
import { invalidArgument, PortError } from '../../src/errors.ts'
import type { CallOptions } from '../../src/port.ts'
import { type SqlStatement, type SqlValue, sql } from '../../src/ports/sql.ts'
import type {
  SqlCopyTarget,
  SqlDatabase,
  SqlRow,
  SqlStreamOptions,
  SqlTransaction,
  SqlTransactionOptions,
} from '../../src/ports/sql-database.ts'
import { copyRows, SourceFailure } from './copy.ts'
import { classifyPostgresError, isSerializationFailure, sqlstateOf } from './errors.ts'
import { fingerprintPostgres } from './fingerprint.ts'
import { fetchRows, PostgresQueries, signalOf } from './queries.ts'
import { notSent, Session, type WireResult, type WireStatement } from './session.ts'
import { PostgresTransaction } from './transaction.ts'

type Work<Result> = (transaction: SqlTransaction) => Promise<Result>

const defaultAttempts = 5
// The first wait before a transaction runs again, doubled each time, with jitter of half.
const retryBaseMs = 10
const retryMaxMs = 500
const rollbackMs = 5_000

class PostgresSqlDatabase extends PostgresQueries implements SqlDatabase {
  readonly #pool: pg.Pool
  readonly #sessions = new Set<Session>()

  constructor(pool: pg.Pool) {
    super()
    this.#pool = pool
  }

  async *stream<Row extends object = SqlRow>(
    statement: SqlStatement,
    options?: SqlStreamOptions,
  ): AsyncGenerator<Row> {
    const signal = signalOf(options)
    const session = await Session.open(this.#pool, signal, this.#sessions)
    // A reader that has stopped reading would keep the connection for ever.
    const onAbort = (): void => {
      if (!fetching) session.release(true)
    }
    let fetching = true
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      await session.run({ text: 'BEGIN READ ONLY' }, signal)
      const run = async (wire: WireStatement): Promise<WireResult> => {
        fetching = true
        try {
          return await session.run(wire, signal)
        } finally {
          fetching = false
        }
      }
      yield* fetchRows<Row>(run, statement, options?.batchRows)
    } finally {
      signal.removeEventListener('abort', onAbort)
      await rollBack(session)
    }
  }

  async copyIn(
    target: SqlCopyTarget,
    rows: AsyncIterable<readonly SqlValue[]> | Iterable<readonly SqlValue[]>,
    options?: CallOptions,
  ): Promise<number> {
    const signal = signalOf(options)
    const session = await Session.open(this.#pool, signal, this.#sessions)
    try {
      return await copyRows(session, target, rows, signal)
    } catch (error) {
      throw error instanceof SourceFailure ? error.error : error
    } finally {
      session.release()
    }
  }

  async transaction<Result>(work: Work<Result>, options?: SqlTransactionOptions): Promise<Result> {
    const { isolation = 'read committed', readOnly = false, attempts = defaultAttempts } = options ?? {}
    const begin = `BEGIN ISOLATION LEVEL ${isolation.toUpperCase()} ${readOnly ? 'READ ONLY' : 'READ WRITE'}`
    const signal = signalOf(options)
    for (let attempt = 1; ; attempt += 1) {
      const ended = await this.#attempt(begin, work, signal)
      if ('result' in ended) return ended.result
      if (attempt >= attempts || !ended.clashed || signal.aborted) throw ended.error
      // Those that clashed must not meet again.
      const delayMs = Math.min(retryMaxMs, retryBaseMs * 2 ** (attempt - 1)) * (0.5 + Math.random() / 2)
      await systemClock.sleep(delayMs, signal).catch(() => Promise.reject(ended.error))
    }
  }

  /** Closes what callers still hold, so that ending the pool does not wait for them. */
  close(): void {
    for (const session of this.#sessions) session.release(true)
  }

  protected override async runStatement(statement: WireStatement, signal: AbortSignal): Promise<WireResult> {
    const session = await Session.open(this.#pool, signal, this.#sessions)
    try {
      const result = await session.run(statement, signal)
      if (session.status !== 'I') {
        // Closing it undoes what was begun.
        session.release(true)
        throw invalidArgument('the statement began a transaction; use transaction()')
      }
      return result
    } finally {
      session.release()
    }
  }

  async #attempt<Result>(
    begin: string,
    work: Work<Result>,
    signal: AbortSignal,
  ): Promise<{ readonly result: Result } | { readonly error: unknown; readonly clashed: boolean }> {
    const session = await Session.open(this.#pool, signal, this.#sessions)
    const transaction = new PostgresTransaction(session)
    try {
      await session.run({ text: begin }, signal)
      const result = await untilAborted(work(transaction), signal)
      await untilAborted(transaction.end(), signal)
      if (transaction.failure !== undefined) throw transaction.failure.error
      await commit(session, signal)
      session.release()
      return { result }
    } catch (error) {
      if (signal.aborted && error === signal.reason) {
        await session.abandon()
        throw notSent(error)
      }
      // What is still under way is of no use to anyone now, and may not end by itself.
      if (transaction.busy) await session.abandon()
      else await rollBack(session)
      return { error, clashed: hasClashed(error) || hasClashed(transaction.failure?.error) }
    }
  }
}

/** Commits; what is not known then is whether it was, if the answer is lost. */
async function commit(session: Session, signal: AbortSignal): Promise<void> {
  const { command } = await session.run({ text: 'COMMIT' }, signal, false)
  if (command === 'COMMIT') return
  // The server answers a COMMIT of a failed transaction with a ROLLBACK, and no error.
  throw new PortError({
    code: 'precondition-failed',
    message: 'the transaction had failed before its commit, and was rolled back',
  })
}

/** Ends the session's transaction, if any, and gives the connection back. */
async function rollBack(session: Session): Promise<void> {
  if (session.over) return
  try {
    await session.run({ text: 'ROLLBACK' }, AbortSignal.timeout(rollbackMs))
    session.release()
  } catch {
    // Closing the connection rolls back, too.
    session.release(true)
  }
}

function hasClashed(error: unknown): boolean {
  const sqlstate = PortError.is(error) ? error.details.sqlstate : sqlstateOf(error)
  return isSerializationFailure(sqlstate)
}

/**
 * The pool stops listening to a connection when it hands it out, and the call that waits for it is not running yet:
 * a server that goes down at that moment would end the process.
 */
function listenForGood(client: pg.PoolClient): void {
  client.on('error', () => {})
}

export interface PostgresSqlDatabaseOptions {
  /** Strings that must appear in no error. @default none */
  readonly secrets?: readonly string[]
}

/**
 * The driver on a pool that the app already has; the app ends it. Its sessions must have `DateStyle` ISO and `client_encoding` UTF8, as PostgreSQL has by default.
 */
export function postgresSqlDatabase(
  pool: pg.Pool,
  options: PostgresSqlDatabaseOptions = {},
): DatastoreDriver<SqlDatabase> {
  const database = new PostgresSqlDatabase(pool)
  // An idle connection that breaks is reported here, and would end the process if no one listened. The pool has
  // dropped it by then; the next call gets a new one.
  const onIdleError = (): void => {}
  pool.on('error', onIdleError)
  pool.on('connect', listenForGood)
  return {
    calls: database,
    native: pool,
    secrets: options.secrets ?? [],
    classify: classifyPostgresError,
    async ping({ signal }) {
      await database.execute(sql`SELECT 1`, { signal })
    },
    async identify({ signal }): Promise<ServerIdentity> {
      const { version } = await database.one<{ version: string }>(
        sql`SELECT current_setting('server_version') AS version`,
        { signal },
      )
      // "17.10 (Debian 17.10-1)": what follows the number is the packager's.
      return { engine: 'postgresql', version: version.split(' ')[0] ?? version }
    },
    fingerprint: ({ signal }) => fingerprintPostgres(database, signal),
    async close() {
      database.close()
      pool.removeListener('error', onIdleError)
      pool.removeListener('connect', listenForGood)
    },
  }
}
