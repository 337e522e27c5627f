/** Namespaces and typed views hold on every store. */
import assert from 'node:assert/strict'
import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { KeyValueStore } from '../../src/ports/key-value-store.ts'
import { namespace, typedView } from '../../src/ports/key-value-views.ts'
import type { Behaviour } from '../contract.ts'
import { collect, expectPortError } from '../expect.ts'

interface Count {
  readonly count: number
}

/** Written by hand, so that the contract needs no library of schemas. */
const countSchema: StandardSchemaV1<Count> = {
  '~standard': {
    version: 1,
    vendor: 'contract',
    validate: (value) =>
      typeof value === 'object' && value !== null && 'count' in value && typeof value.count === 'number'
        ? { value: { count: value.count } }
        : { issues: [{ message: 'no count', path: ['count'] }] },
  },
}

export const views: readonly Behaviour<KeyValueStore>[] = [
  {
    id: 'view/namespaces-are-isolated',
    sentence: 'The same key in two namespaces and outside of them is three keys.',
    async check({ port }) {
      const a = namespace(port, 'tenant-1:')
      const b = namespace(port, 'tenant-12:')
      await port.set('k', 'outside')
      await a.set('k', 'in a')
      await b.setMany([['k', 'in b']])
      assert.deepEqual(
        [await port.getText('k'), await a.getText('k'), await b.getText('k')],
        ['outside', 'in a', 'in b'],
      )
      assert.deepEqual(await collect(a.scan('')), ['k'])
      assert.deepEqual(await collect(b.scan('k')), ['k'])
      assert.equal(await a.delete('k'), true)
      assert.equal(await b.getText('k'), 'in b')
    },
  },
  {
    id: 'view/clear-takes-its-own-only',
    sentence: 'clear deletes every key of its namespace, those of namespaces inside it too, and no other.',
    async check({ port }) {
      const tenant = namespace(port, 'tenant*:')
      const inner = namespace(tenant, 'cache:')
      await port.set('tenantX:k', 'other')
      await port.set('tenant*', 'other')
      await tenant.setMany(Array.from({ length: 2_345 }, (_, index) => [`k${index}`, 'v'] as const))
      await inner.set('k', 'v')
      await tenant.set('kept', 'v')
      assert.equal(await inner.clear(), 1)
      assert.equal(await tenant.clear(), 2_346)
      assert.equal(await tenant.clear(), 0)
      assert.deepEqual((await collect(port.scan(''))).sort(), ['tenant*', 'tenantX:k'])
    },
  },
  {
    id: 'view/typed-updates-lose-nothing',
    sentence: 'Updates of a typed value by many at once all count, and keep the expiry.',
    async check({ port }) {
      const view = typedView(port, countSchema, { prefix: 'counts:' })
      await view.set('k', { count: 0 }, { ttlMs: 600_000 })
      await Promise.all(
        Array.from({ length: 6 }, async () => {
          for (let step = 0; step < 5; step += 1) {
            await view.update('k', (current) => ({ count: (current?.count ?? 0) + 1 }), { attempts: 500 })
          }
        }),
      )
      assert.deepEqual(await view.get('k'), { count: 30 })
      assert.ok(((await port.expiry('counts:k'))?.ttlMs ?? 0) > 500_000)
    },
  },
  {
    id: 'view/typed-values-are-checked-both-ways',
    sentence: 'A value that the schema refuses is invalid-argument to write and corrupt to read.',
    async check({ port }) {
      const view = typedView(port, countSchema)
      await expectPortError(view.set('k', { count: 'many' } as unknown as Count), 'invalid-argument')
      assert.equal(await view.get('k'), undefined)
      for (const stored of ['{"count":"7"}', 'null', '{', '']) {
        await port.set('k', stored)
        await expectPortError(view.get('k'), 'corrupt', { outcome: 'not-applied' })
      }
      await view.set('k', { count: 7 })
      assert.deepEqual(await collect(view.scan('')), [['k', { count: 7 }]])
    },
  },
]
