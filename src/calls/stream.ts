/** A stream as its reader sees it: each item under an idle deadline, and a source that is always told to stop. */
import type { CallAbort } from './abort.ts'

/** What a guarded stream asks of the guard around it. */
export interface StreamOwner {
  /** Throws where no more may be asked for: closed, ended, cancelled. */
  check(): void
  /** Whether no item after this one may be asked for, so that the source can be stopped already. */
  closing(): boolean
  /** What can end one wait for the source. Time that the reader takes for itself is not counted. */
  wait(): CallAbort
  /** Counts `work` among what is under way, until it settles. */
  track(work: Promise<unknown>): void
  /** How to stop, when closing, the streams whose readers are busy: one never asked again would hold its source. */
  readonly paused: Set<() => Promise<void>>
  /** Tells a source that hangs, and so cannot be asked, that nobody waits any more. */
  abandon(reason: unknown): void
  brand(error: unknown, signal: AbortSignal | undefined): unknown
}

/** The items of the source that `open` answers with. However the reader ends, the source is told to stop. */
export async function* guardedItems<Item>(
  open: () => Promise<AsyncIterable<Item>>,
  owner: StreamOwner,
): AsyncGenerator<Item> {
  let iterator: AsyncIterator<Item> | undefined
  let signal: AbortSignal | undefined
  // Whether the source has ended by itself, and whether it was left hanging in `next`.
  let over = false
  let hanging = false
  let stopped: Promise<void> | undefined
  const next = async (): Promise<IteratorResult<Item>> => {
    iterator ??= (await open())[Symbol.asyncIterator]()
    return iterator.next()
  }
  const stop = (): Promise<void> => {
    stopped ??= (async () => {
      if (over) return
      // The reader has what it wanted, or an error that says more than a failed clean-up.
      await Promise.resolve(iterator?.return?.()).catch(() => {})
    })()
    return stopped
  }
  const stopIfClosing = async (): Promise<void> => {
    if (owner.closing()) await stop()
  }
  try {
    for (;;) {
      owner.check()
      const abort = owner.wait()
      signal = abort.signal
      const step = next()
      owner.track(step)
      hanging = true
      let item: IteratorResult<Item>
      try {
        item = await Promise.race([step, abort.aborted])
        hanging = false
      } catch (error) {
        // Either the source failed, or it was not waited for any longer.
        over = !abort.signal.aborted || error !== abort.signal.reason
        hanging = !over
        throw error
      } finally {
        abort.release()
      }
      over = item.done === true
      if (item.done) return
      if (owner.closing()) {
        const stopping = stop()
        owner.track(stopping)
        await stopping
      }
      owner.paused.add(stopIfClosing)
      try {
        yield item.value
      } finally {
        owner.paused.delete(stopIfClosing)
      }
    }
  } catch (error) {
    const branded = owner.brand(error, signal)
    if (hanging) owner.abandon(branded)
    throw branded
  } finally {
    const stopping = stop()
    owner.track(stopping)
    // A source that hangs in `next` would hang here as well.
    if (!hanging) await stopping
  }
}
