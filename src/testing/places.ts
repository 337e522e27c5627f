/** Throw-away servers for tests, and a place on them for each test: a database, a keyspace, migrated and empty. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RunningServer } from '../adapter.ts'
import { type AnyService, type BoundedService, type Services, urlVariable } from '../services/declare.ts'
import { ServiceUrl } from '../services/url.ts'

type Bounded = BoundedService<object>

/** The bounded services of a declaration, by name. */
function boundedOf(services: Services): readonly (readonly [string, Bounded])[] {
  return Object.entries<AnyService>(services).filter(
    (entry): entry is [string, Bounded] => entry[1].boundary === 'bounded',
  )
}

/** Servers of the pinned versions that live as long as a test worker. */
export class TestServers {
  readonly #services: readonly (readonly [string, Bounded])[]
  readonly #directory: string
  /** By engine and version: services that share both share a server. */
  readonly #servers: ReadonlyMap<string, RunningServer>
  #places = 0

  private constructor(
    services: readonly (readonly [string, Bounded])[],
    directory: string,
    servers: ReadonlyMap<string, RunningServer>,
  ) {
    this.#services = services
    this.#directory = directory
    this.#servers = servers
  }

  /** Starts a server for each engine and version that `services` pins, on free ports, in a temporary folder. */
  static async start(services: Services): Promise<TestServers> {
    const bounded = boundedOf(services)
    const directory = await mkdtemp(join(tmpdir(), 'portside-test-'))
    const servers = new Map<string, RunningServer>()
    const started = new TestServers(bounded, directory, servers)
    const wanted = new Map(bounded.map(([, service]) => [serverKey(service), service]))
    const starts = [...wanted].map(async ([key, { adapters, version }]) => {
      const { server } = await adapters[0].server()
      servers.set(key, await server.start({ version, directory: join(directory, key), durable: false }))
    })
    await Promise.allSettled(starts)
    try {
      await Promise.all(starts)
      return started
    } catch (error) {
      await started.stop()
      throw error
    }
  }

  /** New places for all bounded services, with their migrations applied; answers the variables that name them. */
  async freshEnv(): Promise<Readonly<Record<string, string>>> {
    this.#places += 1
    const suffix = `T${this.#places}`
    const env: Record<string, string> = {}
    for (const [name, service] of this.#services) {
      const url = await this.#servers.get(serverKey(service))?.provision(`${name.slice(0, 30)}${suffix}`)
      if (url === undefined) continue
      env[urlVariable(name)] = url
      const [adapter] = service.adapters
      if (service.migrations === undefined || adapter.migrate === undefined) continue
      const parsed = ServiceUrl.parse(url, adapter.parameters)
      if ('url' in parsed) await adapter.migrate(parsed.url, service.migrations)
    }
    return env
  }

  /** Stops the servers and removes all they held. */
  async stop(): Promise<void> {
    await Promise.allSettled([...this.#servers.values()].map((server) => server.stop()))
    await rm(this.#directory, { recursive: true, force: true, maxRetries: 5 })
  }
}

function serverKey({ adapters: [adapter], version }: Bounded): string {
  return `${adapter.engine}-${version}`
}
