/** Calls on many keys: an answer for each, in the order asked for. */
import assert from 'node:assert/strict'
import type { KeyValueStore } from '../../src/ports/key-value-store.ts'
import type { Behaviour } from '../contract.ts'
import { expectPortError } from '../expect.ts'

const numbered = (count: number): string[] => Array.from({ length: count }, (_, index) => `key:${index}`)

export const manyKeys: readonly Behaviour<KeyValueStore>[] = [
  {
    id: 'many/get-in-order',
    sentence:
      'getMany answers one entry a key, in the order asked for, with absent and repeated keys in their places.',
    async check({ port }) {
      await port.set('a', 'A')
      await port.set('b', 'B')
      const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
      const read = await port.getMany(['b', 'none', 'a', 'b', 'none', 'a'])
      assert.deepEqual(read, [bytes('B'), undefined, bytes('A'), bytes('B'), undefined, bytes('A')])
      assert.deepEqual(await port.getMany([]), [])
    },
  },
  {
    id: 'many/set-and-delete-report-each',
    sentence:
      'setMany and deleteMany answer one item a key in the order of the request; absent keys are deleted too.',
    async check({ port }) {
      const set = await port.setMany([
        ['b', '1'],
        ['a', new Uint8Array([2])],
        ['c', ''],
      ])
      assert.deepEqual(set, { ok: true, items: ['b', 'a', 'c'].map((key) => ({ key, error: undefined })) })
      assert.deepEqual(await port.get('a'), new Uint8Array([2]))
      const deleted = await port.deleteMany(['c', 'none', 'b', 'c'])
      const items = ['c', 'none', 'b', 'c'].map((key) => ({ key, error: undefined }))
      assert.deepEqual(deleted, { ok: true, items })
      assert.deepEqual(await port.getMany(['b', 'c']), [undefined, undefined])
      assert.deepEqual(await port.setMany([]), { ok: true, items: [] })
      assert.deepEqual(await port.deleteMany([]), { ok: true, items: [] })
    },
  },
  {
    id: 'many/last-of-a-repeated-key-wins',
    sentence: 'Of a key that stands twice in setMany the last value wins, and both items have its result.',
    async check({ port }) {
      const { items, ok } = await port.setMany([
        ['k', 'first'],
        ['other', 'v'],
        ['k', 'last'],
      ])
      assert.ok(ok)
      assert.deepEqual(
        items.map(({ key }) => key),
        ['k', 'other', 'k'],
      )
      assert.equal(await port.getText('k'), 'last')
    },
  },
  {
    id: 'many/expiry-for-each',
    sentence: 'The ttlMs of setMany is that of each key.',
    async check({ port }) {
      await port.setMany(
        [
          ['a', '1'],
          ['b', '2'],
        ],
        { ttlMs: 600_000 },
      )
      for (const key of ['a', 'b']) assert.ok(((await port.expiry(key))?.ttlMs ?? 0) > 500_000)
    },
  },
  {
    id: 'many/more-than-ten-thousand',
    sentence: 'More than 10 000 keys are set, read, scanned and deleted in one call each.',
    async check({ port }) {
      const keys = numbered(12_345)
      const set = await port.setMany(keys.map((key) => [key, `of ${key}`] as const))
      assert.ok(set.ok)
      assert.equal(set.items.length, keys.length)
      const read = await port.getMany(keys)
      const decoder = new TextDecoder()
      for (const [index, key] of keys.entries()) assert.equal(decoder.decode(read[index]), `of ${key}`)
      let scanned = 0
      for await (const key of port.scan('key:')) scanned += key.startsWith('key:') ? 1 : 0
      assert.equal(scanned, keys.length)
      assert.ok((await port.deleteMany(keys)).ok)
      assert.ok((await port.getMany(keys)).every((value) => value === undefined))
    },
  },
  {
    id: 'many/one-bad-key-refuses-all-before-io',
    sentence: 'One bad key or value among many is invalid-argument, names its place, and nothing is written.',
    async check({ port }) {
      const bad: [string, unknown][] = [
        ['', 'v'],
        ['a\0', 'v'],
        ['\ud800', 'v'],
        ['k', 5],
        ['k', undefined],
      ]
      for (const entry of bad) {
        const entries = [['good', 'v'], entry] as [string, string][]
        const error = await expectPortError(port.setMany(entries), 'invalid-argument', {
          outcome: 'not-applied',
        })
        assert.match(error.message, /\[1\]/)
      }
      assert.equal(await port.get('good'), undefined)
      await port.set('good', 'v')
      const error = await expectPortError(port.deleteMany(['good', '']), 'invalid-argument')
      assert.match(error.message, /\[1\]/)
      assert.equal(await port.getText('good'), 'v')
      await expectPortError(port.getMany(['good', '\udc00']), 'invalid-argument')
      const holes = new Array<string>(2)
      await expectPortError(port.getMany(holes), 'invalid-argument')
    },
  },
  {
    id: 'many/over-its-deadline',
    sentence: 'Reading more keys than the deadline allows is timeout, not applied, and the next call works.',
    async check({ port }) {
      const reading = port.getMany(numbered(20_000), { timeoutMs: 1 })
      await expectPortError(reading, 'timeout', { outcome: 'not-applied', retryable: true })
      assert.equal(await port.get('k'), undefined)
    },
  },
  {
    id: 'many/cancelled-half-way-tells-of-each',
    sentence:
      'A setMany cancelled half way either rejects with nothing written or says of each key what became of it.',
    async check({ port }) {
      const keys = numbered(20_000)
      const controller = new AbortController()
      const setting = port.setMany(
        keys.map((key) => [key, 'v'] as const),
        { signal: controller.signal },
      )
      await new Promise((next) => setTimeout(next, 25))
      controller.abort()
      const result = await setting.catch((error: { code: string }) => error.code)
      const there = await port.getMany(keys)
      if (typeof result === 'string') {
        assert.equal(result, 'cancelled')
        return
      }
      assert.equal(result.items.length, keys.length)
      for (const [index, { key, error }] of result.items.entries()) {
        assert.equal(key, keys[index])
        if (error === undefined) assert.ok(there[index], `${key} is said to be written`)
        else if (error.outcome === 'not-applied')
          assert.equal(there[index], undefined, `${key} is said not to be`)
        else assert.equal(error.code, 'cancelled')
      }
    },
  },
]
