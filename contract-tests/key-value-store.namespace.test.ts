import type { Guarded } from '../src/calls/guard.ts'
import type { KeyValueStore } from '../src/ports/key-value-store.ts'
import { namespace } from '../src/ports/key-value-views.ts'
import type { OpenSubject } from './contract.ts'
import type { InsideKeyValueStore } from './key-value-store/inside.ts'
import { onOwnRedis } from './key-value-store.setup.ts'
import { keyValueStoreContract } from './key-value-store.ts'
import { describeContract } from './vitest.ts'

const { subject } = onOwnRedis()
const { openUnreachable } = subject

describeContract(keyValueStoreContract, {
  name: 'a namespace on redis 7.0',
  kind: 'real',
  open: async () => namespaced(await subject.open()),
  openUnreachable: openUnreachable && (async () => namespaced(await openUnreachable())),
})

function namespaced(open: OpenSubject<KeyValueStore>): OpenSubject<KeyValueStore> {
  const inside = (guarded: Guarded<KeyValueStore>): Guarded<KeyValueStore> => ({
    port: namespace(guarded.port, 'inside:'),
    capabilities: guarded.capabilities,
    native: guarded.native,
    ping: (options) => guarded.ping(options),
    close: (options) => guarded.close(options),
  })
  const { openAnother, openRefused, openObserved } = open
  const own = open.inside as InsideKeyValueStore | undefined
  return {
    ...open,
    guarded: inside(open.guarded),
    openAnother: openAnother && (async () => inside(await openAnother())),
    openRefused: openRefused && (async () => inside(await openRefused())),
    openObserved: openObserved && (async (observe) => inside(await openObserved(observe))),
    // What a network does is the same below it.
    network: undefined,
    inside: own && {
      ...own,
      openLimited: async () => inside(await own.openLimited()),
      plantList: (key: string) => own.plantList(`inside:${key}`),
    },
  }
}
