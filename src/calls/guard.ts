/**
 * What every call gets, whatever is at its end: argument checks, closed check, capabilities, cancellation,
 * deadline, retry, errors of one class, redaction. Adapters and fakes are wrapped by the same code, so the app
 * cannot tell which it has.
 */
import { setImmediate } from 'node:timers/promises'
import type { Driver } from '../adapter.ts'
import { invalidArgument, PortError } from '../errors.ts'
import { type CallOptions, type Operation, operationsOf, type Port } from '../port.ts'
import { type CallAbort, callAbort, cancelled, closedError } from './abort.ts'
import { checkInteger, readable } from './arguments.ts'
import { brandError } from './brand.ts'
import { type Call, checkOptions, declared, ownArguments, ownInput, subjectOf, withSignal } from './call.ts'
import { type Clock, systemClock } from './clock.ts'
import { Redactor } from './redact.ts'
import { checkRetry, noRetry, type RetryPolicy, retryDelayMs } from './retry.ts'
import { Scope } from './scope.ts'
import { settled, settleMs, withinMs } from './settle.ts'
import { guardedItems } from './stream.ts'

/** One finished call or stream, for logs and traces. Holds no argument and no result. */
export interface CallEvent {
  readonly service: string | undefined
  readonly port: string
  readonly operation: string
  readonly subject: string | undefined
  readonly attempts: number
  readonly startedAt: Date
  /** With fractions: a call may take less than a millisecond. */
  readonly durationMs: number
  /**
   * Absent where the call succeeded, and where a reader left a stream early. What a callback of the caller's threw
   * is the caller's own: the event then says `cancelled`, with the reason `callback`.
   */
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
  /** Called once for each finished call that got past its checks. What it throws changes no call. */
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
   * `closed`), then closes the driver. A call on an inner port belongs to the call that lent it, and goes on with
   * it; a stream of the port itself ends at its next item. Closing twice answers as the first did.
   * @throws PortError `timeout` when the driver does not close within `drainMs` after that
   */
  close(options?: { readonly drainMs?: number }): Promise<void>
}

const defaultTimeoutMs = 30_000
const defaultDrainMs = 10_000

/**
 * Puts the guard around `driver`.
 * @throws PortError `internal` when the driver lacks an operation or declares a capability that the port does not
 * name; `invalid-argument` for a retry policy that cannot be followed
 */
export function guard<T extends object>(
  port: Port<T>,
  driver: Driver<T>,
  options: GuardOptions = {},
): Guarded<T> {
  return new CallGuard(port, driver, options)
}

type Method = (...args: unknown[]) => unknown

/** How a call came along, for the event about it. */
interface Progress {
  attempts: number
  failure: PortError | undefined
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
  readonly #paused = new Set<() => Promise<void>>()
  #refusing = false
  #closed: Promise<void> | undefined

  constructor(token: Port<T>, driver: Driver<T>, options: GuardOptions) {
    if (options.retry !== undefined) checkRetry(options.retry)
    this.#token = token
    this.#driver = driver
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#redactor = new Redactor([...(options.secrets ?? []), ...(driver.secrets ?? [])])
    this.capabilities = declared(token, driver)
    this.native = driver.native
    this.port = this.#wrap(token, driver.calls, undefined)
  }

  async ping(options: CallOptions = {}): Promise<void> {
    const invoke = (_: readonly unknown[], signal: AbortSignal) => this.#driver.ping({ signal })
    await this.#run(this.#checked('ping', pingOperation, [options], invoke, undefined))
  }

  async close({ drainMs = defaultDrainMs }: { readonly drainMs?: number } = {}): Promise<void> {
    checkInteger('drainMs', drainMs, { min: 0 })
    this.#closed ??= this.#shut(drainMs)
    await this.#closed
  }

