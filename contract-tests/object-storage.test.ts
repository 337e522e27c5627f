/** The contract of object storage on the fake. */
import { FakeObjectStorage } from '../fakes/object-storage.ts'
import type { VirtualClock } from '../src/calls/clock.ts'
import type { ObjectStorage } from '../src/ports/object-storage.ts'
import type { Subject } from './contract.ts'
import { objectStorageContract } from './object-storage.ts'
import { describeContract } from './vitest.ts'

const subject: Subject<ObjectStorage> = {
  name: 'fake',
  kind: 'fake',
  async open() {
    const storage = new FakeObjectStorage()
    return {
      guarded: storage.guarded,
      delayNext: (operation, latencyMs) => storage.faults.next(operation as 'put', { latencyMs }),
      passTime: async (ms) => (storage.clock as VirtualClock).advance(ms),
    }
  },
}

describeContract(objectStorageContract, subject)
