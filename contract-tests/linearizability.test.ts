import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { PortError } from '../src/errors.ts'
import {
  assertLinearizable,
  type HistoryCall,
  judgeHistory,
  recordHistory,
  type SequentialModel,
} from './linearizability.ts'

type Input =
  | { readonly key: string; readonly type: 'read' }
  | { readonly key: string; readonly type: 'write'; readonly value: number }
  | { readonly key: string; readonly type: 'swap'; readonly from: number; readonly to: number }
type Output = number | boolean

const register: SequentialModel<number, Input, Output> = {
  initial: 0,
  step(state, input, answer) {
    if (input.type === 'read') return answer === undefined || answer.output !== state ? undefined : state
    if (input.type === 'write') return input.value
    const swapped = state === input.from
    if (answer === undefined) return swapped ? input.to : undefined
    if (answer.output !== swapped) return undefined
    return swapped ? input.to : state
  },
}

type Call = HistoryCall<Input, Output>

const key = 'k'
const read = (client: number, calledAt: number, at: number, output: number): Call => ({
  client,
  input: { key, type: 'read' },
  calledAt,
  answer: { at, output },
})
const write = (client: number, calledAt: number, at: number | undefined, value: number): Call => ({
  client,
  input: { key, type: 'write', value },
  calledAt,
  answer: at === undefined ? undefined : { at, output: true },
})
const swap = (
  client: number,
  calledAt: number,
  at: number,
  from: number,
  to: number,
  done: boolean,
): Call => ({
  client,
  input: { key, type: 'swap', from, to },
  calledAt,
  answer: { at, output: done },
})

describe('a history is linearizable', () => {
  const fine: readonly (readonly [name: string, calls: readonly Call[]])[] = [
    ['where nothing happened', []],
    ['where calls follow one another', [write(0, 1, 2, 7), read(1, 3, 4, 7)]],
    ['where a read beside a write sees the old value', [write(0, 1, 4, 7), read(1, 2, 3, 0)]],
    ['where a read beside a write sees the new value', [write(0, 1, 4, 7), read(1, 2, 3, 7)]],
    [
      'where overlapping writes took effect in the order that later reads saw',
      [write(0, 1, 5, 1), write(1, 2, 6, 2), read(2, 3, 4, 2), read(2, 7, 8, 1)],
    ],
    ['where one of two swaps won', [swap(0, 1, 4, 0, 1, true), swap(1, 2, 3, 0, 2, false)]],
    ['where a lost write was never applied', [write(0, 1, undefined, 7), read(1, 2, 3, 0)]],
    [
      'where a lost write was applied long after it was sent',
      [write(0, 1, undefined, 7), read(1, 2, 3, 0), write(1, 4, 5, 1), read(1, 6, 7, 7)],
    ],
  ]
  test.each(fine)('%s', (_, calls) => {
    expect(judgeHistory(register, calls).isLinearizable).toBe(true)
  })

  test('and the order that explains it is given', () => {
    const calls = [write(0, 1, 4, 7), read(1, 2, 3, 7)]
    expect(judgeHistory(register, calls)).toEqual({ isLinearizable: true, order: calls })
  })
})

describe('a history is not linearizable', () => {
  const broken: readonly (readonly [name: string, calls: readonly Call[]])[] = [
    ['where a read misses a write that was answered before', [write(0, 1, 2, 7), read(1, 3, 4, 0)]],
    ['where a value was read that no one wrote', [write(0, 1, 4, 7), read(1, 2, 3, 8)]],
    [
      'where a value comes back that was overwritten',
      [write(0, 1, 2, 1), write(0, 3, 4, 2), read(1, 5, 6, 2), read(1, 7, 8, 1)],
    ],
    [
      'where two readers see two writes in opposite orders',
      [
        write(0, 1, 10, 1),
        write(1, 2, 11, 2),
        read(2, 3, 4, 1),
        read(2, 5, 6, 2),
        read(3, 7, 8, 1),
        read(3, 12, 13, 2),
      ],
    ],
    ['where both of two swaps won', [swap(0, 1, 4, 0, 1, true), swap(1, 2, 3, 0, 2, true)]],
    ['where a swap lost to no one', [swap(0, 1, 2, 0, 1, false)]],
    [
      'where a lost write was applied, undone and applied again',
      [write(0, 1, undefined, 7), read(1, 2, 3, 7), write(1, 4, 5, 1), read(1, 6, 7, 7)],
    ],
  ]
  test.each(broken)('%s', (_, calls) => {
    expect(judgeHistory(register, calls).isLinearizable).toBe(false)
  })

  test('and the calls without room are named, by key', () => {
    const calls = [write(0, 1, 2, 7), read(1, 3, 4, 0)]
    const other = { ...read(0, 1, 2, 0), input: { key: 'other', type: 'read' } as const }
    expect(() => assertLinearizable(register, [...calls, other])).toThrow(
      /calls on "k"[\s\S]*in this order:\n {2}1–2 client 0: .*value: 7[\s\S]*without room for:\n {2}3–4 client 1: .*'read'.* → 0/,
    )
    expect(() => assertLinearizable(register, [other])).not.toThrow()
  })
})

