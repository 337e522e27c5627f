import { inspect } from 'node:util'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { redis } from '../../adapters/redis/index.ts'
import { hasNoBackslashKey } from '../../contract-tests/expect.ts'
import { type FreshPlace, freshRedis } from '../../contract-tests/servers.ts'
import { systemClock } from '../calls/clock.ts'
import { type Guarded, guard } from '../calls/guard.ts'
import { ServiceUrl } from '../services/url.ts'
import { KeyValueStore } from './key-value-store.ts'
import { namespace, typedView } from './key-value-views.ts'

let place: FreshPlace
let guarded: Guarded<KeyValueStore>
let store: KeyValueStore
beforeAll(async () => {
  place = await freshRedis()
  const parsed = ServiceUrl.parse(place.url, redis.parameters)
  if (!('url' in parsed)) throw new Error('bad URL')
  const driver = await redis.open(parsed.url, { service: 'sessions', clock: systemClock })
  guarded = guard(KeyValueStore, driver, { service: 'sessions' })
  store = guarded.port
})
afterAll(async () => {
  await guarded.close()
  await place.drop()
})

const Session = z.object({ user: z.string(), visits: z.int(), note: z.string().optional() })

describe('a namespace', () => {
  test.each([
    '',
    ':',
    'a',
    'a:b',
    'a:b:',
    'a::',
    ':a:',
    'a\0:',
    '\ud800:',
    `${'x'.repeat(512)}:`,
    5,
    undefined,
  ])('of the prefix %j is refused', (prefix) => {
    expect(() => namespace(store, prefix as string)).toThrow(
      expect.objectContaining({ code: 'invalid-argument' }),
    )
  })

  test('names the operation, the service and the whole key in errors', async () => {
    const inner = namespace(store, 'tenant:')
    await store.set('tenant:k', 'x')
    await expect(inner.increment('k')).rejects.toMatchObject({
      code: 'precondition-failed',
      service: 'sessions',
      operation: 'increment',
      subject: 'tenant:k',
    })
    await expect(inner.get('')).rejects.toMatchObject({ code: 'invalid-argument', operation: 'get' })
  })

  test('has room for keys of 1 024 bytes less its prefix', async () => {
    const inner = namespace(store, 'tenant:')
    await inner.set('x'.repeat(1_017), 'v')
    expect(await inner.getText('x'.repeat(1_017))).toBe('v')
    await expect(inner.set('x'.repeat(1_018), 'v')).rejects.toMatchObject({ code: 'invalid-argument' })
  })
})

