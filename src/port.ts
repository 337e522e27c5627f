/**
 * What a port is: an interface, and a token of the same name that says what its operations are.
 * The token is data; the guard in `calls/` reads it, so that every implementation gets the same checks.
 */
import { invalidArgument, type PortError } from './errors.ts'

/** The last argument of every operation. */
export interface CallOptions {
  /** Aborting it ends the call with `cancelled`. An already aborted signal ends it before any I/O. */
  readonly signal?: AbortSignal | undefined
  /**
   * How long the whole call may take, retries included, in milliseconds: a positive integer. For a stream, how
   * long the next item may take.
   * @default the operation's own, 30 000 where it names none
   */
  readonly timeoutMs?: number | undefined
}

/** What the guard lends an operation's hooks: the means to guard what goes in and comes out of it. */
export interface CallScope {
  /** Guards an inner port, such as the transaction handed to a callback. Ends with the surrounding call. */
  nested<T extends object>(port: Port<T>, calls: T): T
  /** Guards a stream that a call answered with: closed check, cancellation, idle deadline, errors. */
  stream<Item>(source: AsyncIterable<Item>): AsyncIterable<Item>
  /** The error of one item of a bulk result: with service and operation, and without secrets, as the call's own. */
  failure(error: unknown, subject: string): PortError
  /** Wraps a function of the caller's, so that what it throws reaches the caller as it is. */
  callback<Args extends readonly unknown[], Result>(
    callback: (...args: Args) => Promise<Result>,
  ): (...args: Args) => Promise<Result>
}

/** One operation of a port. `Args` are the arguments before the options, `Result` what it resolves to. */
export interface Operation<Args extends readonly unknown[] = readonly unknown[], Result = unknown> {
  /** `call` answers a promise, `stream` an async iterable whose errors come with the first item asked for. */
  readonly kind: 'call' | 'stream'
  /** A failed `read` is never of unknown outcome. */
  readonly effect: 'read' | 'write'
  /** Whether sending it twice leaves the same state as sending it once. Only then is it retried by default. */
  readonly idempotent:
    | boolean
    | ((...argsAndOptions: [...args: Args, options: Readonly<Record<string, unknown>>]) => boolean)
  /** How many arguments come before the options. */
  readonly arity: number
  /** The options it knows besides {@link CallOptions}; any other is `invalid-argument`. */
  readonly options?: readonly string[]
  /** Throws `invalid-argument` for what no service could accept. `options` is `{}` where none were given. */
  readonly check?: (...argsAndOptions: [...args: Args, options: Readonly<Record<string, unknown>>]) => void
  /** What the call is about, for errors and journals. Never a value or a secret. */
  readonly subject?: (...args: Args) => string | undefined
  /** The capabilities this very call needs; an undeclared one is `unsupported` before any I/O. */
  readonly needs?: (
    ...argsAndOptions: [...args: Args, options: Readonly<Record<string, unknown>>]
  ) => readonly string[]
  /**
   * Copies what goes in, once a call and before anything is waited for, so that the caller may change its own
   * afterwards. Options need none: bytes, dates, arrays and plain objects among them are copied always.
   */
  readonly copy?: (args: Args, options: Readonly<Record<string, unknown>>) => Args
  /** Wraps what is lent to the service, once an attempt: streams, callbacks, and what callbacks are given. */
  readonly input?: (args: Args, scope: CallScope, options: Readonly<Record<string, unknown>>) => Args
  /** Wraps what comes out. */
  readonly output?: (result: Result, scope: CallScope) => Result
  /** @default 30 000; a callback's own time counts, so a transaction may want more */
  readonly timeoutMs?: number
}

type OperationOf<Method> = Method extends (...args: infer Args) => infer Result
  ? Operation<WithoutOptions<Args>, Result extends Promise<infer Value> ? Value : Result> & {
      readonly kind: Result extends Promise<unknown> ? 'call' : 'stream'
    }
  : never

type WithoutOptions<Args extends readonly unknown[]> =
  Required<Args> extends readonly [...infer Rest, infer Last]
    ? NonNullable<Last> extends CallOptions
      ? Rest
      : Args
    : Args

/**
 * The operations of the interface `T`: one entry a method, no more and no fewer. `any` stays `any`, so that code
 * for all ports alike (a declaration of many services) can speak of `Port<any>`.
 */
export type Operations<T extends object> = unknown extends T
  ? // biome-ignore lint/suspicious/noExplicitAny: see above
    any
  : { readonly [K in keyof T]-?: OperationOf<T[K]> }

declare const interfaceOf: unique symbol

/**
 * A port's token. It names the port and describes its operations, and its type carries the interface, so
 * that an adapter or a fake of another port does not compile.
 */
export interface Port<T extends object> {
  /** Kebab-case, unique: `object-storage`. */
  readonly name: string
  readonly operations: Operations<T>
  /** What some subjects have and others do not, by name, with one sentence each. */
  readonly capabilities: Readonly<Record<string, string>>
  readonly [interfaceOf]?: (value: T) => T
}

/**
 * Makes a port's token.
 * @throws PortError `invalid-argument` when the name is not kebab-case or an operation's arity is negative
 */
export function definePort<T extends object>(definition: {
  readonly name: string
  readonly operations: Operations<T>
  readonly capabilities?: Readonly<Record<string, string>>
}): Port<T> {
  if (!/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(definition.name)) {
    throw invalidArgument(`a port's name is kebab-case, such as "object-storage"; got "${definition.name}"`)
  }
  for (const [name, operation] of operationsOf(definition)) {
    if (!Number.isSafeInteger(operation.arity) || operation.arity < 0) {
      throw invalidArgument(`operation "${name}" of port "${definition.name}" needs an arity of 0 or more`)
    }
  }
  return { capabilities: {}, ...definition }
}

/** A port's operations by name, for code that treats all alike. */
export function operationsOf<T extends object>({
  operations,
}: Pick<Port<T>, 'operations'>): readonly (readonly [name: string, operation: Operation])[] {
  // Each operation knows its own arguments; whoever treats all alike knows none of them.
  return Object.entries(operations as unknown as Readonly<Record<string, Operation>>)
}
