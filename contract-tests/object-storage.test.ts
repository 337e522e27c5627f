/** The contract of object storage on the fake. */
import { expect, test } from 'vitest'
import { FakeObjectStorage, type FakeObjectStorageOptions } from '../fakes/object-storage.ts'
import { systemClock, type VirtualClock } from '../src/calls/clock.ts'
import { type Guarded, guard } from '../src/calls/guard.ts'
import type { PortErrorCode } from '../src/errors.ts'
import { ObjectStorage } from '../src/ports/object-storage.ts'
import { notingSubject } from './codes.ts'
import { defineContract, type OpenSubject, type Subject } from './contract.ts'
import { objectStorageCodes } from './object-storage/failures.ts'
import { type ObjectStorageInside, objectStorageContract } from './object-storage.ts'
import { describeContract } from './vitest.ts'

function subject(name: string, options: FakeObjectStorageOptions = {}): Subject<ObjectStorage> {
  const open = async (): Promise<OpenSubject<ObjectStorage>> => {
    const storage = new FakeObjectStorage(options)
    // The port of a fake stores a stream when it has come to its end: there is no upload before.
    const inside: ObjectStorageInside = { openUploads: async () => 0 }
    return {
      guarded: storage.guarded,
      inside,
      // What kind of thing is missing, or refused, a fake's faults say by the code alone.
      force: (operation, { reason, ...failure }) => {
        const own = failure.error === 'rejected' && reason !== undefined ? { ...failure, reason } : failure
        storage.faults.next(operation as 'put', own)
      },
      delayNext: (operation, latencyMs) => storage.faults.next(operation as 'put', { latencyMs }),
      passTime: async (ms) => (storage.clock as VirtualClock).advance(ms),
    }
  }
  return { name, kind: 'fake', open }
}

const seen = new Set<PortErrorCode>()
const fake = notingSubject(ObjectStorage, subject('fake'), seen)
describeContract(objectStorageContract, fake.subject)

test('every code that the port can fail with was provoked, and no other', ({ skip }) => {
  if (fake.places() < objectStorageContract.behaviours.length) skip('only a part of the behaviours was run')
  expect([...seen].toSorted()).toEqual(objectStorageCodes)
})

// The other direction: what is not declared is unsupported, and all the rest holds without it.
describeContract(
  objectStorageContract,
  subject('fake that lacks all capabilities', { lacks: Object.keys(ObjectStorage.capabilities) }),
)

// A fake is one client. What two see of each other is held with a guard for each in front of one that stays open.
const ofTwo = objectStorageContract.behaviours.filter(({ needs }) => needs?.includes('openAnother'))
describeContract(defineContract(ObjectStorage, ofTwo), {
  name: 'two clients of a fake',
  kind: 'fake',
  open: async () => {
    const storage = new FakeObjectStorage({ clock: systemClock })
    const { port: calls, capabilities } = storage.guarded
    const openAnother = async (): Promise<Guarded<ObjectStorage>> =>
      guard(ObjectStorage, {
        calls,
        capabilities: [...capabilities],
        ping: async () => {},
        close: async () => {},
      })
    return { guarded: await openAnother(), openAnother, dispose: () => storage.guarded.close() }
  },
})
