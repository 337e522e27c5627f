/**
 * A read replica, and whether a read-only transaction may go to it.
 *
 * What it guarantees: what was written by way of the same database object is read, or something later (writes that
 * went through the pool behind `native()` aside). Of others' writes it may miss those of the last `maxLagMs`. That
 * is measured on the replica, against the commit times the primary put down: it counts as current while it is
 * connected to the primary and has applied all it received. A network that is silent and not cut shows only once
 * the replica's own `wal_receiver_timeout` is over, 60 s by default.
 */
import type pg from 'pg'
import { untilAborted } from '../../src/calls/abort.ts'
import { classifyPostgresError } from './errors.ts'
import { Session, type StatementCheck } from './session.ts'

/** What the replica cannot begin within this time, the primary does. */
const patienceMs = 1_000
/** How long nothing is asked of a replica that could not serve; then one call tries it again. */
const pauseMs = 1_000

const never = new AbortController().signal

// Before BEGIN: a snapshot taken by this very statement could be older than what the statement finds replayed.
// Who may not see the receiver's state still sees whether there is one.
const fitness = `SELECT CASE
  WHEN NOT pg_is_in_recovery() THEN 'promoted'
  WHEN pg_last_wal_replay_lsn() < $1::pg_lsn THEN 'behind'
  WHEN EXISTS (SELECT FROM pg_stat_wal_receiver WHERE pid IS NOT NULL)
    AND pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn() THEN 'fit'
  WHEN clock_timestamp() - pg_last_xact_replay_timestamp() <= $2::float8 * interval '1 millisecond' THEN 'fit'
  ELSE 'late' END`

/** What a primary and its standbys have in common, and no two others. */
const identifier = 'SELECT system_identifier::text FROM pg_control_system()'

export interface ReplicaOptions {
  readonly pool: pg.Pool
  readonly maxLagMs: number
  /** Asks the primary for the end of its log. */
  readonly position: (signal: AbortSignal) => Promise<string>
  /** Asks the primary by {@link identityOf}. */
  readonly identity: (signal: AbortSignal) => Promise<string | undefined>
  readonly check: StatementCheck | undefined
}

export class Replica {
  readonly #options: ReplicaOptions
  readonly #sessions = new Set<Session>()
  /** How many writes have ended. */
  #writes = 0
  /** How many of them `#position` covers. */
  #covered = 0
  #position: string | undefined
  #pausedUntil = 0
  #trying = false
  /** Whether it is known to be a standby of the primary, since it was last lost: who knows what answers there now. */
  #proven = false

  constructor(options: ReplicaOptions) {
    this.#options = options
  }

  /** Notes that something may have been written, when the answer is there. */
  noteWrite(): void {
    this.#writes += 1
  }

  /** Notes that a session on it broke. */
  noteLoss(): void {
    this.#proven = false
    this.#pausedUntil = performance.now() + pauseMs
  }

  /** A session on the replica that has all it must have; `undefined` where it is the primary's turn. */
  async session(signal: AbortSignal): Promise<Session | undefined> {
    const now = performance.now()
    const paused = this.#pausedUntil !== 0
    if (paused && (now < this.#pausedUntil || this.#trying)) return undefined
    if (paused) this.#trying = true
    try {
      return await this.#open(signal)
    } finally {
      if (paused) this.#trying = false
    }
  }

  close(): void {
    for (const session of this.#sessions) session.release(true)
  }

  async #open(caller: AbortSignal): Promise<Session | undefined> {
    const { pool, check, maxLagMs } = this.#options
    const position = await this.#reached(caller)
    // Its own writes may be anywhere while the primary does not say; where that fails, so does what follows there.
    if (position === unknown) return undefined
    const patience = new AbortController()
    const signal = AbortSignal.any([caller, patience.signal])
    const timer = setTimeout(() => patience.abort(), patienceMs)
    let session: Session | undefined
    try {
      session = await Session.open(pool, signal, this.#sessions, check)
      const asked = session.run({ text: fitness, values: [position ?? null, String(maxLagMs)] }, never)
      const { rows } = await untilAborted(asked, signal)
      const fit = rows[0]?.[0]
      const state = fit === 'fit' && !(await this.#isOfPrimary(session, signal)) ? 'foreign' : fit
      if (state === 'fit') {
        this.#pausedUntil = 0
        return session
      }
      session.release()
      if (state !== 'behind') this.noteLoss()
    } catch {
      session?.release(true)
      // A pool whose every connection is busy is no replica that is lost.
      if (!caller.aborted && this.#sessions.size === 0) this.noteLoss()
    } finally {
      clearTimeout(timer)
    }
    return undefined
  }

  /** A standby of another primary may be as current as can be, and has other data. */
  async #isOfPrimary(session: Session, signal: AbortSignal): Promise<boolean> {
    if (this.#proven) return true
    const [here, there] = await untilAborted(
      Promise.all([this.#options.identity(signal), identityOf(session)]),
      signal,
    )
    this.#proven = here === undefined || there === undefined || here === there
    return this.#proven
  }

  /** What the replica must have applied: `undefined` for nothing, as long as nothing was written. */
  async #reached(signal: AbortSignal): Promise<string | undefined | typeof unknown> {
    const writes = this.#writes
    if (writes === this.#covered) return this.#position
    try {
      const position = await this.#options.position(signal)
      // A slower question, begun earlier, must not take back what a later one found.
      if (writes > this.#covered) {
        this.#covered = writes
        this.#position = position
      }
      return position
    } catch {
      return unknown
    }
  }
}

/** `undefined` where the role may not ask, which is everyone's right unless it was taken away. */
export async function identityOf(session: Session, signal: AbortSignal = never): Promise<string | undefined> {
  try {
    const { rows } = await session.run({ text: identifier }, signal)
    return rows[0]?.[0] ?? undefined
  } catch (error) {
    if (classifyPostgresError(error)?.code === 'permission-denied') return undefined
    throw error
  }
}

const unknown = Symbol('unknown')
