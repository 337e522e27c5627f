import { afterAll, beforeAll } from 'vitest'
import type { KeyValueStore } from '../src/ports/key-value-store.ts'
import type { Subject } from './contract.ts'
import { openOn } from './key-value-store.setup.ts'
import { keyValueStoreContract } from './key-value-store.ts'
import { type OwnRedisCluster, startRedisCluster } from './servers.ts'
import { describeContract } from './vitest.ts'

let cluster: OwnRedisCluster
beforeAll(async () => {
  cluster = await startRedisCluster()
})
afterAll(() => cluster.dispose())

let places = 0

const onCluster: Subject<KeyValueStore> = {
  name: 'ioredis on a cluster of redis 7.0',
  kind: 'real',
  async open() {
    const { urls, nodes } = cluster
    places += 1
    // A cluster has one keyspace, so the place is a prefix. It has characters that a pattern would take for its own.
    const url = `${urls[places % urls.length]}?cluster=true&keyPrefix=place[${places}]*:`
    return openOn(url, {
      server: {
        kill: async () => void (await Promise.all(nodes.map((node) => node.kill()))),
        restart: async () => void (await Promise.all(nodes.map((node) => node.restart()))),
      },
      admins: urls,
    })
  },
  openUnreachable: () => openOn('redis://user:canary-of-nowhere@127.0.0.1:1?cluster=true'),
}

describeContract(keyValueStoreContract, onCluster)
