/** Fault scripts: failures that the real service will not show on demand, as plain data. */
import { checkFields, checkInteger, checkText } from '../src/calls/arguments.ts'
import type { Clock } from '../src/calls/clock.ts'
import type { InterceptedCall } from '../src/calls/guard.ts'
import { invalidArgument, PortError, type PortErrorCode, portErrorCodes } from '../src/errors.ts'

/** What goes wrong with a call, and how often. Plain data: it can be sent as JSON. */
export interface Fault {
  /** The error the call fails with. @default none: the call is slow, then goes on */
  readonly error?: PortErrorCode
  /** The business reason of a `rejected`. */
  readonly reason?: string
  /** With `rate-limited` or `unavailable`: how long the service asks to be left alone. */
  readonly retryAfterMs?: number
  /**
   * How long the call takes, on the fake's clock, in milliseconds: before it is carried out, or with `after` before
   * its answer arrives, so that a deadline in between makes a `timeout` of a call that was applied. @default 0
   */
  readonly latencyMs?: number
  /**
   * `before`: the service does nothing. `after`: it does what was asked, then the answer is lost, so that a
   * write's outcome is `unknown`. @default 'before'
   */
  readonly when?: 'before' | 'after'
  /** How many calls it hits; `always` until it is cleared. @default 1; `always` where `probability` is given */
  readonly times?: number | 'always'
  /** The chance of each matching call to be hit, from 0 to 1, drawn from the fake's seed. @default 1 */
  readonly probability?: number
  /** Only calls about this subject (a key, a recipient, an event id). @default all */
  readonly match?: string
}

/** A fault with the operation it is for: the form in which scripts are stored and sent. */
export interface FaultRule<Operation extends string> extends Fault {
  readonly operation: Operation | '*'
}

/** A rule in force, as plain data: without `left` it can be scripted again. */
export type PendingFault<Operation extends string> = FaultRule<Operation> & {
  /** How many calls it will yet hit. */
  readonly left: number | 'always'
}

interface ActiveRule<Operation extends string> {
  readonly rule: FaultRule<Operation>
  left: number
}

const fields = ['error', 'reason', 'retryAfterMs', 'latencyMs', 'when', 'times', 'probability', 'match']

/** The faults in force on one fake. Rules are tried in the order they were added; the first that hits is used. */
export class Faults<Operation extends string> {
  readonly #port: string
  readonly #operations: readonly Operation[]
  readonly #clock: Clock
  readonly #random: () => number
  #rules: ActiveRule<Operation>[] = []

  constructor(port: string, operations: readonly Operation[], clock: Clock, random: () => number) {
    this.#port = port
    this.#operations = operations
    this.#clock = clock
    this.#random = random
  }

  /**
   * Adds a fault for `operation` (`'*'` for any).
   * @throws PortError `invalid-argument` for an unknown operation, field, code or number
   */
  next(operation: Operation | '*', fault: Fault): void {
    this.script([{ ...fault, operation }])
  }

  /** Adds a fault that stays until {@link clear}: an outage. */
  always(operation: Operation | '*', fault: Omit<Fault, 'times'>): void {
    this.#check(operation, fault)
    if ((fault as Fault).times !== undefined)
      throw invalidArgument('a fault that stays has no number of times')
    this.script([{ ...fault, operation, times: 'always' }])
  }

  /** Adds a whole script, or nothing of it where a rule is refused. */
  script(rules: readonly FaultRule<Operation>[]): void {
    for (const { operation, ...fault } of rules) this.#check(operation, fault)
    for (const rule of rules) {
      const times = rule.times ?? (rule.probability === undefined ? 1 : 'always')
      this.#rules.push({ rule: { ...rule }, left: times === 'always' ? Number.POSITIVE_INFINITY : times })
    }
  }

  /** Ends every fault. */
  clear(): void {
    this.#rules = []
  }

  /** The rules still in force, and how many calls each will yet hit. */
  get pending(): readonly (FaultRule<Operation> & { readonly left: number })[] {
    return this.#rules.map(({ rule, left }) => ({ ...rule, left }))
  }

  /** {@link pending} as JSON can say it. */
  list(): readonly PendingFault<Operation>[] {
    return this.pending.map((rule) => ({
      ...rule,
      left: rule.left === Number.POSITIVE_INFINITY ? 'always' : rule.left,
    }))
  }

