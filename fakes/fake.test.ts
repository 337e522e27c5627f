import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { VirtualClock } from '../src/calls/clock.ts'
import { invalidArgument, PortError, portErrorCodes } from '../src/errors.ts'
import { type CallOptions, definePort, type Port } from '../src/port.ts'
import type { FakeContext } from '../src/services/declare.ts'
import { Fake } from './fake.ts'
import type { Fault, FaultRule } from './faults.ts'
import { seededRandom } from './random.ts'

interface Shelf {
  put(key: string, text: string, options?: CallOptions): Promise<void>
  get(key: string, options?: CallOptions): Promise<string | undefined>
}
const Shelf: Port<Shelf> = definePort<Shelf>({
  name: 'shelf',
  operations: {
    put: {
      kind: 'call',
      effect: 'write',
      idempotent: true,
      arity: 2,
      subject: (key) => key,
      check: (key) => {
        if (key === '') throw invalidArgument('the key is empty')
      },
    },
    get: { kind: 'call', effect: 'read', idempotent: true, arity: 1, subject: (key) => key },
  },
})

/** A fake as a team would write one. */
class FakeShelf extends Fake<Shelf> implements Shelf {
  readonly #texts = new Map<string, string>()
  released = 0

  constructor(context: FakeContext = {}) {
    super(Shelf, context)
  }

  async put(key: string, text: string): Promise<void> {
    await setImmediate()
    this.#texts.set(key, text)
    this.journal.effect(`stored ${key}`)
  }

  async get(key: string): Promise<string | undefined> {
    return this.#texts.get(key)
  }

  get size(): number {
    return this.#texts.size
  }

  protected override async release(): Promise<void> {
    this.released += 1
  }

  protected override clear(): void {
    this.#texts.clear()
  }
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'ok',
    (error: unknown) => (PortError.is(error) ? error.code : 'no PortError'),
  )
}

describe('a fake', () => {
  test('guards its own operations and those of its port alike, and keeps its controls and state', async () => {
    const shelf = new FakeShelf({ service: 'books' })
    for (const port of [shelf, shelf.guarded.port]) {
      await expect(port.put('', 'x')).rejects.toMatchObject({
        code: 'invalid-argument',
        service: 'books',
        operation: 'put',
      })
      await port.put('a', 'x')
      expect(await port.get('a')).toBe('x')
    }
    expect(shelf.size).toBe(1)
    expect(Object.keys(shelf.guarded.port).toSorted()).toEqual(['get', 'put'])
  })

  test('works where its operation is taken off it', async () => {
    const { put, get } = new FakeShelf()
    await put('a', 'x')
    expect(await get('a')).toBe('x')
  })

  test('forgets everything at reset but the time', async () => {
    const clock = new VirtualClock()
    const shelf = new FakeShelf({ clock })
    await shelf.put('a', 'x')
    shelf.faults.always('*', { error: 'unavailable' })
    clock.advance(5)
    shelf.reset()
    expect([shelf.size, shelf.journal.entries, shelf.faults.pending]).toEqual([0, [], []])
    expect(await shelf.get('a')).toBeUndefined()
    expect(shelf.journal.entries[0]?.sequence).toBe(1)
    expect(clock.now()).toBe(new VirtualClock().now() + 5)
  })

  test('that follows another shares its faults and its journal, not its state', async () => {
    const [first, second] = [new FakeShelf(), new FakeShelf()]
    second.follow(first)
    first.faults.next('put', { error: 'conflict' })
    expect([await codeOf(second.put('a', 'x')), await codeOf(first.put('a', 'x'))]).toEqual([
      'conflict',
      'ok',
    ])
    await second.put('b', 'x')
    expect([first.size, second.size]).toEqual([1, 1])
    expect(first.journal.entries.map(({ result }) => result)).toEqual(['conflict', 'ok', 'ok'])
    expect(second.journal).toBe(first.journal)
  })

  test('closes once and frees what it opened', async () => {
    const shelf = new FakeShelf()
    await shelf.guarded.close()
    await shelf.guarded.close()
    expect(shelf.released).toBe(1)
    expect(await codeOf(shelf.get('a'))).toBe('closed')
  })

  test('whose port has an operation with the name of a control is refused', () => {
    interface Clearing {
      clear(): Promise<void>
    }
    const port = definePort<Clearing>({
      name: 'clearing',
      operations: { clear: { kind: 'call', effect: 'write', idempotent: true, arity: 0 } },
    })
    class FakeClearing extends Fake<Clearing> {
      override async clear(): Promise<void> {}
    }
    expect(() => new FakeClearing(port)).toThrow(/"clear" is a control/)
  })

  test.each([0.5, Number.NaN, '1'])('with the seed %s is refused', (seed) => {
    expect(() => new FakeShelf({ seed: seed as number })).toThrow(PortError)
  })
})

