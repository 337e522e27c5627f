/** Starts, watches, stops and restarts a real server; the same for every engine. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync } from 'node:fs'
import type { DatastoreServer, RunningServer, ServerIdentity, StartOptions } from '../adapter.ts'
import { checkFields, checkInteger, checkText } from '../calls/arguments.ts'
import { systemClock } from '../calls/clock.ts'
import { invalidArgument, PortError } from '../errors.ts'
import { parsePin } from '../services/pin.ts'
import type { ServerEngine, ServerPlace } from './engine.ts'
import { ServerFolder } from './folder.ts'
import { freePort, isFree } from './free-port.ts'
import { type Guardian, guardServer } from './guardian.ts'
import { type Lock, takeLock } from './lock.ts'
import {
  identifyProcess,
  isRunning,
  killTree,
  type ProcessId,
  signalProcess,
  waitUntilGone,
} from './processes.ts'
import { findPrograms } from './source.ts'

const startTimeoutMs = 60_000
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
      const folder = new ServerFolder(options.directory)
      const lock = await lockFolder(engine, folder, options)
      try {
        await stopOrphan(engine, folder, options)
        const { signal, onProgress = () => {}, durable = true } = options
        const programs = await findPrograms(engine.title, engine.sources, options.version, options)
        const place: ServerPlace = { folder, programs, durable, signal, onProgress }
        await engine.prepare(place)
        const server = new Server(engine, place, lock)
        await server.startOnSomePort(options.port)
        return server
      } catch (error) {
        lock.release()
        throw error
      }
    },
  }
}

function checkOptions(options: StartOptions): void {
  const known = ['version', 'directory', 'port', 'durable', 'signal', 'onProgress']
  checkFields('the options', options, known)
  parsePin(options.version)
  checkText('directory', options.directory)
  if (options.directory === '' || options.directory.includes('\0')) {
    throw invalidArgument('directory must be the path of a folder')
  }
  if (options.port !== undefined) checkInteger('port', options.port, { min: 1, max: 65_535 })
}

async function lockFolder(
  { title }: ServerEngine,
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
async function stopOrphan(
  engine: ServerEngine,
  folder: ServerFolder,
  { onProgress }: Pick<StartOptions, 'onProgress'>,
): Promise<void> {
  const orphan = folder.lastRun?.process
  if (orphan === undefined || !isRunning(orphan)) return
  onProgress?.(`stopping ${engine.title} (process ${orphan.pid}), which an earlier run left behind`)
  signalProcess(orphan, engine.stopSignal)
  if (!(await waitUntilGone(orphan, stopTimeoutMs))) await killTree(orphan)
}

interface Running {
  readonly child: ChildProcess
  readonly id: ProcessId
  readonly guardian: Guardian
  readonly gone: Promise<unknown>
}

class Server implements RunningServer {
  readonly #engine: ServerEngine
  readonly #place: ServerPlace
  #lock: Lock | undefined
  #running: Running | undefined
  #identity: ServerIdentity | undefined
  #port = 0
  #pid = 0
  #turn: Promise<unknown> = Promise.resolve()

  constructor(engine: ServerEngine, place: ServerPlace, lock: Lock) {
    this.#engine = engine
    this.#place = place
    this.#lock = lock
  }

  get identity(): ServerIdentity {
    if (this.#identity === undefined)
      throw new PortError({ code: 'internal', message: 'it was never started' })
    return this.#identity
  }

  get pid(): number {
    return this.#pid
  }

  get port(): number {
    return this.#port
  }

  provision(service: string): Promise<string> {
    return this.#inTurn(async () => {
      checkText('service', service)
      if (!/^[a-z][a-zA-Z0-9]{0,39}$/.test(service)) {
        throw invalidArgument('a service is named in camelCase with at most 40 letters and digits')
      }
      if (this.#running === undefined) {
        throw new PortError({
          code: 'closed',
          message: `${this.#engine.title} was stopped; restart it first`,
        })
      }
      return this.#engine.provision(this.#place, this.#port, service)
    })
  }

  adminUrl(): string {
    return this.#engine.adminUrl(this.#place, this.#port)
  }

  stop(): Promise<void> {
    return this.#inTurn(async () => {
      const running = this.#running
      if (running !== undefined) {
        running.child.ref()
        signalProcess(running.id, this.#engine.stopSignal)
        if (!(await waitUntilGone(running.id, stopTimeoutMs))) await killTree(running.id)
        await running.gone
      }
      // The folder may be gone: whoever made it for one test may remove it before the server in it has stopped.
      if (existsSync(this.#place.folder.path)) this.#place.folder.lastRun = { port: this.#port }
      this.#lock?.release()
      this.#lock = undefined
    })
  }

  kill(): Promise<void> {
    return this.#inTurn(async () => {
      const running = this.#running
      if (running === undefined) return
      running.child.ref()
      await killTree(running.id)
      await running.gone
    })
  }

  restart(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#running !== undefined) return
      this.#lock ??= await lockFolder(this.#engine, this.#place.folder, this.#place)
      // The address stays busy for as long as the system takes to close what the killed server had open.
      for (let tries = 0; tries < 50 && !(await isFree(this.#port)); tries += 1) await systemClock.sleep(100)
      if (!(await isFree(this.#port))) throw portTaken(this.#port)
      await this.#startOn(this.#port)
    })
  }

  /** On the given port and no other; or else on that of the last run, so that URLs stay, or on any. */
  async startOnSomePort(wanted: number | undefined): Promise<void> {
    if (wanted !== undefined) {
      if (!(await isFree(wanted))) throw portTaken(wanted)
      return this.#startOn(wanted)
    }
    const last = this.#place.folder.lastRun?.port
    for (let tries = 1; ; tries += 1) {
      const port = tries === 1 && last !== undefined && (await isFree(last)) ? last : await freePort()
      try {
        return await this.#startOn(port)
      } catch (error) {
        // Someone was faster: between asking for a free port and listening on it, any process may take it.
        const taken = PortError.is(error) && error.code === 'unavailable' && !(await isFree(port))
        if (!taken || tries >= 5) throw error
      }
    }
  }

  async #startOn(port: number): Promise<void> {
    const { folder, signal, onProgress } = this.#place
    const running = await this.#spawn(port)
    const slow = systemClock.timer(500, () => onProgress(`waiting for ${this.#engine.title} to be ready`))
    try {
      folder.lastRun = { port, process: running.id }
      this.#identity = await this.#untilReady(running, port)
      this.#port = port
      this.#pid = running.id.pid
    } catch (error) {
      await killTree(running.id)
      await running.gone
      folder.lastRun = { port }
      throw signal?.aborted ? cancelled() : error
    } finally {
      slow()
    }
    // From here on a program that has nothing else to do may end; the guardian then ends the server.
    running.child.unref()
  }

  async #spawn(port: number): Promise<Running> {
    const { title, stopSignal } = this.#engine
    const { file, args, cwd, env, account } = await this.#engine.command(this.#place, port)
    const log = openSync(this.#place.folder.log, 'w', 0o600)
    let child: ChildProcess
    try {
      // In a session of its own: Ctrl-C is for the program in the foreground, which still needs its datastores to drain.
      child = spawn(file, args, { cwd, env, stdio: ['ignore', log, log], detached: true, ...account })
    } finally {
      closeSync(log)
    }
    const gone = once(child, 'exit').catch(() => {
      // An error of the spawn itself, which the next line awaits and reports.
    })
    try {
      await once(child, 'spawn')
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code
      throw new PortError({
        code: 'unavailable',
        outcome: 'not-applied',
        message: `${title} could not be started: ${file} (${code})`,
        cause,
      })
    }
    const pid = child.pid as number
    const id = identifyProcess(pid) ?? { pid, startedAt: 'ended' }
    const running = { child, id, guardian: guardServer(pid, stopSignal), gone }
    this.#running = running
    child.once('exit', () => {
      running.guardian.dismiss()
      if (this.#running === running) this.#running = undefined
    })
    return running
  }

  async #untilReady({ id, child }: Running, port: number): Promise<ServerIdentity> {
    const { title } = this.#engine
    const end = Date.now() + startTimeoutMs
    let last: unknown
    for (;;) {
      this.#place.signal?.throwIfAborted()
      if (child.exitCode !== null || child.signalCode !== null || !isRunning(id)) {
        throw this.#failed(`${title} ended while it was starting`, last)
      }
      try {
        return await this.#engine.identify(this.#place, port)
      } catch (error) {
        last = error
      }
      if (Date.now() > end)
        throw this.#failed(`${title} was not ready after ${startTimeoutMs / 1000} s`, last)
      await systemClock.sleep(25)
    }
  }

  #failed(what: string, cause: unknown): PortError {
    const { folder } = this.#place
    return new PortError({
      code: 'unavailable',
      outcome: 'not-applied',
      message: `${what}; its log ${folder.log} ends with:\n${folder.logTail()}`,
      cause,
    })
  }

  /** One after another: a stop that overtakes a restart would leave a server behind. */
  #inTurn<T>(step: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(step)
    this.#turn = result.catch(() => {
      // The caller of that step was told.
    })
    return result
  }
}

function portTaken(port: number): PortError {
  return new PortError({
    code: 'conflict',
    message: `port ${port} is in use by another process; end it, or leave the port open to choice`,
  })
}

function cancelled(): PortError {
  return new PortError({ code: 'cancelled', outcome: 'not-applied', message: 'the start was cancelled' })
}
