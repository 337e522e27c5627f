/** Answers in place of the emulator's own, as plain data: what the fake's faults cannot say byte by byte. */
import { checkFields, checkInteger, checkText } from '../../../src/calls/arguments.ts'
import type { Clock } from '../../../src/calls/clock.ts'
import { invalidArgument } from '../../../src/errors.ts'
import type { HttpReply } from '../http.ts'

/** What can be asked of X here. */
export const xOperations = ['publish', 'get', 'getMany', 'delete', 'me'] as const

/** One of {@link xOperations}. */
export type XOperation = (typeof xOperations)[number]

/** An exact answer on the wire. It needs a status, `drop` or a latency. */
export interface ForcedAnswer {
  /** Of the answer: 200 to 599. */
  readonly status?: number
  /** @default '' */
  readonly body?: string
  /** In place of the emulator's own. @default `content-type: application/json` */
  readonly headers?: Readonly<Record<string, string>>
  /** Ends the connection instead of answering. */
  readonly drop?: boolean
  /**
   * `before`: the fake is not asked. `after`: it does what was asked, and this is answered in place of what it said.
   * @default 'before'
   */
  readonly when?: 'before' | 'after'
  /** How long the answer takes, on the fake's clock; before or after the fake is asked, as `when` says. @default 0 */
  readonly latencyMs?: number
  /** @default whatever is asked next, also what X does not have */
  readonly operation?: XOperation
  /** How many requests it hits. @default 1 */
  readonly times?: number
}

const known = ['status', 'body', 'headers', 'drop', 'when', 'latencyMs', 'operation', 'times']

/** The forced answers that are still to be given, in order. */
export class ForcedAnswers {
  readonly #clock: Clock
  #pending: { readonly answer: ForcedAnswer; left: number }[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** @throws PortError `invalid-argument` for an answer that cannot be given */
  add(answer: ForcedAnswer): void {
    check(answer)
    this.#pending.push({ answer: { ...answer }, left: answer.times ?? 1 })
  }

  clear(): void {
    this.#pending = []
  }

  /** What is still to come, as copies. */
  get pending(): readonly (ForcedAnswer & { readonly left: number })[] {
    return this.#pending.map(({ answer, left }) => structuredClone({ ...answer, left }))
  }

  /** The answer to a request: forced, or what `proceed` says. `undefined` ends the connection. */
  async apply(
    operation: XOperation | undefined,
    proceed: () => Promise<HttpReply | undefined>,
    signal: AbortSignal,
  ): Promise<HttpReply | undefined> {
    const answer = this.#take(operation)
    if (answer === undefined) return proceed()
    const { when = 'before', latencyMs = 0, drop = false, status } = answer
    const own = when === 'after' ? await proceed() : undefined
    if (latencyMs > 0) await this.#clock.sleep(latencyMs, signal)
    if (drop) return undefined
    if (status === undefined) return when === 'after' ? own : proceed()
    const headers = { 'content-type': 'application/json', ...answer.headers }
    return { status, headers, body: answer.body ?? '' }
  }

  #take(operation: XOperation | undefined): ForcedAnswer | undefined {
    const found = this.#pending.find(
      ({ answer }) => answer.operation === undefined || answer.operation === operation,
    )
    if (found === undefined) return undefined
    found.left -= 1
    if (found.left === 0) this.#pending = this.#pending.filter((each) => each !== found)
    return found.answer
  }
}

function check(answer: ForcedAnswer): void {
  checkFields('answer', answer, known)
  const { status, body, headers, drop, when, latencyMs, operation, times } = answer
  if (status !== undefined) checkInteger('status', status, { min: 200, max: 599 })
  if (body !== undefined) checkText('body', body)
  if (headers !== undefined) {
    checkFields('headers', headers, Object.keys(headers))
    for (const [name, value] of Object.entries(headers)) checkText(`headers.${name}`, value)
  }
  if (drop !== undefined && typeof drop !== 'boolean') throw invalidArgument('drop must be true or false')
  if (when !== undefined && when !== 'before' && when !== 'after') {
    throw invalidArgument('an answer is forced "before" or "after"')
  }
  if (latencyMs !== undefined) checkInteger('latencyMs', latencyMs, { min: 0 })
  if (times !== undefined) checkInteger('times', times, { min: 1 })
  if (operation !== undefined && !xOperations.includes(operation)) {
    throw invalidArgument(`operation must be one of ${xOperations.join(', ')}`)
  }
  if (status === undefined && drop !== true && latencyMs === undefined) {
    throw invalidArgument('a forced answer needs a status, drop: true, or a latencyMs')
  }
  if (status !== undefined && drop === true) throw invalidArgument('an answer is given or dropped, not both')
}
