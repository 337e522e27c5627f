/** Whatever a caller hands in, of whatever kind and in whatever place: a value or a `PortError` comes out. */
import { setImmediate } from 'node:timers/promises'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { postgres } from '../adapters/postgres/index.ts'
import { redis } from '../adapters/redis/index.ts'
import { FakeMailer } from '../fakes/mailer.ts'
import { FakeObjectStorage } from '../fakes/object-storage.ts'
import { FakeSocialPublisher } from '../fakes/social-publisher.ts'
import type { Adapter } from '../src/adapter.ts'
import { systemClock } from '../src/calls/clock.ts'
import { type Guarded, guard } from '../src/calls/guard.ts'
import { PortError } from '../src/errors.ts'
import { operationsOf, type Port } from '../src/port.ts'
import type { KeyValueStore } from '../src/ports/key-value-store.ts'
import { namespace, typedView } from '../src/ports/key-value-views.ts'
import { Mailer } from '../src/ports/mailer.ts'
import { ObjectStorage } from '../src/ports/object-storage.ts'
import { SocialPublisher } from '../src/ports/social-publisher.ts'
import { sql } from '../src/ports/sql.ts'
import type { SqlDatabase } from '../src/ports/sql-database.ts'
import { ServiceUrl } from '../src/services/url.ts'
import { type FreshPlace, freshPostgres, freshRedis } from './servers.ts'

/** Valid arguments of every operation, options included: each test spoils one place of them. */
type Samples<T extends object> = { readonly [K in keyof T]: readonly unknown[] }

interface Tried<T extends object> {
  readonly port: Port<T>
  readonly samples: Samples<T>
  /** How many calls got past the checks, to the driver. */
  readonly reached: () => number
  readonly guarded: Guarded<T>
}

class Own {
  readonly text = 'an instance'
}

const getter = (name: string): object => Object.defineProperty({}, name, { enumerable: true, get: explode })
const revoked = (target: object): object => {
  const { proxy, revoke } = Proxy.revocable(target, {})
  revoke()
  return proxy
}
const callersOwn = new TypeError('code of the caller’s own')
function explode(): never {
  throw callersOwn
}
const traps = { get: explode, getPrototypeOf: explode, has: explode, ownKeys: explode }

/** What no valid argument is made of, anywhere. */
const hostile: readonly (() => unknown)[] = [
  () => null,
  () => Symbol('one'),
  () => () => 'called',
  () => new Own(),
  () => Object(1),
  () => Object('boxed'),
  () => Object(Symbol('boxed')),
  () => new Proxy({}, traps),
  () => new Proxy([], traps),
  () => new Proxy(() => {}, traps),
  () => revoked({}),
  () => revoked([]),
  () => new Proxy(new Uint8Array(4), traps),
  () => new Proxy(new Date(), traps),
  () => ({ toString: explode, valueOf: explode, [Symbol.toPrimitive]: explode }),
  () => Object.defineProperty([], 0, { enumerable: true, get: explode }),
  () => ({ length: 1, 0: 'like an array' }),
  () => new Array(5),
  () => [null],
  () => [undefined],
  () => [[]],
  () => Promise.resolve('later'),
  () => new AbortController().signal,
  () => ({ [Symbol.iterator]: 5 }),
  () => ({ [Symbol.asyncIterator]: 5 }),
  () => ({ [Symbol.iterator]: () => 5 }),
  () => ({ [Symbol.asyncIterator]: () => ({ next: () => 5 }) }),
  () => ({ [Symbol.asyncIterator]: () => ({ next: async () => undefined }) }),
  () => new Map([['a', 'b']]),
  () => new Error('an error'),
  () => new ArrayBuffer(4),
  () => new SharedArrayBuffer(4),
  () => new Float64Array(2),
  () => new DataView(new ArrayBuffer(4)),
  () => new URL('https://example.org'),
  () => 10n,
  () => Number.NaN,
  () => Number.POSITIVE_INFINITY,
  () => -1,
  () => 0.5,
  () => 1e300,
  () => new Date(Number.NaN),
  () => '\ud800',
  () => 'a\0b',
  () => 'x'.repeat(2_000),
  () => 'a\r\nBcc: b@example.org',
  () => '../../etc/passwd',
  () => '__proto__',
  () => ({ __proto__: null, constructor: 1 }),
  () => JSON.parse('{"__proto__":{"signal":1}}') as unknown,
  () => getter('signal'),
  () => getter('from'),
  () => getter('text'),
  () => getter('table'),
  () => getter('start'),
]

// As functions that make them: some of these cannot even be looked at.
const anything: fc.Arbitrary<() => unknown> = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...hostile) },
  {
    weight: 2,
    arbitrary: fc
      .anything({
        withBigInt: true,
        withBoxedValues: true,
        withDate: true,
        withMap: true,
        withNullPrototype: true,
        withObjectString: true,
        withSet: true,
        withSparseArray: true,
        withTypedArray: true,
        maxDepth: 3,
      })
      .map((value) => () => value),
  },
)

