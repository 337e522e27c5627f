/**
 * Sends commands on an ioredis client such that it is always known whether one was written.
 *
 * ioredis queues what it cannot send, and repeats what was sent when the connection is back: a call that was
 * cancelled would still be carried out later, and an increment twice. So nothing is handed over before the
 * connection is ready, and clients that repeat by themselves are refused.
 */
import { type Cluster, Command, type Redis } from 'ioredis'
import { untilAborted } from '../../src/calls/abort.ts'
import { systemClock } from '../../src/calls/clock.ts'
import { invalidArgument, PortError } from '../../src/errors.ts'
import { classifyRedisError } from './errors.ts'

/** What ioredis gives for a command whose reply is left as bytes. */
export type Reply = Buffer | number | null | readonly Reply[]

/** How long a call waits for a connection that was lost to come back, in milliseconds from the loss. */
const reconnectGraceMs = 1_500
/** How long closing waits for the sockets to be gone. */
const closeMs = 1_000

/** A reply of names and values in turn. */
export function pairsOf(reply: Reply): ReadonlyMap<string, string> {
  const items = listOf(reply)
  const pairs = new Map<string, string>()
  for (let at = 0; at + 1 < items.length; at += 2) pairs.set(String(items[at]), String(items[at + 1]))
  return pairs
}

export function listOf(reply: Reply | undefined): readonly Reply[] {
  return Array.isArray(reply) ? (reply as readonly Reply[]) : []
}

/** One command: its name and arguments. */
export type CommandParts = readonly [name: string, ...args: (string | number | Buffer)[]]

/** Knows whether it was written to a socket. */
class TrackedCommand extends Command {
  written = false

  override toWritable(socket: object): string | Buffer {
    this.written = true
    return super.toWritable(socket)
  }
}

export class RedisConnection {
  readonly client: Redis | Cluster
  #lastError: Error | undefined
  #wasReady: boolean
  #lostAt: number | undefined
  // ioredis goes on where SELECT fails, on database 0: another service's keys.
  #wrongDatabase = false
  // One set for all calls that wait, rather than listeners of each: there may be thousands.
  readonly #waiters = new Set<PromiseWithResolvers<void>>()
  readonly #listeners: readonly (readonly [event: string, listener: (...args: never[]) => void])[]

