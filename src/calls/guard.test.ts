import { getEventListeners } from 'node:events'
import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Classification, Driver } from '../adapter.ts'
import { invalidArgument, PortError, type PortErrorInit } from '../errors.ts'
import { type CallOptions, definePort, type Port } from '../port.ts'
import { VirtualClock } from './clock.ts'
import { type CallEvent, type Guarded, type GuardOptions, guard, type Intercept } from './guard.ts'
import { defaultRetry } from './retry.ts'

interface Desk {
  read(key: string, options?: CallOptions & { readonly fresh?: boolean }): Promise<string>
  write(
    key: string,
    value: Uint8Array,
    options?: CallOptions & { readonly ifEquals?: Uint8Array },
  ): Promise<void>
  append(key: string, options?: CallOptions): Promise<void>
  list(prefix: string, options?: CallOptions): AsyncIterable<string>
  open(key: string, options?: CallOptions): Promise<{ readonly body: AsyncIterable<string> }>
  borrow(use: (drawer: Drawer) => Promise<unknown>, options?: CallOptions): Promise<unknown>
}

interface Drawer {
  put(key: string, options?: CallOptions): Promise<void>
  each(options?: CallOptions): AsyncIterable<string>
}

const Drawer: Port<Drawer> = definePort<Drawer>({
  name: 'drawer',
  operations: {
    put: { kind: 'call', effect: 'write', idempotent: true, arity: 1, subject: (key) => key },
    each: { kind: 'stream', effect: 'read', idempotent: true, arity: 0 },
  },
})

const Desk: Port<Desk> = definePort<Desk>({
  name: 'desk',
  capabilities: { fresh: 'reads past the cache' },
  operations: {
    read: {
      kind: 'call',
      effect: 'read',
      idempotent: true,
      arity: 1,
      options: ['fresh'],
      subject: (key) => key,
      check: (key) => {
        if (key === '') throw invalidArgument('the key is empty')
      },
      needs: (_, { fresh }) => (fresh === true ? ['fresh'] : []),
    },
    write: {
      kind: 'call',
      effect: 'write',
      idempotent: true,
      arity: 2,
      subject: (key) => key,
      options: ['ifEquals'],
      copy: ([key, value]) => [key, new Uint8Array(value)],
    },
    append: { kind: 'call', effect: 'write', idempotent: false, arity: 1, subject: (key) => key },
    list: { kind: 'stream', effect: 'read', idempotent: true, arity: 1, subject: (prefix) => prefix },
    open: {
      kind: 'call',
      effect: 'read',
      idempotent: true,
      arity: 1,
      output: ({ body }, scope) => ({ body: scope.stream(body) }),
    },
    borrow: {
      kind: 'call',
      effect: 'write',
      idempotent: true,
      arity: 1,
      input: ([use], scope) => [scope.callback((drawer: Drawer) => use(scope.nested(Drawer, drawer)))],
    },
  },
})

const hang = (): Promise<never> => new Promise(() => {})

/** A driver whose operations are what a test gives; each of the others resolves to nothing. */
function desk(
  calls: Partial<Desk> = {},
  options: GuardOptions & Partial<Pick<Driver<Desk>, 'classify' | 'close' | 'ping' | 'capabilities'>> = {},
): Guarded<Desk> {
  const { classify, close = async () => {}, ping = async () => {}, capabilities, ...rest } = options
  const nothing = async function* (): AsyncGenerator<string> {}
  const driver: Driver<Desk> = {
    calls: {
      read: async () => '',
      write: async () => {},
      append: async () => {},
      list: nothing,
      open: async () => ({ body: nothing() }),
      borrow: async () => undefined,
      ...calls,
    },
    ping,
    close,
    ...(capabilities === undefined ? {} : { capabilities }),
    ...(classify === undefined ? {} : { classify }),
  }
  return guard(Desk, driver, { service: 'papers', ...rest })
}

function failing(init: Partial<PortErrorInit> = {}): PortError {
  return new PortError({ code: 'unavailable', message: 'down', ...init })
}

async function errorOf(promise: Promise<unknown>): Promise<PortError> {
  const error = await promise.then(
    () => expect.fail('it resolved'),
    (reason: unknown) => reason,
  )
  expect(error).toSatisfy(PortError.is)
  return error as PortError
}

/** Reads a stream as a caller does, into an array. */
async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  return Array.fromAsync(items)
}

