import assert from 'node:assert/strict'
import { commonBehaviours, defineContract, expectPortError } from 'portside/contract-tests'
import { describeContract } from 'portside/contract-tests/vitest'
import { FakeInventory, Inventory } from './inventory.ts'

const inventoryContract = defineContract(Inventory, [
  ...commonBehaviours(Inventory, {
    stock: (port, options) => port.stock('lamp', options),
    take: (port, options) => port.take('lamp', 1, options),
  }),
  {
    id: 'stock/unknown-item-is-undefined',
    sentence: 'The stock of an item nobody knows is undefined.',
    check: async ({ port }) => assert.equal(await port.stock('unicorn'), undefined),
  },
  {
    id: 'take/too-many-takes-none',
    sentence: 'Taking more than there are is precondition-failed and takes none.',
    check: async ({ port }) => {
      const before = await port.stock('lamp')
      await expectPortError(port.take('lamp', 1_000), 'precondition-failed', { outcome: 'not-applied' })
      assert.equal(await port.stock('lamp'), before)
    },
  },
])

// The same contract runs on your HTTP adapter, pointed at the warehouse's staging.
describeContract(inventoryContract, {
  name: 'fake',
  kind: 'fake',
  open: async () => {
    const fake = new FakeInventory()
    fake.seed({ lamp: 3 })
    return {
      guarded: fake.guarded,
      delayNext: (operation, ms) => fake.faults.next(operation as 'stock', { latencyMs: ms }),
    }
  },
})
