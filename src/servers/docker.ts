/**
 * Real datastores in containers: the declared version by its official image, on loopback alone. The container and its
 * volume belong to the server's folder, which keeps the passwords; a container whose labels say that nothing changed is
 * used again.
 */
import { createHash, randomUUID } from 'node:crypto'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import type { DatastoreServer, RunningServer, StartOptions } from '../adapter.ts'
import { PortError } from '../errors.ts'
import { parsePin } from '../services/pin.ts'
import { type ContainerEngine, findEngine, identityLabel, ownLabels } from './docker-engine.ts'
import { ContainerServer } from './docker-server.ts'
import type { ServerEngine, ServerPlace } from './engine.ts'
import { ServerFolder } from './folder.ts'
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

/** A container engine as one of the sources of a server. */
export function containerSource(contained: ContainedEngine): ContainerSource {
  return {
    name: 'a container engine',
    async find(pin, context) {
      const engine = await findEngine()
      if (typeof engine === 'string') return engine
      const name = contained.container.image(pin)
      const found = await engine.findImage(name, context)
      if (typeof found === 'string') return found
      const image = { engine, name, id: found.id }
      return { engine: contained.engine, start: (options) => startOn(contained, image, options) }
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

/** Removes the container and the data of the server in `directory`. Absent already is as well. */
export async function discardContainer(directory: string): Promise<void> {
  const folder = new ServerFolder(directory)
  const engine = await findEngine()
  if (typeof engine === 'string') return
  const { id, volume } = namesOf(folder)
  const container = await engine.find(id)
  if (container !== undefined) await engine.remove(container)
  await engine.removeVolume(volume)
}

async function startOn(
  contained: ContainedEngine,
  image: Image,
  options: StartOptions,
): Promise<RunningServer> {
  const { signal, onProgress = () => {}, durable = true, version } = options
  const folder = new ServerFolder(options.directory)
  const lock = await lockFolder(contained, folder, options)
  try {
    refuseLocalData(contained, folder)
    const programs = { version, program: (name: string) => name, env: {} }
    const place: ServerPlace = { folder, programs, durable, signal, onProgress }
    const { container: recipe, engine, title, stopSignal } = contained
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
    return server
  } catch (error) {
    lock.release()
    throw error
  }
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
  if (!existsSync(folder.data)) return
  throw new PortError({
    code: 'precondition-failed',
    message:
      `${folder.data} holds the data of ${title} that ran without a container; nothing was touched: ` +
      `run it without one, or choose another folder, or remove ${folder.path} to start afresh`,
  })
}

/** The folder's own name in the engine, kept with the passwords: who has lost those has lost the data. */
function namesOf(folder: ServerFolder): { readonly id: string; readonly volume: string } {
  const id = folder.password('container', randomUUID)
  return { id, volume: `portside-${id}` }
}
