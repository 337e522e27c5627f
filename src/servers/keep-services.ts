/** The servers of a declaration, kept: brought up once, used by every command that comes after, until they are stopped. */
import { join } from 'node:path'
import type { DatastoreServer, KeptServer, StartOptions } from '../adapter.ts'
import { PortError } from '../errors.ts'
import { type Services, urlVariable } from '../services/declare.ts'
import { recallIn, ServerFolder } from './folder.ts'
import { type Holder, type Lock, takeLock } from './lock.ts'
import { isRunning, type ProcessId } from './processes.ts'
import {
  bringUp,
  checkBeforehand,
  makeDirectory,
  type StartServicesOptions,
  serverFolders,
  wantedServices,
} from './services.ts'

/** How long to wait for another command that brings servers up: it may have to fetch them first. */
const waitMs = 600_000

export interface KeptServices {
  /** What the app's environment must hold: the URLs of the bounded services, and fakes for the rest. */
  readonly env: Readonly<Record<string, string>>
  readonly servers: Readonly<Record<string, KeptServer>>
  /** Stops those that were not running before. The others belong to whoever started them. */
  stopStarted(): Promise<void>
}

/** What a server's folder remembers of the services on it. */
type Places = Readonly<Record<string, { readonly variable: string; readonly url: string }>>

/**
 * Brings up what a declaration needs and leaves it running. Many at once start each server once.
 * @throws PortError as `startServices`; what this call started is stopped again, what ran before stays
 */
export async function keepServices(services: Services, options: StartServicesOptions): Promise<KeptServices> {
  const { directory = '.portside', env = {} } = options
  const wanted = wantedServices(services, env)
  checkBeforehand(services, wanted, env, options)
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
    const places: Places = Object.fromEntries(
      placed
        .filter(([, folder]) => folder === path)
        .map(([name]) => [name, { variable: urlVariable(name), url: env[urlVariable(name)] as string }]),
    )
    const folder = new ServerFolder(path)
    if (JSON.stringify(folder.recall<Places>('services')) === JSON.stringify(places)) continue
    folder.remember('services', places)
  }
}

/** The URL of `service` on the server that is kept on `folder`; `undefined` where none runs, or it has no place there. */
export function keptUrl(folder: string, service: string): string | undefined {
  const run = recallIn<{ readonly process?: ProcessId; readonly kept?: object }>(folder, 'server')
  if (run?.process === undefined || run.kept === undefined || !isRunning(run.process)) return undefined
  return recallIn<Places>(folder, 'services')?.[service]?.url
}

/** The services that have a place on the server of `folder`. */
export function servicesIn(folder: string): readonly string[] {
  return Object.keys(recallIn<Places>(folder, 'services') ?? {})
}
