/** A place for each test on the datastores: a database, a keyspace, migrated and seeded, which no other test sees. */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { DatastoreAdapter } from '../adapter.ts'
import { checkInteger } from '../calls/arguments.ts'
import { noRetry } from '../calls/retry.ts'
import { invalidArgument, PortError, type PortErrorInit } from '../errors.ts'
import type { PlaceSupply, PlaceTemplate, TestPlace, TestRights } from '../servers/isolation.ts'
import { readSeedFile } from '../servers/seed-file.ts'
import { openAll, type PortOf } from '../services/attach.ts'
import { readConfig } from '../services/config.ts'
import { type AnyService, type BoundedService, type Services, urlVariable } from '../services/declare.ts'
import { isLoopback, ServiceUrl } from '../services/url.ts'
import { type TestServer, testServer, testServersFolder } from './test-servers.ts'

/** What every test finds in a datastore besides the schema. */
export interface Seed<P> {
  /** Stands for what `apply` writes: change it whenever that changes, or tests get what was written before. */
  readonly key: string
  /** Writes it, as the owner of the schema. Runs once for all tests where the datastore can be copied. */
  apply(port: P, place: { readonly url: string }): Promise<void>
}

/** How tests have one of the datastores. */
export interface DatastoreTestOptions<P> {
  /**
   * What a test may do: production's rights, and never a superuser's.
   * @default 'data' where the service has migrations, 'owner' where it has none
   */
  readonly rights?: TestRights
  /** Extensions that only an administrator may install; `create extension` in a migration does for the others. */
  readonly extensions?: readonly string[]
  /** What a test finds; `false` for nothing. @default the seed that the service declares */
  readonly seed?: Seed<P> | false
  /** The administrator's URL of a server for tests that runs already. @default one of the pinned version is started */
  readonly adminUrl?: string
}

type BoundedNames<M extends Services> = {
  [K in keyof M]: M[K] extends BoundedService<infer _T, infer _N> ? K : never
}[keyof M]

export interface PlacesOptions<M extends Services> {
  /** How tests have each bounded service. */
  readonly datastores?: { readonly [K in BoundedNames<M>]?: DatastoreTestOptions<PortOf<M[K]>> }
  /** Where the servers are kept, from the working directory. @default '.portside/tests' */
  readonly directory?: string
  /**
   * How long the servers stay up after the last process of tests has ended, in milliseconds, up to a day.
   * @default what `PORTSIDE_TEST_LINGER_MS` says, else 600_000, ten minutes
   */
  readonly lingerMs?: number
  /** Called with one line for each step that may take long, and for what is kept of a failed test. @default to standard error */
  readonly onProgress?: (message: string) => void
}

/** The places of one test. */
export interface TestPlaces {
  /** The variables that name them. */
  readonly env: Readonly<Record<string, string>>
  /** Gives them up. */
  drop(): Promise<void>
  /** Keeps them for a person, and says where they are. */
  keep(test: string): Promise<void>
}

type Bounded = BoundedService<object>

interface Source {
  readonly name: string
  take(): Promise<TestPlace>
}

/** Places on servers of the pinned versions, for all tests of one worker. */
export class PlacesSupply {
  readonly #sources: readonly Source[]
  readonly #closers: (() => Promise<void>)[]
  readonly #onProgress: (message: string) => void

  private constructor(
    sources: readonly Source[],
    closers: (() => Promise<void>)[],
    onProgress: (message: string) => void,
  ) {
    this.#sources = sources
    this.#closers = closers
    this.#onProgress = onProgress
  }

