/** The contract of object storage on the fake, and on the `s3` adapter with the S3 emulator in front of the fake. */
import { FakeObjectStorage, type FakeObjectStorageOptions } from '../fakes/object-storage.ts'
import type { VirtualClock } from '../src/calls/clock.ts'
import { ObjectStorage } from '../src/ports/object-storage.ts'
import type { OpenSubject, Subject } from './contract.ts'
import { emulated } from './object-storage.emulator.setup.ts'
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

describeContract(objectStorageContract, subject('fake'))
// The other direction: what is not declared is unsupported, and all the rest holds without it.
describeContract(
  objectStorageContract,
  subject('fake that lacks all capabilities', { lacks: Object.keys(ObjectStorage.capabilities) }),
)
describeContract(objectStorageContract, emulated('s3 on emulator'))
// What Ceph's gateway cannot do, the URL says, as for the real one.
describeContract(
  objectStorageContract,
  emulated('s3 on emulator (ceph dialect)', 'ceph', {
    lacks: 'put-if-match,conditional-stream,copy-if-match',
    checksums: 'when-required',
  }),
)
