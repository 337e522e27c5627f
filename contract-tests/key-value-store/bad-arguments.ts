/** What no store could accept, refused before any I/O. */
import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { type KeyValueStore, keyValueLimits } from '../../src/ports/key-value-store.ts'
import type { Behaviour } from '../contract.ts'
import { collect, expectPortError } from '../expect.ts'

const before = { outcome: 'not-applied', retryable: false } as const
const badNumbers = [
  0,
  -1,
  0.5,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  keyValueLimits.ttlMs + 1,
  2 ** 53,
  '1000',
  null,
]

/** Every operation that takes one key, with that key. */
const byKey: Readonly<Record<string, (store: KeyValueStore, key: string) => Promise<unknown>>> = {
  get: (store, key) => store.get(key),
  getText: (store, key) => store.getText(key),
  getMany: (store, key) => store.getMany(['good', key]),
  set: (store, key) => store.set(key, 'v'),
  setMany: (store, key) => store.setMany([[key, 'v']]),
  delete: (store, key) => store.delete(key),
  deleteMany: (store, key) => store.deleteMany([key]),
  increment: (store, key) => store.increment(key),
  touch: (store, key) => store.touch(key, 1_000),
  expiry: (store, key) => store.expiry(key),
}

export const badArguments: readonly Behaviour<KeyValueStore>[] = [
  {
    id: 'bad/keys',
    sentence:
      'An empty, over-long, ill-formed or NUL-holding key, and one that is no string, is invalid-argument everywhere.',
    async check({ port }) {
      const tooLong = ['x'.repeat(keyValueLimits.keyBytes + 1), 'é'.repeat(keyValueLimits.keyBytes / 2 + 1)]
      const bad = [
        '',
        'a\0b',
        '\0',
        '\ud83d',
        'a\udc00',
        ...tooLong,
        undefined,
        null,
        5,
        {},
        ['k'],
        Symbol('k'),
      ]
      for (const [operation, call] of Object.entries(byKey)) {
        for (const key of bad) {
          await expectPortError(call(port, key as string), 'invalid-argument', { ...before, operation })
        }
      }
    },
  },
  {
    id: 'bad/prefixes',
    sentence: 'A prefix that no key can begin with is invalid-argument; the empty one is not bad.',
    async check({ port }) {
      for (const prefix of [
        'a\0',
        '\ud800',
        'x'.repeat(keyValueLimits.keyBytes + 1),
        undefined,
        null,
        1,
        {},
      ]) {
        await expectPortError(collect(port.scan(prefix as string)), 'invalid-argument', before)
      }
      assert.deepEqual(await collect(port.scan('')), [])
    },
  },
  {
    id: 'bad/values',
    sentence:
      'A value that is neither well-formed text nor a Uint8Array is invalid-argument and writes nothing.',
    async check({ port }) {
      const bad = [
        undefined,
        null,
        5,
        true,
        {},
        [1],
        new Uint16Array(2),
        new ArrayBuffer(2),
        new Date(),
        'a\ud800',
      ]
      for (const value of bad as string[]) {
        await expectPortError(port.set('k', value), 'invalid-argument', before)
        if (value === undefined) continue
        await expectPortError(port.set('k', 'v', { ifEquals: value }), 'invalid-argument', before)
        await expectPortError(port.delete('k', { ifEquals: value }), 'invalid-argument', before)
      }
      assert.equal(await port.get('k'), undefined)
    },
  },
  {
    id: 'bad/times-to-live',
    sentence:
      'A ttlMs of zero, negative, fractional, not finite, beyond 100 years or no number is invalid-argument everywhere.',
    async check({ port }) {
      for (const ttlMs of badNumbers as number[]) {
        await expectPortError(port.set('k', 'v', { ttlMs }), 'invalid-argument', before)
        await expectPortError(port.set('k', 'v', { ttlMs, ifEquals: 'x' }), 'invalid-argument', before)
        await expectPortError(port.setMany([['k', 'v']], { ttlMs }), 'invalid-argument', before)
        await expectPortError(port.increment('k', 1, { ttlMs }), 'invalid-argument', before)
        await expectPortError(port.touch('k', ttlMs), 'invalid-argument', before)
      }
      assert.equal(await port.get('k'), undefined)
    },
  },
  {
    id: 'bad/increments',
    sentence: 'An increment that is no safe integer is invalid-argument.',
    async check({ port }) {
      const bad = [0.5, Number.NaN, Number.NEGATIVE_INFINITY, 2 ** 53, -(2 ** 53), '1', null, 1n]
      for (const by of bad as number[]) {
        await expectPortError(port.increment('k', by), 'invalid-argument', before)
      }
      assert.equal(await port.get('k'), undefined)
    },
  },
  {
    id: 'bad/shapes',
    sentence:
      'Arguments of the wrong shape are invalid-argument: no array, a pair of the wrong length, a flag that is none.',
    async check({ port }) {
      const lists = [undefined, null, 'abc', 5, {}, new Set(['a'])] as unknown as string[][]
      for (const keys of lists) {
        await expectPortError(port.getMany(keys), 'invalid-argument', before)
        await expectPortError(port.deleteMany(keys), 'invalid-argument', before)
        await expectPortError(port.setMany(keys as unknown as []), 'invalid-argument', before)
      }
      for (const entry of [['k'], ['k', 'v', 'x'], 'kv', null, { k: 'v' }]) {
        await expectPortError(port.setMany([entry] as unknown as []), 'invalid-argument', before)
      }
      for (const flag of ['yes', 1, null] as unknown as boolean[]) {
        await expectPortError(port.set('k', 'v', { ifAbsent: flag }), 'invalid-argument', before)
        await expectPortError(port.set('k', 'v', { keepTtl: flag }), 'invalid-argument', before)
      }
      assert.equal(await port.get('k'), undefined)
    },
  },
  {
    id: 'bad/no-value-in-errors',
    sentence: 'No error shows a value.',
    async check({ port }) {
      const secret = 'value-nobody-may-see'
      await port.set('k', secret)
      const failures = await Promise.allSettled([
        port.set('k', secret, { ifAbsent: true }),
        port.set('k', 'x', { ifEquals: `${secret}!` }),
        port.delete('k', { ifEquals: `${secret}!` }),
        port.increment('k'),
        port.set('', secret),
        port.set('k', `${secret}\ud800`),
        port.setMany([['', secret]]),
      ])
      for (const failure of failures) {
        assert.equal(failure.status, 'rejected')
        const { reason } = failure as PromiseRejectedResult
        const shown = `${reason} ${reason.stack} ${JSON.stringify(reason)} ${inspect(reason, { depth: 12, showHidden: true })}`
        assert.ok(!shown.includes(secret), reason.message)
      }
    },
  },
]
