/**
 * What every call gets, whatever is at its end: argument checks, closed check, capabilities, cancellation,
 * deadline, retry, errors of one class, redaction. Adapters and fakes are wrapped by the same code, so the app
 * cannot tell which it has.
 */
import type { Driver } from '../adapter.ts'
import { invalidArgument, PortError } from '../errors.ts'
import { type CallOptions, type Operation, operationsOf, type Port } from '../port.ts'
import { type CallAbort, callAbort, cancelled, closedError } from './abort.ts'
import { checkFields, checkInteger, typeName } from './arguments.ts'
import { brandError } from './brand.ts'
import { type Clock, systemClock } from './clock.ts'
import { Redactor } from './redact.ts'
import { noRetry, type RetryPolicy, retryDelayMs } from './retry.ts'
import { Scope } from './scope.ts'

/** One finished call, for logs and traces. Holds no argument and no result. */
export interface CallEvent {
  readonly service: string | undefined
  readonly port: string
  readonly operation: string
  readonly subject: string | undefined
  readonly attempts: number
  readonly startedAt: Date
  /** With fractions: a call may take less than a millisecond. */
  readonly durationMs: number
  /** Absent where the call succeeded. */
  readonly error: PortError | undefined
}

/** Stands around each attempt of a call: how a fake's faults come about. */
export type Intercept = (call: InterceptedCall, proceed: () => Promise<unknown>) => Promise<unknown>

export interface InterceptedCall {
  readonly operation: string
  readonly args: readonly unknown[]
  readonly subject: string | undefined
  readonly effect: 'read' | 'write'
  readonly signal: AbortSignal
}

export interface GuardOptions {
  /** The service's name in errors. @default none */
  readonly service?: string | undefined
  /** What to mask in errors besides the driver's own secrets. @default nothing but passwords in URLs */
  readonly secrets?: readonly string[] | undefined
  /** @default no retry */
  readonly retry?: RetryPolicy | undefined
  /** @default the machine's */
  readonly clock?: Clock | undefined
  /** From 0 to below 1, for jitter. @default Math.random */
  readonly random?: (() => number) | undefined
  readonly intercept?: Intercept | undefined
  /** Called once for each finished call that got past its checks. */
  readonly observe?: ((event: CallEvent) => void) | undefined
}

/** A guarded implementation: the port that app code gets, and the means to close it. */
export interface Guarded<T extends object> {
  readonly port: T
  readonly capabilities: ReadonlySet<string>
  readonly native: unknown
  /** The cheapest proof that the service answers; a failure is a `PortError` like that of any operation. */
  ping(options?: CallOptions): Promise<void>
  /**
   * Refuses new calls with `closed`, waits for those under way (at most `drainMs`, then ends them with
   * `closed`), then closes the driver. Closing twice resolves with the first.
   */
  close(options?: { readonly drainMs?: number }): Promise<void>
}

const defaultTimeoutMs = 30_000
const defaultDrainMs = 10_000
// How long a driver may take to report what became of a call that was aborted.
const settleMs = 250

/** Puts the guard around `driver`. */
export function guard<T extends object>(
  port: Port<T>,
  driver: Driver<T>,
  options: GuardOptions = {},
): Guarded<T> {
  return new CallGuard(port, driver, options)
}

type Method = (...args: unknown[]) => unknown
type Options = Readonly<Record<string, unknown>>

/** A call that passed every check. */
interface Call {
  readonly name: string
  readonly operation: Operation
  readonly args: readonly unknown[]
  readonly options: CallOptions
  readonly subject: string | undefined
  /** Runs the driver's method. */
  readonly invoke: (args: readonly unknown[], signal: AbortSignal) => unknown
}

const pingOperation: Operation = { kind: 'call', effect: 'read', idempotent: true, arity: 0 }

class CallGuard<T extends object> implements Guarded<T> {
  readonly port: T
  readonly capabilities: ReadonlySet<string>
  readonly native: unknown
  readonly #token: Port<T>
  readonly #driver: Driver<T>
  readonly #options: GuardOptions
  readonly #clock: Clock
  readonly #redactor: Redactor
  readonly #closing = new AbortController()
  readonly #underWay = new Set<Promise<unknown>>()
  #closed: Promise<void> | undefined

  constructor(token: Port<T>, driver: Driver<T>, options: GuardOptions) {
    this.#token = token
    this.#driver = driver
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#redactor = new Redactor([...(options.secrets ?? []), ...(driver.secrets ?? [])])
    this.capabilities = new Set(driver.capabilities ?? Object.keys(token.capabilities))
    this.native = driver.native
    this.port = this.#wrap(token, driver.calls, undefined)
  }

  async ping(options: CallOptions = {}): Promise<void> {
    const invoke = (_: readonly unknown[], signal: AbortSignal) => this.#driver.ping({ signal })
    await this.#run(this.#checked('ping', pingOperation, [options], invoke, undefined))
  }

  close({ drainMs = defaultDrainMs }: { readonly drainMs?: number } = {}): Promise<void> {
    this.#closed ??= this.#shut(drainMs)
    return this.#closed
  }