describe('faults', () => {
  test('hit calls in the order they were added, each as often as it says', async () => {
    const { faults, get } = new FakeShelf()
    faults.next('get', { error: 'unavailable', times: 2 })
    faults.next('*', { error: 'rate-limited', retryAfterMs: 7 })
    faults.next('put', { error: 'conflict' })
    expect(faults.pending.map(({ operation, left }) => [operation, left])).toEqual([
      ['get', 2],
      ['*', 1],
      ['put', 1],
    ])
    const codes = []
    for (let call = 0; call < 4; call += 1) codes.push(await codeOf(get('a')))
    expect(codes).toEqual(['unavailable', 'unavailable', 'rate-limited', 'ok'])
    expect(faults.pending).toMatchObject([{ operation: 'put' }])
  })

  test('hit the calls about their subject only', async () => {
    const { faults, get } = new FakeShelf()
    faults.next('get', { error: 'unavailable', match: 'b' })
    expect([await codeOf(get('a')), await codeOf(get('b')), await codeOf(get('b'))]).toEqual([
      'ok',
      'unavailable',
      'ok',
    ])
  })

  test('before leave the state as it was; after change it, and the outcome is unknown', async () => {
    const shelf = new FakeShelf()
    shelf.faults.next('put', { error: 'unavailable' })
    await expect(shelf.put('a', 'x')).rejects.toMatchObject({ outcome: 'not-applied' })
    expect(shelf.size).toBe(0)
    shelf.faults.next('put', { error: 'timeout', when: 'after' })
    await expect(shelf.put('a', 'x')).rejects.toMatchObject({ code: 'timeout', outcome: 'unknown' })
    expect(shelf.size).toBe(1)
  })

  test('of latency pass time on the clock of the fake, and then go on', async () => {
    const shelf = new FakeShelf()
    const start = shelf.clock.now()
    shelf.faults.next('put', { latencyMs: 29_999 })
    await shelf.put('a', 'x')
    expect(shelf.clock.now() - start).toBe(29_999)
    expect(shelf.size).toBe(1)
  })

  test.each<['before' | 'after', number]>([
    ['before', 0],
    ['after', 1],
  ])('of latency %s the work, beyond the deadline, are a timeout that left %d behind', async (when, size) => {
    const shelf = new FakeShelf()
    shelf.faults.next('put', { latencyMs: 60_000, when })
    await expect(shelf.guarded.port.put('a', 'x', { timeoutMs: 1_000 })).rejects.toMatchObject({
      code: 'timeout',
      outcome: 'unknown',
    })
    expect(shelf.size).toBe(size)
  })

  test('by chance are the same for the same seed, and about as many as said', async () => {
    const hits = async (seed: number): Promise<string[]> => {
      const { faults, get } = new FakeShelf({ seed })
      faults.always('get', { error: 'unavailable', probability: 0.3 })
      const codes = []
      for (let call = 0; call < 300; call += 1) codes.push(await codeOf(get('a')))
      return codes
    }
    const first = await hits(1)
    expect(await hits(1)).toEqual(first)
    expect(await hits(2)).not.toEqual(first)
    const count = first.filter((code) => code === 'unavailable').length
    expect(count).toBeGreaterThan(60)
    expect(count).toBeLessThan(120)
  })

  test('that stay are an outage, which a ping sees and uses nothing of; others it leaves alone', async () => {
    const { faults, get, guarded, journal } = new FakeShelf()
    faults.next('*', { error: 'conflict' })
    expect(await codeOf(guarded.ping())).toBe('ok')
    expect(faults.pending).toHaveLength(1)
    faults.clear()
    faults.always('*', { error: 'unavailable' })
    expect([await codeOf(guarded.ping()), await codeOf(get('a')), await codeOf(get('a'))]).toEqual(
      Array(3).fill('unavailable'),
    )
    faults.clear()
    expect([await codeOf(guarded.ping()), await codeOf(get('a'))]).toEqual(['ok', 'ok'])
    expect(journal.entries.map(({ operation }) => operation)).toEqual(['get', 'get', 'get'])
  })

  test('carry every code of the closed set', async () => {
    for (const error of portErrorCodes) {
      const { faults, get } = new FakeShelf()
      faults.next('get', { error })
      expect(await codeOf(get('a'))).toBe(error)
    }
  })

  test('are plain data, copied', async () => {
    const { faults, get } = new FakeShelf()
    const script: FaultRule<'get' | 'put'>[] = JSON.parse('[{"operation":"get","error":"unavailable"}]')
    faults.script(script)
    Object.assign(script[0] as object, { error: 'conflict' })
    expect(JSON.parse(JSON.stringify(faults.pending))).toEqual([
      { operation: 'get', error: 'unavailable', left: 1 },
    ])
    expect(await codeOf(get('a'))).toBe('unavailable')
  })

  test.each<[string, Fault]>([
    ['nothing', {}],
    ['an unknown field', { error: 'unavailable', chance: 1 } as Fault],
    ['an unknown code', { error: 'oops' as 'internal' }],
    ['another when', { error: 'internal', when: 'during' as 'after' }],
    ['no times', { error: 'internal', times: 0 }],
    ['half a time', { error: 'internal', times: 0.5 }],
    ['a negative latency', { latencyMs: -1 }],
    ['a latency that is no number', { latencyMs: Number.NaN }],
    ['a probability above one', { error: 'internal', probability: 1.1 }],
    ['a probability that is no number', { error: 'internal', probability: '0.5' as unknown as number }],
    ['a match that is no text', { error: 'internal', match: 7 as unknown as string }],
    ['a reason that nobody would read', { error: 'internal', reason: 'duplicate' }],
    ['a wait that nobody would keep', { error: 'not-found', retryAfterMs: 5 }],
  ])('with %s are refused, and none of their script is added', (_, fault) => {
    const { faults } = new FakeShelf()
    expect(() =>
      faults.script([
        { operation: 'get', error: 'internal' },
        { operation: 'get', ...fault },
      ]),
    ).toThrow(PortError)
    expect(() => faults.always('get', fault)).toThrow(PortError)
    expect(faults.pending).toEqual([])
  })

  test('of an unknown operation are refused', () => {
    const { faults } = new FakeShelf()
    expect(() => faults.next('gte' as 'get', { error: 'internal' })).toThrow(
      /no operation "gte"; it has put, get/,
    )
  })
})

