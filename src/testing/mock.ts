/**
 * Strict doubles for unit tests. A mock stands behind the same guard as every implementation, so what no service
 * would take it does not take either; it answers the calls that a test told it to expect, and no other. For a double
 * that behaves like the service, take its fake.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import type { Clock } from '../calls/clock.ts'
import { type Guarded, guard } from '../calls/guard.ts'
import { invalidArgument, PortError } from '../errors.ts'
import { type Operation, operationsOf, type Port } from '../port.ts'
import { snapshot } from './match.ts'
import {
  type Answer,
  Expectation,
  type Rejection,
  rejectionOf,
  type ScriptOwner,
  type Times,
} from './mock-expectation.ts'
import { Script, type Sequence } from './mock-script.ts'
import type { Expectations, MockCall } from './mock-types.ts'

export interface MockOptions {
  /** The service's name in errors and messages. @default the port's */
  readonly service?: string
  /** Whether expected calls may come in any order. Not together with `sequence`. @default false */
  readonly inAnyOrder?: boolean
  /** An order shared with other mocks. @default its own */
  readonly sequence?: Sequence
  /** The capabilities that it declares; what needs another is `unsupported`. @default all that the port names */
  readonly capabilities?: readonly string[]
  /** What deadlines are measured with. @default the machine's */
  readonly clock?: Clock
}

interface Interaction {
  readonly operation: string
  readonly arity: number
  readonly args: readonly unknown[]
  state: 'pending' | 'resolved' | 'rejected'
  result: unknown
  error: unknown
  /** Whether it got past the guard's checks. */
  reached: boolean
  /** What the test's own function threw that is no service's failure. */
  thrown: { readonly error: unknown } | undefined
}

/**
 * Makes a mock of a port: `mock(Mailer)`.
 * @throws PortError `invalid-argument` when both `inAnyOrder` and `sequence` are given
 */
export function mock<T extends object>(port: Port<T>, options: MockOptions = {}): Mock<T> {
  return new Mock(port, options)
}

/**
 * A strict double of a port. Every call not expected fails at once with an `UnexpectedCallError`, and fails `verify`
 * again, for the code under test may have swallowed the first. Nothing is retried.
 */
export class Mock<T extends object> implements Disposable, AsyncDisposable {
  /** What the code under test is given. */
  readonly port: T
  /** Tells it what to expect. */
  readonly expect: Expectations<T>
  readonly #owner: ScriptOwner
  readonly #script: Script
  readonly #guarded: Guarded<T>
  readonly #interactions: Interaction[] = []
  // Which call the guard has let through, also where several run at once.
  readonly #running = new AsyncLocalStorage<Interaction>()

  constructor(port: Port<T>, { service, inAnyOrder, sequence, capabilities, clock }: MockOptions = {}) {
    this.#script = scriptOf(sequence, inAnyOrder)
    this.#owner = { label: service ?? port.name, refusalOf: (operation) => this.#refusalOf(operation) }
    // One function an operation, named as it is.
    const each = <Made>(make: (name: string, operation: Operation) => unknown): Made =>
      Object.freeze(
        Object.fromEntries(operationsOf(port).map(([name, operation]) => [name, make(name, operation)])),
      ) as Made
    this.#guarded = guard<T>(
      port,
      {
        calls: each<T>((_, { kind }) =>
          kind === 'stream'
            ? (...args: unknown[]) => this.#answerStream(args)
            : (...args: unknown[]) => this.#answerCall(args),
        ),
        ...(capabilities === undefined ? {} : { capabilities }),
        ping: async () => {},
        close: async () => {},
      },
      { service, clock },
    )
    this.port = each<T>((name, { kind, arity }) =>
      kind === 'stream'
        ? (...args: unknown[]) => this.#stream(name, arity, args)
        : (...args: unknown[]) => this.#call(name, arity, args),
    )
    this.expect = each<Expectations<T>>((operation, { kind, arity }) => (...args: unknown[]) => {
      const expectation = new Expectation(this.#owner, { operation, arity, args })
      this.#script.add(expectation)
      return answersOf(expectation, kind)
    })
  }

