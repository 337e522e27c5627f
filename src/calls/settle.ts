/** Waiting for what may never end, for a bounded time. */
import { setImmediate } from 'node:timers/promises'
import type { CallAbort } from './abort.ts'
import { systemClock } from './clock.ts'

/** How long a driver may take to report what became of a call that was aborted, in milliseconds. */
export const settleMs = 250

/**
 * The answer, or soon after an abort its reason. A driver that ends within the grace may still tell what
 * became of the call; one that ignores the signal does not keep the caller waiting.
 */
export async function settled(
  answer: Promise<unknown>,
  { signal, aborted }: Pick<CallAbort, 'signal' | 'aborted'>,
): Promise<unknown> {
  try {
    return await Promise.race([answer, aborted])
  } catch (error) {
    if (!signal.aborted || error !== signal.reason) throw error
    const { ended, value } = await withinMs(settleMs, answer)
    if (ended) return value
    throw error
  }
}

/**
 * `promise`'s value if it settles within `ms` of real time (also where the clock is virtual: that one may never
 * move again); its rejection rejects.
 */
export async function withinMs<Value>(
  ms: number,
  promise: Promise<Value>,
): Promise<
  { readonly ended: true; readonly value: Value } | { readonly ended: false; readonly value?: never }
> {
  let cancel: () => void = () => {}
  const late = new Promise<{ readonly ended: false }>((resolve) => {
    // A loop that was held up comes to its timers before the news that has arrived meanwhile. Two turns of it: in the
    // first it reads, and in the second it has told of what was closed.
    cancel = systemClock.timer(ms, async () => {
      await setImmediate()
      await setImmediate()
      resolve({ ended: false })
    })
  })
  try {
    return await Promise.race([promise.then((value) => ({ ended: true as const, value })), late])
  } finally {
    cancel()
  }
}
