/** What every `KeyValueStore` must do. */
import { KeyValueStore } from '../src/ports/key-value-store.ts'
import { networkBehaviours } from './common/network.ts'
import { commonBehaviours, type SampleCalls } from './common.ts'
import { type Contract, defineContract } from './contract.ts'
import { badArguments } from './key-value-store/bad-arguments.ts'
import { conditions } from './key-value-store/conditions.ts'
import { counters } from './key-value-store/counters.ts'
import { expiry } from './key-value-store/expiry.ts'
import { histories } from './key-value-store/histories.ts'
import { keysAndValues } from './key-value-store/keys-and-values.ts'
import { manyKeys } from './key-value-store/many-keys.ts'
import { outages } from './key-value-store/outages.ts'
import { refusals } from './key-value-store/refusals.ts'
import { scans } from './key-value-store/scans.ts'
import { views } from './key-value-store/views.ts'

const samples: SampleCalls<KeyValueStore> = {
  get: (store, options) => store.get('key', options),
  getText: (store, options) => store.getText('key', options),
  getMany: (store, options) => store.getMany(['key', 'other'], options),
  set: (store, options) => store.set('key', 'value', options),
  setMany: (store, options) => store.setMany([['key', 'value']], options),
  delete: (store, options) => store.delete('key', options),
  deleteMany: (store, options) => store.deleteMany(['key'], options),
  increment: (store, options) => store.increment('counter', 1, options),
  touch: (store, options) => store.touch('key', 60_000, options),
  expiry: (store, options) => store.expiry('key', options),
  scan: (store, options) => store.scan('', options),
}

/** The behaviours of a `KeyValueStore`. */
export const keyValueStoreContract: Contract<KeyValueStore> = defineContract(KeyValueStore, [
  ...commonBehaviours(KeyValueStore, samples),
  ...networkBehaviours(KeyValueStore, samples),
  ...keysAndValues,
  ...conditions,
  ...counters,
  ...expiry,
  ...manyKeys,
  ...scans,
  ...badArguments,
  ...histories,
  ...refusals,
  ...outages,
  ...views,
])
