import { PortError, type PortErrorInit } from 'portside'
import { expect, test } from 'vitest'
import { decide } from './decide.ts'

const patience = { baseDelayMs: 100, maxDelayMs: 1_000 }
const error = (init: Omit<PortErrorInit, 'message'>) => new PortError({ message: 'forced', ...init })

test.each([
  [{ code: 'unavailable', outcome: 'not-applied' }, 'waiting', 'waiting'],
  [{ code: 'rate-limited' }, 'waiting', 'waiting'],
  [{ code: 'closed' }, 'waiting', 'waiting'],
  [{ code: 'timeout' }, 'waiting', 'uncertain'],
  [{ code: 'unavailable' }, 'waiting', 'uncertain'],
  [{ code: 'internal' }, 'failed', 'uncertain'],
  [{ code: 'corrupt', outcome: 'applied' }, 'done', 'done'],
  [{ code: 'rejected', reason: 'bad-recipient' }, 'failed', 'failed'],
  [{ code: 'unauthenticated' }, 'failed', 'failed'],
] as const)('%o is %s where it may be repeated, %s where it may not', (init, repeat, ask) => {
  expect(decide(error(init), 'repeat', 1, patience).state).toBe(repeat)
  expect(decide(error(init), 'ask', 1, patience).state).toBe(ask)
})

test('what is no port’s error is a mistake of ours, and waits for a person', () => {
  expect(decide(new TypeError('bug'), 'repeat', 1, patience)).toEqual({
    state: 'failed',
    error: 'TypeError: bug',
  })
})

test('waits double up to the longest, half of each left to chance', () => {
  const waits = (attempts: number, random: number) =>
    decide(error({ code: 'unavailable' }), 'repeat', attempts, patience, () => random)
  const delays = [1, 2, 3, 4, 5, 1_000].map((attempts) => waits(attempts, 1))
  expect(delays).toMatchObject([100, 200, 400, 800, 1_000, 1_000].map((delayMs) => ({ delayMs })))
  expect(waits(3, 0)).toMatchObject({ delayMs: 200 })
})

test('a service that asks for a longer wait gets it', () => {
  const limited = error({ code: 'rate-limited', retryAfterMs: 90_000 })
  expect(decide(limited, 'repeat', 1, patience)).toMatchObject({ state: 'waiting', delayMs: 90_000 })
})
