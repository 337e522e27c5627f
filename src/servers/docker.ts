/**
 * Real datastores in containers: the declared version by its official image, on loopback alone. The container and its
 * volume belong to the server's folder, which keeps the passwords; a container whose labels say that nothing changed is
 * used again.
 */
import { createHash, randomUUID } from 'node:crypto'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import type { DatastoreServer, KeptServer, RunningServer, StartOptions } from '../adapter.ts'
import { PortError } from '../errors.ts'
import { parsePin } from '../services/pin.ts'
import {
  type ContainerEngine,
  type ContainerNames,
  findEngine,
  identityLabel,
  ownLabels,
} from './docker-engine.ts'
import { ContainerServer } from './docker-server.ts'
import type { ServerEngine, ServerPlace } from './engine.ts'
import { ServerFolder } from './folder.ts'
import { listens } from './free-port.ts'
import type { Lock } from './lock.ts'
import { checkOrigin, rememberOrigin } from './origin.ts'
import { checkOptions, lockFolder } from './server.ts'
import { type ContainerSource, findPrograms } from './source.ts'

/** What a vendor brings so that its server can be started in a container. */
export interface ContainerRecipe {
  /** The official image of a version: `postgres:17.10`. */
  image(pin: string): string
  /** Where the server listens in the container. */
  readonly port: number
  /** Where the image keeps the server's data. */
  dataFolder(pin: string): string
  /** What the container is given. */
  setUp(place: ServerPlace): ContainerSetUp
}

export interface ContainerSetUp {
  /** The arguments of the image's entry point. They are shown to every user of the machine: no secrets. */
  readonly command: readonly string[]
  /** The image's documented variables. */
  readonly env?: Readonly<Record<string, string>>
  /** Path in the container to text; what is secret goes here. */
  readonly files: Readonly<Record<string, string>>
}

/** A server that can be started in a container: what it brings for a process of its own, as far as that is the same. */
export type ContainedEngine = Pick<
  ServerEngine,
  'engine' | 'title' | 'stopSignal' | 'identify' | 'provision' | 'adminUrl'
> & { readonly container: ContainerRecipe }

/** An image that is there, on an engine that answers. */
interface Image {
  readonly engine: ContainerEngine
  readonly name: string
  /** Changes where the tag is moved to another image. */
  readonly id: string
}

const sourceName = 'a container engine'

/** A container engine as one of the sources of a server. */
export function containerSource(contained: ContainedEngine): ContainerSource {
  return {
    name: sourceName,
    async find(pin, context) {
      const engine = await findEngine()
      if (typeof engine === 'string') return engine
      const name = contained.container.image(pin)
      const found = await engine.findImage(name, context)
      if (typeof found === 'string') return found
      const image = { engine, name, id: found.id }
      return {
        engine: contained.engine,
        start: (options) => startOn(contained, image, options),
        keep: (options) => keepOn(contained, image, options),
      }
    },
  }
}

/** Makes a {@link DatastoreServer} that runs in a container, or nowhere. */
export function containerServer(contained: ContainedEngine): DatastoreServer {
  const source = containerSource(contained)
  return {
    engine: contained.engine,
    async start(options) {
      checkOptions(options)
      options.signal?.throwIfAborted()
      const server = await findPrograms(contained.title, [source], options.version, options)
      return server.start(options)
    },
  }
}

async function startOn(
  contained: ContainedEngine,
  image: Image,
  options: StartOptions,
): Promise<RunningServer> {
  const folder = new ServerFolder(options.directory)
  const lock = await lockFolder(contained, folder, options)
  try {
    const { kept, port } = folder.lastRun ?? {}
    if (kept?.container && port !== undefined && (await listens(port))) {
      throw new PortError({
        code: 'conflict',
        message: `${contained.title} is kept running in a container on ${folder.path}; portside down stops it, or choose another folder`,
      })
    }
    return await bringUp(contained, image, folder, options, lock)
  } catch (error) {
    lock.release()
    throw error
  }
}