describe('a typed view', () => {
  test('gives back what was set, typed by the schema', async () => {
    const sessions = typedView(store, Session, { prefix: 'session:' })
    await sessions.set('a', { user: 'ann', visits: 1 }, { ttlMs: 60_000 })
    const session: { user: string; visits: number; note?: string | undefined } | undefined =
      await sessions.get('a')
    expect(session).toEqual({ user: 'ann', visits: 1 })
    expect(await sessions.get('b')).toBeUndefined()
    expect(await sessions.getMany(['b', 'a', 'a'])).toEqual([undefined, session, session])
    expect(await store.getText('session:a')).toBe('{"user":"ann","visits":1}')
    expect((await store.expiry('session:a'))?.ttlMs).toBeGreaterThan(50_000)
    await expect(sessions.set('a', { user: 'eve', visits: 0 }, { ifAbsent: true })).rejects.toMatchObject({
      code: 'precondition-failed',
    })
    // @ts-expect-error a session has a user
    await expect(sessions.set('c', { visits: 1 })).rejects.toMatchObject({ code: 'invalid-argument' })
    // @ts-expect-error comparing is what update is for
    await expect(sessions.set('c', { user: 'c', visits: 1 }, { ifEquals: 'x' })).rejects.toMatchObject({
      code: 'invalid-argument',
    })
    expect(await sessions.delete('a')).toBe(true)
  })

  test('gives every JSON value back equal', async () => {
    // Not `z.json()`: as a guard of its own, zod leaves keys named `__proto__` out of what it answers.
    const anything = typedView(store, z.any(), { prefix: 'json:' })
    await fc.assert(
      fc.asyncProperty(fc.jsonValue({ stringUnit: 'binary' }).filter(hasNoBackslashKey), async (value) => {
        // JSON has no -0 and strings with lone surrogates are refused.
        const json = JSON.parse(JSON.stringify(value).replaceAll('-0,', '0,'))
        if (!JSON.stringify(json).isWellFormed() || /\\ud[89a-f]/i.test(JSON.stringify(json))) return
        await anything.set('k', json)
        expect(await anything.get('k')).toEqual(json)
      }),
      { numRuns: 100, examples: [[JSON.parse('{"__proto__":null}')]] },
    )
  })

  const unfaithful: [string, unknown][] = [
    ['NaN', Number.NaN],
    ['Infinity', Number.POSITIVE_INFINITY],
    ['a bigint', 5n],
    ['a Date', new Date(0)],
    ['a Map', new Map([['a', 1]])],
    ['bytes', new Uint8Array(2)],
    ['undefined', undefined],
    ['a function', () => 1],
    ['a symbol', Symbol('s')],
    ['an undefined in an array', [1, undefined]],
    ['a hole in an array', new Array(2)],
    ['an instance', new (class Point {})()],
    ['a lone surrogate', 'a\ud800'],
    ['an object with toJSON', { toJSON: () => 1 }],
  ]
  test.each(unfaithful)('refuses %s, which JSON would alter', async (_, value) => {
    const anything = typedView(store, z.any(), { prefix: 'any:' })
    for (const nested of [value, { deep: [value] }]) {
      if (nested === value && value === undefined) continue
      await expect(anything.set('k', nested)).rejects.toMatchObject({ code: 'invalid-argument' })
    }
    expect(await anything.get('k')).toBeUndefined()
  })

  test('refuses what is nested within itself', async () => {
    const cycle = {}
    Object.assign(cycle, { self: cycle })
    const anything = typedView(store, z.any())
    await expect(anything.set('cycle', cycle)).rejects.toMatchObject({ code: 'invalid-argument' })
  })

  test('says where a value is wrong and never what it is', async () => {
    const sessions = typedView(store, Session)
    await store.set('bad', '{"user":"secret-user","visits":"secret-visits"}')
    const read = await sessions.get('bad').catch((thrown: unknown) => thrown)
    const write = await sessions
      .set('k', { user: 5, visits: 'secret-visits' } as never)
      .catch((thrown: unknown) => thrown)
    expect(read).toMatchObject({ code: 'corrupt', operation: 'get', subject: 'bad', outcome: 'not-applied' })
    expect(write).toMatchObject({ code: 'invalid-argument', operation: 'set', subject: 'k' })
    for (const error of [read, write]) {
      expect((error as Error).message).toContain('visits')
      expect(inspect(error, { depth: 9 })).not.toContain('secret')
    }
  })

  test('stores what the schema takes and reads what it makes of it', async () => {
    const At = z.object({ at: z.iso.datetime().transform((text) => new Date(text)) })
    const view = typedView(store, At, { prefix: 'at:' })
    await view.set('k', { at: '2026-01-02T03:04:05.000Z' })
    expect(await view.get('k')).toEqual({ at: new Date('2026-01-02T03:04:05Z') })
  })

  test('update creates, changes, deletes, and keeps or sets the expiry', async () => {
    const view = typedView(store, z.number(), { prefix: 'update:' })
    expect(await view.update('k', (current) => (current ?? 10) + 1, { ttlMs: 60_000 })).toBe(11)
    expect(await view.update('k', async (current) => (current ?? 0) + 1)).toBe(12)
    expect((await store.expiry('update:k'))?.ttlMs).toBeGreaterThan(50_000)
    expect(await view.update('k', () => undefined)).toBeUndefined()
    expect(await view.get('k')).toBeUndefined()
    expect(await view.update('k', () => undefined)).toBeUndefined()
  })

  test('update that others are always faster than is a conflict, and what the callback throws comes through', async () => {
    const view = typedView(store, z.number(), { prefix: 'race:' })
    let runs = 0
    const losing = view.update(
      'k',
      async (current) => {
        runs += 1
        await view.set('k', (current ?? 0) + 100)
        return 1
      },
      { attempts: 3 },
    )
    await expect(losing).rejects.toMatchObject({ code: 'conflict', operation: 'update', retryable: true })
    expect(runs).toBe(3)
    const own = new Error('mine')
    await expect(view.update('k', () => Promise.reject(own))).rejects.toBe(own)
    await expect(view.update('k', () => 1, { attempts: 0 })).rejects.toMatchObject({
      code: 'invalid-argument',
    })
    expect(await view.get('k')).toBe(300)
  })

  test('scan gives keys with their values', async () => {
    const view = typedView(store, z.number(), { prefix: 'scan:' })
    const expected = Array.from({ length: 250 }, (_, index) => [`k${index}`, index] as const)
    for (const [key, value] of expected) await view.set(key, value)
    const found = new Map<string, number>()
    for await (const [key, value] of view.scan('k')) found.set(key, value)
    expect(found).toEqual(new Map(expected))
  })
})