  async #shut(drainMs: number): Promise<void> {
    // Real time even where the clock is virtual: that one may never move again.
    await withinMs(drainMs, Promise.allSettled(this.#underWay))
    this.#closing.abort(closedError())
    await withinMs(settleMs * 2, Promise.allSettled(this.#underWay))
    try {
      await this.#driver.close()
    } catch (error) {
      throw this.#brand(error, { name: 'close', operation: pingOperation, subject: undefined })
    }
  }

  /** Makes the object that callers see; where `ended` is given, it ends with the call that lent it. */
  #wrap<U extends object>(token: Port<U>, calls: U, ended: AbortSignal | undefined): U {
    const wrapped: Record<string, Method> = {}
    for (const [name, operation] of operationsOf(token)) {
      const method = (calls as Record<string, Method | undefined>)[name]
      if (method === undefined) {
        throw new PortError({
          code: 'internal',
          port: token.name,
          message: `the implementation lacks operation "${name}"; add it, throwing "unsupported" if it cannot`,
        })
      }
      const invoke: Call['invoke'] = (args, signal) => method.call(calls, ...withSignal(args, signal))
      wrapped[name] =
        operation.kind === 'stream'
          ? (...given) => this.#stream(() => this.#checked(name, operation, given, invoke, ended), ended)
          : async (...given) => this.#run(this.#checked(name, operation, given, invoke, ended))
    }
    return Object.freeze(wrapped) as U
  }

  /** Every check that needs no service. Throws a branded error. */
  #checked(
    name: string,
    operation: Operation,
    given: readonly unknown[],
    invoke: Call['invoke'],
    ended: AbortSignal | undefined,
  ): Call {
    const { arity } = operation
    try {
      if (this.#closed !== undefined || ended?.aborted) throw closedError()
      if (given.length > arity + 1) {
        throw invalidArgument(`it takes ${arity} arguments and options; got ${given.length} arguments`)
      }
      const args = Array.from({ length: arity }, (_, index) => given[index])
      const { signal, timeoutMs, ...own } = checkOptions(operation, given[arity])
      operation.check?.(...args, own)
      for (const capability of operation.needs?.(...args, own) ?? []) {
        if (!this.capabilities.has(capability)) throw this.#unsupported(capability)
      }
      if (signal?.aborted) throw cancelled('not-applied')
      const subject = operation.subject?.(...args)
      return {
        name,
        operation,
        args: [...args, own],
        options: { signal, timeoutMs },
        subject,
        invoke,
      }
    } catch (error) {
      throw this.#brand(error, { name, operation, subject: subjectOf(operation, given) })
    }
  }

  #unsupported(capability: string): PortError {
    const meaning = this.#token.capabilities[capability]
    return new PortError({
      code: 'unsupported',
      message: `this service does not declare "${capability}"${meaning === undefined ? '' : ` (${meaning})`}`,
      details: { capability },
    })
  }

  /** One call from its first attempt to its answer or its error, under one deadline. */
  async #run(call: Call): Promise<unknown> {
    const abort = this.#abortOf(call)
    const started = performance.now()
    const startedAt = new Date(this.#clock.now())
    const attempts = { count: 0 }
    const running = this.#attempts(call, abort, attempts)
    this.#underWay.add(running)
    let failure: PortError | undefined
    try {
      return await running
    } catch (error) {
      failure = PortError.is(error) ? error : this.#brand(error, call)
      throw error
    } finally {
      abort.release()
      this.#underWay.delete(running)
      this.#options.observe?.({
        service: this.#options.service,
        port: this.#token.name,
        operation: call.name,
        subject: call.subject,
        attempts: attempts.count,
        startedAt,
        durationMs: performance.now() - started,
        error: failure,
      })
    }
  }

  async #attempts(call: Call, abort: CallAbort, attempts: { count: number }): Promise<unknown> {
    const { retry = noRetry, random = Math.random } = this.#options
    const { idempotent } = call.operation
    const repeatable = typeof idempotent === 'function' ? idempotent(...call.args) : idempotent
    for (;;) {
      attempts.count += 1
      const scope = this.#scope(call)
      try {
        const answer = this.#intercepted(call, abort.signal, async () =>
          call.invoke(ownInput(call, scope), abort.signal),
        )
        const result = await untilAborted(answer, abort)
        return call.operation.output?.(result, scope) ?? result
      } catch (error) {
        if (scope.threw(error)) throw error
        const branded = this.#brand(error, call, abort.signal)
        const delayMs = retryDelayMs(retry, branded, attempts.count, repeatable, random)
        if (delayMs === undefined || abort.signal.aborted) throw branded
        // The deadline or the caller may end the wait; then the failure itself is what to tell.
        await this.#clock.sleep(delayMs, abort.signal).catch(() => Promise.reject(branded))
      } finally {
        scope.end()
      }
    }
  }

  async *#stream(check: () => Call, ended: AbortSignal | undefined): AsyncGenerator<unknown> {
    const call = check()
    const end = new AbortController()
    const scope = this.#scope(call)
    const onCaller = (): void => end.abort(cancelled())
    call.options.signal?.addEventListener('abort', onCaller, { once: true })
    try {
      const opened = (): Promise<unknown> =>
        this.#intercepted(call, end.signal, async () => call.invoke(ownInput(call, scope), end.signal))
      yield* this.#items(call, opened as () => Promise<AsyncIterable<unknown>>, ended)
    } finally {
      call.options.signal?.removeEventListener('abort', onCaller)
      end.abort(closedError())
      scope.end()
    }
  }

  /** Each item under the idle deadline; the source is told to stop however the reader ends. */
  async *#items<Item>(
    call: Call,
    open: () => Promise<AsyncIterable<Item>>,
    ended?: AbortSignal,
  ): AsyncGenerator<Item> {
    let iterator: AsyncIterator<Item> | undefined
    const next = async (): Promise<IteratorResult<Item>> => {
      iterator ??= (await open())[Symbol.asyncIterator]()
      return iterator.next()
    }
    // Whether the source has ended by itself, and whether it was left hanging in `next`.
    let over = false
    let hanging = false
    let signal: AbortSignal | undefined
    try {
      for (;;) {
        if (this.#closed !== undefined || ended?.aborted) throw closedError()
        if (call.options.signal?.aborted) throw cancelled()
        const abort = this.#abortOf(call)
        signal = abort.signal
        const step = next().catch((error: unknown) => {
          over = true
          throw error
        })
        this.#underWay.add(step)
        let item: IteratorResult<Item>
        try {
          hanging = true
          item = await Promise.race([step, abort.aborted])
          hanging = false
        } finally {
          step.catch(() => {})
          abort.release()
          this.#underWay.delete(step)
        }
        over = item.done === true
        if (item.done) return
        yield item.value
      }
    } catch (error) {
      throw this.#brand(error, call, signal)
    } finally {
      if (!over) {
        const stopped = Promise.resolve(iterator?.return?.()).catch(() => {})
        // A source that hangs in `next` would hang here as well.
        if (!hanging) await stopped
      }
    }
  }

  #intercepted(call: Call, signal: AbortSignal, proceed: () => Promise<unknown>): Promise<unknown> {
    const { intercept } = this.#options
    if (intercept === undefined) return proceed()
    const { name, operation, args, subject } = call
    return intercept({ operation: name, args, subject, effect: operation.effect, signal }, proceed)
  }

  #scope(call: Call): Scope {
    return new Scope({
      nested: (port, calls, ended) => this.#wrap(port, calls, ended),
      stream: (source) => this.#items(call, async () => source),
    })
  }

  #abortOf({ options, operation }: Call): CallAbort {
    const timeoutMs = options.timeoutMs ?? operation.timeoutMs ?? defaultTimeoutMs
    return callAbort(this.#clock, timeoutMs, options.signal, this.#closing.signal)
  }

  #brand(
    error: unknown,
    { name, operation, subject }: Pick<Call, 'name' | 'operation' | 'subject'>,
    signal?: AbortSignal,
  ): PortError {
    const facts = {
      service: this.#options.service,
      port: this.#token.name,
      operation: name,
      subject,
      effect: operation.effect,
      signal,
    }
    return brandError(error, facts, this.#driver, this.#redactor)
  }
}

