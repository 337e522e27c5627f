/** Makes the ioredis client that a URL asks for. Loaded only when one does. */
import { readFile } from 'node:fs/promises'
import { Cluster, type ClusterOptions, Redis, type RedisOptions } from 'ioredis'
import type { DatastoreDriver, OpenContext } from '../../src/adapter.ts'
import { invalidArgument } from '../../src/errors.ts'
import type { KeyValueStore } from '../../src/ports/key-value-store.ts'
import type { ServiceUrl } from '../../src/services/url.ts'
import { endClient } from './connection.ts'
import { defaultConnectTimeoutMs, defaultPort, defaultSilenceTimeoutMs } from './defaults.ts'
import { redisKeyValueStore } from './key-value-store.ts'

// Between attempts to connect: soon at first, then twice a second.
const longestReconnectMs = 500

export async function openRedis(
  url: ServiceUrl,
  context: OpenContext,
): Promise<DatastoreDriver<KeyValueStore>> {
  const client = await clientFor(url, context)
  const keyPrefix = url.text('keyPrefix')
  const driver = redisKeyValueStore(client, keyPrefix === undefined ? {} : { keyPrefix })
  return {
    ...driver,
    async close() {
      // The driver goes on listening until the client has ended, which may report errors up to then.
      await endClient(client)
      await driver.close()
    },
  }
}

async function clientFor(url: ServiceUrl, { service }: OpenContext): Promise<Redis | Cluster> {
  const node = { host: url.host, port: url.port ?? defaultPort }
  const options = await connectionOptions(url, service)
  if (!url.boolean('cluster')) {
    return new Redis({
      ...node,
      ...options,
      db: Number(url.path),
      lazyConnect: true,
      enableOfflineQueue: false,
      retryStrategy: reconnectDelayMs,
    })
  }
  return new Cluster([node], {
    redisOptions: options,
    lazyConnect: true,
    // The guard repeats what may be repeated; see connection.ts.
    retryDelayOnFailover: 0,
    retryDelayOnClusterDown: 0,
    clusterRetryStrategy: reconnectDelayMs,
    slotsRefreshTimeout: url.integer('connectTimeoutMs') ?? defaultConnectTimeoutMs,
    // A certificate is for a name, so with TLS names must not be turned into addresses beforehand.
    ...(options.tls === undefined ? {} : { dnsLookup: unresolved }),
  })
}

const unresolved: NonNullable<ClusterOptions['dnsLookup']> = (name, callback) => callback(null, name)

/** What every connection has, alone or in a cluster. */
type NodeOptions = Omit<RedisOptions, 'replyMapping' | 'himportFieldsets'>

async function connectionOptions(url: ServiceUrl, service: string): Promise<NodeOptions> {
  return {
    ...(url.username === undefined ? {} : { username: url.username }),
    ...(url.password === undefined ? {} : { password: url.password }),
    ...(url.scheme === 'rediss' ? { tls: await tlsOptions(url) } : {}),
    connectionName: `portside:${service}`,
    connectTimeout: url.integer('connectTimeoutMs') ?? defaultConnectTimeoutMs,
    // Not commandTimeout, which leaves a dead connection in place: the guard has a deadline for each call already.
    socketTimeout: url.integer('silenceTimeoutMs') ?? defaultSilenceTimeoutMs,
    disconnectTimeout: 10,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
  }
}

async function tlsOptions(url: ServiceUrl): Promise<NonNullable<RedisOptions['tls']>> {
  const file = url.text('caFile')
  if (file === undefined) return {}
  const ca = await readFile(file).catch((cause: unknown) => {
    throw invalidArgument(
      `caFile cannot be read (${(cause as NodeJS.ErrnoException).code ?? 'unknown reason'})`,
    )
  })
  return { ca }
}

function reconnectDelayMs(attempt: number): number {
  const delay = Math.min(longestReconnectMs, 50 * 2 ** Math.min(attempt - 1, 10))
  return delay * (0.75 + Math.random() / 4)
}
