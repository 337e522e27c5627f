import { getEventListeners } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { PortError } from '../errors.ts'
import { systemClock, VirtualClock } from './clock.ts'

const waits = fc.array(fc.integer({ min: 0, max: 1_000_000 }), { maxLength: 20 })
const hour = 3_600_000

describe('a virtual clock', () => {
  test('stands still until it is told otherwise', async () => {
    const clock = new VirtualClock(new Date('2030-01-01T00:00:00Z'))
    await setImmediate()
    expect(new Date(clock.now()).toISOString()).toBe('2030-01-01T00:00:00.000Z')
  })

  test('fires each timer at its time, in order, and those of one time in the order they were set', () => {
    fc.assert(
      fc.property(
        waits,
        fc.array(fc.integer({ min: 0, max: 400_000 }), { maxLength: 5 }),
        (delays, steps) => {
          const clock = new VirtualClock()
          const start = clock.now()
          const fired: { at: number; due: number; index: number }[] = []
          delays.forEach((due, index) => {
            clock.timer(due, () => fired.push({ at: clock.now() - start, due, index }))
          })
          for (const step of steps) clock.advance(step)
          const total = steps.reduce((sum, step) => sum + step, 0)
          const expected = delays
            .map((due, index) => ({ at: due, due, index }))
            .filter(({ due }) => due <= total && steps.length > 0)
            .sort((a, b) => a.due - b.due || a.index - b.index)
          expect(fired).toEqual(expected)
          expect(clock.now()).toBe(start + total)
        },
      ),
    )
  })

  test('fires no timer that was taken back', () => {
    fc.assert(
      fc.property(waits, (delays) => {
        const clock = new VirtualClock()
        const fired = vi.fn()
        for (const delay of delays) clock.timer(delay, fired)()
        clock.advance(10_000_000)
        expect(fired).not.toHaveBeenCalled()
      }),
    )
  })

  test('ends every sleep at its time without waiting for the wall clock', async () => {
    await fc.assert(
      fc.asyncProperty(waits, async (delays) => {
        const clock = new VirtualClock()
        const start = clock.now()
        const woken: number[] = []
        await Promise.all(
          delays.map(async (ms) => {
            await clock.sleep(ms)
            woken.push(clock.now() - start)
          }),
        )
        expect(woken).toEqual(delays.toSorted((a, b) => a - b))
      }),
      { numRuns: 50 },
    )
  })

  test('adds up sleeps in a row', async () => {
    const clock = new VirtualClock()
    const start = clock.now()
    for (let round = 0; round < 24; round += 1) await clock.sleep(hour)
    expect(clock.now() - start).toBe(24 * hour)
  })

  test('lets a deadline before a sleep fire first, at its own time', async () => {
    const clock = new VirtualClock()
    const start = clock.now()
    const abort = new AbortController()
    const firedAt: number[] = []
    clock.timer(1_000, () => {
      firedAt.push(clock.now() - start)
      abort.abort('late')
    })
    await expect(clock.sleep(60_000, abort.signal)).rejects.toBe('late')
    await setImmediate()
    expect(firedAt).toEqual([1_000])
    expect(clock.now() - start).toBe(1_000)
  })

  test('does not jump for a timer alone', async () => {
    const clock = new VirtualClock()
    const start = clock.now()
    clock.timer(10, () => expect.fail('it fired'))
    await setImmediate()
    await setImmediate()
    expect(clock.now()).toBe(start)
  })

  test('never goes back, also when a timer moves it', () => {
    const clock = new VirtualClock()
    const start = clock.now()
    clock.timer(10, () => clock.advance(1_000))
    clock.advance(20)
    expect(clock.now() - start).toBe(1_010)
  })

  test.each([-1, Number.NaN, Number.POSITIVE_INFINITY])('refuses to move by %d', (ms) => {
    expect(() => new VirtualClock().advance(ms)).toThrow(PortError)
  })

  test.each([-1, Number.NaN])('takes a sleep of %d for none', async (ms) => {
    const clock = new VirtualClock()
    const start = clock.now()
    await clock.sleep(ms)
    expect(clock.now()).toBe(start)
  })

  test('refuses to start at no date', () => {
    expect(() => new VirtualClock(new Date(Number.NaN))).toThrow(PortError)
  })
})

describe.each([
  ['the machine clock', () => systemClock],
  ['a virtual clock', () => new VirtualClock()],
])('a sleep on %s', (_, make) => {
  test('that is aborted rejects with the reason and leaves no listener', async () => {
    const abort = new AbortController()
    const sleeping = make().sleep(hour, abort.signal)
    const expected = expect(sleeping).rejects.toBe('why')
    abort.abort('why')
    await expected
    expect(getEventListeners(abort.signal, 'abort')).toHaveLength(0)
  })

  test('with a signal that is aborted already rejects at once', async () => {
    await expect(make().sleep(0, AbortSignal.abort('why'))).rejects.toBe('why')
  })

  test('that ends by itself leaves no listener', async () => {
    const { signal } = new AbortController()
    await make().sleep(1, signal)
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
  })
})

describe('the machine clock', () => {
  test('takes a wait too long for its timers as the longest it has, not as none', async () => {
    const fired = vi.fn()
    const stop = systemClock.timer(Number.MAX_SAFE_INTEGER, fired)
    await systemClock.sleep(5)
    stop()
    expect(fired).not.toHaveBeenCalled()
  })
})
