/** The two rungs of preflight that need no adapter: the name of a service's host, and its port. */
import { lookup } from 'node:dns/promises'
import { connect, isIP } from 'node:net'
import type { NetworkEndpoint } from '../adapter.ts'
import { untilAborted } from '../calls/abort.ts'
import { PortError } from '../errors.ts'

export interface StepOptions {
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
}

/**
 * The addresses of `host`; of an address itself.
 * @throws PortError `unavailable` where there is none, `timeout`, `cancelled`
 */
export async function resolveHost(host: string, options: StepOptions): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host]
  return withDeadline(options, `resolving ${host}`, async (signal) => {
    const found = await untilAborted(lookup(host, { all: true }), signal).catch((cause: unknown) => {
      throw networkError(cause, `the name ${host} cannot be resolved`)
    })
    return found.map(({ address }) => address)
  })
}

/**
 * Tries every address, as the client may get any; one that answers is enough, since clients try the next. Answers
 * with what was found.
 * @throws PortError `unavailable` where none accepts, `timeout`, `cancelled`
 */
export async function reach(
  { host, port }: NetworkEndpoint,
  addresses: readonly string[],
  options: StepOptions,
): Promise<string> {
  const where = `${isIP(host) === 6 ? `[${host}]` : host}:${port}`
  return withDeadline(options, `connecting to ${where}`, async (signal) => {
    const tried = await Promise.allSettled(addresses.map((address) => connectTo(address, port, signal)))
    const failures = tried.flatMap((result, index) =>
      result.status === 'rejected' ? [{ address: addresses[index], reason: result.reason as unknown }] : [],
    )
    const [first] = failures
    if (first !== undefined && failures.length === addresses.length) {
      throw networkError(first.reason, `${where} accepts no connection`)
    }
    const silent = failures.map(({ address, reason }) => `${address} (${codeOf(reason) ?? 'no answer'})`)
    return `${where} accepts connections${silent.length === 0 ? '' : `, but not at ${silent.join(', ')}`}`
  })
}

async function connectTo(host: string, port: number, signal: AbortSignal): Promise<void> {
  const socket = connect({ host, port })
  try {
    const connected = new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.on('error', reject)
    })
    await untilAborted(connected, signal)
  } finally {
    socket.destroy()
  }
}

async function withDeadline<Result>(
  { timeoutMs, signal }: StepOptions,
  what: string,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  if (signal?.aborted) throw cancelled(what, signal.reason)
  const late = new AbortController()
  const timer = setTimeout(() => {
    late.abort(new PortError({ code: 'timeout', message: `${what} took more than ${timeoutMs} ms` }))
  }, timeoutMs)
  try {
    return await work(signal === undefined ? late.signal : AbortSignal.any([late.signal, signal]))
  } catch (error) {
    throw signal?.aborted ? cancelled(what, error) : error
  } finally {
    clearTimeout(timer)
  }
}

function cancelled(what: string, cause: unknown): unknown {
  return PortError.is(cause)
    ? cause
    : new PortError({ code: 'cancelled', message: `${what} was aborted`, outcome: 'not-applied', cause })
}

function networkError(cause: unknown, what: string): unknown {
  if (PortError.is(cause) || !(cause instanceof Error)) return cause
  const code = codeOf(cause)
  if (code === undefined || cause.name === 'AbortError') return cause
  return new PortError({ code: 'unavailable', message: `${what} (${code})`, outcome: 'not-applied', cause })
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined
}
