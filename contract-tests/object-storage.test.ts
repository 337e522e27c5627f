/** The contract of object storage on the fake. */
import { FakeObjectStorage, type FakeObjectStorageOptions } from '../fakes/object-storage.ts'
import type { VirtualClock } from '../src/calls/clock.ts'
import { ObjectStorage } from '../src/ports/object-storage.ts'
import type { OpenSubject, Subject } from './contract.ts'
import { objectStorageContract } from './object-storage.ts'
import { describeContract } from './vitest.ts'

function subject(name: string, options: FakeObjectStorageOptions = {}): Subject<ObjectStorage> {
  const open = async (): Promise<OpenSubject<ObjectStorage>> => {
    const storage = new FakeObjectStorage(options)
    return {
      guarded: storage.guarded,
      delayNext: (operation, latencyMs) => storage.faults.next(operation as 'put', { latencyMs }),
      passTime: async (ms) => (storage.clock as VirtualClock).advance(ms),
    }
  }
  return { name, kind: 'fake', open }
}

describeContract(objectStorageContract, subject('fake'))
// The other direction: what is not declared is unsupported, and all the rest holds without it.
describeContract(
  objectStorageContract,
  subject('fake that lacks all capabilities', { lacks: Object.keys(ObjectStorage.capabilities) }),
)
