/** Starts, watches, stops and restarts a real server; the same for every engine. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { DatastoreServer, StartOptions } from '../adapter.ts'
import { checkFields, checkInteger, checkText } from '../calls/arguments.ts'
import { systemClock } from '../calls/clock.ts'
import { invalidArgument, PortError } from '../errors.ts'
import { parsePin } from '../services/pin.ts'
import type { ServerEngine, ServerPlace } from './engine.ts'
import { ServerFolder, saysFull, throwIfFull } from './folder.ts'
import { isFree } from './free-port.ts'
import { keep } from './keep.ts'
import { type Launched, launch, launchOnSomePort, portTaken } from './launch.ts'
import { type Lock, takeLock } from './lock.ts'
import { checkOrigin, checkPasswords, rememberOrigin } from './origin.ts'
import { isRunning, killTree, type ProcessId, signalProcess, waitUntilGone } from './processes.ts'
import { cannotBeHad, type Found, findFirst, forcedSource, type Programs } from './source.ts'
import { StartedServer } from './started-server.ts'

const stopTimeoutMs = 20_000
/** How long a start waits for another process to give the folder up: one that is just ending takes a moment. */
const lockWaitMs = 5_000

/** Makes a {@link DatastoreServer} of what an engine brings. */
export function datastoreServer(engine: ServerEngine): DatastoreServer {
  return {
    engine: engine.engine,
    async start(options) {
      checkOptions(options)
      options.signal?.throwIfAborted()
      const { container, findings } = await askContainers(engine, options)
      if (container !== undefined) return container.start(options)
      const folder = new ServerFolder(options.directory)
      const lock = await lockFolder(engine, folder, options)
      try {
        refuseKept(engine, folder)
        checkOrigin(engine, folder, options)
        await stopOrphan(engine, folder, options)
        const { signal, onProgress = () => {}, durable = true } = options
        const { found: programs } = await findLocal(engine, options, findings)
        const place: ServerPlace = { folder, programs, durable, signal, onProgress }
        await prepare(engine, place)
        // After the engine's own look at the data: what is none of its own is no matter of passwords.
        checkPasswords(engine, folder)
        const server = new Server(engine, place, lock)
        await server.start(options.port)
        rememberOrigin(engine, folder, durable, server.identity)
        return server
      } catch (error) {
        lock.release()
        throw error
      }
    },
    keep: (options) => keep(engine, options),
  }
}

/** The server of a container engine, where one is to be used; else why not. */
export async function askContainers(
  { title, containers }: ServerEngine,
  options: StartOptions,
): Promise<{ readonly container?: DatastoreServer; readonly findings: string[] }> {
  const forced = forcedSource()
  const inContainer = existsSync(join(options.directory, 'container.json'))
  const name = containers?.name ?? 'a container engine'
  const without = (why: string): { findings: string[] } => {
    if (inContainer) throw dataInContainer(title, options.directory, why)
    return { findings: [`${name}: ${why}`] }
  }
  if (forced === 'local') return without('PORTSIDE_SERVERS=local rules it out')
  // An engine that appears beside data it does not have would look as if the data were lost.
  const local = existsSync(join(options.directory, 'data')) && !inContainer
  if (local && forced === undefined) return without('the data there is of a server that ran without one')
  const found = (await containers?.find(options.version, options)) ?? `no image of ${title} is known`
  if (typeof found !== 'string') return { container: found, findings: [] }
  const { findings } = without(found)
  if (forced === 'docker') {
    findings.push('programs on this machine: PORTSIDE_SERVERS=docker rules them out')
    throw cannotBeHad(title, options.version, findings)
  }
  return { findings }
}

/** The error of data that is in a container's volume, where no container is to run. */
function dataInContainer(title: string, directory: string, why: string): PortError {
  return new PortError({
    code: 'precondition-failed',
    message:
      `the data of ${title} in ${directory} is in a volume of a container engine, which is not used: ${why}; ` +
      'nothing was touched: bring the engine back, or choose another folder to start afresh',
  })
}

/** Programs on this machine, or the error that lists what each source has. */
export function findLocal(
  { title, sources }: ServerEngine,
  options: StartOptions,
  findings: string[],
): Promise<Found<Programs>> {
  return findFirst(title, sources, options.version, options, findings)
}

/** Makes the data folder, or tells of a disk that was too full for it. */
export async function prepare(engine: ServerEngine, place: ServerPlace): Promise<void> {
  try {
    await engine.prepare(place)
  } catch (error) {
    throwIfFull(place.folder.path, error)
    if (!PortError.is(error) || !saysFull(error.message)) throw error
    throw new PortError({
      code: 'quota-exceeded',
      outcome: 'not-applied',
      message: `the disk is full: free some space below ${place.folder.path} and run it again; ${error.message}`,
      cause: error,
    })
  }
}

