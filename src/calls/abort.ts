/** Why a call under way must end: the caller's signal, its deadline, or what it belongs to having ended. */
import { PortError } from '../errors.ts'
import type { Clock } from './clock.ts'

/** One call's own signal. `release` must run when the call ends: it leaves no timer and no listener behind. */
export interface CallAbort {
  readonly signal: AbortSignal
  /** Rejects when the signal is aborted. Never resolves. */
  readonly aborted: Promise<never>
  /** Aborts it for a reason of one's own, also after `release`. */
  abort(reason: PortError): void
  release(): void
}

/** What can end a call. */
export interface AbortSources {
  readonly clock: Clock
  /** No deadline where it is absent. */
  readonly timeoutMs?: number | undefined
  readonly caller: AbortSignal | undefined
  /** What the call belongs to: its port, the call that lent it. Their reasons are `PortError`s. */
  readonly owners: readonly AbortSignal[]
}

/**
 * Joins all that can end a call into one signal whose reason is a `PortError`. Written out rather than with
 * `AbortSignal.any`, so that the listeners are off the caller's signal at once.
 */
export function callAbort({ clock, timeoutMs, caller, owners }: AbortSources): CallAbort {
  const controller = new AbortController()
  const { signal } = controller
  const listening: (() => void)[] = []
  const listen = (source: AbortSignal, reason: () => PortError): void => {
    const end = (): void => controller.abort(reason())
    if (source.aborted) end()
    source.addEventListener('abort', end, { once: true })
    listening.push(() => source.removeEventListener('abort', end))
  }
  if (caller !== undefined) listen(caller, cancelled)
  for (const owner of owners) listen(owner, () => owner.reason)
  const stopTimer =
    timeoutMs === undefined ? () => {} : clock.timer(timeoutMs, () => controller.abort(timedOut(timeoutMs)))
  const aborted = new Promise<never>((_, reject) => {
    if (signal.aborted) reject(signal.reason)
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
  // Raced by the call; where the call ends first, no one listens and that is no error.
  aborted.catch(() => {})
  return {
    signal,
    aborted,
    abort: (reason) => controller.abort(reason),
    release() {
      stopTimer()
      for (const stop of listening.splice(0)) stop()
    },
  }
}

/** What `promise` comes to, or the signal's reason as soon as that is aborted. What it comes to later is dropped. */
export async function untilAborted<Result>(promise: Promise<Result>, signal: AbortSignal): Promise<Result> {
  const aborted = Promise.withResolvers<never>()
  const onAbort = (): void => aborted.reject(signal.reason)
  if (signal.aborted) onAbort()
  else signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([promise, aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
    promise.catch(() => {})
  }
}

export function cancelled(outcome?: 'not-applied'): PortError {
  return new PortError({ code: 'cancelled', message: 'the caller aborted the signal', outcome })
}

/** @param outcome `unknown` for what was under way when it was closed */
export function closedError(outcome: 'not-applied' | 'unknown' = 'not-applied'): PortError {
  return new PortError({
    code: 'closed',
    message: 'it was closed; attach again to go on using it',
    outcome,
  })
}

function timedOut(timeoutMs: number): PortError {
  return new PortError({
    code: 'timeout',
    message: `no answer within ${timeoutMs} ms; raise timeoutMs if the service may be this slow`,
  })
}
