import { afterAll } from 'vitest'
import { redis } from '../adapters/redis/index.ts'
import type { DatastoreDriver } from '../src/adapter.ts'
import { systemClock } from '../src/calls/clock.ts'
import { type Guarded, guard } from '../src/calls/guard.ts'
import { KeyValueStore } from '../src/ports/key-value-store.ts'
import { namespace } from '../src/ports/key-value-views.ts'
import { ServiceUrl } from '../src/services/url.ts'
import type { OpenSubject, Subject } from './contract.ts'
import { keyValueStoreContract } from './key-value-store.ts'
import { startRedisCluster, startServer } from './servers.ts'
import { describeContract } from './vitest.ts'

// Each starts when its first behaviour runs: the file's servers are not all up at once for longer than needed.
const single = once(() => startServer('redis', { durable: true }))
const cluster = once(startRedisCluster)
afterAll(async () => {
  await single.dispose()
  await cluster.dispose()
})

let places = 0

const onSingle: Subject<KeyValueStore> = {
  name: 'ioredis on redis 7.0',
  kind: 'real',
  async open() {
    const server = await single.get()
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

const onCluster: Subject<KeyValueStore> = {
  name: 'ioredis on a cluster of redis 7.0',
  kind: 'real',
  async open() {
    const { urls, nodes } = await cluster.get()
    places += 1
    // A cluster has one keyspace, so the place is a prefix. It has characters that a pattern would take for its own.
    const url = `${urls[places % urls.length]}?cluster=true&keyPrefix=place[${places}]*:`
    return openOn(url, {
      kill: async () => void (await Promise.all(nodes.map((node) => node.kill()))),
      restart: async () => void (await Promise.all(nodes.map((node) => node.restart()))),
    })
  },
  openUnreachable: () => openOn('redis://user:canary-of-nowhere@127.0.0.1:1?cluster=true'),
}

describeContract(keyValueStoreContract, onSingle)
describeContract(keyValueStoreContract, onNamespace)
describeContract(keyValueStoreContract, onCluster)

async function openOn(
  url: string,
  server?: OpenSubject<KeyValueStore>['server'],
): Promise<OpenSubject<KeyValueStore>> {
  const open = async (): Promise<Guarded<KeyValueStore>> => guard(KeyValueStore, await driverOf(url))
  return {
    guarded: await open(),
    openAnother: open,
    passTime: (ms) => systemClock.sleep(ms),
    canaries: [decodeURIComponent(new URL(url).password)],
    server,
  }
}

function driverOf(text: string): Promise<DatastoreDriver<KeyValueStore>> {
  const parsed = ServiceUrl.parse(text, redis.parameters)
  if (!('url' in parsed)) throw new Error(parsed.problems.join('; '))
  return redis.open(parsed.url, { service: 'store', clock: systemClock })
}

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

function once<T extends { dispose(): Promise<void> }>(
  start: () => Promise<T>,
): { get(): Promise<T>; dispose(): Promise<void> } {
  let started: Promise<T> | undefined
  return {
    get() {
      started ??= start()
      return started
    },
    dispose: async () => (await started)?.dispose(),
  }
}