  /** Finds or starts the servers that `services` pins, and readies what the places begin with. */
  static async open<const M extends Services>(
    services: M,
    options: PlacesOptions<M> = {},
  ): Promise<PlacesSupply> {
    const bounded = Object.entries<AnyService>(services).filter(
      (entry): entry is [string, Bounded] => entry[1].boundary === 'bounded',
    )
    const { onProgress = tell } = options
    const lingerMs = options.lingerMs ?? Number(process.env.PORTSIDE_TEST_LINGER_MS ?? 600_000)
    checkInteger('lingerMs (or PORTSIDE_TEST_LINGER_MS)', lingerMs, { min: 0, max: 86_400_000 })
    checkDatastores(
      bounded.map(([name]) => name),
      options,
    )
    const closers: (() => Promise<void>)[] = []
    const servers = new Map<string, Promise<TestServer>>()
    const serverOf = async ({ adapters: [adapter], version }: Bounded): Promise<TestServer> => {
      const { server } = await adapter.server()
      const { directory = testServersFolder } = options
      const started = await testServer(server, { version, directory, lingerMs, onProgress })
      closers.unshift(started.close)
      return started
    }
    const opened = bounded.map(async ([name, service]): Promise<Source> => {
      const own: DatastoreTestOptions<never> =
        (options.datastores as Record<string, DatastoreTestOptions<never>> | undefined)?.[name] ?? {}
      const { adminUrl } = own
      const key = `${service.adapters[0].engine}-${service.version}`
      let server: Promise<TestServer> | undefined
      if (adminUrl === undefined) {
        server = servers.get(key) ?? serverOf(service)
        servers.set(key, server)
      }
      return openSource(name, service, own, await server, onProgress, closers)
    })
    const settled = await Promise.allSettled(opened)
    const supply = new PlacesSupply(
      settled.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : [])),
      closers,
      onProgress,
    )
    const failed = settled.find((each) => each.status === 'rejected')
    if (failed === undefined) return supply
    await supply.close()
    throw failed.reason
  }

  /** A place on each datastore. */
  async take(): Promise<TestPlaces> {
    const taken = await Promise.allSettled(
      this.#sources.map(async ({ name, take }) => ({ name, place: await take() })),
    )
    const places = taken.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
    const drop = (): Promise<void> => all(places.map(({ place }) => place.drop()))
    const failed = taken.find((each) => each.status === 'rejected')
    if (failed !== undefined) {
      await drop().catch(() => {
        // Why one could not be had is what to tell.
      })
      throw failed.reason
    }
    return {
      env: Object.fromEntries(places.map(({ name, place }) => [urlVariable(name), place.url])),
      drop,
      keep: (test) =>
        all(
          places.map(async ({ name, place }) => {
            await place.keep(test)
            this.#onProgress(`${name} of the failed test "${test}" is kept: ${printable(place.url)}`)
          }),
        ),
    }
  }

  /** Finishes what is under way. */
  async close(): Promise<void> {
    // The newest first: places before their servers.
    for (const close of this.#closers.splice(0).reverse()) await close()
  }
}

async function openSource(
  name: string,
  service: Bounded,
  options: DatastoreTestOptions<never>,
  server: TestServer | undefined,
  onProgress: (message: string) => void,
  closers: (() => Promise<void>)[],
): Promise<Source> {
  const [adapter] = service.adapters
  const template = await templateOf(name, service, options)
  const { isolation } = await adapter.server()
  const adminUrl = options.adminUrl ?? server?.server.adminUrl() ?? ''
  if (isolation === undefined) return { name, take: provisioned(name, server, template) }
  const supply: PlaceSupply = await isolation.supply(adminUrl, {
    service: name,
    template,
    rights: options.rights ?? (service.migrations === undefined ? 'owner' : 'data'),
    extensions: options.extensions,
    onProgress,
  })
  closers.push(() => supply.close())
  return { name, take: () => supply.take() }
}

/** Of an engine that has no isolation of its own: a new place for each test, which stays until the server is removed. */
function provisioned(
  name: string,
  server: TestServer | undefined,
  template: PlaceTemplate | undefined,
): () => Promise<TestPlace> {
  let places = 0
  return async () => {
    if (server === undefined) {
      throw invalidArgument(`the tests of "${name}" cannot be kept apart on a server given by its URL`)
    }
    places += 1
    const url = await server.server.provision(`${name.slice(0, 20)}T${process.pid}N${places}`)
    await template?.build(url)
    return { url, drop: async () => {}, keep: async () => {} }
  }
}

/** What a place of the service begins with; `undefined` where that is nothing. */
async function templateOf(
  name: string,
  service: Bounded,
  { seed }: DatastoreTestOptions<never>,
): Promise<PlaceTemplate | undefined> {
  const { migrations } = service
  const [adapter] = service.adapters
  const filling = seed === undefined ? await declaredSeed(name, service) : ownSeed(name, service, seed)
  if (migrations === undefined && filling === undefined) return undefined
  if (migrations !== undefined && adapter.migrate === undefined) {
    throw invalidArgument(`service "${name}" names migrations, but its adapter "${adapter.name}" has none`)
  }
  const hash = createHash('sha256')
  if (migrations !== undefined) await hashFolder(migrations, hash)
  hash.update(JSON.stringify(filling?.key ?? null))
  return {
    key: hash.digest('hex'),
    async build(url) {
      if (migrations !== undefined) {
        await adapter.migrate?.(parsed(adapter, url), migrations).catch((error: unknown) => {
          if (!PortError.is(error) || error.code !== 'permission-denied') throw told(error, { service: name })
          const message = `${error.detail}; the tests' migrations run as the owner of the database, who is no superuser: name extensions that only an administrator may install in testWith(…, { datastores: { ${name}: { extensions: ['…'] } } })`
          throw told(error, { service: name, message })
        })
      }
      await filling?.build(url)
    },
  }
}

function ownSeed(name: string, service: Bounded, seed: Seed<never> | false): PlaceTemplate | undefined {
  if (seed === false) return undefined
  return { key: seed.key, build: (url) => applySeed(name, service, url, seed) }
}

/** The same error, with more of what it is about. */
function told(
  error: unknown,
  facts: Partial<Pick<PortErrorInit, 'service' | 'subject' | 'message'>>,
): unknown {
  if (!PortError.is(error)) return error
  return new PortError({ ...error, message: error.detail, cause: error.cause, ...facts })
}

