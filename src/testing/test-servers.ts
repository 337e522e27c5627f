/**
 * The servers that tests run on: of the pinned versions, found again by every worker, file and run, and kept apart from
 * those of development. What is in them is for tests alone and may be removed at any time.
 */
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { DatastoreServer, KeptServer, RunningServer, StartOptions } from '../adapter.ts'
import { systemClock } from '../calls/clock.ts'
import { PortError } from '../errors.ts'
import { takeLock } from '../servers/lock.ts'
import { type ServerUse, useServer } from './linger.ts'

/** Where servers for tests are kept, from the working directory. */
export const testServersFolder: string = join('.portside', 'tests')

/** How long to wait for another process that is starting the same server, which may have to fetch it first. */
const othersStartMs = 240_000

export interface TestServer {
  readonly server: Pick<RunningServer | KeptServer, 'adminUrl' | 'provision'>
  /** It is used no more by this process. */
  close(): Promise<void>
}

export interface TestServerOptions extends Pick<StartOptions, 'version' | 'signal' | 'onProgress'> {
  readonly directory: string
  /** How long it stays up after the last process that uses it has ended. */
  readonly lingerMs: number
}

/** The server of one engine and pin, started unless it runs. */
export async function testServer(
  datastore: DatastoreServer,
  { directory, lingerMs, ...options }: TestServerOptions,
): Promise<TestServer> {
  const key = `${datastore.engine}-${options.version}`
  await mkdir(directory, { recursive: true })
  // Data and passwords belong in no repository.
  await writeFile(join(directory, '.gitignore'), '*\n')
  if (datastore.keep === undefined) {
    const own = join(directory, `${key}-${process.pid}`)
    const server = await datastore.start({ ...options, directory: own, durable: false })
    return { server, close: () => server.stop() }
  }
  const folder = join(directory, key)
  await removeAfterRestart(folder, options)
  const use = await useServer(folder)
  try {
    return await found(datastore.keep, { ...options, directory: folder, durable: false }, use, lingerMs)
  } catch (error) {
    use.cancel()
    throw error
  }
}

async function found(
  keep: NonNullable<DatastoreServer['keep']>,
  options: StartOptions,
  use: ServerUse,
  lingerMs: number,
): Promise<TestServer> {
  const end = Date.now() + othersStartMs
  for (;;) {
    try {
      const server = await keep(options)
      const watch = use.of({ pid: server.pid, file: join(options.directory, 'server.json') }, lingerMs)
      return { server, close: async () => watch.end() }
    } catch (error) {
      // Another worker is starting it at this moment.
      if (!PortError.is(error) || error.code !== 'conflict' || Date.now() > end) throw error
      await systemClock.sleep(200, options.signal)
    }
  }
}

/** What was not written through to the disk may be lost in part where the machine itself went down. */
async function removeAfterRestart(
  folder: string,
  { onProgress, signal }: Pick<StartOptions, 'onProgress' | 'signal'>,
): Promise<void> {
  const boot = bootId()
  const file = `${folder}.boot`
  const isOther = (): boolean => !existsSync(file) || readFileSync(file, 'utf8') !== boot
  if (boot === undefined || !isOther()) return
  const lock = await takeLock(`${file}.lock`, { waitMs: othersStartMs, signal })
  if ('holder' in lock) return
  try {
    if (!isOther()) return
    if (existsSync(folder)) {
      onProgress?.(`the machine was restarted: what tests left in ${folder} is removed`)
      await rm(folder, { recursive: true, force: true })
    }
    await writeFile(file, boot)
  } finally {
    lock.release()
  }
}

/** Stands for one run of the machine; `undefined` where the system does not say. */
function bootId(): string | undefined {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    return undefined
  }
}
