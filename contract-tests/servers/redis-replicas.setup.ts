/** Starts a Redis Cluster of three primaries, each with a replica that takes over when it dies. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Redis } from 'ioredis'
import { clusterNode } from '../../adapters/redis/server.ts'
import type { RunningServer } from '../../src/adapter.ts'
import { pins, startRedisCluster } from '../servers.ts'
import { withRedis } from './clients.setup.ts'

export interface ReplicatedRedisCluster extends AsyncDisposable {
  /** All six, whatever they are at the moment. */
  readonly nodes: readonly RunningServer[]
  /** Their URLs; any one of them leads to all. */
  readonly urls: readonly string[]
  /** The primary that has the slot of `key` now, and its replicas. */
  shardOf(key: string): Promise<Shard>
  /** Resolves when every slot has a primary with a replica that follows it, and every node knows. */
  settled(): Promise<void>
  /** Lends an administrator's connection to one node. */
  at<Result>(node: RunningServer, work: (client: Redis) => Promise<Result>): Promise<Result>
  dispose(): Promise<void>
}

export interface Shard {
  readonly primary: RunningServer
  readonly replicas: readonly RunningServer[]
}

export async function startReplicatedRedisCluster(): Promise<ReplicatedRedisCluster> {
  const cluster = await startRedisCluster()
  const folder = await mkdtemp(join(tmpdir(), 'portside-redis-replicas-'))
  const replicas: RunningServer[] = []
  const dispose = async (): Promise<void> => {
    await Promise.all(replicas.map((node) => node.stop()))
    await cluster.dispose()
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  }
  try {
    const recipe = clusterNode(new URL(cluster.urls[0] ?? '').password)
    for (const index of cluster.nodes.keys()) {
      const start = (): Promise<RunningServer> =>
        recipe.start({ version: pins.redis, directory: join(folder, String(index)), durable: false })
      // Of a node's two ports only the first is chosen anew where another process was faster.
      replicas.push(await start().catch(start))
    }
    const nodes = [...cluster.nodes, ...replicas]
    await follow(cluster.nodes, replicas)
    const settled = (): Promise<void> => allSettled(nodes)
    await settled()
    return {
      nodes,
      urls: nodes.map((node) => node.adminUrl()),
      shardOf: (key) => shardOf(nodes, key),
      settled,
      at,
      dispose,
      [Symbol.asyncDispose]: dispose,
    }
  } catch (error) {
    await dispose()
    throw error
  }
}

/** Makes the replicas known to the cluster and gives each a primary. */
async function follow(
  primaries: readonly RunningServer[],
  replicas: readonly RunningServer[],
): Promise<void> {
  const [first] = primaries
  if (first === undefined) throw new Error('there is no primary')
  for (const replica of replicas) {
    const bus = await at(replica, async (client) => {
      const [, port = ''] = (await client.config('GET', 'cluster-port')) as string[]
      return port
    })
    await at(first, (client) => client.call('CLUSTER', 'MEET', '127.0.0.1', String(replica.port), bus))
  }
  const total = primaries.length + replicas.length
  for (const [index, replica] of replicas.entries()) {
    const id = await at(primaries[index] ?? first, (client) => client.cluster('MYID') as Promise<string>)
    await at(replica, async (client) => {
      await until(
        async () => String(await client.cluster('INFO')).includes(`cluster_known_nodes:${total}`),
        'the replica knows the cluster',
      )
      await client.cluster('REPLICATE', id)
    })
  }
}

async function shardOf(nodes: readonly RunningServer[], key: string): Promise<Shard> {
  const running = await firstOf(nodes, async (client) => ({
    slot: Number(await client.cluster('KEYSLOT', key)),
    ranges: await slotRanges(client),
  }))
  const range = running.ranges.find(({ from, to }) => from <= running.slot && running.slot <= to)
  const [primary, ...replicas] = (range?.ports ?? []).map((port) => nodes.find((node) => node.port === port))
  if (primary === undefined) throw new Error('no node has the slot')
  return { primary, replicas: replicas.filter((node) => node !== undefined) }
}

interface SlotRange {
  readonly from: number
  readonly to: number
  /** The primary's, then its replicas'. */
  readonly ports: readonly number[]
}

async function slotRanges(client: Redis): Promise<readonly SlotRange[]> {
  const ranges = await client.cluster('SLOTS')
  return ranges.map(([from, to, ...nodes]) => ({ from, to, ports: nodes.map(([, port]) => port) }))
}

/** Asks the first node that answers. */
async function firstOf<Result>(
  nodes: readonly RunningServer[],
  work: (client: Redis) => Promise<Result>,
): Promise<Result> {
  const failures: unknown[] = []
  for (const node of nodes) {
    try {
      return await at(node, work)
    } catch (error) {
      failures.push(error)
    }
  }
  throw new AggregateError(failures, 'no node answers')
}

async function allSettled(nodes: readonly RunningServer[]): Promise<void> {
  for (const node of nodes) {
    await at(node, (client) =>
      until(async () => {
        const [info, ranges, replication] = await Promise.all([
          client.cluster('INFO') as Promise<string>,
          slotRanges(client),
          client.info('replication'),
        ])
        const followed = ranges.every(({ ports }) => ports.length > 1)
        const inSync = /^role:master/m.test(replication)
          ? /^slave0:.*state=online/m.test(replication)
          : /^master_link_status:up/m.test(replication)
        return info.includes('cluster_state:ok') && followed && inSync
      }, 'the cluster is whole'),
    )
  }
}

async function until(holds: () => Promise<boolean>, what: string): Promise<void> {
  for (const end = Date.now() + 30_000; Date.now() < end; ) {
    if (await holds()) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`it did not come about that ${what}`)
}

function at<Result>(node: RunningServer, work: (client: Redis) => Promise<Result>): Promise<Result> {
  return withRedis(node.adminUrl(), work)
}