/** Whoever keeps a server has locked its folder. */
async function keepOn(contained: ContainedEngine, image: Image, options: StartOptions): Promise<KeptServer> {
  const folder = new ServerFolder(options.directory)
  const server = await bringUp(contained, image, folder, { changed: 'refuse', ...options }, undefined)
  const { title, stopSignal } = contained
  const { identity, pid, port, reused } = server
  const { durable = true } = options
  const kept = { ...identity, title, durable, stopSignal, from: sourceName, passedOver: [] }
  folder.lastRun = { port, kept: { ...kept, container: true } }
  return {
    ...{ identity, pid, port, reused },
    provision: (service) => server.provision(service),
    adminUrl: () => server.adminUrl(),
    async stop() {
      await server.stop()
      folder.lastRun = { port }
    },
  }
}

/** @param lock the server's own, which it releases when it is stopped; without one it outlives this process */
async function bringUp(
  contained: ContainedEngine,
  image: Image,
  folder: ServerFolder,
  options: StartOptions,
  lock: Lock | undefined,
): Promise<ContainerServer> {
  const { signal, onProgress = () => {}, durable = true, version } = options
  const { container: recipe, engine, title, stopSignal } = contained
  refuseLocalData(contained, folder)
  checkOrigin(contained, folder, options)
  const programs = { version, program: (name: string) => name, env: {} }
  const place: ServerPlace = { folder, programs, durable, signal, onProgress }
  const { id, volume } = namesOf(folder)
  await image.engine.sweep(id, folder.path).catch(() => {
    // What others left is no reason to fail.
  })
  const labels = ownLabels(id, folder.path, durable)
  const data = `${engine} ${parsePin(version)[0]}`
  const ready = await prepareVolume(image.engine, place, title, volume, data, labels)
  const { command, env = {}, files } = recipe.setUp(place)
  const plan = {
    ...{ image: image.name, command, env, files, port: recipe.port, volume, stopSignal },
    dataFolder: recipe.dataFolder(version),
  }
  const identity = createHash('sha256')
    .update(JSON.stringify([plan, image.id, labels]))
    .digest('hex')
  const server = new ContainerServer(contained, place, image.engine, lock, {
    ...plan,
    labels: { ...labels, [identityLabel]: identity },
  })
  await server.startOnSomePort(id, options.port)
  ready()
  rememberOrigin(contained, folder, durable, server.identity)
  return server
}

/**
 * Makes the volume where it is absent, and anew where it was left half made: the images cannot tell the one from the
 * other. Answers what to call once the server in it was ready, from when on there may be something to lose.
 */
async function prepareVolume(
  engine: ContainerEngine,
  { folder, programs }: ServerPlace,
  title: string,
  volume: string,
  data: string,
  labels: Readonly<Record<string, string>>,
): Promise<() => void> {
  const unfinished = folder.file('container.unfinished')
  const end = (): void => rmSync(unfinished, { force: true })
  if (existsSync(unfinished)) {
    const container = await engine.find(namesOf(folder).id)
    if (container !== undefined) await engine.remove(container)
    await engine.removeVolume(volume)
  }
  const found = await engine.dataOf(volume)
  if (found === data) return end
  if (found === undefined) {
    writeFileSync(unfinished, '')
    await engine.makeVolume(volume, data, labels)
    return end
  }
  throw new PortError({
    code: 'precondition-failed',
    message:
      `the volume ${volume} of ${folder.path} holds data of ${found}, and ${title} ${programs.version} is pinned; ` +
      `nothing was touched: pin the version it is of, carry the data over, or choose another folder to start afresh`,
    details: { pinned: programs.version, found },
  })
}

/** Silently starting on an empty volume would look as if the data were lost. */
function refuseLocalData({ title }: ContainedEngine, folder: ServerFolder): void {
  if (!folder.hasData) return
  throw new PortError({
    code: 'precondition-failed',
    message:
      `${folder.data} holds the data of ${title} that ran without a container; nothing was touched: ` +
      `run it without one, or choose another folder, or remove ${folder.path} to start afresh`,
  })
}

function namesOf(folder: ServerFolder): ContainerNames {
  const known = folder.recall<ContainerNames>('container')
  if (known !== undefined) return known
  const id = randomUUID()
  const names = { id, volume: `portside-${id}` }
  folder.remember('container', names)
  return names
}
