/** Starts what an app's declaration needs for development: its own datastores, at the pinned versions. */
import { existsSync, readdirSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { DatastoreAdapter, DatastoreServer, RunningServer, StartOptions } from '../adapter.ts'
import { invalidArgument, PortError } from '../errors.ts'
import { type Config, readConfig } from '../services/config.ts'
import type { AnyService, BoundedService, Services } from '../services/declare.ts'
import { urlVariable } from '../services/declare.ts'
import { throwIfFull } from './folder.ts'
import { refuseChangedMigrations, rememberMigrations } from './migrations.ts'

export interface StartServicesOptions {
  /** Where the servers keep their data. @default '.portside' */
  readonly directory?: string
  /**
   * The environment. A service that has its URL there (or a file with it) is left to that: no server is started for
   * it and its schema is not touched.
   * @default an empty one: every bounded service is started
   */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined
  /** Keep acknowledged writes through SIGKILL. @default true */
  readonly durable?: boolean
  /** Apply the migrations of the started services. @default true */
  readonly migrate?: boolean
  /**
   * What to do with data that was made under another pin, settings, credentials or migrations (new ones are just
   * applied; a changed or a missing one is meant here).
   * @default 'refuse'
   */
  readonly changed?: 'refuse' | 'accept'
  readonly signal?: AbortSignal
  /** Called with one line for each step that may take more than half a second. */
  readonly onProgress?: (message: string) => void
}

type BoundedNames<M extends Services> = {
  [K in keyof M]: M[K] extends BoundedService<infer _T, infer _N> ? K : never
}[keyof M]

/** The servers of the bounded services. Two services with one engine and pin share a server. */
export type ServersOf<M extends Services> = { readonly [K in BoundedNames<M>]: RunningServer }

export interface StartedServices<Servers> extends AsyncDisposable {
  /** What the app's environment must hold: the URLs of the bounded services, and fakes for the rest. */
  readonly env: Readonly<Record<string, string>>
  readonly servers: Servers
  /** Stops all servers, even if one fails. Their data stays. Stopping twice resolves. */
  stop(): Promise<void>
}

/**
 * Starts the datastores of a declaration on loopback, gives every service a place of its own, and applies the
 * migrations.
 * @throws PortError `invalid-argument` on a bad configuration, before anything is started; `unsupported` where a
 * pinned version cannot be had; whatever starting or migrating fails with. What was started is stopped again.
 */
export async function startServices<const M extends Services>(
  services: M,
  options?: StartServicesOptions & { readonly env?: undefined },
): Promise<StartedServices<ServersOf<M>>>
export async function startServices<const M extends Services>(
  services: M,
  options: StartServicesOptions,
): Promise<StartedServices<Partial<ServersOf<M>>>>
export async function startServices(
  services: Services,
  options: StartServicesOptions = {},
): Promise<StartedServices<Readonly<Record<string, RunningServer>>>> {
  const { env, servers, stop } = await bringUp(services, options, async (server, startOptions) =>
    server.start(startOptions),
  )
  return { env, servers, stop, [Symbol.asyncDispose]: stop }
}

/** What bringing up needs of a server, whoever it belongs to. */
type AnyServer = Pick<RunningServer, 'provision' | 'stop'>

interface BroughtUp<S> {
  readonly env: Readonly<Record<string, string>>
  readonly servers: Readonly<Record<string, S>>
  readonly stop: () => Promise<void>
}

/**
 * The servers of a declaration, each service with its place and its schema. What fails takes down what came up with it.
 * @param startOne starts one server
 * @param stopOne what a failure, and `stop`, do with one
 */
export async function bringUp<S extends AnyServer>(
  services: Services,
  options: StartServicesOptions,
  startOne: (server: DatastoreServer, options: StartOptions) => Promise<S>,
  stopOne: (server: S) => Promise<void> = (server) => server.stop(),
): Promise<BroughtUp<S>> {
  const { directory = '.portside', env = {}, signal } = options
  const wanted = wantedServices(services, env)
  checkBeforehand(services, wanted, env, options)
  signal?.throwIfAborted()
  if (wanted.length > 0) await makeDirectory(directory)
  const folders = serverFolders(services, directory)
  const folderOf = (name: string): string => folders.get(name) as string
  const migrated =
    options.migrate === false ? [] : wanted.filter(({ service }) => service.migrations !== undefined)
  if (options.changed !== 'accept') await refuseChangedMigrations(migrated, folderOf)
  tellOfOthers(wanted, folderOf, options)
  const started = new Map<string, Promise<S>>()
  const stop = once(() => stopAll([...started.values()], stopOne))
  try {
    for (const { name, service } of wanted) {
      const folder = folderOf(name)
      if (!started.has(folder)) started.set(folder, start(service, folder, options, startOne))
    }
    // All of them, so that none is still on its way up when another's failure stops them.
    await Promise.allSettled(started.values())
    const servers: Record<string, S> = {}
    const urls: Record<string, string> = {}
    for (const { name } of wanted) {
      const server = (await started.get(folderOf(name))) as S
      servers[name] = server
      urls[urlVariable(name)] = await server.provision(name)
    }
    const complete = environment(services, env, urls)
    await migrateAll(migrated, readConfig(services, { env: complete, args: [] }), options)
    for (const { name, service } of migrated) await rememberMigrations(folderOf(name), name, service)
    return { env: complete, servers, stop }
  } catch (error) {
    await stop().catch(() => {
      // Why it did not start is what to tell; what could not be stopped after it is of no use to the caller.
    })
    throw error
  }
}

/** The bounded services that `env` gives no URL: those that need a server. */
export function wantedServices(
  services: Services,
  env: Readonly<Record<string, string | undefined>>,
): readonly Wanted[] {
  return Object.entries<AnyService>(services).flatMap(([name, service]) =>
    service.boundary === 'bounded' && !isSet(env, name) ? [{ name, service }] : [],
  )
}

export interface Wanted {
  readonly name: string
  readonly service: BoundedService<object>
}

/**
 * The folder of each bounded service's server, named by major version: `postgresql-17`. Services of one engine and pin
 * share one; where a declaration has two pins of one major version, the whole pin names them.
 */
export function serverFolders(services: Services, directory: string): ReadonlyMap<string, string> {
  const all = Object.entries<AnyService>(services).flatMap(([name, service]) =>
    service.boundary === 'bounded'
      ? [{ name, engine: service.adapters[0].engine as string, pin: service.version }]
      : [],
  )
  return new Map(
    all.map(({ name, engine, pin }) => {
      const major = majorOf(pin)
      const pins = all.filter((each) => each.engine === engine && majorOf(each.pin) === major)
      const version = pins.every((each) => each.pin === pin) ? major : pin
      return [name, join(directory, `${engine}-${version}`)]
    }),
  )
}

function majorOf(pin: string): string {
  return pin.split('.')[0] as string
}

/** A server that starts empty beside the data of another version of it: said, so that no one thinks the data lost. */
function tellOfOthers(
  wanted: readonly Wanted[],
  folderOf: (name: string) => string,
  { directory = '.portside', onProgress }: StartServicesOptions,
): void {
  if (onProgress === undefined) return
  const used = new Map(wanted.map(({ name, service }) => [basename(folderOf(name)), service]))
  for (const [folder, service] of used) {
    if (existsSync(join(directory, folder, 'data'))) continue
    const others = readdirSync(directory).filter(
      (other) =>
        other.startsWith(`${service.adapters[0].engine}-`) &&
        /-[\d.]+$/.test(other) &&
        !used.has(other) &&
        existsSync(join(directory, other, 'data')),
    )
    if (others.length > 0)
      onProgress(`${folder} starts empty; the data in ${others.join(' and ')} stays there`)
  }
}

function isSet(env: Readonly<Record<string, string | undefined>>, name: string): boolean {
  const variable = urlVariable(name)
  return (env[variable] ?? '').trim() !== '' || (env[`${variable}_FILE`] ?? '') !== ''
}

/** Everything that would be refused in the end, told before a server is started. */
export function checkBeforehand(
  services: Services,
  wanted: readonly Wanted[],
  env: Readonly<Record<string, string | undefined>>,
  options: StartServicesOptions,
): void {
  if ((env.PORTSIDE_EXTERNALS ?? 'fake') !== 'fake') {
    throw invalidArgument(
      'PORTSIDE_EXTERNALS must be unset or "fake" here: development never calls the services of others; to do so, run the program itself with its real configuration',
    )
  }
  // Servers that are still to come are stood in for by an example, which has the right form.
  const examples = wanted.map(({ name, service }) => [urlVariable(name), service.adapters[0].example])
  readConfig(services, {
    env: { ...env, ...Object.fromEntries(examples), PORTSIDE_EXTERNALS: 'fake' },
    args: [],
  })
  if (options.migrate === false) return
  for (const { name, service } of wanted) {
    if (service.migrations === undefined) continue
    if (service.adapters[0].migrate === undefined) {
      throw invalidArgument(
        `service "${name}" names migrations, but its adapter "${service.adapters[0].name}" has none`,
      )
    }
    if (!existsSync(service.migrations)) {
      throw invalidArgument(`the migrations of service "${name}" are not there: ${service.migrations}`)
    }
  }
}

export async function makeDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true })
    // Data and passwords belong in no repository.
    const ignore = join(directory, '.gitignore')
    if (!existsSync(ignore)) await writeFile(ignore, '*\n')
  } catch (cause) {
    throwIfFull(directory, cause)
    throw new PortError({
      code: 'permission-denied',
      message: `the folder ${directory} cannot be written to (${(cause as NodeJS.ErrnoException).code}); another user may have made it: remove it or choose another`,
      cause,
    })
  }
}