function refuseKept({ title }: ServerEngine, folder: ServerFolder): void {
  const { kept, process: id } = folder.lastRun ?? {}
  if (kept === undefined || id === undefined || !isRunning(id)) return
  throw new PortError({
    code: 'conflict',
    message: `${title} (process ${id.pid}) is kept running on ${folder.path}; portside down stops it, or choose another folder`,
  })
}

export function checkOptions(options: StartOptions): void {
  const known = ['version', 'directory', 'port', 'durable', 'changed', 'signal', 'onProgress']
  checkFields('the options', options, known)
  parsePin(options.version)
  checkText('directory', options.directory)
  if (options.directory === '' || options.directory.includes('\0')) {
    throw invalidArgument('directory must be the path of a folder')
  }
  if (options.changed !== undefined && options.changed !== 'refuse' && options.changed !== 'accept') {
    throw invalidArgument('changed must be "refuse" or "accept"')
  }
  if (options.port !== undefined) checkInteger('port', options.port, { min: 1, max: 65_535 })
}

export async function lockFolder(
  { title }: Pick<ServerEngine, 'title'>,
  folder: ServerFolder,
  { signal, onProgress }: { readonly signal?: AbortSignal | undefined } & Pick<StartOptions, 'onProgress'>,
): Promise<Lock> {
  const lock = await takeLock(folder.lock, {
    waitMs: lockWaitMs,
    signal,
    onWait: ({ pid }) => onProgress?.(`waiting for process ${pid} to give up ${folder.path}`),
  })
  if (!('holder' in lock)) return lock
  throw new PortError({
    code: 'conflict',
    message: `process ${lock.holder.pid} runs ${title} on ${folder.path}; end it, or choose another folder`,
  })
}

/**
 * A server whose owner and whose guardian were killed goes on running. It is stopped, not taken over: a server has
 * one owner, which knows how it was started, and what was acknowledged is on disk.
 */
export async function stopOrphan(
  engine: ServerEngine,
  folder: ServerFolder,
  { onProgress }: Pick<StartOptions, 'onProgress'>,
): Promise<void> {
  const orphan = folder.lastRun?.process
  if (orphan === undefined || !isRunning(orphan)) return
  onProgress?.(`stopping ${engine.title} (process ${orphan.pid}), which an earlier run left behind`)
  await endProcess(orphan, engine.stopSignal)
}

/** Ends a server in good order, or by force where it does not end. Resolves when it is gone. */
export async function endProcess(id: ProcessId, signal: NodeJS.Signals): Promise<void> {
  signalProcess(id, signal)
  if (!(await waitUntilGone(id, stopTimeoutMs))) await killTree(id)
}

class Server extends StartedServer<ServerEngine> {
  #lock: Lock | undefined
  #running: Launched | undefined

  constructor(engine: ServerEngine, place: ServerPlace, lock: Lock) {
    super(engine, place)
    this.#lock = lock
  }

  protected async isRunning(): Promise<boolean> {
    return this.#running !== undefined
  }

  stop(): Promise<void> {
    return this.inTurn(async () => {
      const running = this.#running
      if (running !== undefined) {
        running.child.ref()
        await endProcess(running.id, this.engine.stopSignal)
        await running.gone
      }
      // The folder may be gone: whoever made it for one test may remove it before the server in it has stopped.
      if (existsSync(this.place.folder.path)) this.place.folder.lastRun = { port: this.port }
      this.#lock?.release()
      this.#lock = undefined
    })
  }

  kill(): Promise<void> {
    return this.inTurn(async () => {
      const running = this.#running
      if (running === undefined) return
      running.child.ref()
      await killTree(running.id)
      await running.gone
    })
  }

  restart(): Promise<void> {
    return this.inTurn(async () => {
      if (this.#running !== undefined) return
      this.#lock ??= await lockFolder(this.engine, this.place.folder, this.place)
      // The address stays busy for as long as the system takes to close what the killed server had open.
      for (let tries = 0; tries < 50 && !(await isFree(this.port)); tries += 1) await systemClock.sleep(100)
      if (!(await isFree(this.port))) throw portTaken(this.port)
      this.#runs(await launch(this.engine, this.place, this.port))
    })
  }

  /** @param wanted the one port it may have */
  async start(wanted: number | undefined): Promise<void> {
    const last = this.place.folder.lastRun?.port
    this.#runs(await launchOnSomePort(this.engine, this.place, wanted, last === undefined ? [] : [last]))
  }

  #runs(launched: Launched): void {
    this.#running = launched
    const { identity, port, id } = launched
    this.ran = { identity, port, pid: id.pid }
    const { child } = launched
    child.once('exit', () => {
      if (this.#running === launched) this.#running = undefined
    })
    if (child.exitCode !== null || child.signalCode !== null) this.#running = undefined
    // From here on a program that has nothing else to do may end; the guardian then ends the server.
    child.unref()
  }
}