// No call may leave a rejection that nobody handles.
const unhandled: unknown[] = []
const note = (reason: unknown): void => {
  unhandled.push(reason)
}
beforeEach(() => {
  unhandled.length = 0
  process.on('unhandledRejection', note)
})
afterEach(async () => {
  await setImmediate()
  process.off('unhandledRejection', note)
  expect(unhandled).toEqual([])
})

describe('arguments', () => {
  test.each<[string, unknown]>([
    ['null', null],
    ['an array', []],
    ['a text', 'fast'],
    ['an unknown field', { fast: true }],
    ['a symbol field', { [Symbol('x')]: 1 }],
    ['a field that would change the prototype', JSON.parse('{"__proto__": {"timeoutMs": 5}}')],
    ['a field named constructor', { constructor: 1 }],
    ['inherited fields', Object.create({ timeoutMs: 5 })],
    [
      'an instance of a class',
      new (class Fast {
        timeoutMs = 5
      })(),
    ],
    ['a signal in place of { signal }', new AbortController().signal],
    ['a date', new Date()],
    ['a signal that is none', { signal: { aborted: false } }],
    ['a deadline of text', { timeoutMs: '5' }],
    ['a deadline of null', { timeoutMs: null }],
    ['a deadline beyond all numbers', { timeoutMs: Number.MAX_VALUE }],
  ])('options that are %s are invalid-argument, and the driver is not reached', async (_, options) => {
    const read = vi.fn(async () => '')
    const error = await errorOf(desk({ read }).port.read('k', options as CallOptions))
    expect(error).toMatchObject({
      code: 'invalid-argument',
      service: 'papers',
      operation: 'read',
      subject: 'k',
    })
    expect(read).not.toHaveBeenCalled()
  })

  test.each<[string, unknown]>([
    ['undefined', undefined],
    ['empty', {}],
    ['without prototype', Object.assign(Object.create(null), { timeoutMs: 500 })],
    ['fields given as undefined', { signal: undefined, timeoutMs: undefined, fresh: undefined }],
  ])('options that are %s are those of no options', async (_, options) => {
    const read = vi.fn(async () => 'v')
    expect(await desk({ read }).port.read('k', options as CallOptions)).toBe('v')
    expect(read).toHaveBeenCalledExactlyOnceWith('k', { signal: expect.any(AbortSignal) })
  })

  test('one argument too many is invalid-argument', async () => {
    const read = desk().port.read as (...args: unknown[]) => Promise<unknown>
    expect(await errorOf(read('k', {}, 'more'))).toMatchObject({ code: 'invalid-argument' })
  })

  test("the port's own check refuses before the driver, as a rejection", async () => {
    const { port } = desk()
    expect(await errorOf(port.read(''))).toMatchObject({
      code: 'invalid-argument',
      message: 'papers.read(""): the key is empty',
    })
  })

  test('are copied in', async () => {
    let given: Uint8Array | undefined
    const write = async (_: string, value: Uint8Array): Promise<void> => {
      await sleep(1)
      given = value
    }
    const value = new Uint8Array([1, 2])
    const writing = desk({ write }).port.write('k', value)
    value.fill(9)
    await writing
    expect(given).toEqual(new Uint8Array([1, 2]))
  })

  test('are copied in once, bytes among the options too: a repetition sends what the first attempt sent', async () => {
    const sent: unknown[] = []
    const write: Desk['write'] = async (_, value, options) => {
      sent.push([[...value], [...(options?.ifEquals ?? [])]])
      if (sent.length < 3) throw failing()
    }
    const value = new Uint8Array([1, 2])
    const ifEquals = new Uint8Array([3])
    const retry = { attempts: 3, baseDelayMs: 1, maxDelayMs: 1 }
    // Something waits before the first attempt, as a fake's forced delay does.
    const intercept: Intercept = async (_, proceed) => {
      await sleep(1)
      return proceed()
    }
    const writing = desk({ write }, { retry, intercept }).port.write('k', value, { ifEquals })
    value.fill(9)
    ifEquals.fill(9)
    await writing
    expect(sent).toEqual(Array(3).fill([[1, 2], [3]]))
  })

  test('a capability that is not declared is unsupported before any I/O', async () => {
    const read = vi.fn(async () => '')
    const { port } = desk({ read }, { capabilities: [] })
    expect(await errorOf(port.read('k', { fresh: true }))).toMatchObject({
      code: 'unsupported',
      outcome: 'not-applied',
    })
    expect(read).not.toHaveBeenCalled()
    await port.read('k')
    expect(read).toHaveBeenCalledOnce()
  })
})

