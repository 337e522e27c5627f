/**
 * What all fakes share: the guard around them, fault scripts, a journal, a clock, seeded chance, reset. A
 * fake's own class holds the state and the operations; extend it for a port of your own.
 */
import type { Driver } from '../src/adapter.ts'
import { checkInteger } from '../src/calls/arguments.ts'
import { type Clock, VirtualClock } from '../src/calls/clock.ts'
import { type Guarded, guard } from '../src/calls/guard.ts'
import { invalidArgument } from '../src/errors.ts'
import { operationsOf, type Port } from '../src/port.ts'
import type { FakeContext, FakeLike } from '../src/services/declare.ts'
import { Faults } from './faults.ts'
import { Journal } from './journal.ts'
import { seededRandom } from './random.ts'

/** The names of a port's operations. */
export type OperationName<T extends object> = Extract<keyof T, string>

const controls = [
  'guarded',
  'faults',
  'journal',
  'clock',
  'random',
  'reset',
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
  /** Makes chosen calls fail or be slow. */
  readonly faults: Faults<OperationName<T>>
  /** Every call in order, and what it changed. */
  readonly journal: Journal<OperationName<T>>
  /** What this fake takes for the time. A `VirtualClock` unless another was given. */
  readonly clock: Clock
  /** A number from 0 to below 1, the same sequence for the same seed. */
  protected readonly random: () => number

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
    this.journal = new Journal(this.clock)
    this.faults = new Faults(port.name, names, this.clock, seededRandom((context.seed ?? 1) + 1))
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

  /** Forgets all state, faults and journal. The clock goes on. */
  reset(): void {
    this.faults.clear()
    this.journal.clear()
    this.clear()
  }

  /** Frees what the subclass opened, such as a server on loopback. Called once, when the port is closed. */
  protected async release(): Promise<void> {}

  /** Forgets the state that the subclass holds. */
  protected abstract clear(): void
}
