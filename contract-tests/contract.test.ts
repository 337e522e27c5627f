import { afterAll, describe, expect, test, vi } from 'vitest'
import { type CallEvent, type Guarded, guard } from '../src/calls/guard.ts'
import { PortError } from '../src/errors.ts'
import { type CallOptions, definePort, type Port } from '../src/port.ts'
import { commonBehaviours } from './common.ts'
import { type Behaviour, defineContract, type OpenSubject, type Subject } from './contract.ts'
import { collect, expectPortError } from './expect.ts'
import { runBehaviour, runContract } from './run.ts'
import { describeContract } from './vitest.ts'

interface Bell {
  ring(times: number, options?: CallOptions): Promise<void>
  echoes(options?: CallOptions): AsyncIterable<string>
}
const Bell: Port<Bell> = definePort<Bell>({
  name: 'bell',
  capabilities: { loud: 'can be heard far away' },
  operations: {
    ring: {
      kind: 'call',
      effect: 'write',
      idempotent: false,
      arity: 1,
      needs: (times) => (times > 9 ? ['loud'] : []),
    },
    echoes: { kind: 'stream', effect: 'read', idempotent: true, arity: 0 },
  },
})

const canary = 'canary-1f9e'
const nothing = async (): Promise<void> => {}
const down = (): PortError =>
  new PortError({ code: 'unavailable', message: `at ${canary}`, outcome: 'not-applied' })

/** A bell that keeps every rule, slow when it is told so, behind the guard as any implementation is. */
function openBell({ reachable = true, loud = true, refused = false } = {}): OpenSubject<Bell> {
  const slow = new Set<string>()
  const answer = async (operation: string, signal: AbortSignal | undefined): Promise<void> => {
    if (!reachable) throw down()
    if (refused) throw new PortError({ code: 'unauthenticated', message: `with ${canary}` })
    if (slow.delete(operation)) await new Promise((resolve) => signal?.addEventListener('abort', resolve))
    if (signal?.aborted) throw signal.reason
  }
  const open = (observe?: (event: CallEvent) => void): Guarded<Bell> =>
    guard(
      Bell,
      {
        calls: {
          ring: (_, options) => answer('ring', options?.signal),
          async *echoes(options) {
            await answer('echoes', options?.signal)
            yield 'dong'
          },
        },
        ping: () => answer('ping', undefined),
        close: nothing,
        capabilities: loud ? ['loud'] : [],
      },
      { secrets: [canary], observe },
    )
  return {
    guarded: open(),
    openAnother: async () => open(),
    openObserved: async (observe) => open(observe),
    openRefused: async () => openBell({ refused: true }).guarded,
    delayNext: (operation) => void slow.add(operation),
    canaries: [canary],
  }
}

const good: Subject<Bell> = {
  name: 'good bell',
  kind: 'fake',
  open: async () => openBell(),
  openUnreachable: async () => openBell({ reachable: false }),
}

const contract = defineContract(
  Bell,
  commonBehaviours(Bell, {
    ring: (port, options) => port.ring(1, options),
    echoes: (port, options) => port.echoes(options),
  }),
)

describeContract(contract, good)

/** A bell with a part of its guard replaced by a worse one. */
function broken(spoil: (guarded: Guarded<Bell>) => Partial<Guarded<Bell>>): Subject<Bell> {
  const worse = (guarded: Guarded<Bell>): Guarded<Bell> => ({
    port: guarded.port,
    capabilities: guarded.capabilities,
    native: undefined,
    ping: (options) => guarded.ping(options),
    close: (options) => guarded.close(options),
    ...spoil(guarded),
  })
  const spoilt = (open: OpenSubject<Bell>): OpenSubject<Bell> => ({
    ...open,
    guarded: worse(open.guarded),
    openAnother: async () => worse(open.guarded),
    openRefused: async () => worse(openBell({ refused: true }).guarded),
    openObserved:
      open.openObserved &&
      (async (observe) => {
        const observed = await open.openObserved?.(observe)
        return worse(observed ?? open.guarded)
      }),
  })
  return {
    ...good,
    name: 'broken bell',
    open: async () => spoilt(openBell()),
    openUnreachable: async () => spoilt(openBell({ reachable: false })),
  }
}

/** Its port with each ring replaced. */
function ringing(ring: (own: Bell, options: CallOptions) => Promise<void>): Subject<Bell> {
  return broken(({ port }) => ({ port: { ...port, ring: (_, options = {}) => ring(port, options) } }))
}

/** Ended with the tests: until then they keep the process alive. */
const leftRunning: NodeJS.Timeout[] = []
afterAll(() => leftRunning.forEach(clearInterval))

