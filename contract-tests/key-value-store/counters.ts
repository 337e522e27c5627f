/** Numbers that are added to. */
import assert from 'node:assert/strict'
import type { KeyValueStore } from '../../src/ports/key-value-store.ts'
import type { Behaviour } from '../contract.ts'
import { expectPortError } from '../expect.ts'

const largest = Number.MAX_SAFE_INTEGER

export const counters: readonly Behaviour<KeyValueStore>[] = [
  {
    id: 'increment/from-nothing',
    sentence: 'An absent key counts from 0, by 1 where no number is given, and is text in decimal digits.',
    async check({ port }) {
      assert.equal(await port.increment('n'), 1)
      assert.equal(await port.increment('n', 41), 42)
      assert.equal(await port.increment('n', -50), -8)
      assert.equal(await port.increment('n', 0), -8)
      assert.equal(await port.getText('n'), '-8')
      assert.equal(await port.increment('zero', 0), 0)
      assert.equal(await port.getText('zero'), '0')
      await port.set('text', '10')
      assert.equal(await port.increment('text', 5), 15)
    },
  },
  {
    id: 'increment/atomic',
    sentence: 'Increments of many callers at once all count, and no two get the same sum.',
    needs: ['openAnother'],
    async check({ port, openAnother }) {
      const other = await openAnother?.()
      assert.ok(other)
      try {
        const sums = await Promise.all(
          Array.from({ length: 400 }, (_, index) => (index % 2 === 0 ? port : other.port).increment('n')),
        )
        assert.equal(new Set(sums).size, 400)
        assert.equal(Math.max(...sums), 400)
      } finally {
        await other.close()
      }
    },
  },
  {
    id: 'increment/expiry-only-when-created',
    sentence: 'ttlMs counts only where the call creates the key; afterwards the expiry is kept.',
    async check({ port }) {
      await port.increment('window', 1, { ttlMs: 600_000 })
      const first = (await port.expiry('window'))?.ttlMs ?? 0
      assert.ok(first > 500_000 && first <= 600_000)
      await port.increment('window', 1, { ttlMs: 1_000 })
      await port.increment('window')
      assert.ok(((await port.expiry('window'))?.ttlMs ?? 0) > 500_000)
      await port.increment('forever')
      await port.increment('forever', 1, { ttlMs: 1_000 })
      assert.deepEqual(await port.expiry('forever'), { ttlMs: undefined })
    },
  },
  {
    id: 'increment/counts-anew-after-expiry',
    sentence: 'An expired counter begins anew, with the expiry of the call that begins it.',
    needs: ['passTime'],
    async check({ port, passTime }) {
      await port.increment('window', 5, { ttlMs: 40 })
      await passTime?.(90)
      assert.equal(await port.increment('window', 1, { ttlMs: 600_000 }), 1)
      assert.ok(((await port.expiry('window'))?.ttlMs ?? 0) > 500_000)
    },
  },
  {
    id: 'increment/refuses-what-is-no-whole-number',
    sentence: 'A stored value that is no whole number is precondition-failed and stays as it is.',
    async check({ port }) {
      for (const value of ['', 'x', '1.5', '1e3', '0x10', ' 1', '1 ', '١', 'NaN', '99999999999999999999']) {
        await port.set('k', value)
        await expectPortError(port.increment('k'), 'precondition-failed', { outcome: 'not-applied' })
        assert.equal(await port.getText('k'), value)
      }
    },
  },
  {
    id: 'increment/refuses-to-overflow',
    sentence: 'A sum beyond the safe integers is precondition-failed and changes neither value nor expiry.',
    async check({ port }) {
      for (const sign of [1, -1]) {
        await port.set('edge', String(sign * (largest - 1)), { ttlMs: 600_000 })
        assert.equal(await port.increment('edge', sign), sign * largest)
        for (const by of [sign, sign * 2, sign * largest]) {
          await expectPortError(port.increment('edge', by), 'precondition-failed', { outcome: 'not-applied' })
          assert.equal(await port.getText('edge'), String(sign * largest))
        }
        assert.ok(((await port.expiry('edge'))?.ttlMs ?? 0) > 500_000)
        assert.equal(await port.increment('edge', -sign * largest), 0)
      }
      // Written by a program that counts in 64 bits.
      await port.set('wide', '9223372036854775807')
      await expectPortError(port.increment('wide'), 'precondition-failed')
      await expectPortError(port.increment('wide', -1), 'precondition-failed')
      assert.equal(await port.getText('wide'), '9223372036854775807')
    },
  },
]