describe('an implementation', () => {
  test('that lacks an operation is refused', () => {
    expect(() => desk({ read: undefined as never })).toThrow(/lacks operation "read"/)
  })

  test('that declares a capability unknown to its port is refused', () => {
    expect(() => desk({}, { capabilities: ['frehs'] })).toThrow(/declares "frehs"/)
  })

  test.each([{ attempts: Number.NaN }, { attempts: 0 }, { baseDelayMs: -1 }, { maxDelayMs: Number.NaN }])(
    'with a retry policy that cannot be followed is refused: %o',
    (part) => {
      expect(() => desk({}, { retry: { ...defaultRetry, ...part } })).toThrow(PortError)
    },
  )
})

describe('cancellation', () => {
  test('aborts a call under way, and tells that its outcome is unknown', async () => {
    const caller = new AbortController()
    let seen: AbortSignal | undefined
    const write: Desk['write'] = (_k, _v, options) => {
      seen = options?.signal
      return hang()
    }
    const writing = errorOf(desk({ write }).port.write('k', new Uint8Array(), { signal: caller.signal }))
    await setImmediate()
    caller.abort(new Error('the reason of the caller'))
    expect(await writing).toMatchObject({ code: 'cancelled', outcome: 'unknown', subject: 'k' })
    expect(seen?.aborted).toBe(true)
    expect(getEventListeners(caller.signal, 'abort')).toHaveLength(0)
  })

  test('of a read leaves nothing unknown', async () => {
    const caller = new AbortController()
    const reading = errorOf(desk({ read: hang }).port.read('k', { signal: caller.signal }))
    caller.abort()
    expect(await reading).toMatchObject({ code: 'cancelled', outcome: 'not-applied' })
  })

  test('reports what the driver still says of the call within the grace', async () => {
    const classify = (): Classification => ({
      code: 'unavailable',
      message: 'rolled back',
      outcome: 'not-applied',
    })
    const caller = new AbortController()
    const write: Desk['write'] = (_k, _v, options) =>
      new Promise((_, reject) => {
        options?.signal?.addEventListener('abort', () =>
          setTimeout(() => reject(new Error('socket closed')), 10),
        )
      })
    const writing = errorOf(
      desk({ write }, { classify }).port.write('k', new Uint8Array(), { signal: caller.signal }),
    )
    caller.abort()
    expect(await writing).toMatchObject({ code: 'cancelled', outcome: 'not-applied' })
  })

  test('lets an answer within the grace through: the call has succeeded', async () => {
    const caller = new AbortController()
    const read: Desk['read'] = async (_, options) => {
      await new Promise((resolve) => options?.signal?.addEventListener('abort', resolve))
      await sleep(5)
      return 'late'
    }
    const reading = desk({ read }).port.read('k', { signal: caller.signal })
    caller.abort()
    expect(await reading).toBe('late')
  })

  test('leaves no listener on the signal and no timer behind, however the call ends', async () => {
    const { signal } = new AbortController()
    const clock = new VirtualClock()
    let timers = 0
    const { timer } = clock
    clock.timer = (ms, callback) => {
      timers += 1
      const stop = timer.call(clock, ms, callback)
      return () => {
        timers -= 1
        stop()
      }
    }
    const items = async function* (): AsyncGenerator<string> {
      yield 'a'
      yield 'b'
    }
    const read = vi.fn(async () => 'v').mockRejectedValueOnce(new Error('x'))
    const { port } = desk({ read, list: items }, { clock })
    await errorOf(port.read('k', { signal }))
    await port.read('k', { signal })
    await errorOf(port.read('', { signal }))
    await all(port.list('', { signal }))
    for await (const _ of port.list('', { signal })) break
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
    expect(timers).toBe(0)
  })

  test('of hundreds of calls at once warns of no leak', async () => {
    const warned = vi.fn()
    process.on('warning', warned)
    const { signal } = new AbortController()
    const { port } = desk({ read: () => sleep(5, '') })
    await Promise.all(Array.from({ length: 300 }, () => port.read('k', { signal })))
    await setImmediate()
    process.off('warning', warned)
    expect(warned).not.toHaveBeenCalled()
  })
})