describe('every common behaviour can fail', () => {
  const leaky = (own: Bell, options: CallOptions): Promise<void> =>
    own.ring(1, options).catch((error: PortError) => {
      throw new PortError({ ...error, message: error.detail, cause: new Error(`redis://:${canary}@host`) })
    })
  const worse: Readonly<Record<string, readonly Subject<Bell>[]>> = {
    'common/unknown-option-is-refused': [ringing((own) => own.ring(1)), ringing(nothing)],
    'common/bad-timeout-is-refused': [
      ringing((own, { signal }) => own.ring(1, { signal })),
      ringing((own, options) => own.ring(1, { ...options, timeoutMs: Math.max(1, options.timeoutMs || 1) })),
    ],
    'common/aborted-signal-ends-before-io': [
      ringing((own) => own.ring(1)),
      ringing(async () => {
        throw new PortError({ code: 'cancelled', message: 'late', operation: 'ring' })
      }),
    ],
    'common/signal-keeps-no-listener': [
      ringing(async (_, { signal }) => signal?.addEventListener('abort', () => {})),
      ringing(() => Promise.reject(new Error('of another class'))),
    ],
    'common/closed-after-close': [
      ringing(nothing),
      broken(() => ({ ping: nothing })),
      broken((own) => {
        let closed = false
        const close = async (): Promise<void> => {
          if (closed) throw new Error('closed twice')
          closed = true
          await own.close()
        }
        return { close }
      }),
    ],
    'common/ping-tells-it-is-up': [broken(() => ({ ping: () => Promise.reject(down()) }))],
    'common/deadline-is-timeout': [
      ringing(nothing),
      ringing((own) => own.ring(1, { signal: AbortSignal.timeout(5) })),
    ],
    'common/abort-in-flight-ends-the-call': [
      ringing(() => Promise.reject(new Error('of another class'))),
      ringing(async (own, { signal }) => {
        signal?.addEventListener('abort', () => {})
        await own.ring(1, { signal })
      }),
    ],
    'common/close-lets-calls-under-way-end': [
      ringing(() => Promise.reject(new PortError({ code: 'closed', message: 'too early' }))),
      broken(() => ({ close: nothing })),
    ],
    'common/close-leaves-nothing': [ringing(async () => void leftRunning.push(setInterval(nothing, 1_000)))],
    'common/errors-tell-where': [ringing(() => Promise.reject(down())), ringing(nothing)],
    'common/refused-credentials': [
      ringing(nothing),
      ringing(leaky),
      broken(() => ({ ping: nothing })),
      ringing(() =>
        Promise.reject(new PortError({ code: 'unauthenticated', message: 'x', retryable: true })),
      ),
    ],
    'common/observed-once': [
      ringing(nothing),
      ringing(async (own, options) => {
        await own.ring(1, options)
        await own.ring(1, options)
      }),
    ],
    'common/unreachable-is-unavailable': [
      ringing(nothing),
      ringing(() => Promise.reject(new PortError({ code: 'unavailable', message: 'x', outcome: 'unknown' }))),
      broken(() => ({ ping: nothing })),
    ],
    'common/secrets-stay-secret': [ringing(leaky), ringing(() => Promise.reject(new Error(canary)))],
  }

  test('and each is tried', () => {
    expect(contract.behaviours.map(({ id }) => id).toSorted()).toEqual(Object.keys(worse).toSorted())
  })

  test.each(
    Object.entries(worse).flatMap(([id, subjects]) =>
      subjects.map((subject, index) => [id, index, subject] as const),
    ),
  )('%s, on broken bell no. %d', async (id, _, subject) => {
    const behaviour = contract.behaviours.find((each) => each.id === id)
    if (behaviour === undefined) expect.fail(`no behaviour ${id}`)
    expect(await runBehaviour(contract, behaviour, subject)).toMatchObject({ outcome: 'failed' })
  })
})

