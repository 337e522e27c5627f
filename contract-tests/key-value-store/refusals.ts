/** What the server refuses for reasons of its own, and what is lost on the way to it. */
import assert from 'node:assert/strict'
import type { PortError, PortErrorCode } from '../../src/errors.ts'
import type { KeyValueStore } from '../../src/ports/key-value-store.ts'
import { overNetwork, upAgain } from '../common/network.ts'
import type { Behaviour } from '../contract.ts'
import { collect, expectPortError } from '../expect.ts'
import { insideOf } from './inside.ts'

const refused = { outcome: 'not-applied', retryable: false } as const

/** Every code that a `KeyValueStore` on a server can fail with. What it can never mean is missing here. */
export const keyValueStoreCodes: readonly PortErrorCode[] = [
  'cancelled',
  'closed',
  'corrupt',
  'invalid-argument',
  'permission-denied',
  'precondition-failed',
  'quota-exceeded',
  'timeout',
  'unauthenticated',
  'unavailable',
]

export const refusals: readonly Behaviour<KeyValueStore>[] = [
  {
    id: 'refusal/permission-denied',
    sentence:
      'What the user may not do is permission-denied and changes nothing; what the user may do works.',
    needs: ['inside'],
    async check(context) {
      const { port } = context
      const limited = await insideOf(context).openLimited()
      try {
        await port.set('secret', 'v')
        const calls: Readonly<Record<string, Promise<unknown>>> = {
          get: limited.port.get('secret'),
          getText: limited.port.getText('secret'),
          getMany: limited.port.getMany(['allowed', 'secret']),
          set: limited.port.set('secret', 'x'),
          delete: limited.port.delete('secret'),
          increment: limited.port.increment('secret'),
          touch: limited.port.touch('secret', 1_000),
          expiry: limited.port.expiry('secret'),
        }
        await Promise.all(
          Object.entries(calls).map(([operation, call]) =>
            expectPortError(call, 'permission-denied', { ...refused, operation }),
          ),
        )
        for (const options of [{ ifEquals: 'v' }, { ifAbsent: true }]) {
          await expectPortError(limited.port.set('secret', 'x', options), 'permission-denied', refused)
        }
        assert.equal(await port.getText('secret'), 'v')
        await limited.port.set('allowed', 'v')
        assert.equal(await limited.port.getText('allowed'), 'v')
      } finally {
        await limited.close()
      }
    },
  },
  {
    id: 'refusal/bulk-tells-of-each',
    sentence: 'Where the server refuses some of many keys, their items say why and the others are done.',
    needs: ['inside'],
    async check(context) {
      const { port } = context
      const keys = Array.from({ length: 40 }, (_, index) =>
        index % 3 === 1 ? `secret${index}` : `allowed${index}`,
      )
      const limited = await insideOf(context).openLimited()
      try {
        const set = await limited.port.setMany(keys.map((key) => [key, 'v'] as const))
        await port.setMany(keys.map((key) => [key, 'v'] as const))
        const deleted = await limited.port.deleteMany(keys)
        for (const [operation, { ok, items }] of Object.entries({ setMany: set, deleteMany: deleted })) {
          assert.equal(ok, false)
          assert.deepEqual(
            items.map(({ key }) => key),
            keys,
          )
          for (const { key, error } of items) {
            const { code, outcome, operation: told, subject } = error ?? {}
            const expected = key.startsWith('allowed')
              ? [undefined, undefined, undefined]
              : ['permission-denied', 'not-applied', operation]
            assert.deepEqual([code, outcome, told], expected)
            assert.ok(subject === undefined || subject.endsWith(key))
          }
        }
        const left = (await collect(port.scan(''))).sort()
        assert.deepEqual(left, keys.filter((key) => key.startsWith('secret')).sort())
      } finally {
        await limited.close()
      }
    },
  },
  {
    id: 'refusal/full',
    sentence:
      'A server whose memory is full is quota-exceeded to write, goes on reading and deleting, and recovers.',
    needs: ['inside'],
    async check(context) {
      const { port } = context
      await port.set('before', '1', { ttlMs: 600_000 })
      await insideOf(context).whileFull(async () => {
        const writes = [
          port.set('k', 'v'),
          port.set('k', 'v', { ttlMs: 60_000 }),
          port.set('k', 'v', { ifAbsent: true }),
          port.set('before', 'v', { ifEquals: '1' }),
          port.increment('before'),
          port.increment('n', 1, { ttlMs: 60_000 }),
        ]
        await Promise.all(writes.map((call) => expectPortError(call, 'quota-exceeded', refused)))
        const { items } = await port.setMany([['many', 'v']])
        assert.equal(items[0]?.error?.code, 'quota-exceeded')
        assert.equal(await port.getText('before'), '1')
        assert.deepEqual(await collect(port.scan('')), ['before'])
        assert.equal(await port.delete('absent'), false)
      })
      assert.ok(((await port.expiry('before'))?.ttlMs ?? 0) > 500_000)
      assert.equal(await port.increment('before'), 2)
    },
  },
  {
    id: 'refusal/no-plain-value',
    sentence:
      'A key of another kind is precondition-failed to read, compare and add to; a plain set or delete replaces it.',
    needs: ['inside'],
    async check(context) {
      const { port } = context
      await insideOf(context).plantList('list')
      const reads = [
        port.get('list'),
        port.getText('list'),
        port.getMany(['other', 'list']),
        port.increment('list'),
        port.set('list', 'x', { ifEquals: 'x' }),
        port.set('list', 'x', { ifAbsent: true }),
        port.delete('list', { ifEquals: 'x' }),
      ]
      await Promise.all(
        reads.map((call) => subjectEnds(expectPortError(call, 'precondition-failed', refused), 'list')),
      )
      assert.deepEqual(await collect(port.scan('')), [])
      await port.set('list', 'plain now')
      assert.equal(await port.getText('list'), 'plain now')
      await insideOf(context).plantList('other')
      assert.equal(await port.delete('other'), true)
    },
  },
  {
    id: 'network/lost-answer-counts-once',
    sentence:
      'An increment whose answer is lost is of unknown outcome, was applied once, and is never sent again.',
    needs: ['network'],
    check: (context) =>
      overNetwork(context, async (guarded, network) => {
        for (let total = 1; total <= 5; total += 1) {
          network.loseNextAnswer()
          await expectPortError(guarded.port.increment('n'), 'unavailable', { outcome: 'unknown' })
          await upAgain(guarded)
          assert.equal(await guarded.port.getText('n'), String(total))
        }
      }),
  },
  {
    id: 'network/cut-leaves-no-key-without-expiry',
    sentence: 'A set with ttlMs whose connection is cut at any moment leaves no key without an expiry.',
    needs: ['network'],
    check: (context) =>
      overNetwork(context, async (guarded, network) => {
        const keys: string[] = []
        for (let round = 0; round < 12; round += 1) {
          const many = Array.from({ length: 30 }, (_, index) => `k${round}-${index}`)
          keys.push(...many)
          const settings = [
            ...many.slice(0, 10).map((key) => guarded.port.set(key, 'v'.repeat(5_000), { ttlMs: 600_000 })),
            ...many.slice(10, 20).map((key) => guarded.port.increment(key, 1, { ttlMs: 600_000 })),
            guarded.port.setMany(
              many.slice(20).map((key) => [key, 'v'] as const),
              { ttlMs: 600_000 },
            ),
          ]
          const settled = Promise.allSettled(settings)
          for (let turn = 0; turn < round; turn += 1) await new Promise((next) => setImmediate(next))
          if (round % 2 === 0) network.cut()
          else network.loseNextAnswer()
          await settled
          network.mend()
          await upAgain(guarded)
        }
        let there = 0
        for (const key of keys) {
          const found = await context.port.expiry(key)
          if (found === undefined) continue
          there += 1
          assert.ok(found.ttlMs !== undefined, `${key} would never expire`)
        }
        assert.ok(there > 0, 'nothing was written, so nothing was shown')
      }),
  },
  {
    id: 'network/what-is-said-holds',
    sentence:
      'Of a setMany whose connection is cut, what is said to be written is there and what is said not to be is not.',
    needs: ['network'],
    check: (context) =>
      overNetwork(context, async (guarded, network) => {
        const keys = Array.from({ length: 3_000 }, (_, index) => `k${index}`)
        for (const waitMs of [0, 3, 8, 15]) {
          await context.port.deleteMany(keys)
          const setting = guarded.port.setMany(keys.map((key) => [key, 'v'] as const)).catch((error) => error)
          await new Promise((passed) => setTimeout(passed, waitMs))
          // What had not been sent by then goes over a connection of its own.
          network.cut()
          network.mend()
          const result = await setting
          await upAgain(guarded)
          const there = await context.port.getMany(keys)
          if (result instanceof Error) {
            await expectPortError(Promise.reject(result), 'unavailable', { outcome: 'not-applied' })
            assert.ok(there.every((value) => value === undefined))
            continue
          }
          for (const [index, { key, error }] of result.items.entries()) {
            if (error === undefined) assert.ok(there[index], `${key} is said to be written`)
            else if (error.outcome === 'not-applied') {
              assert.equal(there[index], undefined, `${key} is said not to be written`)
            }
          }
        }
      }),
  },
]

/** A namespace's keys have its prefix in errors, too. */
async function subjectEnds(failing: Promise<PortError>, key: string): Promise<void> {
  const { subject } = await failing
  assert.ok(subject?.endsWith(key), `the subject is ${subject}`)
}
