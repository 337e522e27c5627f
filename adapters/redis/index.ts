/**
 * Redis and Valkey by ioredis, a single server or a cluster. The client behind `native()` repeats nothing by
 * itself; use `duplicate()` of it for blocking commands and subscriptions, which need a connection of their own.
 */
import { readFile } from 'node:fs/promises'
import { Cluster, type ClusterOptions, Redis, type RedisOptions } from 'ioredis'
import type { DatastoreAdapter, OpenContext } from '../../src/adapter.ts'
import { byteLength } from '../../src/calls/arguments.ts'
import { invalidArgument } from '../../src/errors.ts'
import { KeyValueStore } from '../../src/ports/key-value-store.ts'
import type { ServiceUrl, UrlParameters } from '../../src/services/url.ts'
import { RedisConnection } from './connection.ts'
import { redisDriver } from './key-value-store.ts'

export { classifyRedisError } from './errors.ts'
export { type RedisKeyValueStoreOptions, redisKeyValueStore } from './key-value-store.ts'

const defaultConnectTimeoutMs = 5_000
const defaultSilenceTimeoutMs = 15_000
const longestPrefixBytes = 512
// Between attempts to connect: soon at first, then twice a second.
const longestReconnectMs = 500

const parameters = {
  cluster: {
    type: 'boolean',
    description: 'whether the URL names one node of a Redis Cluster, by which the others are found',
  },
  keyPrefix: { type: 'text', description: 'put before every key, for apps that share a server' },
  connectTimeoutMs: {
    type: 'integer',
    min: 1,
    max: 120_000,
    description: `how long one attempt to connect may take (${defaultConnectTimeoutMs})`,
  },
  silenceTimeoutMs: {
    type: 'integer',
    min: 1,
    max: 3_600_000,
    description: `after how long without any answer a connection is taken for dead (${defaultSilenceTimeoutMs})`,
  },
  caFile: { type: 'text', description: 'a file with the certificate that signed the server’s, for rediss:' },
} as const satisfies UrlParameters

/** The adapter of `redis:` and, over TLS, `rediss:` URLs. */
export const redis: DatastoreAdapter<KeyValueStore, Redis | Cluster> = {
  name: 'redis',
  port: KeyValueStore,
  engine: 'redis',
  schemes: ['redis', 'rediss'],
  example: 'redis://user:password@localhost:6379/0',
  parameters,
  server: () => import('./server.ts'),
  validate(url) {
    const problems: string[] = []
    if (url.host === '') problems.push('it names no host')
    if (!/^\d{0,5}$/.test(url.path)) problems.push('its path must be the number of a database, such as /0')
    if (url.boolean('cluster') && Number(url.path) !== 0) problems.push('a cluster has database 0 alone')
    if (url.username !== undefined && url.password === undefined)
      problems.push('it has a user but no password')
    if (url.text('caFile') !== undefined && url.scheme !== 'rediss')
      problems.push('caFile is for rediss: alone')
    const prefix = url.text('keyPrefix') ?? ''
    if (prefix.includes('\0')) problems.push('its keyPrefix holds a NUL character')
    if (byteLength(prefix) > longestPrefixBytes) {
      problems.push(`its keyPrefix is longer than ${longestPrefixBytes} bytes`)
    }
    return problems
  },
  async open(url, context) {
    const connection = new RedisConnection(await clientFor(url, context))
    const prefix = url.text('keyPrefix')
    return redisDriver(connection, prefix === undefined ? {} : { keyPrefix: prefix }, () =>
      connection.close(),
    )
  },
}

async function clientFor(url: ServiceUrl, { service }: OpenContext): Promise<Redis | Cluster> {
  const node = { host: url.host, port: url.port ?? 6379 }
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
