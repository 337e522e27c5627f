/** What every object storage must do. */
import { ObjectStorage } from '../src/ports/object-storage.ts'
import { networkBehaviours } from './common/network.ts'
import { outageBehaviours } from './common/outage.ts'
import { type CommonOptions, commonBehaviours, type SampleCalls } from './common.ts'
import { type Contract, defineContract } from './contract.ts'
import { attributeBehaviours } from './object-storage/attributes.ts'
import { conditions } from './object-storage/conditions.ts'
import { copiesAndDeletes } from './object-storage/copies-and-deletes.ts'
import { failures } from './object-storage/failures.ts'
import { histories } from './object-storage/histories.ts'
import { keyBehaviours } from './object-storage/keys.ts'
import { lists } from './object-storage/lists.ts'
import { pages } from './object-storage/pages.ts'
import { races } from './object-storage/races.ts'
import { reads } from './object-storage/reads.ts'
import { signedUrls } from './object-storage/signed-urls.ts'
import { uploads } from './object-storage/uploads.ts'
import { writes } from './object-storage/writes.ts'

export type { ObjectStorageInside } from './object-storage/samples.ts'

const samples: SampleCalls<ObjectStorage> = {
  put: (port, options) => port.put('sample', 'content', options),
  get: (port, options) => port.get('sample', options),
  head: (port, options) => port.head('sample', options),
  delete: (port, options) => port.delete('sample', options),
  deleteMany: (port, options) => port.deleteMany(['sample', 'other'], options),
  copy: (port, options) => port.copy('sample', 'copy', options),
  list: (port, options) => port.list(options),
  listAll: (port, options) => port.listAll(options),
  signUrl: (port, options) => port.signUrl('sample', { expiresInMs: 60_000, ...options }),
}
const options: CommonOptions<ObjectStorage> = { local: ['signUrl'], capabilities: { signUrl: 'signed-urls' } }

/** The behaviours of an `ObjectStorage`. */
export const objectStorageContract: Contract<ObjectStorage> = defineContract(ObjectStorage, [
  ...commonBehaviours(ObjectStorage, samples, options),
  // Over HTTP a request is on its way as soon as there is a connection: where that is reset at once, nobody knows.
  ...networkBehaviours(ObjectStorage, samples, options).filter(
    ({ id }) => id !== 'network/cut-before-the-request-is-not-applied',
  ),
  ...outageBehaviours(ObjectStorage, samples, {
    ...options,
    async leave({ port }) {
      await port.put('kept', 'content', { metadata: { kept: 'too' } })
      return () => port.head('kept')
    },
  }),
  ...writes,
  ...attributeBehaviours,
  ...uploads,
  ...keyBehaviours,
  ...conditions,
  ...races,
  ...histories,
  ...reads,
  ...lists,
  ...pages,
  ...copiesAndDeletes,
  ...signedUrls,
  ...failures,
])
