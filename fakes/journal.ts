/** The ordered record of what was asked of a fake and what that changed. */
import { AsyncLocalStorage } from 'node:async_hooks'
import type { Clock } from '../src/calls/clock.ts'
import type { InterceptedCall } from '../src/calls/guard.ts'
import { PortError, type PortErrorCode } from '../src/errors.ts'

/** One attempt of a call that reached the fake. Calls refused by argument checks never do. */
export interface JournalEntry<Operation extends string = string> {
  /** From 1, without gaps, in the order in which the calls began. */
  readonly sequence: number
  readonly at: Date
  readonly operation: Operation
  readonly subject: string | undefined
  /** What the call changed, in order, as the fake says it: `stored receipts/7.txt`. */
  readonly effects: readonly string[]
  /** `pending` while it runs, `ok`, or the code it failed with. */
  readonly result: 'pending' | 'ok' | PortErrorCode
}

interface OpenEntry<Operation extends string> extends JournalEntry<Operation> {
  effects: string[]
  result: 'pending' | 'ok' | PortErrorCode
}

export class Journal<Operation extends string> {
  readonly #clock: Clock
  // Which call is running, also where several run at once.
  readonly #running = new AsyncLocalStorage<OpenEntry<Operation>>()
  #entries: OpenEntry<Operation>[] = []
  #sequence = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Every entry so far, oldest first, as copies. */
  get entries(): readonly JournalEntry<Operation>[] {
    return this.#entries.map((entry) => ({ ...entry, at: new Date(entry.at), effects: [...entry.effects] }))
  }

  /** The entries of one operation. */
  of(operation: Operation): readonly JournalEntry<Operation>[] {
    return this.entries.filter((entry) => entry.operation === operation)
  }

  /** Records a call around `proceed`. Used by the fake itself. */
  async record(
    call: InterceptedCall & { readonly operation: Operation },
    proceed: () => Promise<unknown>,
  ): Promise<unknown> {
    this.#sequence += 1
    const entry: OpenEntry<Operation> = {
      sequence: this.#sequence,
      at: new Date(this.#clock.now()),
      operation: call.operation,
      subject: call.subject,
      effects: [],
      result: 'pending',
    }
    this.#entries.push(entry)
    try {
      const answer = await this.#running.run(entry, proceed)
      entry.result = 'ok'
      return answer
    } catch (error) {
      entry.result = PortError.is(error) ? error.code : 'internal'
      throw error
    }
  }

  /** Notes what the running call changed. Used by the fake itself, where it changes its state. */
  effect(effect: string): void {
    this.#running.getStore()?.effects.push(effect)
  }

  clear(): void {
    this.#entries = []
    this.#sequence = 0
  }
}
