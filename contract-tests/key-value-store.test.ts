import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Guarded } from '../src/calls/guard.ts'
import type { PortErrorCode } from '../src/errors.ts'
import type { KeyValueStore } from '../src/ports/key-value-store.ts'
import { namespace } from '../src/ports/key-value-views.ts'
import type { OpenSubject, Subject } from './contract.ts'
import type { InsideKeyValueStore } from './key-value-store/inside.ts'
import { keyValueStoreCodes } from './key-value-store/refusals.ts'
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
const seen = new Set<PortErrorCode>()

const onSingle: Subject<KeyValueStore> = {
  name: 'ioredis on redis 7.0',
  id: 'redis-on-redis',
  kind: 'real',
  adapter: 'redis',
  server: async () => ({ product: server.identity.engine, version: server.identity.version }),
  async open() {
    places += 1
    return openOn(await server.provision(`place${places}`), { server, admins: [server.adminUrl()] }, seen)
  },
  openUnreachable: () => openOn('redis://user:canary-of-nowhere@127.0.0.1:1/0', undefined, seen),
}

const onNamespace: Subject<KeyValueStore> = {
  name: 'a namespace on redis 7.0',
  kind: 'real',
  open: async () => namespaced(await onSingle.open()),
  openUnreachable: async () =>
    namespaced(await openOn('redis://user:canary-of-nowhere@127.0.0.1:1/0', undefined, seen)),
}

describeContract(keyValueStoreContract, onSingle)

test('every code that a store on a server can fail with was provoked, and no other', ({ skip }) => {
  if (places < keyValueStoreContract.behaviours.length) skip('only a part of the behaviours was run')
  expect([...seen].toSorted()).toEqual(keyValueStoreCodes)
})

describeContract(keyValueStoreContract, onNamespace)

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
