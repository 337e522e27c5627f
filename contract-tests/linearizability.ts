/**
 * Judges concurrent histories: could one copy, asked by one client at a time, have given these answers, with every
 * call taking effect at some moment between its beginning and its answer? After Wing and Gong's search, with Lowe's
 * memory of configurations already tried. The time it takes may grow exponentially with the calls that overlap: some
 * hundred calls by a handful of clients are well within reach.
 */
import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { PortError } from '../src/errors.ts'

/** One call of a history. Times count events; they are of no clock. */
export interface HistoryCall<Input, Output> {
  readonly client: number
  readonly input: Input
  readonly calledAt: number
  /**
   * What was answered, and when. `undefined` where the answer was lost: the call took effect at any moment after it
   * began, or never.
   */
  readonly answer: { readonly at: number; readonly output: Output } | undefined
}

/** What a single copy would do. */
export interface SequentialModel<State, Input, Output> {
  readonly initial: State
  /**
   * The state after the call, or `undefined` where a copy in this state could not have given this answer.
   * Without `answer`, whatever it was: then `undefined` where the call would have changed nothing.
   */
  step(state: State, input: Input, answer: { readonly output: Output } | undefined): State | undefined
}

/** The model of a copy that answers each call in one way: with `ask`, the state after it and the answer. */
export function modelOf<State, Input, Output>(
  initial: State,
  ask: (state: State, input: Input) => readonly [after: State, output: Output],
): SequentialModel<State, Input, Output> {
  return {
    initial,
    step(state, input, answer) {
      const [after, output] = ask(state, input)
      if (answer === undefined) return after === state ? undefined : after
      return answer.output === output ? after : undefined
    },
  }
}

export type Verdict<Input, Output> =
  | { readonly isLinearizable: true; readonly order: readonly HistoryCall<Input, Output>[] }
  | {
      readonly isLinearizable: false
      /** The most that one order explains. */
      readonly explained: readonly HistoryCall<Input, Output>[]
      /** The answered calls that no such order has room for. */
      readonly unexplained: readonly HistoryCall<Input, Output>[]
    }

/** A beginning or an end, in a list from which a call that is placed is lifted out. */
interface Event<Input, Output> {
  readonly call: HistoryCall<Input, Output>
  readonly index: number
  /** The end of a beginning; `undefined` of an end, and of a call whose answer was lost. */
  end: Event<Input, Output> | undefined
  readonly isEnd: boolean
  previous: Event<Input, Output> | undefined
  next: Event<Input, Output> | undefined
}

/**
 * Looks for an order of the calls of one history that explains every answer. States are compared by what
 * `JSON.stringify` makes of them.
 */
export function judgeHistory<State, Input, Output>(
  model: SequentialModel<State, Input, Output>,
  calls: readonly HistoryCall<Input, Output>[],
): Verdict<Input, Output> {
  const head = eventsOf(calls)
  const answered = calls.filter(({ answer }) => answer !== undefined).length
  const tried = new Set<string>()
  const placed: { readonly event: Event<Input, Output>; readonly before: State }[] = []
  let state = model.initial
  let taken = 0n
  let left = answered
  let explained: readonly HistoryCall<Input, Output>[] = []
  let event = head.next
  while (left > 0) {
    if (event === undefined || event.isEnd) {
      // An answer that came before any of the calls under way could be placed: go back on the last choice.
      const last = placed.pop()
      if (last === undefined) {
        const unexplained = calls.filter((call) => call.answer !== undefined && !explained.includes(call))
        return { isLinearizable: false, explained, unexplained }
      }
      state = last.before
      taken &= ~(1n << BigInt(last.event.index))
      if (last.event.end !== undefined) left += 1
      putBack(last.event)
      event = last.event.next
      continue
    }
    const after = model.step(state, event.call.input, event.call.answer)
    const bits: bigint = taken | (1n << BigInt(event.index))
    const configuration = after === undefined ? '' : `${bits.toString(36)} ${JSON.stringify(after)}`
    if (after === undefined || tried.has(configuration)) {
      event = event.next
      continue
    }
    tried.add(configuration)
    placed.push({ event, before: state })
    if (placed.length > explained.length) explained = placed.map((each) => each.event.call)
    state = after
    taken = bits
    if (event.end !== undefined) left -= 1
    liftOut(event)
    event = head.next
  }
  return { isLinearizable: true, order: placed.map((each) => each.event.call) }
}

