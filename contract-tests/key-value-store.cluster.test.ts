import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { PortErrorCode } from '../src/errors.ts'
import type { KeyValueStore } from '../src/ports/key-value-store.ts'
import type { Subject } from './contract.ts'
import { keyValueStoreCodes } from './key-value-store/refusals.ts'
import { openOn } from './key-value-store.setup.ts'
import { keyValueStoreContract } from './key-value-store.ts'
import { type OwnRedisCluster, startRedisCluster } from './servers.ts'
import { describeContract } from './vitest.ts'

// A scan asks every node, and a property of scans has a thousand.
vi.setConfig({ testTimeout: 180_000 })

let cluster: OwnRedisCluster
beforeAll(async () => {
  cluster = await startRedisCluster()
})
afterAll(() => cluster.dispose())

let places = 0
const seen = new Set<PortErrorCode>()

const onCluster: Subject<KeyValueStore> = {
  name: 'ioredis on a cluster of redis 7.0',
  id: 'redis-on-redis-cluster',
  kind: 'real',
  adapter: 'redis',
  async server() {
    const { engine, version } = cluster.nodes[0]?.identity ?? {}
    return engine === undefined || version === undefined
      ? undefined
      : { product: `${engine}-cluster`, version }
  },
  async open() {
    const { urls, nodes } = cluster
    places += 1
    // A cluster has one keyspace, so the place is a prefix. It has characters that a pattern would take for its own.
    const url = `${urls[places % urls.length]}?cluster=true&keyPrefix=place[${places}]*:`
    return openOn(
      url,
      {
        server: {
          kill: async () => void (await Promise.all(nodes.map((node) => node.kill()))),
          restart: async () => void (await Promise.all(nodes.map((node) => node.restart()))),
        },
        admins: urls,
      },
      seen,
    )
  },
  openUnreachable: () => openOn('redis://user:canary-of-nowhere@127.0.0.1:1?cluster=true', undefined, seen),
}

describeContract(keyValueStoreContract, onCluster)

test('every code that a store on a cluster can fail with was provoked, and no other', ({ skip }) => {
  if (places < keyValueStoreContract.behaviours.length) skip('only a part of the behaviours was run')
  expect([...seen].toSorted()).toEqual(keyValueStoreCodes)
})
