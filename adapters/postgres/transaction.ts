/** A transaction on one connection: its queue, its savepoints, and what becomes of it in the end. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { untilAborted } from '../../src/calls/abort.ts'
import { PortError } from '../../src/errors.ts'
import type { CallOptions } from '../../src/port.ts'
import type { SqlStatement, SqlValue } from '../../src/ports/sql.ts'
import type { SqlCopyTarget, SqlRow, SqlStreamOptions, SqlTransaction } from '../../src/ports/sql-database.ts'
import { copyRows, SourceFailure } from './copy.ts'
import { classifyPostgresError } from './errors.ts'
import { fetchRows, PostgresQueries, signalOf } from './queries.ts'
import { notSent, type Session, type WireResult, type WireStatement } from './session.ts'

type Work<Result> = (transaction: SqlTransaction) => Promise<Result>

/** The transactions whose savepoint the running code is inside of. */
const enclosing = new AsyncLocalStorage<ReadonlySet<object>>()

let savepoints = 0

export class PostgresTransaction extends PostgresQueries implements SqlTransaction {
  readonly #session: Session
  #queue: Promise<unknown> = Promise.resolve()
  #turns = 0
  #ended = false
  #givenUp = false
  #savepointOpen = false
  #failure: { readonly error: unknown } | undefined

  constructor(session: Session) {
    super()
    this.#session = session
  }

  /** The first failure of a statement, which dooms the transaction. */
  get failure(): { readonly error: unknown } | undefined {
    return this.#failure
  }

  async *stream<Row extends object = SqlRow>(
    statement: SqlStatement,
    options?: SqlStreamOptions,
  ): AsyncGenerator<Row> {
    const signal = signalOf(options)
    const run = (wire: WireStatement): Promise<WireResult> => this.runStatement(wire, signal)
    yield* fetchRows<Row>(run, statement, options?.batchRows)
  }

  async copyIn(
    target: SqlCopyTarget,
    rows: AsyncIterable<readonly SqlValue[]> | Iterable<readonly SqlValue[]>,
    options?: CallOptions,
  ): Promise<number> {
    const signal = signalOf(options)
    return this.#inTurn(signal, () =>
      this.#noted(signal, () => copyRows(this.#session, target, rows, signal)),
    )
  }

  async savepoint<Result>(work: Work<Result>, options?: CallOptions): Promise<Result> {
    const signal = signalOf(options)
    return this.#inTurn(signal, async () => {
      this.#savepointOpen = true
      try {
        return await this.#underSavepoint(work, signal)
      } finally {
        this.#savepointOpen = false
      }
    })
  }

  protected override async runStatement(statement: WireStatement, signal: AbortSignal): Promise<WireResult> {
    return this.#inTurn(signal, () =>
      this.#noted(signal, async () => {
        const result = await this.#session.run(statement, signal)
        if (this.#session.status === 'I') throw endedByStatement(result.command)
        return result
      }),
    )
  }

  /** Whether calls are under way or waiting. */
  get busy(): boolean {
    return this.#turns > 0
  }

  /** Takes no more calls and waits for those under way. */
  async end(): Promise<void> {
    this.#ended = true
    await this.#queue
  }

  /** As `end`, but stops what is under way and leaves out what waits. */
  async #giveUp(): Promise<void> {
    this.#givenUp = true
    this.#session.interrupt()
    await this.end()
  }

  async #underSavepoint<Result>(work: Work<Result>, signal: AbortSignal): Promise<Result> {
    savepoints += 1
    const name = `portside_savepoint_${savepoints}`
    await this.#noted(signal, () => this.#session.run({ text: `SAVEPOINT ${name}` }, signal))
    const inner = new PostgresTransaction(this.#session)
    try {
      const within = new Set([...(enclosing.getStore() ?? []), this])
      const result = await untilAborted(
        enclosing.run(within, () => work(inner)),
        signal,
      )
      await inner.end()
      if (inner.failure !== undefined) throw inner.failure.error
      if (signal.aborted) throw signal.reason
      await this.#session.run({ text: `RELEASE SAVEPOINT ${name}` }, signal)
      return result
    } catch (error) {
      // The guard waits a moment only to hear that all of it is undone.
      await (signal.aborted ? inner.#giveUp() : inner.end())
      // Not by the call's own signal, which may be why it is undone.
      const undo = AbortSignal.timeout(undoMs)
      await this.#noted(undo, async () => {
        await this.#session.run({ text: `ROLLBACK TO SAVEPOINT ${name}` }, undo)
        await this.#session.run({ text: `RELEASE SAVEPOINT ${name}` }, undo)
      }).catch(() => {
        // Noted as the transaction's failure; what `work` threw is what to tell.
      })
      if (signal.aborted && error === signal.reason) throw notSent(error)
      throw error
    }
  }

  /** Runs `task` after all that was asked of this transaction before. */
  async #inTurn<Result>(signal: AbortSignal, task: () => Promise<Result>): Promise<Result> {
    if (this.#savepointOpen && enclosing.getStore()?.has(this)) {
      throw new PortError({
        code: 'precondition-failed',
        message: 'it waits for its open savepoint; inside that, use the transaction that the savepoint gives',
      })
    }
    if (this.#ended) throw transactionEnded()
    const turn = this.#queue.then(async () => {
      if (signal.aborted) throw notSent(signal.reason)
      if (this.#givenUp) throw transactionEnded()
      return task()
    })
    this.#turns += 1
    this.#queue = turn
      .catch(() => {})
      .finally(() => {
        this.#turns -= 1
      })
    return turn
  }

  /**
   * Remembers a failure, for the database has then given up the transaction; and says that nothing was applied,
   * for without a commit nothing is.
   */
  async #noted<Result>(signal: AbortSignal, task: () => Promise<Result>): Promise<Result> {
    try {
      return await task()
    } catch (error) {
      const failure = failureOf(error, signal)
      this.#failure ??= { error: failure }
      throw failure
    }
  }
}

function failureOf(error: unknown, signal: AbortSignal): unknown {
  if (error instanceof SourceFailure) return error.error
  if (PortError.is(error)) return error
  const classified = classifyPostgresError(error)
  // The server's word for an abort is that the statement was cancelled; the reason says by what.
  const known = signal.aborted && PortError.is(signal.reason) ? signal.reason : classified
  if (known === undefined) return error
  const { code } = known
  const message = known instanceof PortError ? known.detail : known.message
  const details = classified?.details
  return new PortError({ ...classified, code, message, details, outcome: 'not-applied', cause: error })
}

/** How long undoing may take before the connection is given up, which undoes as well. */
export const undoMs = 5_000

function transactionEnded(): PortError {
  return new PortError({
    code: 'closed',
    message: 'the transaction has ended; use what transaction() gives anew',
  })
}

function endedByStatement(command: string): PortError {
  return new PortError({
    code: 'invalid-argument',
    message: `the statement (${command}) ended the transaction; return from work to commit, throw to roll back`,
    outcome: 'unknown',
  })
}