  /** @throws PortError `invalid-argument` for a client that repeats lost commands by itself */
  constructor(client: Redis | Cluster) {
    refuseRepeating(client)
    this.client = client
    this.#wasReady = client.status === 'ready'
    this.#listeners = [
      ['error', (error: Error) => this.#failed(error)],
      ['node error', (error: Error) => this.#failed(error)],
      ['ready', () => this.#connected()],
      ['close', () => this.#disconnected()],
      ['end', () => this.#giveUp()],
    ]
    // Also keeps the error events of a client without any listener from being printed.
    for (const [event, listener] of this.#listeners) client.on(event, listener as never)
  }

  /** Takes the listeners off the client again. */
  release(): void {
    for (const [event, listener] of this.#listeners) this.client.off(event, listener as never)
  }

  /**
   * Sends one command and answers with its reply.
   * @param node the node of a cluster to send it to, where it is not the keys that decide
   */
  async send(parts: CommandParts, signal: AbortSignal, node?: Redis): Promise<Reply> {
    await this.ready(signal)
    return this.sendNow(parts, signal, node)
  }

  /** As `send`, for many commands in one go, in order on each node. `ready` must have resolved just before. */
  async sendNow([name, ...args]: CommandParts, signal: AbortSignal, node?: Redis): Promise<Reply> {
    if (signal.aborted) throw endedBy(signal, 'not-applied')
    const command = new TrackedCommand(name, args)
    const { client } = this
    ;(node ?? client).sendCommand(command)
    try {
      return await untilAborted(command.promise as Promise<Reply>, signal)
    } catch (error) {
      // Once handed over it may be written at any time later, unless the client itself gave it up.
      if (signal.aborted) throw endedBy(signal, 'unknown', cleaned(error))
      throw this.#explained(error, command.written)
    }
  }

  /**
   * Resolves when commands can be written. Of a server that was never there it gives up at the first failed
   * attempt; one that was lost is waited for, for a moment.
   */
  async ready(signal: AbortSignal): Promise<void> {
    const { client } = this
    if (client.status === 'ready' && !this.#wrongDatabase) return
    if (signal.aborted) throw endedBy(signal, 'not-applied')
    if (client.status === 'end' || this.#wrongDatabase) throw this.#unreachable()
    if (client.status === 'wait') {
      // Whether it succeeds is told by the events below.
      client.connect().catch(() => {})
    }
    const waiter = Promise.withResolvers<void>()
    this.#waiters.add(waiter)
    const onAbort = (): void => waiter.reject(endedBy(signal, 'not-applied', this.#lastError))
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      await waiter.promise
    } finally {
      this.#waiters.delete(waiter)
      signal.removeEventListener('abort', onAbort)
    }
  }

  /**
   * Every primary of a cluster; the one node of a single server. Asks for the map of the cluster anew, because
   * ioredis forgets a node that it lost: a scan would leave its keys out and say nothing.
   */
  async primaries(signal: AbortSignal): Promise<readonly Redis[]> {
    await this.ready(signal)
    const { client } = this
    if (!isCluster(client)) return [client]
    const refreshed = new Promise<void>((resolve, reject) => {
      client.refreshSlotsCache((error) => (error ? reject(this.#explained(error, false)) : resolve()))
    })
    try {
      await untilAborted(refreshed, signal)
    } catch (error) {
      throw signal.aborted ? endedBy(signal, 'not-applied', error) : error
    }
    return client.nodes('master')
  }

  #connected(): void {
    if (this.#wrongDatabase) {
      this.#giveUp()
      return
    }
    this.#wasReady = true
    this.#lostAt = undefined
    this.#lastError = undefined
    for (const waiter of this.#waiters) waiter.resolve()
  }

  #disconnected(): void {
    this.#wrongDatabase = false
    this.#lostAt ??= performance.now()
    if (!this.#wasReady || performance.now() - this.#lostAt >= reconnectGraceMs) this.#giveUp()
  }

  #giveUp(): void {
    for (const waiter of this.#waiters) waiter.reject(this.#unreachable())
  }

  #failed(error: Error): void {
    this.#lastError = cleaned(error) as Error
    if ('command' in error && (error.command as { readonly name?: unknown }).name === 'select') {
      this.#wrongDatabase = true
    }
  }

  /** An error with what is known of the effect, where the client's own text does not tell it. */
  #explained(error: unknown, written: boolean): unknown {
    const clean = cleaned(error)
    const meaning = classifyRedisError(clean)
    if (written || meaning === undefined || meaning.outcome === 'not-applied') return clean
    return new PortError({ ...meaning, outcome: 'not-applied', cause: clean })
  }

  #unreachable(): PortError {
    const cause = this.#lastError
    const meaning = cause === undefined ? undefined : classifyRedisError(cause)
    return new PortError({
      code: 'unavailable',
      message: 'there is no connection; check that the server runs and that the URL names its host and port',
      ...meaning,
      outcome: 'not-applied',
      cause,
    })
  }
}

/** Closes the client and resolves when nothing of it is left. */
export async function endClient(client: Redis | Cluster): Promise<void> {
  const { status } = client
  const ended = new Promise<void>((resolve) => client.once('end', resolve))
  if (status !== 'end') client.disconnect()
  // A peer that does not answer would keep a half-closed socket for seconds; all calls have ended by now.
  if (!isCluster(client)) client.stream?.destroy()
  // Between two attempts to connect there is nothing to end, and ioredis tells of no end.
  if (status !== 'end' && status !== 'reconnecting') {
    const late = Promise.withResolvers<void>()
    const cancel = systemClock.timer(closeMs, late.resolve)
    await Promise.race([ended, late.promise])
    cancel()
  }
}

export function isCluster(client: Redis | Cluster): client is Cluster {
  return client.isCluster
}

/** The abort's own reason, with what is known of the effect. */
function endedBy(signal: AbortSignal, outcome: 'not-applied' | 'unknown', cause?: unknown): unknown {
  const reason: unknown = signal.reason
  if (!PortError.is(reason)) return reason
  return new PortError({ ...reason, message: reason.detail, outcome, cause })
}

/** ioredis puts the whole command into its errors: keys, values, passwords. Only its name stays. */
function cleaned(error: unknown): unknown {
  if (error instanceof Error && 'command' in error) {
    const { name } = error.command as { readonly name?: unknown }
    error.command = { name }
  }
  if (error instanceof Error && 'lastNodeError' in error) cleaned(error.lastNodeError)
  return error
}

function refuseRepeating(client: Redis | Cluster): void {
  const problems = isCluster(client) ? clusterProblems(client) : nodeProblems(client.options)
  if (problems.length > 0) {
    throw invalidArgument(
      `this client would repeat commands whose answer was lost, and so add twice; set ${problems.join(' and ')}, ` +
        'or give a duplicate() with these options',
    )
  }
  if ((client.options.keyPrefix ?? '').length > 0) {
    throw invalidArgument(
      "this client has ioredis' own keyPrefix, which scans ignore; give the store's instead",
    )
  }
}

function nodeProblems({ maxRetriesPerRequest }: Redis['options']): string[] {
  return maxRetriesPerRequest === 0 ? [] : ['maxRetriesPerRequest: 0']
}

function clusterProblems({ options }: Cluster): string[] {
  const { retryDelayOnFailover, clusterNodeRetryStrategy, redisOptions } = options
  const problems = retryDelayOnFailover === 0 ? [] : ['retryDelayOnFailover: 0']
  if (typeof clusterNodeRetryStrategy === 'function' && redisOptions?.maxRetriesPerRequest !== 0) {
    problems.push('redisOptions.maxRetriesPerRequest: 0')
  }
  return problems
}
