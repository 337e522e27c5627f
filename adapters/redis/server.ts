/**
 * Starts a real Redis or Valkey: the server on the PATH, or the system's packages unpacked into the cache. One
 * numbered keyspace for each service; a password; loopback only.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { Redis } from 'ioredis'
import type { DatastoreServer, ServerIdentity } from '../../src/adapter.ts'
import { PortError } from '../../src/errors.ts'
import { containerServer, containerSource } from '../../src/servers/docker.ts'
import type { ServerEngine, ServerPlace } from '../../src/servers/engine.ts'
import { freePort } from '../../src/servers/free-port.ts'
import { datastoreServer } from '../../src/servers/server.ts'
import { redisContainer } from './container.ts'
import { parseIdentity } from './identity.ts'
import { redisDebian, redisPath, valkeyDebian, valkeyPath } from './programs.ts'

export { isolation } from './places.ts'

const keyspaces = 4096

const single = engine(() => [])
const inContainer = { ...single, container: redisContainer('redis', configuration) }

/** A single server, as `redis:` URLs mean it. */
export const server: DatastoreServer = datastoreServer({
  ...single,
  containers: containerSource(inContainer),
})

/** The same from the official image `redis`, in a container or nowhere. */
export const contained: DatastoreServer = containerServer(inContainer)

const singleValkey: ServerEngine = {
  ...engine(() => [], 'valkey-server'),
  ...{ engine: 'valkey', title: 'Valkey', sources: [valkeyPath, valkeyDebian] },
}
const valkeyInContainer = { ...singleValkey, container: redisContainer('valkey/valkey', configuration) }

/** A single Valkey: from its image, the `valkey-server` on the PATH, or the system's packages where they have it. */
export const valkey: DatastoreServer = datastoreServer({
  ...singleValkey,
  containers: containerSource(valkeyInContainer),
})

/** The same from the official image `valkey/valkey`, in a container or nowhere. */
export const containedValkey: DatastoreServer = containerServer(valkeyInContainer)

/**
 * A node of a Redis Cluster that no other node knows yet and that has no slots.
 * @param password the cluster's: its nodes share one
 */
export function clusterNode(password: string): DatastoreServer {
  return datastoreServer(
    engine((place) => {
      place.folder.password('default', () => password)
      return clusterSettings(place)
    }),
  )
}

function engine(
  settingsOf: (place: ServerPlace) => readonly string[] | Promise<readonly string[]>,
  program = 'redis-server',
): ServerEngine {
  return {
    engine: 'redis',
    title: 'Redis',
    sources: [redisPath, redisDebian],
    stopSignal: 'SIGTERM',
    prepare: async ({ folder }) => {
      await mkdir(folder.data, { recursive: true, mode: 0o700 })
    },
    async command(place, port) {
      const { folder, programs } = place
      const more = await settingsOf(place)
      // In a file, because a program's arguments are shown to every user of the machine.
      const file = folder.file('redis.conf')
      await rm(file, { force: true })
      await writeFile(file, [...more, ...settings(place, port), ''].join('\n'), {
        mode: 0o600,
      })
      const env = { PATH: process.env.PATH ?? '', LC_ALL: 'C', TZ: 'UTC', ...programs.env }
      return { file: programs.program(program), args: [file], cwd: folder.data, env }
    },
    identify: (place, port) => withAdmin(place, port, identity),
    provision(place, port, service) {
      const number = place.folder.placeOf<number>(service, nextKeyspace)
      return Promise.resolve(urlOf(place, port, number))
    },
    adminUrl: (place, port) => urlOf(place, port, 0),
  }
}

function settings(place: ServerPlace, port: number): string[] {
  return [
    'bind 127.0.0.1',
    `port ${port}`,
    'protected-mode yes',
    // The server is started in it. By its path it would need quoting.
    'dir ./',
    ...configuration(place),
  ]
}

/** What is the same wherever it runs. */
function configuration(place: ServerPlace): string[] {
  // Every write is on disk before it is acknowledged: "everysec" may lose what SIGKILL finds in memory.
  const persistence = place.durable ? ['appendonly yes', 'appendfsync always'] : ['appendonly no']
  return [
    `requirepass ${password(place)}`,
    `masterauth ${password(place)}`,
    `databases ${keyspaces}`,
    'daemonize no',
    'save ""',
    ...persistence,
  ]
}

async function clusterSettings({ folder }: ServerPlace): Promise<string[]> {
  // Redis's own choice, the port plus 10 000, is beyond the last port for many a free one.
  const free = await freePort()
  const bus = folder.placeOf<number>('cluster bus', () => free)
  return ['cluster-enabled yes', `cluster-port ${bus}`, 'cluster-node-timeout 2000']
}

async function identity(client: Redis): Promise<ServerIdentity> {
  const found = parseIdentity(await client.info('server'))
  // INFO is answered while the server still reads its data; this is not.
  await client.dbsize()
  return found
}

function urlOf(place: ServerPlace, port: number, keyspace: number): string {
  return `redis://:${password(place)}@127.0.0.1:${port}/${keyspace}`
}

function password({ folder }: ServerPlace): string {
  return folder.password('default')
}

function nextKeyspace(taken: readonly number[]): number {
  const next = taken.length === 0 ? 0 : Math.max(...taken) + 1
  if (next < keyspaces) return next
  throw new PortError({ code: 'quota-exceeded', message: `all ${keyspaces} keyspaces are taken` })
}

async function withAdmin<T>(
  place: ServerPlace,
  port: number,
  work: (client: Redis) => Promise<T>,
): Promise<T> {
  const client = new Redis({
    ...{ host: '127.0.0.1', port, password: password(place) },
    lazyConnect: true,
    connectTimeout: 10_000,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
    enableReadyCheck: false,
  })
  // The rejected command tells the same; without a listener the client writes to the console.
  client.on('error', () => {})
  try {
    await client.connect()
    return await work(client)
  } finally {
    // Of a connection that was refused, ioredis would wait two seconds for its end, which came before.
    if (client.status !== 'end') client.disconnect()
  }
}
