/**
 * SqlDatabase over a `pg.Pool`.
 *
 * Every call takes a connection out of the pool, runs statements by the extended protocol and gives it back.
 * After a cancellation the connection is closed instead, so that no late one can hit the next call. Streams are
 * cursors of SQL, bulk loads are COPY. Where there is a replica, it gets the read-only transactions and nothing
 * else, see replica.ts; behind a pooler what a session would keep is refused, see pooler.ts.
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
import { refuseSessionState } from './pooler.ts'
import { fetchRows, PostgresQueries, signalOf } from './queries.ts'
import { identityOf, Replica } from './replica.ts'
import { notSent, Session, type StatementCheck, type WireResult, type WireStatement } from './session.ts'
import { PostgresTransaction } from './transaction.ts'
import { defaultReplicaMaxLagMs } from './url.ts'

type Work<Result> = (transaction: SqlTransaction) => Promise<Result>

const defaultAttempts = 5
// The first wait before a transaction runs again, doubled each time, with jitter of half.
const retryBaseMs = 10
const retryMaxMs = 500
const rollbackMs = 5_000

class PostgresSqlDatabase extends PostgresQueries implements SqlDatabase {
  readonly #pool: pg.Pool
  readonly #sessions = new Set<Session>()
  readonly #check: StatementCheck | undefined
  readonly #replica: Replica | undefined

  constructor(pool: pg.Pool, { pooler, replica }: PostgresSqlDatabaseOptions) {
    super()
    this.#pool = pool
    const check = pooler === undefined ? undefined : refuseSessionState
    this.#check = check
    if (replica === undefined) return
    const { pool: replicaPool, maxLagMs = defaultReplicaMaxLagMs } = replica
    this.#replica = new Replica({
      pool: replicaPool,
      maxLagMs,
      check,
      position: (signal) => this.#logPosition(signal),
      identity: (signal) => this.#identity(signal),
    })
  }

  async *stream<Row extends object = SqlRow>(
    statement: SqlStatement,
    options?: SqlStreamOptions,
  ): AsyncGenerator<Row> {
    const signal = signalOf(options)
    const session = await this.#session(signal)
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
    const session = await this.#session(signal)
    try {
      return await copyRows(session, target, rows, signal)
    } catch (error) {
      throw error instanceof SourceFailure ? error.error : error
    } finally {
      this.#replica?.noteWrite()
      session.release()
    }
  }

  async transaction<Result>(work: Work<Result>, options?: SqlTransactionOptions): Promise<Result> {
    const { isolation = 'read committed', readOnly = false, attempts = defaultAttempts } = options ?? {}
    const begin = `BEGIN ISOLATION LEVEL ${isolation.toUpperCase()} ${readOnly ? 'READ ONLY' : 'READ WRITE'}`
    const signal = signalOf(options)
    // A standby has no serializable transactions.
    const replica = readOnly && isolation !== 'serializable' ? this.#replica : undefined
    for (let attempt = 1; ; attempt += 1) {
      // Once: a clash there is with what the replica applies, and a loss is a loss. The primary has neither.
      const onReplica = attempt === 1 ? await replica?.session(signal) : undefined
      const ended = await this.#attempt(onReplica ?? (await this.#session(signal)), begin, work, signal)
      if (!readOnly) this.#replica?.noteWrite()
      if (onReplica?.lost) replica?.noteLoss()
      if ('result' in ended) return ended.result
      const again = ended.clashed || onReplica?.lost
      if (attempt >= attempts || !again) throw ended.error
      // Those that clashed must not meet again.
      const delayMs = Math.min(retryMaxMs, retryBaseMs * 2 ** (attempt - 1)) * (0.5 + Math.random() / 2)
      await systemClock.sleep(delayMs, signal).catch(() => Promise.reject(ended.error))
    }
  }

  /** Closes what callers still hold, so that ending the pool does not wait for them. */
  close(): void {
    for (const session of this.#sessions) session.release(true)
    this.#replica?.close()
  }

  protected override async runStatement(statement: WireStatement, signal: AbortSignal): Promise<WireResult> {
    const session = await this.#session(signal)
    try {
      const result = await session.run(statement, signal)
      if (session.status !== 'I') {
        // Closing it undoes what was begun.
        session.release(true)
        throw invalidArgument('the statement began a transaction; use transaction()')
      }
      return result
    } finally {
      // Any statement may have, by a function it calls.
      this.#replica?.noteWrite()
      session.release()
    }
  }

  #session(signal: AbortSignal): Promise<Session> {
    return Session.open(this.#pool, signal, this.#sessions, this.#check)
  }

  async #logPosition(signal: AbortSignal): Promise<string> {
    const session = await this.#session(signal)
    try {
      // Of what was inserted, not of what was flushed: with synchronous_commit off the one is behind the other.
      const { rows } = await session.run({ text: 'SELECT pg_current_wal_insert_lsn()' }, signal)
      return rows[0]?.[0] ?? ''
    } finally {
      session.release()
    }
  }

  async #identity(signal: AbortSignal): Promise<string | undefined> {
    const session = await this.#session(signal)
    try {
      return await identityOf(session, signal)
    } finally {
      session.release()
    }
  }

  async #attempt<Result>(
    session: Session,
    begin: string,
    work: Work<Result>,
    signal: AbortSignal,
  ): Promise<{ readonly result: Result } | { readonly error: unknown; readonly clashed: boolean }> {
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
  /** `transaction`: the pool leads to a pooler that may give each transaction another session. @default none */
  readonly pooler?: 'transaction' | undefined
  /** A pool of connections to a read replica, for read-only transactions. @default none */
  readonly replica?:
    | {
        readonly pool: pg.Pool
        /** How far behind it may be before the primary is read instead. @default 10 000 */
        readonly maxLagMs?: number | undefined
      }
    | undefined
}

/**
 * The driver on a pool that the app already has; the app ends it. Its sessions must have `DateStyle` ISO and `client_encoding` UTF8, as PostgreSQL has by default.
 */
export function postgresSqlDatabase(
  pool: pg.Pool,
  options: PostgresSqlDatabaseOptions = {},
): DatastoreDriver<SqlDatabase> {
  const database = new PostgresSqlDatabase(pool, options)
  const pools = options.replica === undefined ? [pool] : [pool, options.replica.pool]
  // An idle connection that breaks is reported here, and would end the process if no one listened. The pool has
  // dropped it by then; the next call gets a new one.
  const onIdleError = (): void => {}
  for (const each of pools) each.on('error', onIdleError).on('connect', listenForGood)
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
      for (const each of pools) {
        each.removeListener('error', onIdleError).removeListener('connect', listenForGood)
      }
    },
  }
}
