/** One call as the guard holds it, and the steps that make it out of what a caller gave. */
import type { Driver } from '../adapter.ts'
import { invalidArgument, PortError } from '../errors.ts'
import type { CallOptions, Operation, Port } from '../port.ts'
import { checkFields, checkInteger, typeName } from './arguments.ts'
import type { Scope } from './scope.ts'

/** An operation's own options, once checked. */
export type Options = Readonly<Record<string, unknown>>

/** A call that passed every check. */
export interface Call {
  readonly name: string
  readonly operation: Operation
  readonly args: readonly unknown[]
  readonly options: CallOptions
  readonly subject: string | undefined
  /** Whether it may be sent twice. */
  readonly repeatable: boolean
  /** Ends with the call that lent the port, where one did. */
  readonly lender: AbortSignal | undefined
  /** Runs the driver's method. */
  readonly invoke: (args: readonly unknown[], signal: AbortSignal) => unknown
}

/** The driver's capabilities. One that the port does not name could never be asked for: a slip of the pen. */
export function declared<T extends object>(token: Port<T>, driver: Driver<T>): ReadonlySet<string> {
  const known = Object.keys(token.capabilities)
  const capabilities = new Set(driver.capabilities ?? known)
  for (const capability of capabilities) {
    if (known.includes(capability)) continue
    throw new PortError({
      code: 'internal',
      port: token.name,
      message: `the implementation declares "${capability}", which the port does not name; it names ${known.join(', ') || 'none'}`,
    })
  }
  return capabilities
}

/** The options of a call: known, of the right kinds, and without those given as `undefined`. */
export function checkOptions(operation: Operation, given: unknown): CallOptions & Options {
  if (given === undefined) return {}
  checkFields('options', given, [...(operation.options ?? []), 'signal', 'timeoutMs'])
  // A field given as undefined is a field not given.
  const options: CallOptions & Options = Object.fromEntries(
    Object.entries(given as Options).filter(([, value]) => value !== undefined),
  )
  if (options.signal !== undefined && !(options.signal instanceof AbortSignal)) {
    throw invalidArgument(`signal must be an AbortSignal; got ${typeName(options.signal)}`)
  }
  if (options.timeoutMs !== undefined) checkInteger('timeoutMs', options.timeoutMs, { min: 1 })
  return options
}

/** The arguments and options of a call, such that what the caller changes from now on changes nothing in it. */
export function ownArguments(
  operation: Operation,
  args: readonly unknown[],
  options: Options,
): readonly unknown[] {
  return [...(operation.copy?.(args, options) ?? args), copied(options)]
}

/** A copy of plain data; what is none (a signal, a function, an instance of a class) is shared. */
function copied(value: unknown): unknown {
  if (value instanceof Uint8Array) return new Uint8Array(value)
  if (value instanceof Date) return new Date(value)
  if (Array.isArray(value)) return value.map(copied)
  if (typeof value !== 'object' || value === null) return value
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return value
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, copied(field)]))
}

/** What a driver's method is called with in one attempt: wrapped where the port says so. */
export function ownInput({ operation, args }: Call, scope: Scope): readonly unknown[] {
  const positional = args.slice(0, operation.arity)
  const options = (args[operation.arity] ?? {}) as Options
  return [...(operation.input?.(positional, scope, options) ?? positional), options]
}

/** The arguments with the driver's signal among the options. */
export function withSignal(args: readonly unknown[], signal: AbortSignal): unknown[] {
  return [...args.slice(0, -1), { ...(args.at(-1) as Options), signal }]
}

/** The subject of a call whose arguments were refused: they may be of any type. */
export function subjectOf(operation: Operation, given: readonly unknown[]): string | undefined {
  try {
    const subject = operation.subject?.(...given)
    return typeof subject === 'string' ? subject.toWellFormed() : undefined
  } catch {
    return undefined
  }
}
