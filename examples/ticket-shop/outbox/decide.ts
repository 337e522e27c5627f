/** What becomes of an outbox entry after a failed attempt. Pure. */
import { PortError } from 'portside'
import type { Effect } from './effects.ts'
import type { Decision } from './outbox.ts'

export interface Patience {
  /** The first wait in milliseconds; doubled each time. */
  readonly baseDelayMs: number
  readonly maxDelayMs: number
}

/**
 * @param attempts how often it has been tried, this time included
 * @param random from 0 to below 1, for jitter
 */
export function decide(
  error: unknown,
  whenUnknown: Effect['whenUnknown'],
  attempts: number,
  { baseDelayMs, maxDelayMs }: Patience,
  random: () => number = Math.random,
): Decision {
  // No port failed, so the mistake is in this program, and trying again does not mend it.
  if (!PortError.is(error)) return { state: 'failed', error: String(error) }
  const text = `${error.code}: ${error.message}`
  // It happened; only the answer was bad.
  if (error.outcome === 'applied') return { state: 'done' }
  if (error.outcome === 'unknown' && whenUnknown === 'ask') return { state: 'uncertain', error: text }
  // A closed port is a process that ends; the next one goes on.
  if (!error.retryable && error.code !== 'closed') return { state: 'failed', error: text }
  const ceiling = Math.min(maxDelayMs, baseDelayMs * 2 ** Math.min(attempts - 1, 30))
  // Half of it is chance, so that what failed together does not come back together.
  const delayMs = Math.max(ceiling * (0.5 + random() / 2), error.retryAfterMs ?? 0)
  return { state: 'waiting', delayMs, error: text }
}
