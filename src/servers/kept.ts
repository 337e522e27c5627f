/** The servers in a directory, whatever is declared by now: how they are, stopping them, removing their data. */
import { randomUUID } from 'node:crypto'
import { existsSync, readdirSync } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '../calls/clock.ts'
import { invalidArgument, PortError } from '../errors.ts'
import { discardContainer } from './docker-engine.ts'
import { type LastRun, recallIn, ServerFolder } from './folder.ts'
import { listens } from './free-port.ts'
import { stopKept } from './keep.ts'
import { lockDirectory, servicesIn } from './keep-services.ts'
import { isRunning } from './processes.ts'

/** How a server is. */
export type ServerState =
  /** It runs and answers. */
  | 'running'
  /** Its process is there, and does not answer. */
  | 'not answering'
  /** It was stopped. */
  | 'stopped'
  /** It ended by itself, or was killed. */
  | 'crashed'
  /** A program runs it for itself, and will stop it. */
  | 'in use'

export interface ServerStatus {
  /** The name of its folder: `postgresql-17`. */
  readonly name: string
  readonly state: ServerState
  /** As the server said it when it last came up. */
  readonly version?: string
  readonly port?: number
  readonly pid?: number
  /** Where its programs are from. */
  readonly from?: string
  /** Why the sources asked before were not used. */
  readonly passedOver?: readonly string[]
  readonly services: readonly string[]
}

interface Options {
  /** The servers that are meant. @default all */
  readonly names?: readonly string[] | undefined
  readonly signal?: AbortSignal
  readonly onProgress?: (message: string) => void
}

/** Every server that ever ran in the directory, by name. Changes nothing. */
export async function serversIn(directory: string): Promise<readonly ServerStatus[]> {
  return Promise.all(namesIn(directory).map((name) => statusOf(join(directory, name), name)))
}

/**
 * Stops the servers that are kept in the directory; answers the names of those that ran. Their data stays.
 * @throws PortError `conflict` where a program runs one for itself; the others are stopped all the same
 */
export async function stopServers(directory: string, options: Options = {}): Promise<readonly string[]> {
  if (namesIn(directory).length === 0) return []
  const lock = await lockDirectory(directory, options)
  try {
    const { names } = options
    const meant = namesIn(directory).filter((name) => names === undefined || names.includes(name))
    return await stopNamed(directory, meant, options)
  } finally {
    lock.release()
  }
}

/**
 * Stops servers and removes all they hold; answers their names.
 * @param names of all where none is given
 * @throws PortError `invalid-argument` for a name there is no server of; `conflict` as {@link stopServers}: then
 * nothing is removed
 */
export async function resetServers(
  directory: string,
  names: readonly string[],
  options: Options = {},
): Promise<readonly string[]> {
  const all = namesIn(directory)
  const unknown = names.filter((name) => !all.includes(name))
  if (unknown.length > 0) {
    throw invalidArgument(
      `there is no server ${unknown.join(', ')} in ${directory}; there ${all.length === 0 ? 'is none' : `are ${all.join(', ')}`}`,
    )
  }
  if (all.length === 0) return []
  const lock = await lockDirectory(directory, options)
  try {
    const chosen = names.length === 0 ? namesIn(directory) : names
    await stopNamed(directory, chosen, options)
    for (const name of chosen) {
      // First, because the folder is what knows it.
      await discardContainer(join(directory, name))
      // Under another name at once: cut short, this leaves no half of a server behind.
      await rename(join(directory, name), join(directory, `${name}.removed-${randomUUID()}`))
    }
    for (const entry of readdirSync(directory)) {
      if (entry.includes('.removed-'))
        await rm(join(directory, entry), { recursive: true, force: true, maxRetries: 3 })
    }
    return chosen
  } finally {
    lock.release()
  }
}

/** Folders of servers: whatever holds what only a server's folder holds. */
function namesIn(directory: string): readonly string[] {
  if (!existsSync(directory)) return []
  return readdirSync(directory)
    .filter((name) => !name.includes('.removed-') && existsSync(join(directory, name, 'server.log')))
    .sort()
}

async function stopNamed(
  directory: string,
  names: readonly string[],
  { onProgress }: Options,
): Promise<readonly string[]> {
  const before = await Promise.all(names.map((name) => statusOf(join(directory, name), name)))
  const running = before.filter(({ state }) => state === 'running' || state === 'not answering')
  await Promise.all(
    running.map(async ({ name }) => {
      const slow = systemClock.timer(500, () => onProgress?.(`waiting for ${name} to stop`))
      try {
        await stopKept(new ServerFolder(join(directory, name)))
      } finally {
        slow()
      }
    }),
  )
  const used = before.filter(({ state }) => state === 'in use')
  if (used.length > 0) {
    const list = used.map(({ name, pid }) => `${name} (process ${pid})`).join(', ')
    throw new PortError({
      code: 'conflict',
      message: `${list}: a program runs it for itself; end that program`,
    })
  }
  return running.map(({ name }) => name)
}

async function statusOf(path: string, name: string): Promise<ServerStatus> {
  const { port, process: id, kept } = recallIn<LastRun>(path, 'server') ?? {}
  const base = { name, services: servicesIn(path), ...(port === undefined ? {} : { port }) }
  if (kept?.container && port !== undefined) {
    const { version, from, passedOver } = kept
    return { ...base, state: (await listens(port)) ? 'running' : 'crashed', version, from, passedOver }
  }
  if (id === undefined || port === undefined) return { ...base, state: 'stopped' }
  if (!isRunning(id)) return { ...base, state: 'crashed' }
  if (kept === undefined) return { ...base, state: 'in use', pid: id.pid }
  const { version, from, passedOver } = kept
  const state = (await listens(port)) ? 'running' : 'not answering'
  return { ...base, state, pid: id.pid, version, from, passedOver }
}