function checkOptions(operation: Operation, given: unknown): CallOptions & Options {
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

/** What a driver's method is called with: copies where the port says so. */
function ownInput({ operation, args }: Call, scope: Scope): readonly unknown[] {
  const positional = args.slice(0, operation.arity)
  const options = (args[operation.arity] ?? {}) as Options
  return [...(operation.input?.(positional, scope, options) ?? positional), args[operation.arity]]
}

function withSignal(args: readonly unknown[], signal: AbortSignal): unknown[] {
  return [...args.slice(0, -1), { ...(args.at(-1) as Options), signal }]
}

/** The subject of a call whose arguments were refused: they may be of any type. */
function subjectOf(operation: Operation, given: readonly unknown[]): string | undefined {
  try {
    const subject = operation.subject?.(...given)
    return typeof subject === 'string' ? subject.toWellFormed() : undefined
  } catch {
    return undefined
  }
}

/**
 * The answer, or soon after an abort its reason. A driver that ends within the grace may still tell what
 * became of the call; one that ignores the signal does not keep the caller waiting.
 */
async function untilAborted(answer: Promise<unknown>, { signal, aborted }: CallAbort): Promise<unknown> {
  try {
    return await Promise.race([answer, aborted])
  } catch (error) {
    if (!signal.aborted || error !== signal.reason) throw error
    const { ended, value } = await withinMs(settleMs, answer)
    if (ended) return value
    throw error
  }
}

/** `promise`'s value if it settles within `ms` of real time; its rejection rejects. */
async function withinMs<Value>(
  ms: number,
  promise: Promise<Value>,
): Promise<
  { readonly ended: true; readonly value: Value } | { readonly ended: false; readonly value?: never }
> {
  let cancel: () => void = () => {}
  const late = new Promise<{ readonly ended: false }>((resolve) => {
    cancel = systemClock.timer(ms, () => resolve({ ended: false }))
  })
  try {
    return await Promise.race([promise.then((value) => ({ ended: true as const, value })), late])
  } finally {
    cancel()
  }
}