describe('the deadline', () => {
  test('is timeout, also where the driver ignores the signal', async () => {
    const error = await errorOf(desk({ append: hang }).port.append('k', { timeoutMs: 5 }))
    expect(error).toMatchObject({ code: 'timeout', outcome: 'unknown', retryable: true, operation: 'append' })
    expect(error.message).toBe(
      'papers.append("k"): no answer within 5 ms; raise timeoutMs if the service may be this slow',
    )
  })

  test('covers all attempts together', async () => {
    const clock = new VirtualClock()
    const read = vi.fn(async () => {
      throw failing({ retryAfterMs: 1_500 })
    })
    const retry = { attempts: 10, baseDelayMs: 1, maxDelayMs: 10_000 }
    const error = await errorOf(desk({ read }, { clock, retry }).port.read('k', { timeoutMs: 4_000 }))
    expect(error).toMatchObject({ code: 'unavailable', message: 'papers.read("k"): down' })
    expect(read).toHaveBeenCalledTimes(3)
    expect(clock.now() - new VirtualClock().now()).toBe(4_000)
  })

  test('shows in its stack where the call was made', async () => {
    const error = await errorOf(desk({ read: hang }).port.read('k', { timeoutMs: 1 }))
    expect(error.stack).toContain('#attempts')
  })

  test('that fires late in a driver that failed meanwhile does not reject unhandled', async () => {
    const read = async (): Promise<string> => {
      await sleep(300)
      throw new Error('long after anyone waited')
    }
    await errorOf(desk({ read }).port.read('k', { timeoutMs: 1 }))
    await sleep(400)
  })
})

describe('a retry', () => {
  const retry = { attempts: 3, baseDelayMs: 10, maxDelayMs: 1_000 }

  async function attemptsOf(call: (port: Desk) => Promise<unknown>, error: () => unknown): Promise<number> {
    let count = 0
    const fail = async (): Promise<never> => {
      count += 1
      throw error()
    }
    const { port } = desk({ read: fail, append: fail, write: fail }, { retry, clock: new VirtualClock() })
    await errorOf(call(port))
    return count
  }

  test.each(['unavailable', 'rate-limited'] as const)(
    'repeats an idempotent call that is %s',
    async (code) => {
      expect(
        await attemptsOf(
          (port) => port.read('k'),
          () => failing({ code }),
        ),
      ).toBe(3)
    },
  )

  test.each(['timeout', 'conflict', 'internal', 'not-found', 'closed'] as const)(
    'never repeats a %s',
    async (code) => {
      expect(
        await attemptsOf(
          (port) => port.read('k'),
          () => failing({ code }),
        ),
      ).toBe(1)
    },
  )

  test('never repeats a call that is not idempotent', async () => {
    expect(
      await attemptsOf(
        (port) => port.append('k'),
        () => failing(),
      ),
    ).toBe(1)
  })

  test('never waits for a service that asks for longer than the policy has', async () => {
    expect(
      await attemptsOf(
        (port) => port.read('k'),
        () => failing({ retryAfterMs: 1_001 }),
      ),
    ).toBe(1)
    expect(
      await attemptsOf(
        (port) => port.read('k'),
        () => failing({ retryAfterMs: 1_000 }),
      ),
    ).toBe(3)
  })

  test('does not repeat what says it is not retryable', async () => {
    expect(
      await attemptsOf(
        (port) => port.read('k'),
        () => failing({ retryable: false }),
      ),
    ).toBe(1)
  })

  test('answers with the first success', async () => {
    const events: CallEvent[] = []
    const read = vi
      .fn(async () => 'v')
      .mockRejectedValueOnce(failing())
      .mockRejectedValueOnce(failing())
    const { port } = desk(
      { read },
      { retry, clock: new VirtualClock(), observe: (event) => void events.push(event) },
    )
    expect(await port.read('k')).toBe('v')
    expect(events).toMatchObject([{ operation: 'read', attempts: 3, error: undefined }])
  })

  test('does not forget that an earlier attempt may have been applied', async () => {
    const write = vi
      .fn<Desk['write']>()
      .mockRejectedValueOnce(failing({ outcome: 'unknown' }))
      .mockRejectedValue(failing({ outcome: 'not-applied' }))
    const { port } = desk({ write }, { retry, clock: new VirtualClock() })
    expect(await errorOf(port.write('k', new Uint8Array()))).toMatchObject({ outcome: 'unknown' })
  })

  test('is ended by the caller, with the failure itself', async () => {
    const caller = new AbortController()
    const read = vi.fn(async () => {
      setTimeout(() => caller.abort(), 5)
      throw failing({ retryAfterMs: 60_000 })
    })
    const { port } = desk({ read }, { retry: { ...retry, maxDelayMs: 60_000 } })
    expect(await errorOf(port.read('k', { signal: caller.signal }))).toMatchObject({ code: 'unavailable' })
    expect(read).toHaveBeenCalledOnce()
  })
})