  async #shut(drainMs: number): Promise<void> {
    this.#refusing = true
    for (const stopIfClosing of this.#paused) this.#track(stopIfClosing())
    await withinMs(drainMs, this.#settled())
    this.#closing.abort(closedError('unknown'))
    await withinMs(settleMs * 2, this.#settled())
    try {
      const closing = await withinMs(Math.max(drainMs, settleMs), this.#driver.close())
      if (!closing.ended) throw new PortError({ code: 'timeout', message: 'it did not close in time' })
    } catch (error) {
      throw this.#brand(error, { name: 'close', operation: pingOperation, subject: undefined })
    }
  }

  /** Resolves when nothing is under way any more. */
  async #settled(): Promise<void> {
    do {
      await Promise.allSettled(this.#underWay)
      // What has just ended may have begun to clean up, which counts as well.
      await setImmediate()
    } while (this.#underWay.size > 0)
  }

  #track(work: Promise<unknown>): void {
    this.#underWay.add(work)
    const remove = (): void => {
      this.#underWay.delete(work)
    }
    work.then(remove, remove)
  }

  /** Makes the object that callers see; where there is a `lender`, it ends with the call that lent it. */
  #wrap<U extends object>(token: Port<U>, calls: U, lender: AbortSignal | undefined): U {
    const wrapped: Record<string, Method> = {}
    for (const [name, operation] of operationsOf(token)) {
      const method = (calls as Record<string, Method | undefined>)[name]
      if (typeof method !== 'function') {
        throw new PortError({
          code: 'internal',
          port: token.name,
          message: `the implementation lacks operation "${name}"; add it, throwing "unsupported" if it cannot`,
        })
      }
      const invoke: Call['invoke'] = (args, signal) => method.call(calls, ...withSignal(args, signal))
      wrapped[name] =
        operation.kind === 'stream'
          ? (...given) => this.#stream(() => this.#checked(name, operation, given, invoke, lender))
          : async (...given) => this.#run(this.#checked(name, operation, given, invoke, lender))
    }
    return Object.freeze(wrapped) as U
  }

  /** Every check that needs no service. Throws a branded error. */
  #checked(
    name: string,
    operation: Operation,
    given: readonly unknown[],
    invoke: Call['invoke'],
    lender: AbortSignal | undefined,
  ): Call {
    const { arity, idempotent } = operation
    const checked = (): Call => {
      this.#checkOpen(lender)
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
      return {
        name,
        operation,
        args: ownArguments(operation, args, own),
        options: { signal, timeoutMs },
        subject: operation.subject?.(...args),
        repeatable: typeof idempotent === 'function' ? idempotent(...args, own) : idempotent,
        lender,
        invoke,
      }
    }
    try {
      return readable('an argument', checked)
    } catch (error) {
      throw this.#brand(error, { name, operation, subject: subjectOf(operation, given) })
    }
  }

  /** What was lent goes on through the drain with its lender; anything else is refused as soon as close is called. */
  #checkOpen(lender: AbortSignal | undefined): void {
    const closed = lender === undefined ? this.#refusing : this.#closing.signal.aborted
    if (closed || lender?.aborted) throw closedError()
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
    return this.#observed(call, async (progress) => {
      const running = this.#attempts(call, abort, progress)
      this.#track(running)
      try {
        return await running
      } finally {
        abort.release()
      }
    })
  }

  /** Tells the observer of what `work` came to. */
  async #observed<Result>(call: Call, work: (progress: Progress) => Promise<Result>): Promise<Result> {
    const started = performance.now()
    const startedAt = new Date(this.#clock.now())
    const progress: Progress = { attempts: 0, failure: undefined }
    try {
      return await work(progress)
    } finally {
      this.#tell({
        service: this.#options.service,
        port: this.#token.name,
        operation: call.name,
        subject: call.subject,
        attempts: progress.attempts,
        startedAt,
        durationMs: performance.now() - started,
        error: progress.failure,
      })
    }
  }

  #tell(event: CallEvent): void {
    const { observe } = this.#options
    if (observe === undefined) return
    // An observer only looks on: a call that went well must not fail because its log could not be written.
    try {
      Promise.resolve(observe(event) as unknown).catch(() => {})
    } catch {}
  }

  async #attempts(call: Call, abort: CallAbort, progress: Progress): Promise<unknown> {
    const { retry = noRetry, random = Math.random } = this.#options
    let uncertain = false
    for (;;) {
      progress.attempts += 1
      const scope = this.#scope(call, abort)
      try {
        const answer = this.#intercepted(call, abort.signal, async () =>
          call.invoke(ownInput(call, scope), abort.signal),
        )
        const result = await settled(answer, abort)
        return call.operation.output === undefined ? result : call.operation.output(result, scope)
      } catch (error) {
        scope.end()
        if (scope.threw(error)) {
          progress.failure = this.#ownFailure(error, call)
          throw error
        }
        const branded = this.#brand(error, call, abort.signal, uncertain)
        progress.failure = branded
        // What an earlier attempt may have done, no later one can undo.
        uncertain ||= branded.outcome !== 'not-applied'
        const delayMs = retryDelayMs(retry, branded, progress.attempts, call.repeatable, random)
        if (delayMs === undefined || abort.signal.aborted) throw branded
        // The deadline or the caller may end the wait; then the failure itself is what to tell.
        await this.#clock.sleep(delayMs, abort.signal).catch(() => Promise.reject(branded))
        progress.failure = undefined
      } finally {
        scope.end()
      }
    }
  }

  /** A stream's items, from its checks to whatever ends it. */
  async *#stream(check: () => Call): AsyncGenerator<unknown> {
    const call = check()
    // Its own signal for the driver: the reader's pace is no deadline of the source.
    const end = callAbort({
      clock: this.#clock,
      caller: call.options.signal,
      owners: [this.#closing.signal, ...(call.lender === undefined ? [] : [call.lender])],
    })
    const scope = this.#scope(call, end)
    const open = async (): Promise<AsyncIterable<unknown>> => {
      const source = await this.#intercepted(call, end.signal, async () =>
        call.invoke(ownInput(call, scope), end.signal),
      )
      const { output } = call.operation
      return (output === undefined ? source : output(source, scope)) as AsyncIterable<unknown>
    }
    // An observed call ends with its work; here that is the reader, who may leave at any item.
    let finish: () => void = () => {}
    const finished = new Promise<void>((resolve) => {
      finish = resolve
    })
    let failure: PortError | undefined
    const observed = this.#observed(call, async (progress) => {
      progress.attempts = 1
      await finished
      progress.failure = failure
    })
    try {
      yield* this.#items(call, open, end, scope, () => call.lender)
    } catch (error) {
      failure = PortError.is(error) ? error : this.#ownFailure(error, call)
      throw error
    } finally {
      end.abort(closedError())
      end.release()
      scope.end()
      finish()
      await observed
    }
  }

  #items<Item>(
    call: Call,
    open: () => Promise<AsyncIterable<Item>>,
    end: CallAbort,
    scope: Scope,
    lender: () => AbortSignal | undefined,
  ): AsyncGenerator<Item> {
    return guardedItems(open, {
      check: () => {
        this.#checkOpen(lender())
        if (call.options.signal?.aborted) throw cancelled()
      },
      closing: () => lender() === undefined && this.#refusing,
      wait: () => this.#abortOf(call),
      track: (work) => this.#track(work),
      paused: this.#paused,
      abandon: (reason) => end.abort(reason as PortError),
      brand: (error, signal) => (scope.threw(error) ? error : this.#brand(error, call, signal)),
    })
  }

  #intercepted(call: Call, signal: AbortSignal, proceed: () => Promise<unknown>): Promise<unknown> {
    const { intercept } = this.#options
    if (intercept === undefined) return proceed()
    const { name, operation, args, subject } = call
    return intercept({ operation: name, args, subject, effect: operation.effect, signal }, proceed)
  }

  #scope(call: Call, abort: CallAbort): Scope {
    const scope: Scope = new Scope({
      nested: (port, calls, ended) => this.#wrap(port, calls, ended),
      failure: (error, subject) => this.#brand(error, { ...call, subject }),
      stream: (source, ended) =>
        this.#items(
          call,
          async () => source,
          abort,
          scope,
          // What goes into a call belongs to it, and is drained with it; what came out of it is on its own.
          () => (ended.aborted ? call.lender : (call.lender ?? ended)),
        ),
    })
    return scope
  }

  #abortOf({ options, operation, lender }: Call): CallAbort {
    return callAbort({
      clock: this.#clock,
      timeoutMs: options.timeoutMs ?? operation.timeoutMs ?? defaultTimeoutMs,
      caller: options.signal,
      owners: [this.#closing.signal, ...(lender === undefined ? [] : [lender])],
    })
  }

  /** What an observer is told where a callback of the caller's threw: nothing of the caller's own error. */
  #ownFailure(error: unknown, call: Call): PortError {
    if (PortError.is(error)) return error
    const init = { code: 'cancelled', reason: 'callback', message: 'a callback of the caller threw' } as const
    return this.#brand(new PortError(init), call)
  }

  #brand(
    error: unknown,
    { name, operation, subject }: Pick<Call, 'name' | 'operation' | 'subject'>,
    signal?: AbortSignal,
    uncertain = false,
  ): PortError {
    const facts = {
      service: this.#options.service,
      port: this.#token.name,
      operation: name,
      subject,
      effect: operation.effect,
      signal,
      uncertain,
    }
    return brandError(error, facts, this.#driver, this.#redactor)
  }
}