/** All events in order of time, behind a head that is none. */
function eventsOf<Input, Output>(calls: readonly HistoryCall<Input, Output>[]): Event<Input, Output> {
  const timed = calls.flatMap((call, index) => {
    const link = { call, index, end: undefined, previous: undefined, next: undefined }
    const begin: Event<Input, Output> = { ...link, isEnd: false }
    if (call.answer === undefined) return [{ at: call.calledAt, event: begin }]
    begin.end = { ...link, isEnd: true }
    return [
      { at: call.calledAt, event: begin },
      { at: call.answer.at, event: begin.end },
    ]
  })
  timed.sort((a, b) => a.at - b.at)
  const head = { isEnd: true, previous: undefined, next: undefined } as unknown as Event<Input, Output>
  let last = head
  for (const { event } of timed) {
    last.next = event
    event.previous = last
    last = event
  }
  return head
}

function liftOut<Input, Output>(begin: Event<Input, Output>): void {
  for (const event of [begin, begin.end]) {
    if (event?.previous !== undefined) event.previous.next = event.next
    if (event?.next !== undefined) event.next.previous = event.previous
  }
}

/** In the opposite order of {@link liftOut}, so that neighbours are found where they were. */
function putBack<Input, Output>(begin: Event<Input, Output>): void {
  for (const event of [begin.end, begin]) {
    if (event?.previous !== undefined) event.previous.next = event
    if (event?.next !== undefined) event.next.previous = event
  }
}

/**
 * Writes a history down while it happens: what `clients` ask one after another, each client beside the others.
 * A `PortError` is an answer (its code, as `output` makes it) where the call surely was not applied or was refused;
 * where its outcome is `unknown` the answer was lost. Calls that never reached the service are left out.
 */
export async function recordHistory<Input, Output>(
  clients: readonly (readonly Input[])[],
  run: (input: Input, client: number) => Promise<Output>,
  refused: (error: PortError) => Output | undefined,
): Promise<readonly HistoryCall<Input, Output>[]> {
  const history: HistoryCall<Input, Output>[] = []
  let events = 0
  const ask = async (input: Input, client: number): Promise<void> => {
    events += 1
    const calledAt = events
    const note = (output: Output): void => {
      events += 1
      history.push({ client, input, calledAt, answer: { at: events, output } })
    }
    try {
      note(await run(input, client))
    } catch (error) {
      if (!PortError.is(error)) throw error
      const output = refused(error)
      if (output !== undefined) note(output)
      else if (error.outcome === 'unknown') history.push({ client, input, calledAt, answer: undefined })
    }
  }
  await Promise.all(
    clients.map(async (inputs, client) => {
      for (const input of inputs) await ask(input, client)
    }),
  )
  return history
}

/** Judges the history of every key by itself: keys are independent of one another. */
export function assertLinearizable<State, Input extends { readonly key: string }, Output>(
  model: SequentialModel<State, Input, Output>,
  history: readonly HistoryCall<Input, Output>[],
): void {
  for (const [key, calls] of Map.groupBy(history, ({ input }) => input.key)) {
    const verdict = judgeHistory(model, calls)
    if (verdict.isLinearizable) continue
    const line = ({ client, input, calledAt, answer }: HistoryCall<Input, Output>): string =>
      `  ${calledAt}–${answer?.at ?? 'lost'} client ${client}: ${inspect(input, { breakLength: Number.POSITIVE_INFINITY })} → ${inspect(answer?.output)}`
    assert.fail(
      [
        `no order of the calls on "${key}" explains their answers`,
        'explained, in this order:',
        ...verdict.explained.map(line),
        'without room for:',
        ...verdict.unexplained.map(line),
      ].join('\n'),
    )
  }
}