describe('an error', () => {
  test('of the vendor is classified, with itself as the cause', async () => {
    const vendor = Object.assign(new Error('boom'), { status: 404 })
    const { port } = desk(
      { read: () => Promise.reject(vendor) },
      {
        classify: (error) => (error === vendor ? { code: 'not-found', message: 'no such thing' } : undefined),
      },
    )
    const error = await errorOf(port.read('k'))
    expect(error).toMatchObject({
      code: 'not-found',
      service: 'papers',
      port: 'desk',
      operation: 'read',
      subject: 'k',
    })
    expect(error.cause).toBe(vendor)
  })

  test('that nobody knows is internal, even where the classification fails', async () => {
    const classify = (): never => {
      throw new TypeError('cannot read properties of undefined')
    }
    expect(
      await errorOf(desk({ read: () => Promise.reject(new Error('odd')) }, { classify }).port.read('k')),
    ).toMatchObject({
      code: 'internal',
      message: 'papers.read("k"): unexpected failure: odd',
    })
  })

  test.each<[string, unknown]>([
    ['undefined', undefined],
    ['null', null],
    ['a text', 'text'],
    ['a number', 7],
    ['a symbol', Symbol('s')],
    ['a proxy that resists', new Proxy(new Error('x'), { get: () => expect.fail('code of the error ran') })],
  ])('is a PortError whatever was thrown: %s', async (_, thrown) => {
    const { port } = desk({ read: () => Promise.reject(thrown) })
    expect(await errorOf(port.read('k'))).toMatchObject({ code: 'internal' })
  })

  test('thrown before the driver answered with a promise is a rejection', async () => {
    const read = (): never => {
      throw new Error('at once')
    }
    expect(await errorOf(desk({ read }).port.read('k'))).toMatchObject({ code: 'internal' })
  })

  test('shows no secret in any of its fields', async () => {
    const secret = 'canary-7f3a'
    const thrown = failing({
      message: `with ${secret}`,
      subject: secret,
      reason: secret,
      details: { url: `redis://:${secret}@host` },
      cause: Object.assign(new Error(secret), { secret }),
    })
    const error = await errorOf(
      desk({ read: () => Promise.reject(thrown) }, { secrets: [secret] }).port.read(`k${secret}`),
    )
    const { inspect } = await import('node:util')
    expect(
      `${inspect(error, { depth: 9, showHidden: true })}${JSON.stringify(error)}${error.stack}${error}`,
    ).not.toContain(secret)
  })

  test('of a read is never of unknown outcome; of a write it is', async () => {
    const { port } = desk({ read: () => Promise.reject(failing()), append: () => Promise.reject(failing()) })
    expect(await errorOf(port.read('k'))).toMatchObject({ outcome: 'not-applied' })
    expect(await errorOf(port.append('k'))).toMatchObject({ outcome: 'unknown' })
  })
})

describe('an observer', () => {
  test('is told of each call that passed its checks, once', async () => {
    const events: CallEvent[] = []
    const items = async function* (): AsyncGenerator<string> {
      yield 'a'
      throw failing()
    }
    const { port } = desk({ list: items }, { observe: (event) => void events.push(event) })
    await port.read('k')
    await errorOf(port.read(''))
    await errorOf(all(port.list('p')))
    for await (const _ of port.list('q')) break
    expect(events).toMatchObject([
      { service: 'papers', port: 'desk', operation: 'read', subject: 'k', attempts: 1, error: undefined },
      { operation: 'list', subject: 'p', error: { code: 'unavailable' } },
      { operation: 'list', subject: 'q', error: undefined },
    ])
    for (const { durationMs, startedAt } of events) {
      expect(durationMs).toBeGreaterThanOrEqual(0)
      expect(startedAt).toBeInstanceOf(Date)
    }
  })

  test('that throws, at once or later, changes no call', async () => {
    const thrower = (): void => {
      throw new Error('disk full')
    }
    const rejecter = (async () => thrower()) as () => void
    for (const observe of [thrower, rejecter]) {
      const { port } = desk({ read: async () => 'v', append: () => Promise.reject(failing()) }, { observe })
      expect(await port.read('k')).toBe('v')
      expect(await errorOf(port.append('k'))).toMatchObject({ code: 'unavailable' })
    }
  })
})

