/**
 * One connection of the pool for as long as a call or a transaction needs it: runs statements, really cancels
 * them on the server, and decides whether the connection may be used again.
 */
import pg from 'pg'
import { untilAborted } from '../../src/calls/abort.ts'
import { systemClock } from '../../src/calls/clock.ts'
import { PortError } from '../../src/errors.ts'
import { classifyPostgresError, endsConnection, withoutValues } from './errors.ts'

/** A statement as it goes to the server: every value as text, bytes or NULL. */
export interface WireStatement {
  readonly text: string
  readonly values?: readonly (string | Buffer | null)[]
}

/** What the server answered, undecoded. */
export interface WireResult {
  readonly command: string
  readonly rowCount: number | null
  readonly fields: readonly { readonly name: string; readonly dataTypeID: number }[]
  readonly rows: readonly (readonly (string | null)[])[]
}

// How long a cancelled statement may take to end before its connection is cut.
const cancelGraceMs = 5_000
// A cancellation that reaches the server before the statement does is without effect, so it is repeated.
const cancelAgainMs = 100

const asText = { getTypeParser: () => (text: string) => text }

/** Looks at each statement's text before it is sent, and throws where it must not be. */
export type StatementCheck = (text: string) => void

export class Session {
  readonly #check: StatementCheck | undefined
  readonly #client: pg.PoolClient
  readonly #released: () => void
  #tainted = false
  #lost = false
  #over = false
  #interrupt: (() => void) | undefined

  private constructor(client: pg.PoolClient, released: () => void, check: StatementCheck | undefined) {
    this.#check = check
    this.#client = client
    this.#released = released
    // Without a listener, a connection that breaks while it is out would end the process.
    client.on('error', this.#onError)
  }

  /**
   * Takes a connection out of `pool`, waiting for one if all are in use. Nothing was asked of the database when it
   * fails, and the error says so.
   */
  static async open(
    pool: pg.Pool,
    signal: AbortSignal,
    sessions: Set<Session>,
    check?: StatementCheck,
  ): Promise<Session> {
    const connecting = pool.connect()
    let client: pg.PoolClient
    try {
      client = await untilAborted(connecting, signal)
    } catch (error) {
      // The pool cannot be told to forget a call that waits; what it gives later goes back.
      connecting.then(
        (late) => late.release(),
        () => {},
      )
      throw notSent(error)
    }
    const session = new Session(client, () => sessions.delete(session), check)
    sessions.add(session)
    return session
  }

  /** `I` idle, `T` in a transaction, `E` in one that failed. True only between statements. */
  get status(): 'I' | 'T' | 'E' | null {
    return this.#client.getTransactionStatus()
  }

  /** Whether its connection broke, or the server ended it. */
  get lost(): boolean {
    return this.#lost
  }

  /**
   * Runs one statement. On abort it is cancelled on the server, and this settles when that has ended it.
   * @param cancel whether an abort stops the statement. A COMMIT is waited for instead, within limits.
   */
  async run(statement: WireStatement, signal: AbortSignal, cancel = true): Promise<WireResult> {
    this.#check?.(statement.text)
    const query = (): Promise<pg.QueryArrayResult> =>
      this.#client.query({
        text: statement.text,
        values: [...(statement.values ?? [])],
        rowMode: 'array',
        types: asText,
        // Also where there are no parameters: the simple protocol would run several statements of one text.
        queryMode: 'extended',
      } as pg.QueryArrayConfig)
    return this.use(query, signal, cancel)
  }

  /**
   * Runs `task` on the client, with the same care for abort and errors as a statement.
   * @param task given a signal that is aborted with the call's own and when the session is abandoned
   */
  async use<Result>(
    task: (client: pg.PoolClient, stop: AbortSignal) => Promise<Result>,
    signal: AbortSignal,
    cancel = true,
  ): Promise<Result> {
    if (this.#over) throw notSent(new Error('Client was closed and is not queryable'))
    if (signal.aborted) throw notSent(signal.reason)
    const ended = new AbortController()
    const stop = new AbortController()
    let cancelling: Promise<void> | undefined
    const interrupt = (): void => {
      stop.abort(signal.reason)
      cancelling ??= cancel ? this.#cancel(ended.signal) : this.#cutLater(ended.signal)
    }
    signal.addEventListener('abort', interrupt, { once: true })
    this.#interrupt = interrupt
    try {
      return await task(this.#client, stop.signal)
    } catch (error) {
      // The server says that it ends the connection some time before it does so.
      if (endsConnection(error)) this.#onError()
      throw withoutValues(error)
    } finally {
      signal.removeEventListener('abort', interrupt)
      this.#interrupt = undefined
      ended.abort()
      // A cancellation still on its way could hit the next statement.
      await cancelling
    }
  }

  /** Stops what is running, as an abort of its own would. */
  interrupt(): void {
    this.#interrupt?.()
  }

  /** Stops what is running, rolls back and gives the connection up: for a transaction that is not waited for. */
  async abandon(): Promise<void> {
    if (this.#over) return
    this.#over = true
    this.#interrupt?.()
    // Runs after what was interrupted. Where it fails, closing the connection undoes as well.
    const undone = this.#client.query('ROLLBACK').catch(() => {})
    await untilAborted(undone, AbortSignal.timeout(cancelGraceMs)).catch(() => {})
    this.#giveBack(true)
  }

  /** Gives the connection back, or closes it where its state is not certain. Releasing twice is no harm. */
  release(discard = false): void {
    if (this.#over) return
    this.#over = true
    this.#giveBack(discard)
  }

  #giveBack(discard: boolean): void {
    this.#released()
    this.#client.release(discard || this.#tainted)
    // The pool listens again from here on.
    this.#client.removeListener('error', this.#onError)
  }

  #onError = (): void => {
    this.#lost = true
    this.#tainted = true
  }

  async #cancel(ended: AbortSignal): Promise<void> {
    this.#tainted = true
    const deadline = Date.now() + cancelGraceMs
    while (!ended.aborted) {
      if (Date.now() > deadline) {
        this.#cut()
        return
      }
      await requestCancel(this.#client).catch(() => {})
      await systemClock.sleep(cancelAgainMs, ended).catch(() => {})
    }
  }

  async #cutLater(ended: AbortSignal): Promise<void> {
    await systemClock.sleep(cancelGraceMs, ended).catch(() => {})
    if (!ended.aborted) this.#cut()
  }

  #cut(): void {
    this.#tainted = true
    this.#client.connection.stream.destroy()
  }
}

