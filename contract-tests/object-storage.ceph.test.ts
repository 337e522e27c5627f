/** The contract of object storage on the `s3` adapter, with the S3 emulator as Ceph's gateway is. */
import { emulated } from './object-storage.emulator.setup.ts'
import { objectStorageContract } from './object-storage.ts'
import { describeContract } from './vitest.ts'

describeContract(
  objectStorageContract,
  // What that gateway cannot do, the URL says, as for the real one.
  emulated('s3 on emulator (ceph dialect)', 'ceph', {
    lacks: 'put-if-match,conditional-stream,copy-if-match',
    checksums: 'when-required',
  }),
)