describe('running a behaviour', () => {
  const passing: Behaviour<Bell> = { id: 'a', sentence: 'It holds.', check: nothing }
  const run = (part: Partial<Behaviour<Bell>>, subject: Partial<Subject<Bell>> = {}) =>
    runBehaviour(contract, { ...passing, ...part }, { ...good, ...subject })

  test('passes where its check resolves', async () => {
    expect(await run({})).toEqual({ id: 'bell/a', outcome: 'passed' })
  })

  test.each<[string, Partial<Behaviour<Bell>>, Partial<Subject<Bell>>]>([
    ['its check rejects', { check: () => Promise.reject(new Error('why')) }, {}],
    [
      'its check throws at once',
      {
        check: () => {
          throw new Error('why')
        },
      },
      {},
    ],
    ['its subject does not open', {}, { open: () => Promise.reject(new Error('why')) }],
    [
      'its place stays behind',
      {},
      { open: async () => ({ ...openBell(), dispose: () => Promise.reject(new Error('why')) }) },
    ],
  ])('fails where %s, and never rejects', async (_, behaviour, subject) => {
    expect(await run(behaviour, subject)).toEqual({
      id: 'bell/a',
      outcome: 'failed',
      error: new Error('why'),
    })
  })

  test('closes the subject, then removes its place, whatever happened', async () => {
    const order: string[] = []
    for (const check of [nothing, () => Promise.reject(new Error('why'))]) {
      const open = openBell()
      const close = vi.spyOn(open.guarded, 'close').mockImplementation(async () => void order.push('close'))
      await run(
        { check },
        { open: async () => ({ ...open, dispose: async () => void order.push('dispose') }) },
      )
      close.mockRestore()
    }
    expect(order).toEqual(['close', 'dispose', 'close', 'dispose'])
  })

  test.each(['network', 'passTime', 'server', 'force', 'inside'] as const)(
    'is skipped, with the reason, where a subject has no %s',
    async (means) => {
      const result = await run({ needs: [means], check: () => expect.fail('it was checked') })
      expect(result).toEqual({ id: 'bell/a', outcome: 'skipped', reason: `good bell has no ${means}` })
    },
  )

  test('that needs what is not declared is skipped once its call has proved unsupported', async () => {
    const quiet = { open: async () => openBell({ loud: false }) }
    const loud = {
      capability: 'loud',
      needs: ['server'] as const,
      check: () => expect.fail('it was checked'),
    }
    const undeclared = vi.fn(({ port }: { port: Bell }) => port.ring(10))
    expect(await run({ ...loud, undeclared }, quiet)).toMatchObject({
      outcome: 'skipped',
      reason: 'good bell does not declare loud',
    })
    expect(undeclared).toHaveBeenCalledOnce()
    expect(await run({ ...loud, undeclared: ({ port }) => port.ring(1) }, quiet)).toMatchObject({
      outcome: 'failed',
    })
  })

  test('gives all results in order, each as it comes', async () => {
    const told: string[] = []
    const results = await runContract(contract, good, { onResult: ({ id }) => void told.push(id) })
    expect(results.map(({ id }) => id)).toEqual(told)
    expect(told).toEqual(contract.behaviours.map(({ id }) => `bell/${id}`))
    expect(results.every(({ outcome }) => outcome === 'passed')).toBe(true)
  })
})

describe('a contract', () => {
  const behaviour: Behaviour<Bell> = { id: 'a/b-1', sentence: 'It holds.', check: nothing }

  test.each<[string, readonly Behaviour<Bell>[]]>([
    ['two behaviours of one id', [behaviour, { ...behaviour }]],
    ['an id that is not kebab-case', [{ ...behaviour, id: 'A b' }]],
    ['no sentence', [{ ...behaviour, sentence: '' }]],
    ['a sentence without its full stop', [{ ...behaviour, sentence: 'It holds' }]],
    ['a capability that the port does not name', [{ ...behaviour, capability: 'laud', undeclared: nothing }]],
    [
      'a capability that is inherited by every object',
      [{ ...behaviour, capability: 'toString', undeclared: nothing }],
    ],
    ['a capability without the call it makes unsupported', [{ ...behaviour, capability: 'loud' }]],
  ])('with %s is refused', (_, behaviours) => {
    expect(() => defineContract(Bell, behaviours)).toThrow(PortError)
  })
})

describe('an expectation', () => {
  const error = new PortError({ code: 'conflict', message: 'x', subject: 'a' })

  test('of an error answers it where code and fields are as expected', async () => {
    expect(await expectPortError(Promise.reject(error), 'conflict', { subject: 'a', retryable: true })).toBe(
      error,
    )
  })

  test.each<[string, () => Promise<unknown>, RegExp]>([
    ['a success', async () => {}, /but the call resolved/],
    [
      'another code',
      () => Promise.reject(new PortError({ code: 'closed', message: 'x' })),
      /expected code "conflict", got "closed"/,
    ],
    [
      'another field',
      () => Promise.reject(new PortError({ code: 'conflict', message: 'x', subject: 'b' })),
      /subject/,
    ],
    ['an error of another class', () => Promise.reject(new TypeError('bug')), /bug/],
  ])('of an error fails on %s', async (_, call, message) => {
    await expect(expectPortError(call(), 'conflict', { subject: 'a' })).rejects.toThrow(message)
  })

  test('of items collects them', async () => {
    expect(await collect(openBell().guarded.port.echoes())).toEqual(['dong'])
  })
})
