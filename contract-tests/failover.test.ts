/**
 * KeyValueStore on a Redis Cluster whose primaries die and are replaced by their replicas. Redis replicates after it
 * has acknowledged, so what a primary acknowledged last may go with it; what a replica has stays.
 */
import assert from 'node:assert/strict'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import type { RunningServer } from '../src/adapter.ts'
import { systemClock } from '../src/calls/clock.ts'
import type { Guarded } from '../src/calls/guard.ts'
import { PortError } from '../src/errors.ts'
import { KeyValueStore } from '../src/ports/key-value-store.ts'
import { failedCondition } from './common/histories.ts'
import { defineContract, type OpenSubject, type Subject } from './contract.ts'
import { collect, expectPortError } from './expect.ts'
import { askStore, type HistoryInput, type HistoryOutput, keyHistory } from './key-value-store/histories.ts'
import { openOn } from './key-value-store.setup.ts'
import { keyValueStoreContract } from './key-value-store.ts'
import { assertLinearizable, recordHistory } from './linearizability.ts'
import { type ReplicatedRedisCluster, startReplicatedRedisCluster } from './servers/redis-replicas.setup.ts'
import { describeContract } from './vitest.ts'

// A scan asks every node, and a property of scans has a thousand.
vi.setConfig({ testTimeout: 180_000 })

let cluster: ReplicatedRedisCluster
const open: OpenSubject<KeyValueStore>[] = []
beforeAll(async () => {
  cluster = await startReplicatedRedisCluster()
})
afterEach(async () => {
  for (const { guarded } of open.splice(0)) await guarded.close()
  // The killed node is a replica from here on.
  for (const node of cluster.nodes) await node.restart()
  await cluster.settled()
})
afterAll(() => cluster?.dispose())

let places = 0
const nextPlace = (): number => (places += 1)

/** A client that knows the cluster by a node other than `not`, in a place of its own. */
async function attached(not: RunningServer, place: number = nextPlace()): Promise<Guarded<KeyValueStore>> {
  const node = cluster.nodes.find((each) => each !== not)
  const subject = await openOn(`${node?.adminUrl()}?cluster=true&keyPrefix=place${place}:`)
  open.push(subject)
  return subject.guarded
}

/** As the store names it: the place's prefix is before it. All such keys are in one shard. */
const tagged = (name: string): string => `{shard}${name}`
const shard = (): ReturnType<typeof cluster.shardOf> => cluster.shardOf('{shard}')

/** Resolves when a replica of each primary has all that was acknowledged until now. */
async function replicated(): Promise<void> {
  for (const node of cluster.nodes) {
    await cluster.at(node, async (client) => {
      if (!/^role:master/m.test(await client.info('replication'))) return
      // WAIT is for the asking connection's own writes; after this one come all before it.
      const key = await client.randomkey()
      if (key === null) return
      await client.persist(key)
      await client.set(key, (await client.getBuffer(key)) ?? '')
      expect(await client.wait(1, 10_000)).toBeGreaterThanOrEqual(1)
    })
  }
}

/** Asks until the cluster answers again, or the outcome is not certain. */
async function insist<Result>(call: () => Promise<Result>): Promise<Result> {
  for (;;) {
    try {
      return await call()
    } catch (error) {
      const surelyNot = PortError.is(error) && error.code === 'unavailable' && error.outcome === 'not-applied'
      if (!surelyNot) throw error
      await systemClock.sleep(50)
    }
  }
}

const within = { timeout: 25_000, interval: 100 }

