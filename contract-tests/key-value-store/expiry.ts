/** Keys that go by themselves. */
import assert from 'node:assert/strict'
import { type KeyValueStore, keyValueLimits } from '../../src/ports/key-value-store.ts'
import type { Behaviour } from '../contract.ts'
import { collect, expectPortError } from '../expect.ts'

// A time to live that no step of a test outlasts, and one that is over after `passTime(gone)`.
const long = 600_000
const short = 40
const gone = 90

const left = async (port: KeyValueStore, key: string): Promise<number | undefined> =>
  (await port.expiry(key))?.ttlMs

export const expiry: readonly Behaviour<KeyValueStore>[] = [
  {
    id: 'expiry/there-before-gone-after',
    sentence: 'A value is there before its time is over, and absent to every operation after.',
    needs: ['passTime'],
    async check({ port, passTime }) {
      await port.set('stays', 'v', { ttlMs: long })
      await port.set('goes', 'v', { ttlMs: short })
      await port.setMany([['goes too', 'v']], { ttlMs: short })
      await passTime?.(gone)
      assert.equal(await port.getText('stays'), 'v')
      assert.equal(await port.get('goes'), undefined)
      assert.deepEqual(await port.getMany(['goes', 'goes too']), [undefined, undefined])
      assert.equal(await port.expiry('goes'), undefined)
      assert.equal(await port.touch('goes', long), false)
      assert.equal(await port.touch('goes', undefined), false)
      assert.equal(await port.delete('goes'), false)
      assert.equal(await port.delete('goes too', { ifEquals: 'v' }), false)
      assert.deepEqual(await collect(port.scan('')), ['stays'])
    },
  },
  {
    id: 'expiry/expired-counts-as-absent',
    sentence: 'An expired key is absent to ifAbsent, and to ifEquals with its old value.',
    needs: ['passTime'],
    async check({ port, passTime }) {
      await port.set('k', 'old', { ttlMs: short })
      await port.set('other', 'old', { ttlMs: short })
      await passTime?.(gone)
      await expectPortError(port.set('other', 'new', { ifEquals: 'old' }), 'precondition-failed')
      await port.set('k', 'new', { ifAbsent: true })
      assert.equal(await port.getText('k'), 'new')
      assert.deepEqual(await port.expiry('k'), { ttlMs: undefined })
    },
  },
  {
    id: 'expiry/tells-what-is-left',
    sentence: 'expiry tells the milliseconds left, undefined inside where the key never expires.',
    async check({ port }) {
      await port.set('never', 'v')
      assert.deepEqual(await port.expiry('never'), { ttlMs: undefined })
      for (const ttlMs of [5_000, long, 86_400_000, keyValueLimits.ttlMs]) {
        const started = performance.now()
        await port.set('k', 'v', { ttlMs })
        const found = (await left(port, 'k')) ?? 0
        const passedMs = performance.now() - started
        assert.ok(found <= ttlMs && found > ttlMs - passedMs - 1_000, `${found} of ${ttlMs} ms left`)
      }
    },
  },
  {
    id: 'expiry/set-clears-it',
    sentence: 'Setting without ttlMs clears an earlier expiry, keepTtl keeps it, and ttlMs replaces it.',
    async check({ port }) {
      await port.set('k', 'a', { ttlMs: long })
      await port.set('k', 'b', { keepTtl: true })
      assert.ok(((await left(port, 'k')) ?? 0) > long / 2)
      await port.set('k', 'c', { ttlMs: 60_000 })
      assert.ok(((await left(port, 'k')) ?? long) <= 60_000)
      await port.set('k', 'd')
      assert.deepEqual(await port.expiry('k'), { ttlMs: undefined })
      await port.set('k', 'e', { keepTtl: true })
      assert.deepEqual(await port.expiry('k'), { ttlMs: undefined })
      await port.set('new', 'v', { keepTtl: true })
      assert.deepEqual(await port.expiry('new'), { ttlMs: undefined })
      await port.set('many', 'a', { ttlMs: long })
      await port.setMany([['many', 'b']])
      assert.deepEqual(await port.expiry('many'), { ttlMs: undefined })
    },
  },
  {
    id: 'expiry/touch-keeps-the-value',
    sentence: 'touch moves or takes away the expiry, keeps the value, and tells whether the key was there.',
    async check({ port }) {
      await port.set('k', 'v')
      assert.equal(await port.touch('k', long), true)
      assert.ok(((await left(port, 'k')) ?? 0) > long / 2)
      assert.equal(await port.touch('k', 60_000), true)
      assert.ok(((await left(port, 'k')) ?? long) <= 60_000)
      assert.equal(await port.touch('k', undefined), true)
      assert.deepEqual(await port.expiry('k'), { ttlMs: undefined })
      assert.equal(await port.touch('k', undefined), true)
      assert.equal(await port.getText('k'), 'v')
      assert.equal(await port.touch('absent', long), false)
      assert.equal(await port.touch('absent', undefined), false)
      assert.equal(await port.get('absent'), undefined)
    },
  },
  {
    id: 'expiry/touch-saves-from-expiring',
    sentence: 'A key that was touched in time outlives its first expiry.',
    needs: ['passTime'],
    async check({ port, passTime }) {
      const brief = 200
      let inTime = false
      // Where the machine was busy for so long that it had expired, there was nothing to save.
      for (let tries = 0; !inTime && tries < 50; tries += 1) {
        await port.set('touched', 'v', { ttlMs: brief })
        inTime = await port.touch('touched', long)
      }
      assert.ok(inTime, 'touch tells that the key was there')
      await port.set('shortened', 'v', { ttlMs: long })
      await port.touch('shortened', short)
      await passTime?.(brief + gone)
      assert.equal(await port.getText('touched'), 'v')
      assert.equal(await port.get('shortened'), undefined)
    },
  },
  {
    id: 'expiry/set-with-the-value-or-not-at-all',
    sentence: 'A set with ttlMs that is cancelled at any moment leaves no key without an expiry.',
    async check({ port }) {
      const keys = Array.from({ length: 60 }, (_, index) => `k${index}`)
      await Promise.all(
        keys.map(async (key, index) => {
          const controller = new AbortController()
          const setting = port
            .set(key, 'v'.repeat(2_000), { ttlMs: long, signal: controller.signal })
            .catch(() => {})
          for (let turn = 0; turn < index % 12; turn += 1) await new Promise((next) => setImmediate(next))
          controller.abort()
          await setting
        }),
      )
      for (const key of keys) {
        const found = await port.expiry(key)
        assert.ok(found === undefined || found.ttlMs !== undefined, `${key} would never expire`)
      }
    },
  },
]
