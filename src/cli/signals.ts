/** What a command does with the signals that it gets. */
import type { ChildProcess } from 'node:child_process'
import { constants } from 'node:os'

/** As a shell has it: 128 and the signal's number. */
export function exitCodeOf(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal]
}

const forwarded = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Signals to this process: before the program runs they end the start, then they are the program's to answer. */
export class Signals {
  readonly #abort = new AbortController()
  readonly #listener = (signal: NodeJS.Signals): void => this.#onSignal(signal)
  #child: ChildProcess | undefined
  #received: NodeJS.Signals | undefined

  constructor() {
    for (const signal of forwarded) process.on(signal, this.#listener)
  }

  /** Aborted by a signal that comes while no program runs yet. */
  get beforeStart(): AbortSignal {
    return this.#abort.signal
  }

  /** The first one. */
  get received(): NodeJS.Signals | undefined {
    return this.#received
  }

  forwardTo(child: ChildProcess): void {
    this.#child = child
  }

  release(): void {
    for (const signal of forwarded) process.removeListener(signal, this.#listener)
  }

  #onSignal(signal: NodeJS.Signals): void {
    const first = this.#received === undefined
    this.#received ??= signal
    if (this.#child === undefined) {
      this.#abort.abort(new Error(`stopped by ${signal}`))
      return
    }
    // Ctrl-C in a terminal reaches the program by itself, and many programs take a second one for "at once".
    if (signal === 'SIGINT' && process.stdin.isTTY && first) return
    this.#child.kill(signal)
  }
}
