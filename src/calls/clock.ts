/**
 * Time, as everything here sees it. Real outside tests; virtual in fakes under test, where no one ever waits
 * for the wall clock.
 */
import { invalidArgument } from '../errors.ts'

export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number
  /** Resolves after `ms`; rejects with the signal's reason as soon as it is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
  /** Calls `callback` once after `ms`; the answer takes it back. Never keeps the process alive. */
  timer(ms: number, callback: () => void): () => void
}

// Node's timers fire at once above this, so a longer wait is cut to it (24.8 days).
const longestTimerMs = 2 ** 31 - 1

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  sleep(ms, signal) {
    return sleepOn((done) => {
      const timer = setTimeout(done, Math.min(ms, longestTimerMs))
      return () => clearTimeout(timer)
    }, signal)
  },
  timer(ms, callback) {
    const timer = setTimeout(callback, Math.min(ms, longestTimerMs)).unref()
    return () => clearTimeout(timer)
  },
}

function sleepOn(start: (done: () => void) => () => void, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason)
      return
    }
    const abort = (): void => {
      cancel()
      reject(signal?.reason)
    }
    const cancel = start(() => {
      signal?.removeEventListener('abort', abort)
      resolve()
    })
    signal?.addEventListener('abort', abort, { once: true })
  })
}

interface Waiter {
  readonly due: number
  readonly callback: () => void
}

/**
 * A clock that stands still until told otherwise. `sleep` does not wait: once the running code has come to
 * rest, the clock jumps to the earliest sleeper, and every timer due by then fires on the way, in order of
 * time. A deadline is a timer: alone it never makes the clock jump.
 */
export class VirtualClock implements Clock {
  #now: number
  #waiters: Waiter[] = []
  #sleepers: Waiter[] = []
  #jumping = false

  /** @param start the time it shows first. @default 2026-01-01T00:00:00Z */
  constructor(start: Date = new Date('2026-01-01T00:00:00Z')) {
    this.#now = start.getTime()
    if (!Number.isFinite(this.#now)) throw invalidArgument('a virtual clock needs a valid start date')
  }

  now(): number {
    return this.#now
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return sleepOn((done) => {
      const waiter = { due: this.#dueIn(ms), callback: done }
      this.#sleepers.push(waiter)
      this.#jumpSoon()
      return () => {
        this.#sleepers = this.#sleepers.filter((other) => other !== waiter)
      }
    }, signal)
  }

  timer(ms: number, callback: () => void): () => void {
    const waiter = { due: this.#dueIn(ms), callback }
    this.#waiters.push(waiter)
    return () => {
      this.#waiters = this.#waiters.filter((other) => other !== waiter)
    }
  }

  #dueIn(ms: number): number {
    // As the machine's timers do: what is no time is no wait.
    return this.#now + Math.max(0, ms || 0)
  }

  /** Moves time forward by `ms`, firing what is due on the way, in order. */
  advance(ms: number): void {
    if (!Number.isFinite(ms) || ms < 0) {
      throw invalidArgument(`a clock moves forward by a finite number of milliseconds; got ${ms}`)
    }
    this.#moveTo(this.#now + ms)
  }

  #moveTo(target: number): void {
    while (this.#fireNext(target)) {}
    // A callback may have moved the clock further; it never goes back.
    this.#now = Math.max(this.#now, target)
  }

  /** Moves to the earliest of what is due by `target` and fires it; false where there is none. */
  #fireNext(target: number): boolean {
    const due = [...this.#waiters, ...this.#sleepers].filter((waiter) => waiter.due <= target)
    const [next] = due.sort((a, b) => a.due - b.due)
    if (next === undefined) return false
    this.#now = Math.max(this.#now, next.due)
    this.#waiters = this.#waiters.filter((waiter) => waiter !== next)
    this.#sleepers = this.#sleepers.filter((waiter) => waiter !== next)
    next.callback()
    return true
  }

  #jumpSoon(): void {
    if (this.#jumping) return
    this.#jumping = true
    setImmediate(() => {
      this.#jumping = false
      // One at a time: what fires may end the very sleep that time was to move for.
      const earliest = Math.min(...this.#sleepers.map((sleeper) => sleeper.due))
      if (Number.isFinite(earliest)) this.#fireNext(Math.max(this.#now, earliest))
      if (this.#sleepers.length > 0) this.#jumpSoon()
    })
  }
}
