/** Why a call under way must end: the caller's signal, its deadline, or the port being closed. */
import { PortError } from '../errors.ts'
import type { Clock } from './clock.ts'

/** One call's own signal. `release` must run when the call ends: it leaves no timer and no listener behind. */
export interface CallAbort {
  readonly signal: AbortSignal
  /** Rejects when the signal is aborted. Never resolves. */
  readonly aborted: Promise<never>
  release(): void
}

/**
 * Joins the caller's signal, a deadline and the port's closing into one signal whose reason is a `PortError`.
 * Written out rather than with `AbortSignal.any`, so that the listener is off the caller's signal at once.
 */
export function callAbort(
  clock: Clock,
  timeoutMs: number,
  caller: AbortSignal | undefined,
  closing: AbortSignal,
): CallAbort {
  const controller = new AbortController()
  const onCaller = (): void => controller.abort(cancelled())
  const onClosing = (): void => controller.abort(closing.reason)
  const stopTimer = clock.timer(timeoutMs, () => controller.abort(timedOut(timeoutMs)))
  caller?.addEventListener('abort', onCaller, { once: true })
  closing.addEventListener('abort', onClosing, { once: true })
  const aborted = new Promise<never>((_, reject) => {
    controller.signal.addEventListener('abort', () => reject(controller.signal.reason), { once: true })
  })
  // Raced by the call; where the call ends first, no one listens and that is no error.
  aborted.catch(() => {})
  return {
    signal: controller.signal,
    aborted,
    release() {
      stopTimer()
      caller?.removeEventListener('abort', onCaller)
      closing.removeEventListener('abort', onClosing)
    },
  }
}

export function cancelled(outcome?: 'not-applied'): PortError {
  return new PortError({ code: 'cancelled', message: 'the caller aborted the signal', outcome })
}

export function closedError(): PortError {
  return new PortError({ code: 'closed', message: 'it was closed; attach again to go on using it' })
}

function timedOut(timeoutMs: number): PortError {
  return new PortError({
    code: 'timeout',
    message: `no answer within ${timeoutMs} ms; raise timeoutMs if the service may be this slow`,
  })
}
