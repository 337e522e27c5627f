/** Starts a server's process and waits until it is ready; the same for every engine. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import type { ServerIdentity } from '../adapter.ts'
import { systemClock } from '../calls/clock.ts'
import { PortError } from '../errors.ts'
import type { ServerEngine, ServerPlace } from './engine.ts'
import { saysFull, throwIfFull } from './folder.ts'
import { freePort, isFree } from './free-port.ts'
import { type Guardian, processGuardian } from './guardian.ts'
import { identifyProcess, isRunning, killTree, type ProcessId } from './processes.ts'

const startTimeoutMs = 60_000
/** How long the processes of a server that was killed may take to notice. */
const killedMs = 15_000

/** A server whose process this one started. */
export interface Launched {
  readonly child: ChildProcess
  readonly id: ProcessId
  readonly port: number
  readonly identity: ServerIdentity
  /** Ends the server with this process, until it is dismissed. */
  readonly guardian: Guardian
  readonly gone: Promise<unknown>
}

/**
 * On the wanted port and no other; or else on the first of those it had or would have that is free, or on any.
 * @param usual ports to try before any other, so that URLs stay
 */
export async function launchOnSomePort(
  engine: ServerEngine,
  place: ServerPlace,
  wanted: number | undefined,
  usual: readonly number[],
): Promise<Launched> {
  if (wanted !== undefined) {
    if (!(await isFree(wanted))) throw portTaken(wanted)
    return launch(engine, place, wanted)
  }
  const candidates = [...usual]
  const end = Date.now() + killedMs
  for (let tries = 1; ; tries += 1) {
    let port = candidates.shift()
    while (port !== undefined && !(await isFree(port))) port = candidates.shift()
    port ??= await freePort()
    try {
      return await launch(engine, place, port)
    } catch (error) {
      // Someone was faster: between asking for a free port and listening on it, any process may take it.
      if (!PortError.is(error) || error.code !== 'unavailable') throw error
      if (/still in use|lock file .* already exists/.test(error.message) && Date.now() < end) {
        // A server that was killed stays for a moment, until the system has taken notice, or what it had started has.
        await systemClock.sleep(250, place.signal)
        candidates.unshift(port)
        tries -= 1
        continue
      }
      const taken = !(await isFree(port))
      if (!taken || tries >= 5) throw error
    }
  }
}

/** Starts it on `port`. What did not come up is gone when this rejects. */
export async function launch(engine: ServerEngine, place: ServerPlace, port: number): Promise<Launched> {
  const { folder, signal, onProgress } = place
  const { child, id, guardian, gone } = await spawnServer(engine, place, port)
  const slow = systemClock.timer(500, () => onProgress(`waiting for ${engine.title} to be ready`))
  try {
    folder.lastRun = { port, process: id }
    const identity = await untilReady(engine, place, port, id)
    return { child, id, port, identity, guardian, gone }
  } catch (error) {
    await killTree(id)
    await gone
    try {
      folder.lastRun = { port }
    } catch {
      // On a full disk it stays as it is: the process that it names is gone, which is what the next start asks.
    }
    throw signal?.aborted ? cancelled() : error
  } finally {
    slow()
  }
}

/** Asks the server at `port` who it is until it answers. */
export async function untilReady(
  engine: ServerEngine,
  place: ServerPlace,
  port: number,
  id: ProcessId,
): Promise<ServerIdentity> {
  const { title } = engine
  const end = Date.now() + startTimeoutMs
  let last: unknown
  for (;;) {
    place.signal?.throwIfAborted()
    if (!isRunning(id)) throw failed(place, `${title} ended while it was starting`, last)
    try {
      return await engine.identify(place, port)
    } catch (error) {
      last = error
    }
    if (Date.now() > end) throw failed(place, `${title} was not ready after ${startTimeoutMs / 1000} s`, last)
    await systemClock.sleep(25)
  }
}

async function spawnServer(
  engine: ServerEngine,
  place: ServerPlace,
  port: number,
): Promise<Omit<Launched, 'port' | 'identity'>> {
  const { title, stopSignal } = engine
  const { file, args, cwd, env, account } = await engine.command(place, port)
  const guardian = processGuardian(stopSignal)
  let child: ChildProcess
  try {
    const log = openSync(place.folder.log, 'w', 0o600)
    try {
      // In a session of its own: Ctrl-C is for the program in the foreground, which still needs its datastores to drain.
      child = spawn(file, args, { cwd, env, stdio: ['ignore', log, log], detached: true, ...account })
    } finally {
      closeSync(log)
    }
  } catch (error) {
    guardian.dismiss()
    throwIfFull(place.folder.path, error)
    throw error
  }
  if (child.pid !== undefined) guardian.guard(child.pid)
  const gone = once(child, 'exit').catch(() => {
    // An error of the spawn itself, which the next line awaits and reports.
  })
  try {
    await once(child, 'spawn')
  } catch (cause) {
    guardian.dismiss()
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
  child.once('exit', () => guardian.dismiss())
  return { child, id, guardian, gone }
}

function failed({ folder }: ServerPlace, what: string, cause: unknown): PortError {
  const log = folder.logTail()
  const full = saysFull(log)
  return new PortError({
    code: full ? 'quota-exceeded' : 'unavailable',
    outcome: 'not-applied',
    message:
      `${what}${full ? ', because the disk is full: free some space and run it again, what is there stays' : ''}; ` +
      `its log ${folder.log} ends with:\n${log}`,
    cause,
  })
}

export function portTaken(port: number): PortError {
  return new PortError({
    code: 'conflict',
    message: `port ${port} is in use by another process; end it, or leave the port open to choice`,
  })
}

export function cancelled(): PortError {
  return new PortError({ code: 'cancelled', outcome: 'not-applied', message: 'the start was cancelled' })
}
