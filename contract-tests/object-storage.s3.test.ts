/** The contract of object storage on the `s3` adapter, with the S3 emulator in front of the fake. */
import { emulated } from './object-storage.emulator.setup.ts'
import { objectStorageContract } from './object-storage.ts'
import { describeContract } from './vitest.ts'

describeContract(objectStorageContract, emulated('s3 on emulator'))
