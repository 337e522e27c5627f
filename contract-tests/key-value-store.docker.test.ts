import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { contained, containedValkey } from '../adapters/redis/server.ts'
import type { DatastoreServer } from '../src/adapter.ts'
import type { PortErrorCode } from '../src/errors.ts'
import type { KeyValueStore } from '../src/ports/key-value-store.ts'
import type { Subject } from './contract.ts'
import { keyValueStoreCodes } from './key-value-store/refusals.ts'
import { openOn } from './key-value-store.setup.ts'
import { keyValueStoreContract } from './key-value-store.ts'
import { type OwnContainer, startContainer, whereContainersRun } from './real-docker/containers.ts'
import { describeContract } from './vitest.ts'

function hold(engine: string, recipe: DatastoreServer, version: string): void {
  let own: OwnContainer
  beforeAll(async () => {
    own = await startContainer(recipe, { version, durable: true })
  })
  afterAll(() => own?.dispose())

  test(`${engine} is what it says it is`, () => {
    expect(own.server.identity).toMatchObject({
      engine,
      version: expect.stringMatching(`^${version.replace('.', '\\.')}\\.`),
    })
  })

  const seen = new Set<PortErrorCode>()
  let places = 0
  const inContainer: Subject<KeyValueStore> = {
    name: `ioredis on ${engine} ${version} in a container`,
    id: `redis-on-${engine}-container`,
    kind: 'real',
    adapter: 'redis',
    server: async () => ({ product: own.server.identity.engine, version: own.server.identity.version }),
    async open() {
      const { server } = own
      places += 1
      return openOn(await server.provision(`place${places}`), { server, admins: [server.adminUrl()] }, seen)
    },
    openUnreachable: () => openOn('redis://user:canary-of-nowhere@127.0.0.1:1/0', undefined, seen),
  }
  describeContract(keyValueStoreContract, inContainer)

  test('every code that a store in a container can fail with was provoked, and no other', ({ skip }) => {
    if (places < keyValueStoreContract.behaviours.length) skip('only a part of the behaviours was run')
    expect([...seen].toSorted()).toEqual(keyValueStoreCodes)
  })
}

await whereContainersRun(() => describe('Redis', () => hold('redis', contained, '7.0')))
await whereContainersRun(
  () => describe('Valkey', () => hold('valkey', containedValkey, '8.1')),
  'valkey/valkey:8.1',
)