/** Synthetic data, as the service declares it. */
async function declaredSeed(name: string, service: Bounded): Promise<PlaceTemplate | undefined> {
  const [adapter] = service.adapters
  if (service.seed === undefined || adapter.seeder === undefined) return undefined
  const { file, ...numbers } = service.seed
  const { seeder } = await adapter.seeder()
  const read = file === undefined ? undefined : await readSeedFile(file)
  const options = read === undefined ? numbers : { ...numbers, definition: read.definition }
  return {
    key: JSON.stringify(['seed', seeder.hash(options), read?.digest]),
    async build(url) {
      // Made by us a moment ago, wherever it is; and what the migrations have filled is theirs.
      const how = { ...options, really: true, existing: 'keep' } as const
      await seeder.seed(parsed(adapter, url), how).catch((error: unknown) => {
        // The database's name, which stands there otherwise, is of no use to anyone.
        throw told(error, { service: name, subject: file })
      })
    },
  }
}

async function hashFolder(
  folder: string,
  hash: { update(data: string | Uint8Array): unknown },
): Promise<void> {
  let names: string[]
  try {
    names = (await readdir(folder)).sort()
  } catch (cause) {
    throw new PortError({
      code: 'invalid-argument',
      message: `the folder of migrations "${folder}" cannot be read`,
      cause,
    })
  }
  for (const each of names) {
    const content = await readFile(join(folder, each)).catch((error: NodeJS.ErrnoException) => {
      // What is no file is no migration either: whoever applies them says so.
      if (error.code === 'EISDIR') return new Uint8Array()
      throw error
    })
    hash.update(`${JSON.stringify(each)} ${content.length}\n`)
    hash.update(content)
  }
}

async function applySeed(name: string, service: Bounded, url: string, seed: Seed<never>): Promise<void> {
  const services: Services = { [name]: service }
  const config = readConfig(services, {
    env: { [urlVariable(name)]: url, PORTSIDE_EXTERNALS: 'fake' },
    args: [],
  })
  const { app } = await openAll(services, config, { retry: noRetry })
  try {
    await seed.apply((app as unknown as Record<string, never>)[name] as never, { url })
  } finally {
    await app.close()
  }
}

function parsed(adapter: DatastoreAdapter<object>, url: string): ServiceUrl {
  const found = ServiceUrl.parse(url, adapter.parameters)
  if ('url' in found) return found.url
  throw new PortError({ code: 'internal', message: 'the URL of a place of a test is none of its adapter' })
}

function checkDatastores(
  names: readonly string[],
  { datastores = {} }: { readonly datastores?: object },
): void {
  for (const [name, options] of Object.entries(datastores)) {
    if (!names.includes(name)) {
      throw invalidArgument(
        `"${name}" is not among the bounded services: ${names.join(', ') || 'there are none'}`,
      )
    }
    const known = ['rights', 'extensions', 'seed', 'adminUrl']
    const unknown = Object.keys(options as object).find((key) => !known.includes(key))
    if (unknown !== undefined) {
      throw invalidArgument(
        `the tests' options of "${name}" know no "${unknown}"; they are ${known.join(', ')}`,
      )
    }
    const { seed } = options as { readonly seed?: unknown }
    if (seed !== undefined && seed !== false && !isSeed(seed)) {
      throw invalidArgument(`the tests' seed of "${name}" must be { key, apply } or false`)
    }
  }
}

function isSeed(value: unknown): boolean {
  const { key, apply } = (value ?? {}) as { readonly key?: unknown; readonly apply?: unknown }
  return typeof key === 'string' && typeof apply === 'function'
}

/** What the egress guard must let pass: servers that were named, wherever they are. */
export function allowedHosts({ datastores = {} }: { readonly datastores?: object }): readonly string[] {
  return Object.values(datastores as Record<string, { readonly adminUrl?: string }>).flatMap(
    ({ adminUrl }) => (adminUrl === undefined ? [] : [adminUrl]),
  )
}

/** A URL as it may stand in a log: with its password where it is of use on this machine alone. */
function printable(text: string): string {
  const url = new URL(text)
  if (isLoopback(url.hostname)) return `${text} (with its password, which is of use on this machine alone)`
  url.password = ''
  return `${url} (its password is not shown, because others can reach that server: set one with ALTER ROLE or ACL SETUSER)`
}

function tell(message: string): void {
  process.stderr.write(`portside: ${message}\n`)
}

/** Awaits all, then fails if one has. */
async function all(steps: readonly Promise<void>[]): Promise<void> {
  const failures = (await Promise.allSettled(steps)).flatMap((each) =>
    each.status === 'rejected' ? [each.reason] : [],
  )
  if (failures.length === 1) throw failures[0]
  if (failures.length > 1)
    throw new AggregateError(failures, `${failures.length} places could not be given up`)
}
