/** Writes that happen only under a condition, and races for it. */
import assert from 'node:assert/strict'
import type { KeyValueStore } from '../../src/ports/key-value-store.ts'
import type { Behaviour } from '../contract.ts'
import { expectPortError } from '../expect.ts'

const refused = { outcome: 'not-applied', retryable: false } as const

export const conditions: readonly Behaviour<KeyValueStore>[] = [
  {
    id: 'condition/if-absent',
    sentence: 'With ifAbsent a present key is precondition-failed and keeps its value and expiry.',
    async check({ port }) {
      await port.set('k', 'first', { ifAbsent: true, ttlMs: 600_000 })
      const error = await expectPortError(
        port.set('k', 'second', { ifAbsent: true, ttlMs: 1 }),
        'precondition-failed',
        refused,
      )
      assert.ok(error.subject?.endsWith('k'))
      assert.equal(await port.getText('k'), 'first')
      assert.ok(((await port.expiry('k'))?.ttlMs ?? 0) > 500_000)
      await port.set('k', 'third', { ifAbsent: false })
      assert.equal(await port.getText('k'), 'third')
    },
  },
  {
    id: 'condition/if-absent-has-one-winner',
    sentence: 'Of many who set an absent key with ifAbsent at once exactly one wins, and its value stays.',
    needs: ['openAnother'],
    async check({ port, openAnother }) {
      const other = await openAnother?.()
      assert.ok(other)
      try {
        for (let round = 0; round < 10; round += 1) {
          const racers = Array.from({ length: 20 }, async (_, racer) => {
            const store = racer % 2 === 0 ? port : other.port
            await store.set(`prize${round}`, `racer ${racer}`, { ifAbsent: true })
            return `racer ${racer}`
          })
          const results = await Promise.allSettled(racers)
          const winners = results.filter((result) => result.status === 'fulfilled')
          assert.equal(winners.length, 1)
          assert.equal(await port.getText(`prize${round}`), winners[0]?.value)
          for (const { reason } of results.filter((result) => result.status === 'rejected')) {
            assert.equal(reason.code, 'precondition-failed')
          }
        }
      } finally {
        await other.close()
      }
    },
  },
  {
    id: 'condition/if-equals',
    sentence: 'With ifEquals a value is replaced only where the stored one is the same to the byte.',
    async check({ port }) {
      await port.set('k', 'one')
      for (const other of ['', 'On', 'One', 'one ', 'ones', new Uint8Array([0xff])]) {
        await expectPortError(port.set('k', 'two', { ifEquals: other }), 'precondition-failed', refused)
      }
      assert.equal(await port.getText('k'), 'one')
      await port.set('k', 'two', { ifEquals: new TextEncoder().encode('one') })
      assert.equal(await port.getText('k'), 'two')
      await port.set('k', '', { ifEquals: 'two' })
      await port.set('k', new Uint8Array([0, 255]), { ifEquals: '' })
      await port.set('k', 'end', { ifEquals: new Uint8Array([0, 255]) })
      assert.equal(await port.getText('k'), 'end')
    },
  },
  {
    id: 'condition/if-equals-of-absent-fails',
    sentence:
      'With ifEquals an absent key is precondition-failed and stays absent, even where the empty value is expected.',
    async check({ port }) {
      for (const ifEquals of ['', 'x', new Uint8Array()]) {
        await expectPortError(port.set('absent', 'v', { ifEquals }), 'precondition-failed', refused)
      }
      assert.equal(await port.get('absent'), undefined)
    },
  },
  {
    id: 'condition/if-equals-sets-expiry',
    sentence:
      'A conditional set treats the expiry as any other set: cleared, set with ttlMs, kept with keepTtl.',
    async check({ port }) {
      await port.set('k', 'a', { ttlMs: 600_000 })
      await port.set('k', 'b', { ifEquals: 'a', keepTtl: true })
      assert.ok(((await port.expiry('k'))?.ttlMs ?? 0) > 500_000)
      await port.set('k', 'c', { ifEquals: 'b', ttlMs: 60_000 })
      const left = (await port.expiry('k'))?.ttlMs ?? 0
      assert.ok(left > 30_000 && left <= 60_000, `${left} ms left`)
      await port.set('k', 'd', { ifEquals: 'c' })
      assert.deepEqual(await port.expiry('k'), { ttlMs: undefined })
      assert.equal(await port.getText('k'), 'd')
    },
  },
  {
    id: 'condition/compare-and-set-loses-nothing',
    sentence: 'Workers that read, add one and set with ifEquals lose no increment.',
    needs: ['openAnother'],
    async check({ port, openAnother }) {
      const other = await openAnother?.()
      assert.ok(other)
      const workers = 8
      const each = 25
      const add = async (store: KeyValueStore): Promise<void> => {
        for (;;) {
          const current = (await store.getText('total')) ?? ''
          try {
            await store.set('total', String(Number(current) + 1), { ifEquals: current })
            return
          } catch (error) {
            if ((error as { code?: string }).code !== 'precondition-failed') throw error
          }
        }
      }
      try {
        await port.set('total', '0')
        await Promise.all(
          Array.from({ length: workers }, async (_, worker) => {
            for (let count = 0; count < each; count += 1) await add(worker % 2 === 0 ? port : other.port)
          }),
        )
        assert.equal(await port.getText('total'), String(workers * each))
      } finally {
        await other.close()
      }
    },
  },
  {
    id: 'condition/delete-if-equals',
    sentence:
      'With ifEquals a key is deleted only where the stored value is the same; absent it resolves with false.',
    async check({ port }) {
      await port.set('lock', 'mine')
      await expectPortError(port.delete('lock', { ifEquals: 'theirs' }), 'precondition-failed', refused)
      await expectPortError(port.delete('lock', { ifEquals: '' }), 'precondition-failed', refused)
      assert.equal(await port.getText('lock'), 'mine')
      assert.equal(await port.delete('lock', { ifEquals: 'mine' }), true)
      assert.equal(await port.get('lock'), undefined)
      assert.equal(await port.delete('lock', { ifEquals: 'mine' }), false)
      assert.equal(await port.delete('lock', { ifEquals: '' }), false)
    },
  },
  {
    id: 'condition/contradictions-are-refused',
    sentence: 'ifAbsent with ifEquals, and ttlMs with keepTtl, is invalid-argument and writes nothing.',
    async check({ port }) {
      const both = port.set('k', 'v', { ifAbsent: true, ifEquals: 'x' })
      await expectPortError(both, 'invalid-argument')
      await expectPortError(port.set('k', 'v', { ttlMs: 1_000, keepTtl: true }), 'invalid-argument')
      assert.equal(await port.get('k'), undefined)
    },
  },
]