/** `args` with one place in them, however deep, replaced. */
function spoiled(args: readonly unknown[], place: readonly number[], by: unknown): unknown[] {
  const [at = 0, ...rest] = place
  const keys = [...args.keys(), args.length]
  const index = keys[at % keys.length] ?? 0
  return Object.assign([...args], { [index]: spoiledAt(args[index], rest, by) })
}

function spoiledAt(value: unknown, place: readonly number[], by: unknown): unknown {
  const [at, ...rest] = place
  if (at === undefined || typeof value !== 'object' || value === null) return by
  if (Array.isArray(value)) return spoiled(value, place, by)
  if (Object.getPrototypeOf(value) !== Object.prototype) return by
  const keys = [...Object.keys(value), 'spare']
  const key = keys[at % keys.length] ?? ''
  return { ...value, [key]: spoiledAt((value as Record<string, unknown>)[key], rest, by) }
}

const placeOf = fc.array(fc.nat(20), { minLength: 1, maxLength: 4 })

async function errorOf(call: () => unknown): Promise<unknown> {
  try {
    const answer = call()
    if (typeof answer === 'object' && answer !== null && Symbol.asyncIterator in answer) {
      for await (const _ of answer as AsyncIterable<unknown>) break
    } else await answer
    return undefined
  } catch (error) {
    return error
  }
}

/** Calls every operation with valid arguments of which one place is anything at all. */
async function tryAnything<T extends object>(
  { port, samples, reached, guarded }: Tried<T>,
  numRuns: number,
): Promise<void> {
  const names = operationsOf(port).map(([name]) => name as Extract<keyof T, string>)
  const refused = new Set<string>()
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...names), placeOf, anything, async (name, place, make) => {
      const args = spoiled(samples[name], place, make())
      const before = reached()
      const method = guarded.port[name] as (...args: unknown[]) => unknown
      const error = await errorOf(() => method(...args))
      // What a stream throws reaches the caller as it is.
      if (error === undefined || (error === callersOwn && readUnderWay.has(name))) return
      expectHonest(error, name)
      if (error.code !== 'invalid-argument' || readUnderWay.has(name)) return
      refused.add(name)
      expect(reached(), `${name} was sent`).toBe(before)
    }),
    { numRuns },
  )
  for (const name of names) if (!readUnderWay.has(name)) expect(refused).toContain(name)
}

function expectHonest(error: unknown, name: string): asserts error is PortError {
  if (!PortError.is(error)) expect.fail(`${name} failed with ${inspect(error)}`)
  expect(error.code, `${name}: ${inspect(error)}`).not.toBe('internal')
  if (error.code === 'invalid-argument') expect(error.outcome, name).toBe('not-applied')
}

// What is read piece by piece, and what only the database can judge, is refused under way.
const readUnderWay: ReadonlySet<string> = new Set(['put', 'copyIn', 'query', 'one', 'maybeOne', 'execute'])

async function attached<T extends object>(
  adapter: Adapter<T>,
  text: string,
  samples: Samples<T>,
): Promise<Tried<T>> {
  const parsed = ServiceUrl.parse(text, adapter.parameters)
  if (!('url' in parsed)) throw new Error(parsed.problems.join('; '))
  const driver = await adapter.open(parsed.url, { service: 'any', clock: systemClock })
  const { observe, reached } = counter()
  return { samples, reached, port: adapter.port, guarded: guard(adapter.port, driver, { observe }) }
}

/** Counts the calls that got past their checks. */
function counter(): { readonly observe: () => void; readonly reached: () => number } {
  let count = 0
  return {
    observe: () => {
      count += 1
    },
    reached: () => count,
  }
}

const mail = {
  from: { address: 'shop@example.org', name: 'Shop' },
  to: ['ada@example.org'],
  cc: ['bob@example.org'],
  bcc: ['eve@example.org'],
  replyTo: ['help@example.org'],
  subject: 'Your order',
  text: 'It is on its way.',
  html: '<p>It is on its way.</p>',
  attachments: [{ filename: 'a.txt', content: 'a', contentType: 'text/plain', contentId: 'a' }],
  headers: { 'X-Order': '7' },
  messageId: '<7@example.org>',
}

const unhandled: unknown[] = []
const note = (reason: unknown): void => void unhandled.push(reason)
beforeAll(() => void process.on('unhandledRejection', note))
afterEach(async () => {
  await setImmediate()
  expect(unhandled.splice(0)).toEqual([])
})
afterAll(() => void process.off('unhandledRejection', note))

const posts: Samples<SocialPublisher> = {
  publish: [{ text: 'Sold out', inReplyTo: '1' }, {}],
  get: ['1', {}],
  delete: ['1', {}],
}

