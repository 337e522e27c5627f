/** Real datastores for a test: a place of its own on the shared servers, or a server of its own to kill. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Redis } from 'ioredis'
import { inject } from 'vitest'
import { makeDatabase, server as postgres } from '../adapters/postgres/server.ts'
import { clusterNode, server as redis } from '../adapters/redis/server.ts'
import type { RunningServer, StartOptions } from '../src/adapter.ts'
import { withPostgres, withRedis } from './servers/clients.setup.ts'

/** The versions that the contracts are run on. */
export const pins = { postgres: '17.10', redis: '7.0' } as const

/** A place that nothing else uses. */
export interface FreshPlace {
  /** Of a role that owns the database and has no further rights; of a keyspace with nothing in it. */
  readonly url: string
  /** Removes it, whoever is still connected. Twice resolves. */
  drop(): Promise<void>
}

/** A new, empty database on the shared PostgreSQL, with a role of its own. */
export async function freshPostgres(): Promise<FreshPlace> {
  const name = `test_${randomBytes(8).toString('hex')}`
  const password = randomBytes(12).toString('hex')
  await withPostgres(inject('postgresUrl'), (client) => makeDatabase(client, name, password))
  const url = new URL(inject('postgresUrl'))
  return {
    url: `postgres://${name}:${password}@${url.host}/${name}`,
    drop: () =>
      withPostgres(inject('postgresUrl'), async (client) => {
        await client.query(`drop database if exists ${name} with (force)`)
        await client.query(`drop role if exists ${name}`)
      }),
  }
}

/** An empty keyspace (a database number) on the shared Redis. */
export async function freshRedis(): Promise<FreshPlace> {
  const admin = inject('redisUrl')
  const keyspace = await withRedis(admin, async (client) => 1 + ((await client.incr('next')) % 4095))
  const url = `redis://:${new URL(admin).password}@${new URL(admin).host}/${keyspace}`
  const flush = (): Promise<void> => withRedis(url, async (client) => void (await client.flushdb()))
  await flush()
  return { url, drop: flush }
}

/** A server of a test's own. */
export interface OwnServer extends RunningServer, AsyncDisposable {
  readonly directory: string
  /** Stops the server and removes its folder. Twice resolves. */
  dispose(): Promise<void>
}

/** Starts a server of the test's own, in a folder of its own: to kill, to restart, to fill with what others must not see. */
export function startServer(
  engine: 'postgres' | 'redis',
  options: Pick<StartOptions, 'durable' | 'port' | 'signal'> = {},
): Promise<OwnServer> {
  const recipe = engine === 'postgres' ? postgres : redis
  return own((directory) => recipe.start({ version: pins[engine], directory, ...options }))
}

/** A running Redis Cluster of three primaries, all slots assigned. */
export interface OwnRedisCluster extends AsyncDisposable {
  readonly nodes: readonly OwnServer[]
  /** The URLs of the nodes; any one of them leads to all. They share a password. */
  readonly urls: readonly string[]
  dispose(): Promise<void>
}

/** Starts a Redis Cluster of the test's own. */
export async function startRedisCluster(): Promise<OwnRedisCluster> {
  const nodes: OwnServer[] = []
  const dispose = async (): Promise<void> => {
    await Promise.all(nodes.map((node) => node.dispose()))
  }
  const recipe = clusterNode(randomBytes(12).toString('hex'))
  try {
    for (let count = 0; count < 3; count += 1) {
      // A free port may be taken between its choice and its use; of a node's two only the first is chosen anew.
      const start = (): Promise<OwnServer> =>
        own((directory) => recipe.start({ version: pins.redis, directory }))
      nodes.push(await start().catch(start).catch(start))
    }
    const urls = nodes.map((node) => node.adminUrl())
    await joinCluster(urls)
    return { nodes, urls, dispose, [Symbol.asyncDispose]: dispose }
  } catch (error) {
    await dispose()
    throw error
  }
}

const slots = 16_384

async function joinCluster(urls: readonly string[]): Promise<void> {
  const share = Math.ceil(slots / urls.length)
  for (const [index, url] of urls.entries()) {
    await withRedis(url, async (client) => {
      const last = Math.min((index + 1) * share, slots) - 1
      await client.call('CLUSTER', 'ADDSLOTSRANGE', String(index * share), String(last))
      await client.call('CLUSTER', 'SET-CONFIG-EPOCH', String(index + 1))
    })
  }
  const [first = '', ...others] = urls
  await withRedis(first, async (client) => {
    const ports = new Map(
      await Promise.all(
        others.map((url) =>
          withRedis(url, async (other) => [new URL(url).port, await busPort(other)] as const),
        ),
      ),
    )
    for (const [port, bus] of ports) await client.call('CLUSTER', 'MEET', '127.0.0.1', port, bus)
  })
  for (const url of urls) {
    await withRedis(url, async (client) => {
      for (let tries = 0; ; tries += 1) {
        const info = String(await client.call('CLUSTER', 'INFO'))
        const up = info.includes('cluster_state:ok') && info.includes(`cluster_known_nodes:${urls.length}`)
        if (up) return
        if (tries === 200) throw new Error(`the Redis Cluster did not come up:\n${info}`)
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    })
  }
}

async function busPort(client: Redis): Promise<string> {
  const [, port = ''] = (await client.config('GET', 'cluster-port')) as string[]
  return port
}

async function own(start: (directory: string) => Promise<RunningServer>): Promise<OwnServer> {
  const directory = await mkdtemp(join(tmpdir(), 'portside-server-'))
  const remove = (): Promise<void> => rm(directory, { recursive: true, force: true, maxRetries: 5 })
  try {
    const server = await start(directory)
    let disposing: Promise<void> | undefined
    const dispose = (): Promise<void> => {
      disposing ??= server.stop().finally(remove)
      return disposing
    }
    return {
      directory,
      get identity() {
        return server.identity
      },
      get pid() {
        return server.pid
      },
      get port() {
        return server.port
      },
      provision: (service) => server.provision(service),
      adminUrl: () => server.adminUrl(),
      stop: () => server.stop(),
      kill: () => server.kill(),
      restart: () => server.restart(),
      dispose,
      [Symbol.asyncDispose]: dispose,
    }
  } catch (error) {
    await remove()
    throw error
  }
}
