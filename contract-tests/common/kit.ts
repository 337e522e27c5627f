/** What the common behaviours are made from: one sample call of each operation, made on any port. */
import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import type { Guarded } from '../../src/calls/guard.ts'
import { PortError } from '../../src/errors.ts'
import { type CallOptions, type Operation, operationsOf, type Port } from '../../src/port.ts'
import type { BulkResult } from '../../src/ports/bulk.ts'
import type { BehaviourContext } from '../contract.ts'
import { collect } from '../expect.ts'

/** A valid call of one operation, with the options handed on as they are. */
export type SampleCall<T extends object> = (
  port: T,
  options: CallOptions,
) => Promise<unknown> | AsyncIterable<unknown>

/** One sample a operation, so that none is forgotten. */
export type SampleCalls<T extends object> = { readonly [K in keyof T]: SampleCall<T> }

export interface CommonOptions<T extends object> {
  /** The operations that need no service to answer, such as signing. @default none */
  readonly local?: readonly Extract<keyof T, string>[]
  /** The capability that an operation needs whatever it is asked; without it that operation is left out. @default none */
  readonly capabilities?: { readonly [K in keyof T]?: string }
}

export type Name<T extends object> = Extract<keyof T, string>

/** The samples of a port, and how to make them. */
export class Kit<T extends object> {
  /** Every operation. */
  readonly names: readonly Name<T>[]
  /** The operations that ask the service. */
  readonly remote: readonly Name<T>[]
  readonly #samples: SampleCalls<T>
  readonly #capabilities: NonNullable<CommonOptions<T>['capabilities']>
  readonly #operations: ReadonlyMap<string, Operation>

  constructor(port: Port<T>, samples: SampleCalls<T>, options: CommonOptions<T>) {
    const { local = [], capabilities = {} } = options
    this.names = operationsOf(port).map(([name]) => name as Name<T>)
    this.remote = this.names.filter((name) => !local.includes(name))
    this.#samples = samples
    this.#capabilities = capabilities
    this.#operations = new Map(operationsOf(port))
  }

  /** Of `names`, those that a subject with these capabilities can do. */
  possible(capabilities: ReadonlySet<string>, names: readonly Name<T>[] = this.names): readonly Name<T>[] {
    return names.filter((name) => {
      const capability = this.#capabilities[name]
      return capability === undefined || capabilities.has(capability)
    })
  }

  /** Whether the operation may change something. */
  writes(name: Name<T>): boolean {
    return this.#operations.get(name)?.effect === 'write'
  }

  /** Whether the operation answers with a stream. */
  streams(name: Name<T>): boolean {
    return this.#operations.get(name)?.kind === 'stream'
  }

  /** Makes the sample call of `name`; a stream is read to its end. */
  async call(port: T, name: Name<T>, options: CallOptions = {}): Promise<unknown> {
    const answer = this.#samples[name](port, options)
    return Symbol.asyncIterator in answer ? collect(answer) : answer
  }

  /** A check that looks at each possible operation in turn. */
  each(
    check: (context: BehaviourContext<T>, name: Name<T>) => Promise<void>,
  ): (context: BehaviourContext<T>) => Promise<void> {
    return async (context) => {
      for (const name of this.possible(context.capabilities)) await check(context, name)
    }
  }
}

/** What the call failed with, also where that is told in the items of a bulk result; `undefined` where it succeeded. */
export async function failureOf(call: Promise<unknown>): Promise<unknown> {
  try {
    const result = (await call) as Partial<BulkResult> | undefined
    return result?.ok === false ? result.items?.find(({ error }) => error !== undefined)?.error : undefined
  } catch (error) {
    return error
  }
}

/** As `failureOf`, where it must be a `PortError` that says something, or none. */
export async function portFailureOf(call: Promise<unknown>, what: string): Promise<PortError | undefined> {
  const failure = await failureOf(call)
  if (failure === undefined) return undefined
  if (!PortError.is(failure)) assert.fail(`${what} failed with ${inspect(failure)}`)
  assert.notEqual(failure.code, 'internal', `${what}: ${failure.message}`)
  return failure
}

/** What `work` comes to; fails where it does not end. The bound only tells a call that hangs from one that does not. */
export async function ends<Result>(work: Promise<Result>, what: string, withinMs = 10_000): Promise<Result> {
  let stop: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    stop = setTimeout(() => reject(new assert.AssertionError({ message: `${what} does not end` })), withinMs)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(stop)
  }
}

/** Opens a client by `open`, lends it to `work`, and closes it whatever happens. */
export async function lent<T extends object>(
  open: (() => Promise<Guarded<T>>) | undefined,
  work: (guarded: Guarded<T>) => Promise<void>,
): Promise<void> {
  const guarded = await open?.()
  assert.ok(guarded)
  try {
    await work(guarded)
  } finally {
    await guarded.close()
  }
}

/** Everything that is shown of an error, in whatever way it is printed. */
export function shownOf(error: unknown): string {
  return [
    String(error),
    error instanceof Error ? error.stack : '',
    JSON.stringify(error),
    inspect(error, { depth: 12, showHidden: true }),
  ].join('\n')
}
