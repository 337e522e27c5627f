/** What one call lends and takes back: inner ports, streams, and callbacks of the caller's. */
import type { PortError } from '../errors.ts'
import type { CallScope, Port } from '../port.ts'
import { closedError } from './abort.ts'
import { isBranded } from './arguments.ts'

/**
 * Marks an error that fails a test, not a call, such as a mock's: no guard makes a `PortError` of it, which the code
 * under test would handle as the service's failure.
 */
export const testFailure: unique symbol = Symbol.for('portside.testFailure') as never

/** The guard's part in a scope. */
export interface ScopeOwner {
  nested<T extends object>(port: Port<T>, calls: T, ended: AbortSignal): T
  stream<Item>(source: AsyncIterable<Item>, ended: AbortSignal): AsyncIterable<Item>
  failure(error: unknown, subject: string): PortError
}

export class Scope implements CallScope {
  readonly #owner: ScopeOwner
  readonly #ended = new AbortController()
  readonly #thrown = new Set<unknown>()

  constructor(owner: ScopeOwner) {
    this.#owner = owner
  }

  nested<T extends object>(port: Port<T>, calls: T): T {
    return this.#owner.nested(port, calls, this.#ended.signal)
  }

  stream<Item>(source: AsyncIterable<Item>): AsyncIterable<Item> {
    return this.#owner.stream(source, this.#ended.signal)
  }

  failure(error: unknown, subject: string): PortError {
    return this.#owner.failure(error, subject)
  }

  callback<Args extends readonly unknown[], Result>(
    callback: (...args: Args) => Promise<Result>,
  ): (...args: Args) => Promise<Result> {
    return async (...args) => {
      try {
        return await callback(...args)
      } catch (error) {
        this.#thrown.add(error)
        throw error
      }
    }
  }

  /** Whether `error` came out of a callback of the caller's or is a test's own, and so is none of ours to change. */
  threw(error: unknown): boolean {
    return this.#thrown.has(error) || isBranded(error, testFailure)
  }

  /** Inner ports answer `closed` from here on, and what is still under way on them ends with it. */
  end(): void {
    this.#ended.abort(closedError('unknown'))
  }
}
