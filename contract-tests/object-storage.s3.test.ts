/** The contract of object storage on the `s3` adapter, with the S3 emulator in front of the fake. */
import { expect, test } from 'vitest'
import { FakeObjectStorage } from '../fakes/object-storage.ts'
import type { PortErrorCode } from '../src/errors.ts'
import { ObjectStorage } from '../src/ports/object-storage.ts'
import { notingSubject } from './codes.ts'
import { objectStorageCodes } from './object-storage/failures.ts'
import { emulated } from './object-storage.emulator.setup.ts'
import { objectStorageContract } from './object-storage.ts'
import { describeContract } from './vitest.ts'

const seen = new Set<PortErrorCode>()
const { subject, places } = notingSubject(ObjectStorage, emulated('s3 on emulator'), seen)

describeContract(objectStorageContract, subject)

test('every code that the adapter can fail with was provoked, and no other', ({ skip }) => {
  if (places() < objectStorageContract.behaviours.length) skip('only a part of the behaviours was run')
  expect([...seen].toSorted()).toEqual(objectStorageCodes)
})

test('the fake declares what the adapter does, which is all there is', async () => {
  const fake = new FakeObjectStorage()
  const open = await subject.open()
  const all = Object.keys(ObjectStorage.capabilities).toSorted()
  expect([...fake.guarded.capabilities].toSorted()).toEqual(all)
  expect([...open.guarded.capabilities].toSorted()).toEqual(all)
  await open.guarded.close()
  await open.dispose?.()
})