describe("a callback's error", () => {
  const borrow: Desk['borrow'] = async (use) => {
    await setImmediate()
    return use({ put: async () => {}, each: async function* () {} })
  }

  test.each<[string, unknown]>([
    ['an error', Object.assign(new Error('hunter22'), { mine: 'hunter22' })],
    ['undefined', undefined],
    ['a text', 'no'],
    ['a PortError that could be repeated', failing()],
  ])('reaches the caller as it is: %s', async (_, mine) => {
    const events: CallEvent[] = []
    const { port } = desk(
      { borrow },
      { retry: defaultRetry, secrets: ['hunter22'], observe: (event) => void events.push(event) },
    )
    const use = vi.fn(async () => {
      throw mine
    })
    const caught = await port.borrow(use).then(
      () => expect.fail('it resolved'),
      (error: unknown) => error,
    )
    expect(caught).toBe(mine)
    expect(use).toHaveBeenCalledOnce()
    if (mine instanceof Error && !PortError.is(mine)) {
      expect(mine).toMatchObject({ message: 'hunter22', mine: 'hunter22' })
    }
    expect(events).toHaveLength(1)
    expect(events[0]?.error).toSatisfy(PortError.is)
  })

  test("that the driver replaces by its own is the driver's", async () => {
    const replacing: Desk['borrow'] = (use, options) =>
      borrow(use, options).catch(() => {
        throw failing({ code: 'conflict' })
      })
    const { port } = desk({ borrow: replacing })
    expect(await errorOf(port.borrow(() => Promise.reject(new Error('mine'))))).toMatchObject({
      code: 'conflict',
    })
  })

  test('may come after an attempt that failed by itself', async () => {
    let attempt = 0
    const flaky: Desk['borrow'] = (use, options) => {
      attempt += 1
      return attempt === 1 ? Promise.reject(failing()) : borrow(use, options)
    }
    const mine = new Error('mine')
    const { port } = desk({ borrow: flaky }, { retry: { ...defaultRetry, baseDelayMs: 0 } })
    await expect(port.borrow(() => Promise.reject(mine))).rejects.toBe(mine)
    expect(attempt).toBe(2)
  })
})

describe('what a call lends', () => {
  test('ends with the call, and with it what is under way there', async () => {
    let kept: Drawer | undefined
    let floating: Promise<PortError> | undefined
    let signal: AbortSignal | undefined
    const put: Drawer['put'] = (_, options) => {
      signal = options?.signal
      return hang()
    }
    const each = async function* (): AsyncGenerator<string> {
      yield 'a'
      yield 'b'
    }
    const { port } = desk({ borrow: (use) => use({ put, each }) })
    let items: AsyncIterator<string> | undefined
    await port.borrow(async (drawer) => {
      kept = drawer
      floating = errorOf(drawer.put('x'))
      items = drawer.each()[Symbol.asyncIterator]()
      expect(await items.next()).toEqual({ value: 'a', done: false })
    })
    expect(await floating).toMatchObject({
      code: 'closed',
      outcome: 'unknown',
      port: 'desk',
      operation: 'put',
    })
    expect(signal?.aborted).toBe(true)
    expect(await errorOf((kept as Drawer).put('y'))).toMatchObject({ code: 'closed', outcome: 'not-applied' })
    expect(await errorOf((items as AsyncIterator<string>).next())).toMatchObject({ code: 'closed' })
    expect(await errorOf(all((kept as Drawer).each()))).toMatchObject({ code: 'closed' })
  })

  test('ends with each attempt: a retry lends anew', async () => {
    const lent: Drawer[] = []
    let attempt = 0
    const borrow: Desk['borrow'] = async (use) => {
      attempt += 1
      await use({ put: async () => {}, each: async function* () {} })
      if (attempt === 1) throw failing()
    }
    const { port } = desk({ borrow }, { retry: { ...defaultRetry, baseDelayMs: 0 } })
    await port.borrow(async (drawer) => {
      lent.push(drawer)
      await drawer.put('x')
      for (const earlier of lent.slice(0, -1))
        expect(await errorOf(earlier.put('x'))).toMatchObject({ code: 'closed' })
    })
    expect(lent).toHaveLength(2)
  })
})

