/** The ordered record of what was asked of a fake and what that changed. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { checkInteger } from '../src/calls/arguments.ts'
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
  #countsOn = false
  #longest = Number.POSITIVE_INFINITY
  readonly #listeners = new Set<(entry: JournalEntry<Operation> | undefined) => void>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Every entry so far, oldest first, as copies. */
  get entries(): readonly JournalEntry<Operation>[] {
    return this.#entries.map(copyEntry)
  }

  /** The number of the newest entry; 0 where there was none since the journal was cleared. */
  get last(): number {
    return this.#sequence
  }

  /**
   * The entries after number `sequence` that have ended, up to the first that has not: whoever goes on from the last of
   * them sees each entry once, with its result. All, where there is no such number: the journal was cleared meanwhile.
   */
  after(sequence: number): readonly JournalEntry<Operation>[] {
    const newer =
      sequence > this.#sequence ? this.#entries : this.#entries.filter((entry) => entry.sequence > sequence)
    const running = newer.findIndex(({ result }) => result === 'pending')
    return (running === -1 ? newer : newer.slice(0, running)).map(copyEntry)
  }

  /** Keeps the newest `entries` only, from now on: for what runs for days. */
  keep(entries: number): void {
    checkInteger('entries', entries, { min: 1 })
    this.#longest = entries
    this.#entries.splice(0, this.#entries.length - entries)
  }

  /** Calls `listener` with each entry that ends, and with nothing when the journal is cleared; the answer ends that. */
  watch(listener: (entry: JournalEntry<Operation> | undefined) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
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
    if (this.#entries.length > this.#longest) this.#entries.shift()
    try {
      const answer = await this.#running.run(entry, proceed)
      entry.result = 'ok'
      return answer
    } catch (error) {
      entry.result = PortError.is(error) ? error.code : 'internal'
      throw error
    } finally {
      for (const listener of this.#listeners) listener(copyEntry(entry))
    }
  }

  /** Notes what the running call changed. Used by the fake itself, where it changes its state. */
  effect(effect: string): void {
    this.#running.getStore()?.effects.push(effect)
  }

  /** Forgets the entries, and counts on. */
  forget(): void {
    this.#entries = []
  }

  /** From now on {@link clear} goes on counting too: for those who follow the journal across a reset. */
  countOn(): void {
    this.#countsOn = true
  }

  /** Forgets the entries, and begins to count anew. */
  clear(): void {
    this.forget()
    if (!this.#countsOn) this.#sequence = 0
    for (const listener of this.#listeners) listener(undefined)
  }
}

function copyEntry<Operation extends string>(entry: JournalEntry<Operation>): JournalEntry<Operation> {
  return { ...entry, at: new Date(entry.at), effects: [...entry.effects] }
}
