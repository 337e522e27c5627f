/**
 * What all fakes share: the guard around them, fault scripts, a journal, a clock, seeded chance, reset. A
 * fake's own class holds the state and the operations; extend it for a port of your own.
 */
import { join } from 'node:path'
import type { Driver } from '../src/adapter.ts'
import { checkInteger } from '../src/calls/arguments.ts'
import { type Clock, VirtualClock } from '../src/calls/clock.ts'
import { type Guarded, guard } from '../src/calls/guard.ts'
import { invalidArgument, PortError } from '../src/errors.ts'
import { operationsOf, type Port } from '../src/port.ts'
import type { FakeContext, FakeLike } from '../src/services/declare.ts'
import { Faults } from './faults.ts'
import { Journal } from './journal.ts'
import { seededRandom } from './random.ts'
import { corruptState, readStateFile, stateFileName, writeStateFile } from './state-file.ts'

/** The names of a port's operations. */
export type OperationName<T extends object> = Extract<keyof T, string>

const controls = [
  'guarded',
  'faults',
  'journal',
  'clock',
  'random',
  'reset',
  'follow',
  'save',
  'load',
  'dump',
  'restore',
  'release',
  'clear',
  'constructor',
]

/**
 * A stateful, faithful, in-memory implementation of a port. A subclass writes the port's operations as plain
 * methods; on an instance each of them is replaced by the guarded one, so that a caller gets the same checks,
 * errors and deadlines as from an adapter. Inside the class, call private methods, never an operation.
 */
export abstract class Fake<T extends object> implements FakeLike<T> {
  /** The port as app code gets it: the operations alone, none of the controls. */
  readonly guarded: Guarded<T>
  /** What this fake takes for the time. A `VirtualClock` unless another was given. */
  readonly clock: Clock
  /** A number from 0 to below 1, the same sequence for the same seed. */
  protected readonly random: () => number
  readonly #port: string
  #faults: Faults<OperationName<T>>
  #journal: Journal<OperationName<T>>

  /**
   * @param port the port it stands in for
   * @param context service name, clock, seed
   * @param driver what the guard should know beyond the operations
   * @throws PortError `invalid-argument` when an operation has the name of a control, or the seed is no whole number
   */
  constructor(
    port: Port<T>,
    context: FakeContext = {},
    driver: Partial<Pick<Driver<T>, 'capabilities'>> = {},
  ) {
    this.#port = port.name
    this.clock = context.clock ?? new VirtualClock()
    this.random = seededRandom(context.seed ?? 1)
    if (context.seed !== undefined) checkInteger('seed', context.seed)
    const names = operationsOf(port).map(([name]) => name as OperationName<T>)
    const taken = names.find((name) => controls.includes(name))
    if (taken !== undefined) {
      throw invalidArgument(
        `"${taken}" is a control of every fake; an operation of "${port.name}" cannot have its name`,
      )
    }
    this.#journal = new Journal(this.clock)
    this.#faults = new Faults(port.name, names, this.clock, seededRandom((context.seed ?? 1) + 1))
    const self = this as unknown as Record<string, (...args: unknown[]) => unknown>
    const calls = Object.fromEntries(names.map((name) => [name, self[name]?.bind(this)])) as T
    this.guarded = guard(
      port,
      { ...driver, calls, ping: async () => {}, close: () => this.release() },
      {
        service: context.service,
        retry: context.retry,
        observe: context.observe,
        clock: this.clock,
        random: this.random,
        // A ping asks nothing of the service, so it is no entry; an outage of all operations is one of it too.
        intercept: (call, proceed) =>
          call.operation === 'ping'
            ? this.faults.applyOutage(call as never, proceed)
            : this.journal.record(call as never, () => this.faults.apply(call as never, proceed)),
      },
    )
    for (const name of names) {
      Object.defineProperty(this, name, { value: this.guarded.port[name as keyof T] })
    }
  }

  /** Makes chosen calls fail or be slow. */
  get faults(): Faults<OperationName<T>> {
    return this.#faults
  }

  /** Every call in order, and what it changed. */
  get journal(): Journal<OperationName<T>> {
    return this.#journal
  }

  /**
   * From now on this fake has the faults and the journal of `other`, in place of its own: for several that stand in
   * for one service together, such as the buckets of an object storage.
   */
  follow(other: Fake<T>): void {
    this.#faults = other.faults
    this.#journal = other.journal
  }

  /** Forgets all state, faults and journal. The clock goes on. */
  reset(): void {
    this.faults.clear()
    this.journal.clear()
    this.clear()
  }

  /**
   * Writes the state into `folder`, which is made where absent; what was saved there is replaced as a whole or not at
   * all. Faults and journal are no part of it. One after another: two at once into one folder leave either.
   * @throws PortError `unsupported` where this fake keeps no state that can be saved
   */
  async save(folder: string): Promise<void> {
    await writeStateFile(folder, this.#port, { nowMs: this.clock.now(), state: this.dump() })
  }

  /**
   * Takes the state from `folder` in place of its own. A virtual clock that is behind the time of the save moves to it.
   * @throws PortError `not-found` where nothing was saved there; `corrupt` where it is not as it was saved, and then
   * the state is as it was; `unsupported` as {@link save}
   */
  async load(folder: string): Promise<void> {
    const { nowMs, state } = await readStateFile(folder, this.#port)
    try {
      this.restore(state)
    } catch (cause) {
      if (PortError.is(cause) && cause.code === 'unsupported') throw cause
      throw corruptState(join(folder, stateFileName), 'it is not of the form that this fake writes', cause)
    }
    const behindMs = nowMs - this.clock.now()
    if (behindMs > 0 && this.clock instanceof VirtualClock) this.clock.advance(behindMs)
  }

  /** The state for {@link save}: plain objects and arrays of JSON's values, `Uint8Array`, `Date`, `bigint` and `Map`. */
  protected dump(): unknown {
    throw notSaved(this.#port)
  }

  /**
   * Puts what `dump` answered (a `Map` as the array of its entries) in place of the state. Throws before it changes
   * anything where that is not possible.
   */
  protected restore(_state: unknown): void {
    throw notSaved(this.#port)
  }

  /** Frees what the subclass opened, such as a server on loopback. Called once, when the port is closed. */
  protected async release(): Promise<void> {}

  /** Forgets the state that the subclass holds. */
  protected abstract clear(): void
}

function notSaved(port: string): PortError {
  return new PortError({
    code: 'unsupported',
    message: `the fake of "${port}" cannot be saved; its class has no dump() and restore()`,
  })
}
