/** The servers of a declaration, kept: brought up once, used by every command that comes after, until they are stopped. */
import { join } from 'node:path'
import type { DatastoreServer, KeptServer, StartOptions } from '../adapter.ts'
import { version } from '../cli/version.ts'
import { PortError } from '../errors.ts'
import { type Services, urlVariable } from '../services/declare.ts'
import { pinHolds } from '../services/pin.ts'
import { type LastRun, recallIn, ServerFolder } from './folder.ts'
import { listens } from './free-port.ts'
import { type Holder, type Lock, takeLock } from './lock.ts'
import { areMigrated } from './migrations.ts'
import { isRunning } from './processes.ts'
import {
  bringUp,
  checkBeforehand,
  environment,
  makeDirectory,
  type StartServicesOptions,
  serverFolders,
  type Wanted,
  wantedServices,
} from './services.ts'
import { forcedSource } from './source.ts'

/** How long to wait for another command that brings servers up: it may have to fetch them first. */
const waitMs = 600_000

/** What is told of a server that is up. */
export type UpServer = Pick<KeptServer, 'identity' | 'pid' | 'port' | 'reused'>

export interface KeptServices {
  /** What the app's environment must hold: the URLs of the bounded services, and fakes for the rest. */
  readonly env: Readonly<Record<string, string>>
  readonly servers: Readonly<Record<string, UpServer>>
  /** Stops those that were not running before. The others belong to whoever started them. */
  stopStarted(): Promise<void>
}

/** What a server's folder remembers of the services on it. */
interface Places {
  /** The version of this package that brought them up: another one's may look otherwise. */
  readonly by: string
  readonly urls?: Readonly<Record<string, string>>
}

/**
 * Brings up what a declaration needs and leaves it running. Many at once start each server once.
 * @throws PortError as `startServices`; what this call started is stopped again, what ran before stays
 */
export async function keepServices(services: Services, options: StartServicesOptions): Promise<KeptServices> {
  const { directory = '.portside', env = {} } = options
  const wanted = wantedServices(services, env)
  checkBeforehand(services, wanted, env, options)
  const known = await knownToBeUp(services, wanted, options)
  if (known !== undefined) return known
  if (wanted.length > 0) await makeDirectory(directory)
  const lock = wanted.length > 0 ? await lockDirectory(directory, options) : undefined
  try {
    const up = await bringUp(services, options, keepOne, async (server) => {
      if (!server.reused) await server.stop()
    })
    const folders = serverFolders(services, directory)
    try {
      rememberPlaces(
        wanted.map(({ name }) => [name, folders.get(name) as string] as const),
        up.env,
      )
    } catch (error) {
      await up.stop()
      throw error
    }
    return { env: up.env, servers: up.servers, stopStarted: up.stop }
  } finally {
    lock?.release()
  }
}

async function keepOne(server: DatastoreServer, options: StartOptions): Promise<KeptServer> {
  if (server.keep !== undefined) return server.keep(options)
  throw new PortError({
    code: 'unsupported',
    message: `the servers of ${server.engine} end with who started them: start one yourself, and set the service's URL`,
  })
}

/**
 * One command at a time changes what runs in a directory.
 * @throws PortError `conflict` where another does so for very long
 */
export async function lockDirectory(
  directory: string,
  { signal, onProgress }: Pick<StartServicesOptions, 'signal' | 'onProgress'>,
): Promise<Lock> {
  let lock: Lock | Holder
  try {
    lock = await takeLock(join(directory, 'lock'), {
      waitMs,
      signal,
      onWait: ({ pid }) => onProgress?.(`waiting for process ${pid}, which is busy with ${directory}`),
    })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'EACCES' && code !== 'EPERM' && code !== 'EROFS') throw error
    throw new PortError({
      code: 'permission-denied',
      message: `the folder ${directory} cannot be written to (${code}); another user may have made it: run as that user, or choose another folder`,
      cause: error,
    })
  }
  if (!('holder' in lock)) return lock
  throw new PortError({
    code: 'conflict',
    message: `process ${lock.holder.pid} has been busy with ${directory} for ${waitMs / 60_000} minutes; end it and try again`,
  })
}

function rememberPlaces(
  placed: readonly (readonly [name: string, folder: string])[],
  env: Readonly<Record<string, string>>,
): void {
  for (const path of new Set(placed.map(([, folder]) => folder))) {
    const urls = Object.fromEntries(
      placed
        .filter(([, folder]) => folder === path)
        .map(([name]) => [name, env[urlVariable(name)] as string]),
    )
    const folder = new ServerFolder(path)
    const places: Places = { by: version(), urls }
    if (JSON.stringify(folder.recall<Places>('services')) !== JSON.stringify(places)) {
      folder.remember('services', places)
    }
  }
}

/**
 * What is up, where nothing is to be done: every server runs and listens as it was left by this version of this
 * package, every service has its place there, and no migration has come or changed. Loads no client of any vendor,
 * which is most of what a command costs; a database that someone dropped by hand is not noticed.
 */
async function knownToBeUp(
  services: Services,
  wanted: readonly Wanted[],
  options: StartServicesOptions,
): Promise<KeptServices | undefined> {
  const { directory = '.portside', env = {}, durable = true, migrate = true } = options
  const folders = serverFolders(services, directory)
  const servers: Record<string, UpServer> = {}
  const urls: Record<string, string> = {}
  const listening = new Map<number, Promise<boolean>>()
  for (const { name, service } of wanted) {
    const path = folders.get(name) as string
    const { port, process: id, kept } = recallIn<LastRun>(path, 'server') ?? {}
    const places = recallIn<Places>(path, 'services')
    const url = places?.urls?.[name]
    if (port === undefined || id === undefined || kept === undefined || url === undefined) return undefined
    const same =
      places?.by === version() && kept.durable === durable && pinHolds(service.version, kept.version)
    const forced = forcedSource()
    if (!same || (forced !== undefined && forced !== 'local') || !isRunning(id)) return undefined
    if (migrate && !(await areMigrated(path, name, service))) return undefined
    if (!listening.has(port)) listening.set(port, listens(port))
    if (!(await listening.get(port))) return undefined
    urls[urlVariable(name)] = url
    const identity = { engine: kept.engine, version: kept.version }
    servers[name] = { identity, pid: id.pid, port, reused: true }
  }
  return { env: environment(services, env, urls), servers, stopStarted: async () => {} }
}

/** The URL of `service` on the server that is kept on `folder`; `undefined` where none runs, or it has no place there. */
export function keptUrl(folder: string, service: string): string | undefined {
  const run = recallIn<LastRun>(folder, 'server')
  if (run?.process === undefined || run.kept === undefined || !isRunning(run.process)) return undefined
  return recallIn<Places>(folder, 'services')?.urls?.[service]
}

/** The services that have a place on the server of `folder`. */
export function servicesIn(folder: string): readonly string[] {
  return Object.keys(recallIn<Places>(folder, 'services')?.urls ?? {})
}