  /** Runs `proceed` with whatever fault hits this call. */
  async apply(
    call: InterceptedCall & { readonly operation: Operation },
    proceed: () => Promise<unknown>,
  ): Promise<unknown> {
    const fault = this.#take(call)
    if (fault === undefined) return proceed()
    if (fault.when !== 'after') {
      await this.#wait(fault, call)
      if (fault.error === undefined) return proceed()
      throw this.#error(fault, fault.error, 'not-applied')
    }
    const answer = await proceed()
    await this.#wait(fault, call)
    if (fault.error === undefined) return answer
    throw this.#error(fault, fault.error, 'unknown')
  }

  /** What an outage of all operations means for a ping: it fails as they do, and uses up no fault of theirs. */
  async applyOutage(call: InterceptedCall, proceed: () => Promise<unknown>): Promise<unknown> {
    const lasting = this.#rules.find(
      ({ rule, left }) =>
        rule.operation === '*' &&
        left === Number.POSITIVE_INFINITY &&
        rule.match === undefined &&
        rule.probability === undefined,
    )
    if (lasting === undefined) return proceed()
    await this.#wait(lasting.rule, call)
    if (lasting.rule.error === undefined) return proceed()
    throw this.#error(lasting.rule, lasting.rule.error, 'not-applied')
  }

  async #wait({ latencyMs }: Fault, { signal }: InterceptedCall): Promise<void> {
    if (latencyMs !== undefined) await this.#clock.sleep(latencyMs, signal)
  }

  #take(call: InterceptedCall & { readonly operation: Operation }): FaultRule<Operation> | undefined {
    for (const active of this.#rules) {
      const { rule } = active
      if (rule.operation !== '*' && rule.operation !== call.operation) continue
      if (rule.match !== undefined && rule.match !== call.subject) continue
      if (rule.probability !== undefined && this.#random() >= rule.probability) continue
      active.left -= 1
      if (active.left <= 0) this.#rules = this.#rules.filter((other) => other !== active)
      return rule
    }
    return undefined
  }

  #error(fault: Fault, code: PortErrorCode, outcome: 'not-applied' | 'unknown'): PortError {
    return new PortError({
      code,
      message:
        outcome === 'unknown' ? 'forced by a fault: done, but the answer was lost' : 'forced by a fault',
      outcome,
      reason: fault.reason,
      retryAfterMs: fault.retryAfterMs,
    })
  }

  #check(operation: string, fault: Fault): void {
    const known: readonly string[] = this.#operations
    if (operation !== '*' && !known.includes(operation)) {
      throw invalidArgument(
        `port "${this.#port}" has no operation "${operation}"; it has ${known.join(', ')}`,
      )
    }
    checkFields('fault', fault, fields)
    if (fault.error !== undefined && !portErrorCodes.includes(fault.error)) {
      throw invalidArgument(`a fault's error is one of ${portErrorCodes.join(', ')}`)
    }
    if (fault.error === undefined && fault.latencyMs === undefined) {
      throw invalidArgument('a fault needs an error, a latencyMs, or both')
    }
    if (fault.when !== undefined && fault.when !== 'before' && fault.when !== 'after') {
      throw invalidArgument('a fault happens "before" or "after"')
    }
    if (fault.times !== undefined && fault.times !== 'always') checkInteger('times', fault.times, { min: 1 })
    if (fault.latencyMs !== undefined) checkInteger('latencyMs', fault.latencyMs, { min: 0 })
    if (fault.retryAfterMs !== undefined) checkInteger('retryAfterMs', fault.retryAfterMs, { min: 0 })
    const { probability, error } = fault
    if (
      probability !== undefined &&
      !(typeof probability === 'number' && probability >= 0 && probability <= 1)
    ) {
      throw invalidArgument('a probability is a number from 0 to 1')
    }
    for (const field of ['match', 'reason'] as const)
      if (fault[field] !== undefined) checkText(field, fault[field])
    if (fault.reason !== undefined && error !== 'rejected') {
      throw invalidArgument('a reason belongs to the error "rejected"')
    }
    if (fault.retryAfterMs !== undefined && error !== 'rate-limited' && error !== 'unavailable') {
      throw invalidArgument('a retryAfterMs belongs to the error "rate-limited" or "unavailable"')
    }
  }
}