describe('close', () => {
  test('waits for calls under way, refuses new ones, then closes the driver once', async () => {
    const order: string[] = []
    const read = async (): Promise<string> => {
      await sleep(20)
      order.push('read')
      return 'v'
    }
    const close = vi.fn(async () => void order.push('closed'))
    const guarded = desk({ read }, { close })
    const reading = guarded.port.read('k')
    const closing = guarded.close()
    expect(await errorOf(guarded.port.read('k'))).toMatchObject({ code: 'closed', outcome: 'not-applied' })
    expect(await errorOf(guarded.ping())).toMatchObject({ code: 'closed' })
    expect(await reading).toBe('v')
    await closing
    await guarded.close()
    expect(order).toEqual(['read', 'closed'])
    expect(close).toHaveBeenCalledOnce()
  })

  test('lets a call under way go on with what it was lent', async () => {
    const put = vi.fn(async () => {})
    const each = async function* (): AsyncGenerator<string> {
      yield* ['a', 'b']
    }
    const guarded = desk({ borrow: (use) => use({ put, each }) })
    let closing: Promise<void> | undefined
    const borrowing = guarded.port.borrow(async (drawer) => {
      closing = guarded.close()
      await drawer.put('x')
      return all(drawer.each())
    })
    expect(await borrowing).toEqual(['a', 'b'])
    expect(put).toHaveBeenCalledOnce()
    await closing
  })

  test('ends what is still under way when the drain is over, of unknown outcome', async () => {
    const guarded = desk({ append: hang })
    const appending = errorOf(guarded.port.append('k'))
    await guarded.close({ drainMs: 5 })
    expect(await appending).toMatchObject({ code: 'closed', outcome: 'unknown', subject: 'k' })
  })

  test("fails with the driver's own failure, the same each time", async () => {
    const guarded = desk({}, { close: () => Promise.reject(new Error('would not')) })
    const error = await errorOf(guarded.close())
    expect(error).toMatchObject({ code: 'internal', service: 'papers', operation: 'close' })
    expect(await errorOf(guarded.close())).toBe(error)
  })

  test('does not wait forever for a driver', async () => {
    const guarded = desk({}, { close: hang })
    expect(await errorOf(guarded.close({ drainMs: 5 }))).toMatchObject({
      code: 'timeout',
      operation: 'close',
    })
  })

  test('refuses a drain that is no time, and stays open', async () => {
    const guarded = desk()
    expect(await errorOf(guarded.close({ drainMs: Number.NaN }))).toMatchObject({ code: 'invalid-argument' })
    await guarded.port.read('k')
    await guarded.close()
  })
})

/** A source that counts what is asked of it and notes whether it was told to stop. */
function source(items: readonly string[], end: () => Promise<void> = async () => {}) {
  const state = { asked: 0, stopped: 0, signal: undefined as AbortSignal | undefined }
  const list = (_?: string, options?: CallOptions): AsyncIterable<string> => {
    state.signal = options?.signal
    return {
      [Symbol.asyncIterator]: () => ({
        async next() {
          const value = items[state.asked]
          state.asked += 1
          if (value !== undefined) return { value, done: false }
          await end()
          return { value: undefined, done: true }
        },
        async return() {
          state.stopped += 1
          return { value: undefined, done: true }
        },
      }),
    }
  }
  return { state, list }
}

