/** When a failed call is tried again without asking the caller, and how long that waits. */
import type { PortError } from '../errors.ts'
import { checkInteger } from './arguments.ts'

export interface RetryPolicy {
  /** How often a call is tried in all; 1 never retries. @default 3 */
  readonly attempts: number
  /** The first wait in milliseconds; doubled each time, with jitter of half. @default 50 */
  readonly baseDelayMs: number
  /** The longest wait in milliseconds; a service that asks for longer is not waited for. @default 2 000 */
  readonly maxDelayMs: number
}

export const defaultRetry: RetryPolicy = { attempts: 3, baseDelayMs: 50, maxDelayMs: 2_000 }
export const noRetry: RetryPolicy = { attempts: 1, baseDelayMs: 0, maxDelayMs: 0 }

/** @throws PortError `invalid-argument` for a policy that cannot be followed, such as one without end */
export function checkRetry({ attempts, baseDelayMs, maxDelayMs }: RetryPolicy): void {
  checkInteger('retry.attempts', attempts, { min: 1, max: 100 })
  checkInteger('retry.baseDelayMs', baseDelayMs, { min: 0 })
  checkInteger('retry.maxDelayMs', maxDelayMs, { min: 0 })
}

/**
 * The wait before the next attempt, or `undefined` where there is none. A `conflict` is the caller's to solve
 * (it must read again first) and a `timeout` has used up the time, so neither is repeated here.
 */
export function retryDelayMs(
  policy: RetryPolicy,
  error: PortError,
  attempt: number,
  idempotent: boolean,
  random: () => number,
): number | undefined {
  if (attempt >= policy.attempts || !error.retryable) return undefined
  if (error.code !== 'unavailable' && error.code !== 'rate-limited') return undefined
  if (!idempotent) return undefined
  if (error.retryAfterMs !== undefined) {
    return error.retryAfterMs <= policy.maxDelayMs ? error.retryAfterMs : undefined
  }
  const ceiling = Math.min(policy.maxDelayMs, policy.baseDelayMs * 2 ** (attempt - 1))
  return ceiling * (0.5 + random() / 2)
}
