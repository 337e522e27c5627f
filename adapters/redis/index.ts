/**
 * Redis and Valkey by ioredis, a single server or a cluster. The client behind `native()` repeats nothing by
 * itself; use `duplicate()` of it for blocking commands and subscriptions, which need a connection of their own.
 */
import type { Cluster, Redis } from 'ioredis'
import type { DatastoreAdapter } from '../../src/adapter.ts'
import { byteLength } from '../../src/calls/arguments.ts'
import { KeyValueStore } from '../../src/ports/key-value-store.ts'
import type { UrlParameters } from '../../src/services/url.ts'
import { loadVendor } from '../../src/services/vendor.ts'
import { defaultConnectTimeoutMs, defaultPort, defaultSilenceTimeoutMs } from './defaults.ts'

export { classifyRedisError } from './errors.ts'

const longestPrefixBytes = 512

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
  endpoint: ({ host, port }) => ({ host, port: port ?? defaultPort }),
  async open(url, context) {
    const { openRedis } = await loadVendor(() => import('./open.ts'), ['ioredis'])
    return openRedis(url, context)
  },
}

/** The adapter for a service that is pinned to Valkey. It speaks Redis's protocol, and its URLs are `redis:` ones. */
export const valkey: DatastoreAdapter<KeyValueStore, Redis | Cluster> = {
  ...redis,
  name: 'valkey',
  engine: 'valkey',
  async server() {
    const servers = await import('./server.ts')
    return { server: servers.valkey, isolation: servers.isolation }
  },
}