describe('a stream', () => {
  test('gives every item and is not told to stop when it has ended by itself', async () => {
    const { state, list } = source(['a', 'b'])
    expect(await all(desk({ list }).port.list(''))).toEqual(['a', 'b'])
    expect(state.stopped).toBe(0)
  })

  test('tells of a refused argument with the first item asked for', async () => {
    const list = vi.fn()
    const items = desk({ list }).port.list('', { fast: true } as CallOptions)
    expect(await errorOf(all(items))).toMatchObject({ code: 'invalid-argument', operation: 'list' })
    expect(list).not.toHaveBeenCalled()
  })

  test('that is left early tells its source to stop, once', async () => {
    const { state, list } = source(['a', 'b'])
    for await (const _ of desk({ list }).port.list('')) break
    expect(state).toMatchObject({ asked: 1, stopped: 1 })
    expect(state.signal?.aborted).toBe(true)
  })

  test('tells its source to stop where the reader throws, and passes that on', async () => {
    const { state, list } = source(['a'])
    const mine = new Error('mine')
    const reading = (async () => {
      for await (const _ of desk({ list }).port.list('')) throw mine
    })()
    await expect(reading).rejects.toBe(mine)
    expect(state.stopped).toBe(1)
  })

  test('whose source fails to stop still ends well for its reader', async () => {
    const list = (): AsyncIterable<string> => ({
      [Symbol.asyncIterator]: () => ({
        next: async () => ({ value: 'a', done: false }),
        return: () => Promise.reject(new Error('no')),
      }),
    })
    for await (const _ of desk({ list }).port.list('')) break
  })

  test('whose source fails in the middle gives what came before, then the error', async () => {
    const list = async function* (): AsyncGenerator<string> {
      yield 'a'
      throw new Error('lost')
    }
    const seen: string[] = []
    const reading = (async () => {
      for await (const item of desk({ list }).port.list('p')) seen.push(item)
    })()
    expect(await errorOf(reading)).toMatchObject({ code: 'internal', operation: 'list', subject: 'p' })
    expect(seen).toEqual(['a'])
  })

  test('is cancelled while its source hangs, and tells it through the signal', async () => {
    const caller = new AbortController()
    const { state, list } = source(['a'], hang)
    const reading = errorOf(all(desk({ list }).port.list('', { signal: caller.signal })))
    await setImmediate()
    caller.abort()
    expect(await reading).toMatchObject({ code: 'cancelled' })
    expect(state.signal?.aborted).toBe(true)
    expect(getEventListeners(caller.signal, 'abort')).toHaveLength(0)
  })

  test('is cancelled between two items', async () => {
    const caller = new AbortController()
    const { state, list } = source(['a', 'b'])
    const items = desk({ list }).port.list('', { signal: caller.signal })[Symbol.asyncIterator]()
    await items.next()
    caller.abort()
    expect(state.signal?.aborted).toBe(true)
    expect(await errorOf(items.next())).toMatchObject({ code: 'cancelled' })
    expect(state).toMatchObject({ asked: 1, stopped: 1 })
    expect(await items.next()).toEqual({ value: undefined, done: true })
  })

  test('times out where the source is slow, not where the reader is', async () => {
    const clock = new VirtualClock()
    const { list } = source(['a', 'b'], hang)
    const items = desk({ list }, { clock }).port.list('', { timeoutMs: 1_000 })[Symbol.asyncIterator]()
    await items.next()
    clock.advance(60_000)
    expect(await items.next()).toMatchObject({ value: 'b' })
    clock.advance(60_000)
    const waiting = errorOf(items.next())
    await setImmediate()
    clock.advance(999)
    await setImmediate()
    clock.advance(1)
    expect(await waiting).toMatchObject({ code: 'timeout' })
  })

  test('is closed in the middle: its source is told to stop though its reader asks for no more', async () => {
    const order: string[] = []
    const list = async function* (): AsyncGenerator<string> {
      try {
        yield* ['a', 'b']
      } finally {
        await sleep(5)
        order.push('source stopped')
      }
    }
    const guarded = desk({ list }, { close: async () => void order.push('driver closed') })
    const items = guarded.port.list('')[Symbol.asyncIterator]()
    await items.next()
    await guarded.close()
    expect(order).toEqual(['source stopped', 'driver closed'])
    expect(await errorOf(items.next())).toMatchObject({ code: 'closed' })
  })

  test('that is closed while it waits gives the item under way, with its source stopped first', async () => {
    const order: string[] = []
    const list = async function* (): AsyncGenerator<string> {
      try {
        await sleep(20)
        yield 'a'
        yield 'b'
      } finally {
        order.push('source stopped')
      }
    }
    const guarded = desk({ list }, { close: async () => void order.push('driver closed') })
    const items = guarded.port.list('')[Symbol.asyncIterator]()
    const first = items.next()
    await setImmediate()
    await guarded.close()
    expect(await first).toMatchObject({ value: 'a' })
    expect(order).toEqual(['source stopped', 'driver closed'])
    expect(await errorOf(items.next())).toMatchObject({ code: 'closed' })
  })

  test('in an answer outlives its call, and its source is told when the reader gives up on it', async () => {
    const caller = new AbortController()
    let signal: AbortSignal | undefined
    const open: Desk['open'] = async (_, options) => {
      signal = options?.signal
      return { body: source(['a'], hang).list() }
    }
    const { body } = await desk({ open }).port.open('k', { signal: caller.signal })
    const items = body[Symbol.asyncIterator]()
    expect(await items.next()).toMatchObject({ value: 'a' })
    expect(signal?.aborted).toBe(false)
    const waiting = errorOf(items.next())
    await setImmediate()
    caller.abort()
    expect(await waiting).toMatchObject({ code: 'cancelled', operation: 'open' })
    expect(signal?.aborted).toBe(true)
    expect(getEventListeners(caller.signal, 'abort')).toHaveLength(0)
  })

  test('in an answer is closed with the port', async () => {
    const { state, list } = source(['a', 'b'])
    const guarded = desk({ open: async () => ({ body: list() }) })
    const { body } = await guarded.port.open('k')
    const items = body[Symbol.asyncIterator]()
    await items.next()
    await guarded.close()
    expect(state.stopped).toBe(1)
    expect(await errorOf(items.next())).toMatchObject({ code: 'closed' })
  })
})