async function start<S>(
  service: BoundedService<object>,
  directory: string,
  { durable = true, changed = 'refuse', signal, onProgress }: StartServicesOptions,
  startOne: (server: DatastoreServer, options: StartOptions) => Promise<S>,
): Promise<S> {
  const { server } = await service.adapters[0].server()
  return startOne(server, {
    version: service.version,
    directory,
    durable,
    changed,
    ...(signal === undefined ? {} : { signal }),
    ...(onProgress === undefined ? {} : { onProgress }),
  })
}

/** What the app's environment must hold: what `env` says itself, and the URLs of what was started. */
export function environment(
  services: Services,
  env: Readonly<Record<string, string | undefined>>,
  urls: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  return { ...given(services, env), ...urls, PORTSIDE_EXTERNALS: 'fake' }
}

/** What `env` itself says about the bounded services. */
function given(
  services: Services,
  env: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string>> {
  const variables = Object.entries<AnyService>(services)
    .filter(([, { boundary }]) => boundary === 'bounded')
    .flatMap(([name]) => [urlVariable(name), `${urlVariable(name)}_FILE`])
  return Object.fromEntries(
    variables.flatMap((variable) => {
      const value = env[variable]
      return value === undefined || value === '' ? [] : [[variable, value]]
    }),
  )
}

async function migrateAll(
  wanted: readonly Wanted[],
  config: Config,
  { signal, onProgress }: StartServicesOptions,
): Promise<void> {
  for (const { name, service } of wanted) {
    const how = config.services.get(name)
    if (service.migrations === undefined || how?.implementation !== 'real') continue
    const adapter: DatastoreAdapter<object> = service.adapters[0]
    const report = await adapter.migrate?.(how.url, service.migrations, {
      ...(signal === undefined ? {} : { signal }),
      onProgress: (message) => onProgress?.(`${name}: ${message}`),
    })
    const applied = report?.applied.length ?? 0
    if (applied > 0) onProgress?.(`${name}: ${applied} ${applied === 1 ? 'migration' : 'migrations'} applied`)
  }
}

async function stopAll<S>(
  servers: readonly Promise<S>[],
  stopOne: (server: S) => Promise<void>,
): Promise<void> {
  const results = await Promise.allSettled(
    servers.map(async (starting) => {
      const server = await starting.catch(() => undefined)
      if (server !== undefined) await stopOne(server)
    }),
  )
  const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))
  if (failures.length > 0)
    throw new AggregateError(failures, `${failures.length} servers did not stop cleanly`)
}

function once(action: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined
  return () => {
    done ??= action()
    return done
  }
}