describe('when a primary dies', () => {
  test('its replica takes over with all that was replicated, and the client goes on by itself', async () => {
    const { primary, replicas } = await shard()
    const guarded = await attached(primary)
    const store = guarded.port
    const keys = Array.from({ length: 300 }, (_, index) => `k${index}`)
    const counter = tagged('counter')
    await store.setMany(keys.map((key) => [key, `value of ${key}`] as const))
    expect(await store.increment(counter, 7)).toBe(7)
    await replicated()
    await primary.kill()
    // A read first: what is sent before the loss shows is of unknown outcome, and not to be repeated.
    expect(await insist(() => store.getText(counter))).toBe('7')
    expect(await store.increment(counter)).toBe(8)
    expect(replicas).toContain((await shard()).primary)
    const read = async (): Promise<readonly (string | undefined)[]> =>
      (await store.getMany(keys)).map((bytes) => bytes && Buffer.from(bytes).toString())
    await expect
      .poll(() => read().catch(() => 'not yet'), within)
      .toEqual(keys.map((key) => `value of ${key}`))
    expect((await collect(store.scan('k'))).sort()).toEqual(keys.toSorted())
    await guarded.ping()
    // A client that is new finds the same.
    const { port: other } = await attached(primary, places)
    expect(await other.getText('k1')).toBe('value of k1')
  })

  test('no failure in the gap lies about its effect, and nothing is applied twice', async () => {
    const { primary } = await shard()
    const { port: store } = await attached(primary)
    const counters = [1, 2, 3, 4, 5, 6].map((number) => tagged(`counter${number}`))
    const tally = counters.map(() => ({ acknowledged: 0, unknown: 0, refused: 0 }))
    for (const counter of counters) await store.increment(counter, 1_000)
    await replicated()
    await primary.kill()
    const codes = new Set<string>()
    const end = Date.now() + 20_000
    await Promise.all(
      counters.map(async (counter, index) => {
        const own = tally[index]
        assert.ok(own)
        while (own.acknowledged < 30 && Date.now() < end) {
          try {
            await store.increment(counter, 1, { timeoutMs: 2_000 })
            own.acknowledged += 1
          } catch (error) {
            assert.ok(PortError.is(error))
            codes.add(error.code)
            assert.ok(error.outcome !== 'applied')
            own[error.outcome === 'unknown' ? 'unknown' : 'refused'] += 1
            await systemClock.sleep(20)
          }
        }
      }),
    )
    expect([...codes].filter((code) => code !== 'unavailable' && code !== 'timeout')).toEqual([])
    expect(tally.reduce((sum, { refused, unknown }) => sum + refused + unknown, 0)).toBeGreaterThan(0)
    for (const [index, counter] of counters.entries()) {
      const { acknowledged = 0, unknown = 0 } = tally[index] ?? {}
      expect(acknowledged).toBe(30)
      const sum = Number(await store.getText(counter)) - 1_000
      expect(sum, JSON.stringify(tally)).toBeGreaterThanOrEqual(acknowledged)
      expect(sum, JSON.stringify(tally)).toBeLessThanOrEqual(acknowledged + unknown)
    }
  })

  test('one order of all calls before, during and after explains every answer', async () => {
    const { primary } = await shard()
    const place = nextPlace()
    const clients = await Promise.all([1, 2, 3].map(() => attached(primary, place)))
    const stores = clients.map(({ port }) => port)
    const half = 15
    const script = (client: number): readonly HistoryInput[] =>
      Array.from({ length: 2 * half }, (_, step): HistoryInput => {
        const key = tagged(step % 3 === 0 ? 'one' : 'other')
        const value = `${client}.${step}`
        const expected = `${(client + 1) % stores.length}.${step - 1}`
        const kinds: readonly HistoryInput[] = [
          { key, type: 'set', value },
          { key, type: 'get' },
          { key, type: 'set-if-equals', value, expected },
          { key, type: 'get' },
          { key, type: 'delete' },
          { key, type: 'set-if-absent', value },
        ]
        return kinds[(step * 5 + client) % kinds.length] as HistoryInput
      })
    const asked = stores.map(() => 0)
    let waiting = 0
    const killed = Promise.withResolvers<void>()
    const ask = async (input: HistoryInput, client: number): Promise<HistoryOutput> => {
      const store = stores[client]
      assert.ok(store)
      if (asked[client] === half) {
        waiting += 1
        // Behind a barrier, so that no acknowledged write is on the dead primary alone.
        if (waiting === stores.length) {
          await replicated()
            .then(() => primary.kill())
            .then(killed.resolve, killed.reject)
        }
        await killed.promise
      }
      asked[client] = (asked[client] ?? 0) + 1
      return insist(() => askStore(store, input))
    }
    const history = await recordHistory(
      stores.map((_, client) => script(client)),
      ask,
      failedCondition,
    )
    expect(history.filter(({ answer }) => answer !== undefined).length).toBeGreaterThan(stores.length * half)
    assertLinearizable(keyHistory, history)
  })

  test('what it acknowledged and no replica had is lost; min-replicas-to-write refuses it instead', async () => {
    const { primary, replicas } = await shard()
    const [replica] = replicas
    assert.ok(replica)
    const { port: store } = await attached(primary)
    const key = tagged('balance')
    await store.set(key, 'replicated')
    await replicated()
    process.kill(replica.pid, 'SIGSTOP')
    try {
      await cluster.at(primary, async (client) => {
        // What is in the halted replica's socket would still be applied.
        await client.call('CLIENT', 'KILL', 'TYPE', 'replica')
        await client.config('SET', 'min-replicas-to-write', '1')
        await expectPortError(store.set(key, 'never'), 'unavailable', { outcome: 'not-applied' })
        await client.config('SET', 'min-replicas-to-write', '0')
        await store.set(key, 'acknowledged')
      })
      expect(await store.getText(key)).toBe('acknowledged')
      await primary.kill()
    } finally {
      process.kill(replica.pid, 'SIGCONT')
    }
    expect(await insist(() => store.getText(key))).toBe('replicated')
  })
})

/** On what the failovers left: other primaries than in the beginning. */
const afterwards: Subject<KeyValueStore> = {
  name: 'ioredis on a cluster of redis 7.0 after failovers',
  id: 'redis-on-redis-cluster-with-replicas',
  kind: 'real',
  adapter: 'redis',
  async server() {
    const { engine, version } = cluster.nodes[0]?.identity ?? {}
    return engine === undefined || version === undefined
      ? undefined
      : { product: `${engine}-cluster`, version }
  },
  async open() {
    const { urls } = cluster
    const place = nextPlace()
    // A scan goes over all there is. On what is a replica now it is refused.
    for (const node of cluster.nodes) {
      await cluster.at(node, async (client) => void (await client.flushall().catch(() => {})))
    }
    const own = { server: { kill: async () => {}, restart: async () => {} }, admins: urls }
    const url = `${urls[place % urls.length]}?cluster=true&keyPrefix=place[${place}]*:`
    return { ...(await openOn(url, own)), server: undefined }
  },
  openUnreachable: () => openOn('redis://user:canary-of-nowhere@127.0.0.1:1?cluster=true'),
}

const needless = keyValueStoreContract.behaviours.filter(({ needs }) => !needs?.includes('server'))
describeContract(defineContract(KeyValueStore, needless), afterwards)