  /** Every call so far, in the order in which they were made, as copies. Those that did not get past their checks too. */
  get calls(): readonly MockCall<T>[] {
    return this.#interactions.map(({ operation, args, state, result, error }) => {
      return { operation, args: snapshot(args), state, result: snapshot(result), error } as MockCall<T>
    })
  }

  /**
   * Throws where an expected call did not come or another did.
   * @throws MockVerificationError with all of them
   */
  verify(): void {
    this.#script.verify(this.#owner)
  }

  /**
   * Verifies at the end of a `using` scope, save for what `verify` has thrown already. Where the scope itself threw,
   * the runtime throws a `SuppressedError` that has both: this one as `error`, the scope's as `suppressed`. Where the
   * runner shows that badly, use `verifying`.
   */
  [Symbol.dispose](): void {
    this.#script.dispose(this.#owner)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this[Symbol.dispose]()
  }

  #refusalOf(operation: string): string | undefined {
    const refused = this.#interactions.find(
      (each) => each.operation === operation && each.state === 'rejected' && !each.reached,
    )
    return refused?.error instanceof Error ? refused.error.message : undefined
  }

  #record(operation: string, arity: number, given: readonly unknown[]): Interaction {
    const args = snapshot(given) as readonly unknown[]
    const interaction: Interaction = {
      operation,
      arity,
      args,
      state: 'pending',
      result: undefined,
      error: undefined,
      reached: false,
      thrown: undefined,
    }
    this.#interactions.push(interaction)
    return interaction
  }

  async #call(name: string, arity: number, given: readonly unknown[]): Promise<unknown> {
    const interaction = this.#record(name, arity, given)
    try {
      const result = await this.#running.run(interaction, () => this.#guardedCall(name, given))
      interaction.state = 'resolved'
      interaction.result = snapshot(result)
      return result
    } catch (error) {
      throw this.#failed(interaction, error)
    }
  }

  async *#stream(name: string, arity: number, given: readonly unknown[]): AsyncGenerator<unknown> {
    const interaction = this.#record(name, arity, given)
    const items: unknown[] = []
    interaction.result = items
    const stream = this.#guardedCall(name, given) as AsyncIterable<unknown>
    const iterator = stream[Symbol.asyncIterator]()
    try {
      for (;;) {
        const step = await this.#running
          .run(interaction, () => iterator.next())
          .catch((error: unknown) => {
            throw this.#failed(interaction, error)
          })
        if (step.done) break
        items.push(snapshot(step.value))
        yield step.value
      }
    } finally {
      // A reader may leave early, and has then what it wanted.
      if (interaction.state === 'pending') interaction.state = 'resolved'
      await iterator.return?.()
    }
  }

  #guardedCall(name: string, given: readonly unknown[]): unknown {
    const calls = this.#guarded.port as Readonly<Record<string, (...args: unknown[]) => unknown>>
    return calls[name]?.(...given)
  }

  /** What the caller is thrown. */
  #failed(interaction: Interaction, error: unknown): unknown {
    const { thrown } = interaction
    interaction.state = 'rejected'
    interaction.error = error
    // The guard took what a function of the test's own threw for a bug of the service's. It is one of the test's.
    if (thrown !== undefined && PortError.is(error) && error.code === 'internal') {
      interaction.error = thrown.error
      const failure = thrown.error instanceof Error ? thrown.error : new Error(String(thrown.error))
      this.#script.fail(this.#owner, failure)
    }
    return interaction.error
  }

  #take(): { readonly answer: Answer; readonly interaction: Interaction } {
    const interaction = this.#running.getStore()
    if (interaction === undefined) throw new Error('a mock was called past its own port')
    interaction.reached = true
    return { answer: this.#script.take(this.#owner, interaction).answer, interaction }
  }

  async #answerCall(args: unknown[]): Promise<unknown> {
    const { answer, interaction } = this.#take()
    if (answer.kind === 'error') throw answer.error
    if (answer.kind === 'value') return snapshot(answer.value)
    if (answer.kind !== 'function') return undefined
    try {
      return await answer.run(...args)
    } catch (error) {
      if (!PortError.is(error)) interaction.thrown = { error }
      throw error
    }
  }

  async *#answerStream(args: unknown[]): AsyncGenerator<unknown> {
    const { answer, interaction } = this.#take()
    if (answer.kind === 'error') throw answer.error
    if (answer.kind === 'items') {
      for (const item of answer.items) yield snapshot(item)
      if (answer.failure !== undefined) throw answer.failure
    }
    if (answer.kind !== 'function') return
    try {
      yield* answer.run(...args) as AsyncIterable<unknown>
    } catch (error) {
      if (!PortError.is(error)) interaction.thrown = { error }
      throw error
    }
  }
}

function scriptOf(sequence: Sequence | undefined, inAnyOrder: boolean | undefined): Script {
  if (sequence === undefined) return new Script({ inAnyOrder: inAnyOrder ?? false })
  if (inAnyOrder !== undefined) throw invalidArgument('a sequence is an order of its own; give no inAnyOrder')
  if (sequence instanceof Script) return sequence
  throw invalidArgument('sequence must be one that sequence() made')
}

/** How a test says what a call is answered with: what the types promise for this kind of operation, and no more. */
function answersOf(expectation: Expectation, kind: Operation['kind']): object {
  const answer = (given: Answer): object => {
    expectation.answerWith(given)
    return answers
  }
  const own =
    kind === 'call'
      ? { resolves: (value?: unknown) => answer({ kind: 'value', value: snapshot(value) }) }
      : {
          yields: (items: readonly unknown[], failure?: Rejection) =>
            answer({
              kind: 'items',
              items: snapshot([...items]) as readonly unknown[],
              failure: failure === undefined ? undefined : rejectionOf(failure),
            }),
        }
  const answers = {
    ...own,
    rejects: (error: Rejection) => answer({ kind: 'error', error: rejectionOf(error) }),
    runs: (run: (...args: unknown[]) => unknown) => answer({ kind: 'function', run }),
    times: (times: Times) => {
      expectation.expectTimes(times)
      return answers
    },
  }
  return answers
}
