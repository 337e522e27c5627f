import { expect, test } from 'vitest'
import type { PortErrorCode } from '../src/errors.ts'
import { keyValueStoreCodes } from './key-value-store/refusals.ts'
import { onOwnRedis } from './key-value-store.setup.ts'
import { keyValueStoreContract } from './key-value-store.ts'
import { describeContract } from './vitest.ts'

const seen = new Set<PortErrorCode>()
const { subject, places } = onOwnRedis(seen)

describeContract(keyValueStoreContract, subject)

test('every code that a store on a server can fail with was provoked, and no other', ({ skip }) => {
  if (places() < keyValueStoreContract.behaviours.length) skip('only a part of the behaviours was run')
  expect([...seen].toSorted()).toEqual(keyValueStoreCodes)
})