const objects: Samples<ObjectStorage> = {
  put: ['a', 'b', { contentType: 'text/plain', metadata: { a: 'b' }, size: 1, ifAbsent: false }],
  get: ['a', { range: { start: 0, end: 1 }, ifMatch: '"a"', ifModifiedSince: new Date(0) }],
  head: ['a', {}],
  delete: ['a', {}],
  deleteMany: [['a', 'b'], {}],
  copy: ['a', 'b', { attributes: { contentType: 'text/plain', metadata: { a: 'b' } } }],
  list: [{ prefix: 'a', delimiter: '/', startAfter: 'a', pageSize: 2 }],
  listAll: [{ prefix: 'a', delimiter: '/', startAfter: 'a' }],
  signUrl: ['a', { expiresInMs: 60_000, method: 'PUT', contentType: 'text/plain' }],
}

const keys: Samples<KeyValueStore> = {
  get: ['a', {}],
  getText: ['a', {}],
  getMany: [['a', 'b'], {}],
  set: ['a', 'b', { ttlMs: 60_000, ifEquals: 'b' }],
  setMany: [
    [
      ['a', 'b'],
      ['b', new Uint8Array(1)],
    ],
    { ttlMs: 60_000 },
  ],
  delete: ['a', { ifEquals: 'b' }],
  deleteMany: [['a', 'b'], {}],
  increment: ['n', 1, { ttlMs: 60_000 }],
  touch: ['a', 60_000, {}],
  expiry: ['a', {}],
  scan: ['a', {}],
}

const statement = sql`SELECT 1 AS a`
const rows: Samples<SqlDatabase> = {
  query: [statement, {}],
  one: [statement, {}],
  maybeOne: [statement, {}],
  execute: [statement, {}],
  stream: [statement, { batchRows: 10 }],
  copyIn: [{ table: 'absent', columns: ['a', 'b'] }, [[1, 'b']], {}],
  transaction: [async () => 1, { isolation: 'serializable', readOnly: true, attempts: 1 }],
}

test('the fake mailer answers whatever it is handed', async () => {
  const { observe, reached } = counter()
  const { guarded } = new FakeMailer({ observe })
  await tryAnything({ port: Mailer, samples: { send: [mail, {}] }, guarded, reached }, 800)
})

test('the fake social publisher answers whatever it is handed', async () => {
  const { observe, reached } = counter()
  const { guarded } = new FakeSocialPublisher({ observe })
  await tryAnything({ port: SocialPublisher, samples: posts, guarded, reached }, 800)
})

test('the fake object storage answers whatever it is handed', async () => {
  const { observe, reached } = counter()
  const { guarded } = new FakeObjectStorage({ observe })
  await tryAnything({ port: ObjectStorage, samples: objects, guarded, reached }, 1_200)
})

describe('a real datastore answers whatever it is handed', () => {
  let places: readonly FreshPlace[] = []
  beforeAll(async () => {
    places = await Promise.all([freshRedis(), freshPostgres()])
  })
  afterAll(async () => {
    for (const place of places) await place.drop()
  })

  test('Redis', async () => {
    const tried = await attached(redis, places[0]?.url ?? '', keys)
    await tryAnything(tried, 1_200)
    await tried.guarded.close()
  })

  test('PostgreSQL', async () => {
    const tried = await attached(postgres, places[1]?.url ?? '', rows)
    await tryAnything(tried, 800)
    await tried.guarded.close()
  })

  test('PostgreSQL, in a statement', async () => {
    const { guarded } = await attached(postgres, places[1]?.url ?? '', rows)
    const part = fc.oneof(
      anything,
      fc.constant(() => statement),
    )
    await fc.assert(
      fc.asyncProperty(part, part, async (one, other) => {
        const error = await errorOf(async () =>
          guarded.port.query(sql`SELECT ${one() as string}, ${other() as string}`),
        )
        if (error !== undefined) expectHonest(error, 'query')
      }),
      { numRuns: 300 },
    )
    await guarded.close()
  })
})

test('a namespace and a typed view answer whatever they are handed', async () => {
  const place = await freshRedis()
  const { guarded } = await attached(redis, place.url, keys)
  const spoiling = fc.tuple(placeOf, anything)
  const schema = z.object({ a: z.string() })
  const inNamespace = namespace(guarded.port, 'one:')
  const view = typedView(guarded.port, schema, { prefix: 'two:' })
  const views: Samples<typeof view> = {
    get: keys.get,
    getMany: keys.getMany,
    set: ['a', { a: 'b' }, { ttlMs: 60_000 }],
    delete: ['a', {}],
    update: ['a', () => ({ a: 'c' }), { ttlMs: 60_000, attempts: 2 }],
    scan: keys.scan,
  }
  const namespaces: Samples<typeof inNamespace> = { ...keys, clear: [{}] }
  const methods = [
    ...Object.entries(namespaces).map(([name, args]) => ({ on: inNamespace, name, args })),
    ...Object.entries(views).map(([name, args]) => ({ on: view, name, args })),
  ]
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...methods), spoiling, async ({ on, name, args }, [place, make]) => {
      const method = (on as unknown as Record<string, (...args: unknown[]) => unknown>)[name]
      const error = await errorOf(() => method?.(...spoiled(args, place, make())))
      if (error !== undefined) expectHonest(error, name)
    }),
    { numRuns: 1_000 },
  )
  await guarded.close()
  await place.drop()
})
