/** One expected call: what it looks like, how often it may come, and how it is answered. */
import { checkFields, checkInteger } from '../calls/arguments.ts'
import { invalidArgument, PortError, type PortErrorInit } from '../errors.ts'
import { anythingAs, type Difference, differences, isMatcher, show, snapshot } from './match.ts'

/** The error that a mock answers with. @default message 'the mock was told to fail' */
export type Rejection = PortError | (Omit<PortErrorInit, 'message'> & { readonly message?: string })

/** How often a call is expected. */
export type Times =
  | number
  | {
      /** @default 0 */
      readonly min?: number
      /** @default no bound */
      readonly max?: number
    }

/** How an expected call is answered. */
export type Answer =
  | { readonly kind: 'value'; readonly value: unknown }
  | { readonly kind: 'items'; readonly items: readonly unknown[]; readonly failure: PortError | undefined }
  | { readonly kind: 'error'; readonly error: PortError }
  | { readonly kind: 'function'; readonly run: (...args: unknown[]) => unknown }

/** One of several mocks that share a script: compared by identity. */
export interface ScriptOwner {
  /** How messages call it. */
  readonly label: string
  /** What kept calls of `operation` from reaching the mock, for the message about one that is missing. */
  refusalOf(operation: string): string | undefined
}

/** What is called: the arguments as the caller gave them, options included. */
export interface GivenCall {
  readonly operation: string
  readonly arity: number
  readonly args: readonly unknown[]
}

// These are the guard's affair, and no part of what is asked of a service, unless a test names them.
const callOptions = ['signal', 'timeoutMs']

/** One expected call. */
export class Expectation {
  readonly owner: ScriptOwner
  readonly operation: string
  readonly #arity: number
  readonly #args: readonly unknown[]
  #min = 1
  #max = 1
  #timed = false
  #count = 0
  #answer: Answer | undefined

  constructor(owner: ScriptOwner, { operation, arity, args }: GivenCall) {
    if (args.length > arity + 1) {
      throw invalidArgument(
        `${operation} takes ${arity} arguments and options; ${args.length} were expected of it`,
      )
    }
    this.owner = owner
    this.operation = operation
    this.#arity = arity
    this.#args = snapshot(args) as readonly unknown[]
  }

  get answer(): Answer | undefined {
    return this.#answer
  }

  /** Whether it came often enough for the next one to have its turn. */
  get satisfied(): boolean {
    return this.#count >= this.#min
  }

  /** Whether it must not come again. */
  get exhausted(): boolean {
    return this.#count >= this.#max
  }

  /** `2 of 3 times`. */
  get progress(): string {
    if (this.#min === this.#max) return `${this.#count} of ${this.#max} ${this.#max === 1 ? 'time' : 'times'}`
    const most = this.#max === Number.POSITIVE_INFINITY ? 'or more' : `to ${this.#max}`
    return `${this.#count} of ${this.#min} ${most} times`
  }

  answerWith(answer: Answer): void {
    if (this.#answer !== undefined) {
      throw invalidArgument(`${this} has its answer already; expect the call once more for another`)
    }
    this.#answer = answer
  }

  expectTimes(times: Times): void {
    if (this.#timed) throw invalidArgument(`${this} was told already how often it is expected`)
    if (typeof times === 'number') {
      checkInteger('times', times, { min: 1 })
      this.#min = times
      this.#max = times
    } else {
      checkFields('times', times, ['min', 'max'])
      const { min = 0, max } = times
      checkInteger('min', min, { min: 0 })
      if (max !== undefined) checkInteger('max', max, { min: Math.max(1, min) })
      this.#min = min
      this.#max = max ?? Number.POSITIVE_INFINITY
    }
    this.#timed = true
  }

  count(): void {
    this.#count += 1
  }

  isOf(owner: ScriptOwner, { operation }: GivenCall): boolean {
    return this.owner === owner && this.operation === operation
  }

  /** Where `call` is not as expected; empty where it is. */
  differences({ args }: GivenCall): readonly Difference[] {
    const positional = Array.from({ length: this.#arity }, (_, index) =>
      differences(this.#args[index], args[index], `argument ${index + 1}`),
    )
    const wanted = this.#args[this.#arity]
    const given = givenOptions(args[this.#arity], wanted)
    return [...positional.flat(), ...differences(wanted ?? {}, given, 'options')]
  }

  toString(): string {
    return callText(this.owner, { operation: this.operation, args: this.#args })
  }
}

function givenOptions(given: unknown, wanted: unknown): unknown {
  if (typeof given !== 'object' || given === null) return given ?? {}
  if (isMatcher(wanted) || typeof wanted === 'function') return given
  const named = Object.keys(wanted ?? {})
  const own = Object.entries(given).filter(([name]) => !callOptions.includes(name) || named.includes(name))
  return Object.fromEntries(own)
}

/** `mailer.send({ … })`. */
export function callText(
  { label }: Pick<ScriptOwner, 'label'>,
  { operation, args }: Pick<GivenCall, 'operation' | 'args'>,
): string {
  const given = args.map((argument, index) => {
    const last = index === args.length - 1 && typeof argument === 'object' && argument !== null
    if (!last || !('signal' in argument)) return argument
    // Shown in full, a signal is a page of the runtime's own fields.
    return {
      ...argument,
      signal: argument.signal === undefined ? undefined : anythingAs('a signal'),
    }
  })
  return `${label}.${operation}(${given.map((argument) => (argument === undefined ? 'undefined' : show(argument))).join(', ')})`
}

/** The error that a {@link Rejection} stands for. */
export function rejectionOf(rejection: Rejection): PortError {
  if (PortError.is(rejection)) return rejection
  return new PortError({ ...rejection, message: rejection.message ?? 'the mock was told to fail' })
}
