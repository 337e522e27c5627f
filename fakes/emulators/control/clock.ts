/** The clock of emulators whose time stands still until it is moved. */
import { VirtualClock } from '../../../src/calls/clock.ts'

/**
 * A virtual clock that never moves by itself: who sleeps, sleeps until it is moved. Other processes wait in real
 * time, so a slow answer is one that is held until someone says that time has passed.
 */
export class StandingClock extends VirtualClock {
  override sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted()
      const abort = (): void => {
        cancel()
        reject(signal?.reason)
      }
      const cancel = this.timer(ms, () => {
        signal?.removeEventListener('abort', abort)
        resolve()
      })
      signal?.addEventListener('abort', abort, { once: true })
    })
  }
}