/** `error` as one that had no effect, because nothing was sent. */
export function notSent(error: unknown): PortError {
  if (PortError.is(error)) {
    return new PortError({ ...error, message: error.detail, outcome: 'not-applied', cause: error.cause })
  }
  const known = classifyPostgresError(error) ?? {
    code: 'internal' as const,
    message: `unexpected failure: ${error instanceof Error ? error.message : typeof error}`,
  }
  return new PortError({ ...known, outcome: 'not-applied', cause: withoutValues(error) })
}

/** What pg has and its types do not say. */
interface Cancellable {
  readonly processID: number | null
  readonly secretKey: number | null
  readonly ssl: boolean | object
  readonly host: string
  readonly port: number
}
interface CancelConnection extends Omit<pg.Connection, 'on' | 'once'> {
  connect(portOrPath: number | string, host?: string): void
  requestSsl(): void
  cancel(processId: number, secretKey: number): void
  once(event: 'connect' | 'sslconnect' | 'end' | 'error', listener: (error?: Error) => void): this
  on(event: 'error', listener: (error: Error) => void): this
}

/**
 * Asks the server to cancel what `client` runs: a connection of its own, as the protocol has it. Resolves when
 * the server has closed that, which is after it has passed the request on.
 * https://www.postgresql.org/docs/17/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS
 */
function requestCancel(client: pg.Client): Promise<void> {
  const { processID, secretKey, ssl, host, port } = client as unknown as Cancellable
  if (processID === null || secretKey === null) return Promise.resolve()
  const connection = new pg.Connection({ ssl } as pg.ConnectionConfig) as unknown as CancelConnection
  return new Promise<void>((resolve, reject) => {
    const giveUp = setTimeout(() => connection.stream.destroy(), cancelGraceMs)
    connection.on('error', reject)
    connection.once('end', () => {
      clearTimeout(giveUp)
      resolve()
    })
    const send = (): void => connection.cancel(processID, secretKey)
    connection.once('connect', () => (ssl === false ? send() : connection.requestSsl()))
    connection.once('sslconnect', send)
    if (host.startsWith('/')) connection.connect(`${host}/.s.PGSQL.${port}`)
    else connection.connect(port, host)
  })
}
