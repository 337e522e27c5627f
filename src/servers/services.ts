/** Starts what an app's declaration needs for development: its own datastores, at the pinned versions. */
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { DatastoreAdapter, RunningServer } from '../adapter.ts'
import { invalidArgument, PortError } from '../errors.ts'
import { type Config, readConfig } from '../services/config.ts'
import type { AnyService, BoundedService, Services } from '../services/declare.ts'
import { urlVariable } from '../services/declare.ts'

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
  const { directory = '.portside', env = {}, signal } = options
  const wanted = Object.entries<AnyService>(services).flatMap(([name, service]) =>
    service.boundary === 'bounded' && !isSet(env, name) ? [{ name, service }] : [],
  )
  checkBeforehand(services, wanted, env, options)
  signal?.throwIfAborted()
  if (wanted.length > 0) await makeDirectory(directory)
  const started = new Map<string, Promise<RunningServer>>()
  const stop = once(() => stopAll([...started.values()]))
  try {
    for (const { service } of wanted) {
      const key = serverKey(service)
      if (!started.has(key)) started.set(key, start(service, join(directory, key), options))
    }
    // All of them, so that none is still on its way up when another's failure stops them.
    await Promise.allSettled(started.values())
    const servers: Record<string, RunningServer> = {}
    const urls: Record<string, string> = {}
    for (const { name, service } of wanted) {
      const server = (await started.get(serverKey(service))) as RunningServer
      servers[name] = server
      urls[urlVariable(name)] = await server.provision(name)
    }
    const complete = { ...given(services, env), ...urls, PORTSIDE_EXTERNALS: 'fake' }
    if (options.migrate !== false) {
      await migrateAll(wanted, readConfig(services, { env: complete, args: [] }), options)
    }
    return { env: complete, servers, stop, [Symbol.asyncDispose]: stop }
  } catch (error) {
    await stop().catch(() => {
      // Why it did not start is what to tell; what could not be stopped after it is of no use to the caller.
    })
    throw error
  }
}

interface Wanted {
  readonly name: string
  readonly service: BoundedService<object>
}

/** One server an engine and pin: `postgresql-17.10`. */
function serverKey(service: BoundedService<object>): string {
  return `${service.adapters[0].engine}-${service.version}`
}

function isSet(env: Readonly<Record<string, string | undefined>>, name: string): boolean {
  const variable = urlVariable(name)
  return (env[variable] ?? '').trim() !== '' || (env[`${variable}_FILE`] ?? '') !== ''
}

/** Everything that would be refused in the end, told before a server is started. */
function checkBeforehand(
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

async function makeDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true })
    // Data and passwords belong in no repository.
    await writeFile(join(directory, '.gitignore'), '*\n')
  } catch (cause) {
    throw new PortError({
      code: 'permission-denied',
      message: `the folder ${directory} cannot be written to (${(cause as NodeJS.ErrnoException).code}); another user may have made it: remove it or choose another`,
      cause,
    })
  }
}

async function start(
  service: BoundedService<object>,
  directory: string,
  { durable = true, signal, onProgress }: StartServicesOptions,
): Promise<RunningServer> {
  const { server } = await service.adapters[0].server()
  return server.start({
    version: service.version,
    directory,
    durable,
    ...(signal === undefined ? {} : { signal }),
    ...(onProgress === undefined ? {} : { onProgress }),
  })
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

async function stopAll(servers: readonly Promise<RunningServer>[]): Promise<void> {
  const results = await Promise.allSettled(
    servers.map(async (starting) => {
      const server = await starting.catch(() => undefined)
      await server?.stop()
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
