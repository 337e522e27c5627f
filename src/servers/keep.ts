/** Servers that outlive the process that started them, and are found again by the next one. */
import { createHash } from 'node:crypto'
import type { KeptServer, ServerIdentity, StartOptions } from '../adapter.ts'
import { PortError } from '../errors.ts'
import { stopContainer } from './docker-engine.ts'
import type { ServerEngine, ServerPlace } from './engine.ts'
import { ServerFolder } from './folder.ts'
import { guardByFile } from './guardian.ts'
import { launchOnSomePort, untilReady } from './launch.ts'
import { checkOrigin, checkPasswords, hasOrigin, rememberOrigin } from './origin.ts'
import { isRunning, type ProcessId } from './processes.ts'
import {
  askContainers,
  checkOptions,
  endProcess,
  findLocal,
  lockFolder,
  prepare,
  stopOrphan,
} from './server.ts'
import { cannotBeHad, forcedSource, type Programs } from './source.ts'
import { checkServiceName } from './started-server.ts'

const stopTimeoutMs = 20_000

/** See {@link DatastoreServer.keep}. */
export async function keep(engine: ServerEngine, options: StartOptions): Promise<KeptServer> {
  checkOptions(options)
  options.signal?.throwIfAborted()
  const folder = new ServerFolder(options.directory)
  const lock = await lockFolder(engine, folder, options)
  try {
    checkPasswords(engine, folder)
    const same = checkOrigin(engine, folder, { ...options, changed: options.changed ?? 'refuse' })
    const found = same ? await takeOver(engine, folder, options) : undefined
    return found ?? (await startKept(engine, folder, options))
  } finally {
    lock.release()
  }
}

/** The server that already runs on the folder, where one does and is to stay. */
async function takeOver(
  engine: ServerEngine,
  folder: ServerFolder,
  options: StartOptions,
): Promise<KeptServer | undefined> {
  const { port, process: id, kept } = folder.lastRun ?? {}
  if (port === undefined || id === undefined || kept === undefined || !isRunning(id)) return undefined
  if (options.port !== undefined && options.port !== port) {
    throw new PortError({
      code: 'conflict',
      message: `${engine.title} already runs on port ${port}; portside down stops it, then it can be started on port ${options.port}`,
    })
  }
  const place = placeOf(folder, options, undefined)
  const identity = await untilReady(engine, place, port, id)
  return keptServer(engine, place, { id, port, identity, reused: true })
}

async function startKept(
  engine: ServerEngine,
  folder: ServerFolder,
  options: StartOptions,
): Promise<KeptServer> {
  const { container, findings } = await askContainers(engine, options)
  if (container !== undefined) {
    if (container.keep !== undefined) return container.keep(options)
    findings.push(`${engine.containers?.name}: its servers end with who started them`)
    if (forcedSource() === 'docker') throw cannotBeHad(engine.title, options.version, findings)
  }
  await stopOrphan(engine, folder, options)
  const { found: programs, from } = await findLocal(engine, options, findings)
  const place = placeOf(folder, options, programs)
  await prepare(engine, place)
  const usual = usualPorts(folder)
  const { child, guardian, id, port, identity } = await launchOnSomePort(engine, place, options.port, usual)
  try {
    const last = folder.lastRun
    if (usual[0] !== undefined && port !== usual[0] && last !== undefined && hasOrigin(folder)) {
      options.onProgress?.(
        `port ${usual[0]} is taken by another process, so ${engine.title} listens on ${port}; programs that hold the old URL need the new one`,
      )
    }
    const { durable } = place
    rememberOrigin(engine, folder, durable, identity)
    const { title, stopSignal } = engine
    const kept = { engine: identity.engine, title, version: identity.version, durable, stopSignal, from }
    folder.lastRun = { port, process: id, kept: { ...kept, passedOver: findings } }
  } catch (error) {
    // Not written down, no one would find it again.
    await endProcess(id, engine.stopSignal)
    throw error
  }
  guardByFile(id.pid, engine.stopSignal, folder.file('server.json'))
  guardian.dismiss()
  child.unref()
  return keptServer(engine, place, { id, port, identity, reused: false })
}

interface Facts {
  readonly id: ProcessId
  readonly port: number
  readonly identity: ServerIdentity
  readonly reused: boolean
}

function keptServer(
  engine: ServerEngine,
  place: ServerPlace,
  { id, port, identity, reused }: Facts,
): KeptServer {
  return {
    identity,
    pid: id.pid,
    port,
    reused,
    async provision(service) {
      checkServiceName(service)
      return engine.provision(place, port, service)
    },
    adminUrl: () => engine.adminUrl(place, port),
    stop: () => stopKept(place.folder),
  }
}

/**
 * Stops the server that is kept on the folder, where one is.
 * @throws PortError `conflict` where a process is starting one at this moment, and takes long
 */
export async function stopKept(folder: ServerFolder): Promise<void> {
  const title = folder.lastRun?.kept?.title
  if (title === undefined) return
  // Else one that is started as soon as this one has ended would be forgotten at the end.
  const lock = await lockFolder({ title }, folder, {})
  try {
    const { port, process: id, kept } = folder.lastRun ?? {}
    if (port === undefined || kept === undefined) return
    if (kept.container) await stopContainer(folder.path, stopTimeoutMs)
    else if (id !== undefined) await endProcess(id, kept.stopSignal)
    folder.lastRun = { port }
  } finally {
    lock.release()
  }
}

function placeOf(folder: ServerFolder, options: StartOptions, programs: Programs | undefined): ServerPlace {
  const { durable = true, signal, onProgress = () => {} } = options
  return { folder, programs: programs ?? noPrograms, durable, signal, onProgress }
}

/** Of a server that runs already, none is asked for. */
const noPrograms: Programs = {
  version: '',
  env: {},
  program: (name) => {
    throw new PortError({ code: 'internal', message: `${name} of a server that runs already was asked for` })
  },
}

/**
 * The port it had; or else some that follow from where the folder is, so that they are the same after a reset too.
 * They are below those that systems hand out for connections.
 */
function usualPorts(folder: ServerFolder): readonly number[] {
  const last = folder.lastRun?.port
  const base = 20_000 + (createHash('sha256').update(folder.path).digest().readUInt32BE() % 12_000)
  return [...(last === undefined ? [] : [last]), base, base + 1, base + 2]
}