/** Calls that overlap at random, with answers that are right or wrong as chance has it. */
const histories: fc.Arbitrary<readonly Call[]> = fc
  .array(
    fc.record({
      client: fc.nat(3),
      calledAt: fc.nat(12),
      lasts: fc.integer({ min: 1, max: 6 }),
      isLost: fc.boolean(),
      input: fc.oneof(
        fc.constant({ key, type: 'read' as const }),
        fc.record({ key: fc.constant(key), type: fc.constant('write' as const), value: fc.nat(2) }),
        fc.record({
          key: fc.constant(key),
          type: fc.constant('swap' as const),
          from: fc.nat(2),
          to: fc.nat(2),
        }),
      ),
      number: fc.nat(2),
      done: fc.boolean(),
    }),
    { maxLength: 5 },
  )
  .map((calls) =>
    calls.map(({ client, calledAt, lasts, isLost, input, number, done }, index) => {
      // Ten events a place, so that no two are at the same time.
      const answer = { at: (calledAt + lasts) * 10 + index, output: input.type === 'read' ? number : done }
      const lost = isLost && input.type !== 'read'
      return { client, input, calledAt: calledAt * 10 + index, answer: lost ? undefined : answer }
    }),
  )

/** The definition itself: every order, with or without each lost call. */
function byDefinition(calls: readonly Call[], state = 0): boolean {
  if (calls.every(({ answer }) => answer === undefined)) return true
  return calls.some((call, index) => {
    const isFirst = calls.every(({ answer }) => answer === undefined || answer.at > call.calledAt)
    const after = isFirst ? register.step(state, call.input, call.answer) : undefined
    return after !== undefined && byDefinition(calls.toSpliced(index, 1), after)
  })
}

test('the verdict is that of trying every order', () => {
  const verdicts = { fine: 0, broken: 0 }
  fc.assert(
    fc.property(histories, (calls) => {
      const expected = byDefinition(calls)
      verdicts[expected ? 'fine' : 'broken'] += 1
      expect(judgeHistory(register, calls).isLinearizable).toBe(expected)
    }),
    { numRuns: 3_000 },
  )
  // Both kinds came up, or the property says nothing.
  expect(verdicts.fine).toBeGreaterThan(100)
  expect(verdicts.broken).toBeGreaterThan(100)
})

test('a long history of many clients is judged at once', () => {
  const calls = Array.from({ length: 600 }, (_, index) => write(index % 8, index * 2, index * 2 + 15, index))
  const last = read(0, 2_000, 2_001, 599)
  expect(judgeHistory(register, [...calls, last]).isLinearizable).toBe(true)
})

describe('a history that is recorded', () => {
  test('has the calls of each client one after another, beside those of the others', async () => {
    let value = 0
    const history = await recordHistory<Input, Output>(
      [
        [
          { key, type: 'write', value: 1 },
          { key, type: 'read' },
        ],
        [{ key, type: 'read' }],
      ],
      async (input) => {
        await Promise.resolve()
        if (input.type === 'write') value = input.value
        return input.type === 'write' ? true : value
      },
      () => undefined,
    )
    expect(history).toHaveLength(3)
    const [first, second] = history.filter(({ client }) => client === 0)
    expect(second?.calledAt).toBeGreaterThan(first?.answer?.at ?? Number.NaN)
    const [beside] = history.filter(({ client }) => client === 1)
    expect(beside?.calledAt).toBeLessThan(first?.answer?.at ?? 0)
    assertLinearizable(register, history)
  })

  test('keeps refusals as answers, lost answers as lost, and leaves out what never arrived', async () => {
    const codes = ['precondition-failed', 'timeout', 'unavailable'] as const
    const outcomes = ['not-applied', 'unknown', 'not-applied'] as const
    const history = await recordHistory<Input & { readonly at: number }, Output>(
      [codes.map((_, at) => ({ key, type: 'swap', from: 1, to: 2, at }))],
      async ({ at }) => {
        const [code, outcome] = [codes[at], outcomes[at]]
        throw new PortError({ code: code ?? 'internal', message: 'forced', outcome: outcome ?? 'unknown' })
      },
      ({ code }) => (code === 'precondition-failed' ? false : undefined),
    )
    expect(history.map(({ input, answer }) => [input.at, answer?.output])).toEqual([
      [0, false],
      [1, undefined],
    ])
  })

  test('of code that is broken is no history at all', async () => {
    const broken = recordHistory<Input, Output>(
      [[{ key, type: 'read' }]],
      () => Promise.reject(new TypeError('a defect')),
      () => undefined,
    )
    await expect(broken).rejects.toThrow('a defect')
  })
})
