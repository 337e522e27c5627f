import { afterAll, beforeAll } from 'vitest'
import type { Guarded } from '../src/calls/guard.ts'
import type { KeyValueStore } from '../src/ports/key-value-store.ts'
import { namespace } from '../src/ports/key-value-views.ts'
import type { OpenSubject, Subject } from './contract.ts'
import { openOn } from './key-value-store.setup.ts'
import { keyValueStoreContract } from './key-value-store.ts'
import { type OwnServer, startServer } from './servers.ts'
import { describeContract } from './vitest.ts'

let server: OwnServer
beforeAll(async () => {
  server = await startServer('redis', { durable: true })
})
afterAll(() => server.dispose())

let places = 0

const onSingle: Subject<KeyValueStore> = {
  name: 'ioredis on redis 7.0',
  kind: 'real',
  async open() {
    places += 1
    return openOn(await server.provision(`place${places}`), {
      kill: () => server.kill(),
      restart: () => server.restart(),
    })
  },
  openUnreachable: () => openOn('redis://user:canary-of-nowhere@127.0.0.1:1/0'),
}

const onNamespace: Subject<KeyValueStore> = {
  name: 'a namespace on redis 7.0',
  kind: 'real',
  open: async () => namespaced(await onSingle.open()),
  openUnreachable: async () => namespaced(await openOn('redis://user:canary-of-nowhere@127.0.0.1:1/0')),
}

describeContract(keyValueStoreContract, onSingle)
describeContract(keyValueStoreContract, onNamespace)

function namespaced(open: OpenSubject<KeyValueStore>): OpenSubject<KeyValueStore> {
  const inside = (guarded: Guarded<KeyValueStore>): Guarded<KeyValueStore> => ({
    port: namespace(guarded.port, 'inside:'),
    capabilities: guarded.capabilities,
    native: guarded.native,
    ping: (options) => guarded.ping(options),
    close: (options) => guarded.close(options),
  })
  const { openAnother } = open
  return {
    ...open,
    guarded: inside(open.guarded),
    openAnother: openAnother && (async () => inside(await openAnother())),
  }
}