describe('the journal', () => {
  test('tells every call in order, what it changed and how it ended', async () => {
    const clock = new VirtualClock(new Date(1_000))
    const shelf = new FakeShelf({ clock })
    await shelf.put('a', 'x')
    shelf.faults.next('get', { error: 'unavailable', latencyMs: 5 })
    await codeOf(shelf.get('a'))
    await codeOf(shelf.put('', 'x'))
    expect(shelf.journal.entries).toEqual([
      {
        sequence: 1,
        at: new Date(1_000),
        operation: 'put',
        subject: 'a',
        effects: ['stored a'],
        result: 'ok',
      },
      {
        sequence: 2,
        at: new Date(1_000),
        operation: 'get',
        subject: 'a',
        effects: [],
        result: 'unavailable',
      },
    ])
    expect(shelf.journal.of('get')).toHaveLength(1)
  })

  test('gives each effect to its own call, also of many at once', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(fc.string({ minLength: 1 }), { maxLength: 20 }), async (keys) => {
        const shelf = new FakeShelf()
        await Promise.all(keys.map((key) => shelf.put(key, 'x')))
        const told = shelf.journal.entries.map(({ subject, effects }) => [subject, effects])
        expect(told).toEqual(keys.map((key) => [key, [`stored ${key}`]]))
      }),
      { numRuns: 30 },
    )
  })

  test('shows a call that is still running, and hands out copies', async () => {
    const shelf = new FakeShelf()
    const putting = shelf.put('a', 'x')
    const [entry] = shelf.journal.entries
    expect(entry).toMatchObject({ result: 'pending' })
    entry?.at.setTime(0)
    await putting
    expect(shelf.journal.entries).toMatchObject([{ result: 'ok' }])
    expect(shelf.journal.entries[0]?.at.getTime()).not.toBe(0)
  })

  test('has an entry for each attempt', async () => {
    const shelf = new FakeShelf({ retry: { attempts: 3, baseDelayMs: 100, maxDelayMs: 1_000 } })
    shelf.faults.next('put', { error: 'unavailable', times: 2 })
    await shelf.put('a', 'x')
    expect(shelf.journal.of('put').map(({ result }) => result)).toEqual(['unavailable', 'unavailable', 'ok'])
  })

  test('that is cleared while a call runs is not written to by it', async () => {
    const shelf = new FakeShelf()
    const putting = shelf.put('a', 'x')
    shelf.reset()
    await putting
    expect(shelf.journal.entries).toEqual([])
  })
})

describe('chance', () => {
  test('repeats for the same seed and stays from 0 to below 1', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const [one, other] = [seededRandom(seed), seededRandom(seed)]
        for (let draw = 0; draw < 50; draw += 1) {
          const number = one()
          expect(number).toBe(other())
          expect(number >= 0 && number < 1).toBe(true)
        }
      }),
    )
  })
})
