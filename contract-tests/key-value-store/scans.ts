/** Finding keys by what they begin with. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { KeyValueStore } from '../../src/ports/key-value-store.ts'
import type { Behaviour } from '../contract.ts'
import { collect, expectPortError } from '../expect.ts'
import { weirdKeys } from './keys-and-values.ts'

export const scans: readonly Behaviour<KeyValueStore>[] = [
  {
    id: 'scan/by-prefix',
    sentence: 'A scan gives the keys that begin with the prefix, the key equal to it as well, and no other.',
    async check({ port }) {
      const keys = ['user', 'user:', 'user:1', 'user:1:a', 'user:2', 'users', 'User:1', 'x:user:1']
      for (const key of keys) await port.set(key, 'v')
      const scan = async (prefix: string): Promise<string[]> => (await collect(port.scan(prefix))).sort()
      assert.deepEqual(await scan('user:'), ['user:', 'user:1', 'user:1:a', 'user:2'])
      assert.deepEqual(await scan('user:1'), ['user:1', 'user:1:a'])
      assert.deepEqual(await scan('nothing'), [])
      assert.deepEqual(await scan(''), [...keys].sort())
    },
  },
  {
    id: 'scan/prefix-is-no-pattern',
    sentence:
      'No character of a prefix is a wildcard: any prefix finds the keys that begin with it and no others.',
    async check({ port }) {
      const parts = [...'*?[]^-\\{}!%_.', 'a', 'b', 'é', '\u{1F600}']
      const text = fc
        .array(fc.constantFrom(...parts), { minLength: 1, maxLength: 6 })
        .map((some) => some.join(''))
      await fc.assert(
        fc.asyncProperty(
          fc.uniqueArray(text, { minLength: 1, maxLength: 12 }),
          text,
          async (keys, prefix) => {
            await port.setMany(keys.map((key) => [key, 'v'] as const))
            try {
              const expected = keys.filter((key) => key.startsWith(prefix)).sort()
              assert.deepEqual((await collect(port.scan(prefix))).sort(), expected)
              for (const key of keys) assert.ok((await collect(port.scan(key))).includes(key))
            } finally {
              await port.deleteMany(keys)
            }
          },
        ),
        { numRuns: 80 },
      )
    },
  },
  {
    id: 'scan/every-weird-prefix',
    sentence: 'Each weird key is found by itself as prefix, and by it only keys that begin with it.',
    async check({ port }) {
      await port.setMany(weirdKeys.map((key) => [key, 'v'] as const))
      for (const prefix of weirdKeys) {
        const expected = weirdKeys.filter((key) => key.startsWith(prefix)).sort()
        assert.deepEqual((await collect(port.scan(prefix))).sort(), expected, JSON.stringify(prefix))
      }
    },
  },
  {
    id: 'scan/each-once-under-writes',
    sentence: 'While others write and delete, a scan gives every key that stays exactly once.',
    needs: ['openAnother'],
    async check({ port, openAnother }) {
      const other = await openAnother?.()
      assert.ok(other)
      const stays = Array.from({ length: 3_000 }, (_, index) => `stays:${index}`)
      await port.setMany(stays.map((key) => [key, 'v'] as const))
      let scanning = true
      const churn = async (): Promise<void> => {
        // Grows and shrinks the server's table, which makes it give keys twice.
        while (scanning) {
          const keys = Array.from({ length: 4_000 }, (_, index) => `stays:not:${index}`)
          await other.port.setMany(keys.map((key) => [key, 'v'] as const))
          await other.port.deleteMany(keys)
        }
      }
      const churning = churn()
      try {
        for (let round = 0; round < 3; round += 1) {
          const found = await collect(port.scan('stays:'))
          assert.equal(new Set(found).size, found.length, 'a key was given twice')
          const all = new Set(found)
          assert.deepEqual(
            stays.filter((key) => !all.has(key)),
            [],
          )
        }
      } finally {
        scanning = false
        await churning
        await other.close()
      }
    },
  },
  {
    id: 'scan/left-early',
    sentence: 'A scan that is left early ends, and the store goes on working.',
    async check({ port }) {
      await port.setMany(Array.from({ length: 2_000 }, (_, index) => [`k${index}`, 'v'] as const))
      for await (const key of port.scan('k')) {
        assert.ok(key.startsWith('k'))
        break
      }
      assert.equal((await collect(port.scan('k'))).length, 2_000)
    },
  },
  {
    id: 'scan/cancelled-between-keys',
    sentence: 'Aborting during a scan ends it with cancelled at the next key.',
    async check({ port }) {
      await port.setMany(Array.from({ length: 2_000 }, (_, index) => [`k${index}`, 'v'] as const))
      const controller = new AbortController()
      let given = 0
      const scanning = (async () => {
        for await (const _ of port.scan('k', { signal: controller.signal })) {
          given += 1
          controller.abort()
        }
      })()
      await expectPortError(scanning, 'cancelled', { outcome: 'not-applied' })
      assert.equal(given, 1)
    },
  },
  {
    id: 'scan/deleting-what-it-gives',
    sentence: 'Keys may be deleted as the scan gives them; none that stays is missed.',
    async check({ port }) {
      const keys = Array.from({ length: 2_500 }, (_, index) => `k${index}`)
      await port.setMany(keys.map((key) => [key, 'v'] as const))
      const found = new Set<string>()
      for await (const key of port.scan('k')) {
        found.add(key)
        if (found.size % 2 === 0) await port.delete(key)
      }
      assert.equal(found.size, keys.length)
    },
  },
]
