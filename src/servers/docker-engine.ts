/**
 * The container engine of this machine, by testcontainers. What it starts belongs to a server's folder and outlives this
 * process, so testcontainers' own reaper has no part in it: labels say whose a container is, and the next start uses
 * or clears away what an earlier one left.
 */
import { existsSync, rmSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../calls/clock.ts'
import { PortError } from '../errors.ts'
import { loadVendor } from '../services/vendor.ts'
import { enginePlaces, isHere } from './engine-places.ts'
import { recallIn } from './folder.ts'
import type { SourceContext } from './source.ts'

type Library = typeof import('testcontainers')
type Client = Awaited<ReturnType<Library['getContainerRuntimeClient']>>
type WaitStrategy = import('testcontainers').WaitStrategy
export type Container = ReturnType<Client['container']['getById']>
export type ContainerState = Awaited<ReturnType<Container['inspect']>>

/** Where the engine's API is, for who has no testcontainers. */
export type EngineAddress =
  | { readonly socketPath: string }
  | { readonly host: string; readonly port: number | string }

/** What a client of the engine knows of where it is. */
interface Modem {
  readonly socketPath?: string
  readonly host?: string
  readonly port?: number | string
  readonly protocol?: string
}

/** A container that is to be made. */
export interface ContainerPlan {
  readonly image: string
  readonly command: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** Path in the container to text. Readable by every account there. */
  readonly files: Readonly<Record<string, string>>
  readonly labels: Readonly<Record<string, string>>
  /** Where the server listens in the container. */
  readonly port: number
  /** Where it listens on this machine: on the loopback address alone. */
  readonly hostPort: number
  readonly volume: string
  /** Where the container sees the volume. */
  readonly dataFolder: string
  readonly stopSignal: NodeJS.Signals
}

const label = {
  folder: 'portside.folder',
  directory: 'portside.directory',
  host: 'portside.host',
  durable: 'portside.durable',
  data: 'portside.data',
} as const

/** Names all that a container was made of: where it is another, the container is made anew. */
export const identityLabel = 'portside.identity'

/** Labels that say whose a container or a volume is. */
export function ownLabels(
  folder: string,
  directory: string,
  durable: boolean,
): Readonly<Record<string, string>> {
  return {
    [label.folder]: folder,
    [label.directory]: directory,
    [label.host]: hostname(),
    [label.durable]: String(durable),
  }
}

/** PostgreSQL shares memory between the processes of one query; an engine's own choice, 64 MiB, is soon too little. */
const sharedMemoryBytes = 256 * 1024 * 1024

/** The engine, or a sentence that says why there is none to use. */
export async function findEngine(): Promise<ContainerEngine | string> {
  const places = enginePlaces()
  if (places.length === 0)
    return 'no container engine: DOCKER_HOST is not set, and no engine has its socket here'
  const library = await loadVendor(() => import('testcontainers'), ['testcontainers'])
  let client: Client
  try {
    client = await library.getContainerRuntimeClient()
  } catch {
    // It says no more than that none works.
    return `no container engine: none answers at ${places.join(' or ')}`
  }
  const engine = new ContainerEngine(library, client)
  // It goes on to the next place; an address that someone set is meant.
  if (process.env.DOCKER_HOST && !engine.isAt(process.env.DOCKER_HOST)) {
    return `no container engine: none answers at ${places.join(' or ')}`
  }
  const { host } = client.info.containerRuntime
  if (!(await isHere(host))) {
    return `the container engine is on ${host}; its servers would not be on the loopback address of this machine`
  }
  return engine
}

export class ContainerEngine {
  readonly #library: Library
  readonly #client: Client

  constructor(library: Library, client: Client) {
    this.#library = library
    this.#client = client
  }

  get address(): EngineAddress | undefined {
    const { socketPath, protocol, host, port } = this.#modem
    if (socketPath) return { socketPath }
    // With certificates it would take more than an address.
    return protocol === 'http' && host && port ? { host, port } : undefined
  }

  /** Whether it is the one that a `DOCKER_HOST` names. */
  isAt(address: string): boolean {
    const { socketPath, host } = this.#modem
    const { pathname, hostname: wanted } = new URL(address)
    return socketPath ? wanted === '' && pathname === socketPath : host === wanted
  }

  get #modem(): Modem {
    return this.#client.container.dockerode.modem as Modem
  }

  /** Has the image ready, pulled where it is not there yet; else a sentence that says why it cannot be had. */
  async findImage(
    image: string,
    { signal, onProgress }: SourceContext,
  ): Promise<{ readonly id: string } | string> {
    const name = this.#library.ImageName.fromString(image)
    const { image: images } = this.#client
    try {
      if (!(await images.exists(name))) {
        onProgress?.(`pulling the image ${image}`)
        await unlessAborted(images.pull(name), signal)
        if (!(await images.exists(name)))
          return `the image ${image} is not there and could not be pulled${await this.#alike(image)}`
      }
      return { id: (await images.inspect(name)).Id }
    } catch (error) {
      signal?.throwIfAborted()
      return `the image ${image} is not there and cannot be pulled: ${reasonOf(error)}${await this.#alike(image)}`
    }
  }

  /** Which other versions of the image the engine has, as the end of a sentence. */
  async #alike(image: string): Promise<string> {
    const repository = image.slice(0, image.lastIndexOf(':'))
    const filters = JSON.stringify({ reference: [repository] })
    const found = await this.#client.container.dockerode.listImages({ filters }).catch(() => [])
    const tags = found.flatMap(({ RepoTags }) => RepoTags ?? [])
    return tags.length === 0 ? '' : `; there is ${tags.toSorted().join(', ')}`
  }

  /** The container of a server's folder, running or not. */
  async find(folder: string): Promise<Container | undefined> {
    const found = await this.#list(`${label.folder}=${folder}`)
    // More than one are left by a start that was cut short between making one and removing another.
    await Promise.all(found.slice(1).map(({ Id }) => this.remove(this.#client.container.getById(Id))))
    return found[0] && this.#client.container.getById(found[0].Id)
  }

  /** What kind of data a volume holds; `undefined` where there is no such volume. */
  async dataOf(volume: string): Promise<string | undefined> {
    try {
      const { Labels } = await this.#client.container.dockerode.getVolume(volume).inspect()
      return Labels?.[label.data] ?? ''
    } catch (error) {
      if (statusOf(error) === 404) return undefined
      throw error
    }
  }

  async makeVolume(volume: string, data: string, labels: Readonly<Record<string, string>>): Promise<void> {
    const { dockerode } = this.#client.container
    await dockerode.createVolume({ Name: volume, Labels: { ...labels, [label.data]: data } })
  }

  /** Makes the container and starts it; does not wait for the server in it. */
  async run(plan: ContainerPlan): Promise<Container> {
    const { GenericContainer } = this.#library
    let made: string | undefined
    class ServerContainer extends GenericContainer {
      constructor() {
        super(plan.image)
        this.withExposedPorts({ container: plan.port, host: plan.hostPort })
        const onLoopback = { HostIp: '127.0.0.1', HostPort: String(plan.hostPort) }
        this.hostConfig.PortBindings = { [`${plan.port}/tcp`]: [onLoopback] }
        this.hostConfig.Mounts = [{ Type: 'volume', Source: plan.volume, Target: plan.dataFolder }]
        this.createOpts.StopSignal = plan.stopSignal
      }

      protected override containerCreated = async (id: string): Promise<void> => {
        made = id
      }
    }
    const container = new ServerContainer()
      .withCommand([...plan.command])
      .withEnvironment({ ...plan.env })
      .withLabels({ ...plan.labels })
      .withCopyContentToContainer(
        Object.entries(plan.files).map(([target, content]) => ({ target, content, mode: 0o644 })),
      )
      .withSharedMemorySize(sharedMemoryBytes)
      .withAutoCleanup(false)
      .withWaitStrategy(noWait)
    const over = new AbortController()
    try {
      const started = container.start().then((it) => it.getId())
      // What ended at once has no ports, which testcontainers would wait for; why it ended is in its log.
      return this.#client.container.getById(
        await Promise.race([started, this.#endOf(() => made, over.signal)]),
      )
    } catch (error) {
      // One that was made and cannot be started, because its port is taken, say.
      if (made !== undefined) await this.remove(this.#client.container.getById(made))
      throw error
    } finally {
      over.abort()
    }
  }

  /** The id of the container, once it has run and ended; never where the signal aborts first. */
  async #endOf(made: () => string | undefined, signal: AbortSignal): Promise<string> {
    for (;;) {
      await systemClock.sleep(100, signal)
      const id = made()
      if (id === undefined) continue
      // Where it cannot be started it may be gone again, and the start says why.
      const state = await this.#client.container
        .getById(id)
        .inspect()
        .catch(() => undefined)
      if (state?.State.Status === 'exited') return id
    }
  }

  /** Removes a container with whatever runs in it; absent already is as well. Its volume stays. */
  async remove(container: Container): Promise<void> {
    await unlessGone(container.remove({ force: true }))
  }

  async removeVolume(volume: string): Promise<void> {
    await unlessGone(this.#client.container.dockerode.getVolume(volume).remove())
  }

  /** What the server in it wrote last. */
  async logTail(container: Container): Promise<string> {
    const frames = (await container.logs({ stdout: true, stderr: true, tail: 30 })) as Buffer
    return withoutFrames(frames)
  }

  /**
   * Removes what throw-away servers left whose folder is gone, or was made anew as `folder` at `directory`: the
   * passwords were in it, so no one can use them again. What was to be durable is left alone; its folder may be on a
   * disk that is not there now.
   */
  async sweep(folder: string, directory: string): Promise<void> {
    const { dockerode } = this.#client.container
    const isGone = (labels: Readonly<Record<string, string>> | undefined): boolean => {
      if (labels?.[label.durable] !== 'false') return false
      if (labels[label.directory] === directory) return labels[label.folder] !== folder
      return !existsSync(labels[label.directory] ?? '/')
    }
    for (const { Id, Labels } of await this.#list(`${label.host}=${hostname()}`)) {
      if (isGone(Labels)) await this.remove(dockerode.getContainer(Id))
    }
    const { Volumes } = await dockerode.listVolumes({
      filters: JSON.stringify({ label: [`${label.host}=${hostname()}`] }),
    })
    for (const { Name, Labels } of Volumes ?? []) if (isGone(Labels)) await this.removeVolume(Name)
  }

  #list(filter: string): ReturnType<Client['container']['list']> {
    return this.#client.container.dockerode.listContainers({ all: true, filters: { label: [filter] } })
  }
}

/** What the engine knows a folder's server by. The folder remembers it as `container`. */
export interface ContainerNames {
  readonly id: string
  readonly volume: string
}

/** Stops the container of the server in `directory`; its data stays. */
export async function stopContainer(directory: string, stopTimeoutMs: number): Promise<void> {
  await withNames(directory, async (engine, { id }) => {
    const container = await engine.find(id)
    if ((await container?.inspect())?.State.Running) await container?.stop({ t: stopTimeoutMs / 1000 })
  })
}

/** Removes the container and the data of the server in `directory`. Absent already is as well. */
export async function discardContainer(directory: string): Promise<void> {
  await withNames(directory, async (engine, { id, volume }) => {
    const container = await engine.find(id)
    if (container !== undefined) await engine.remove(container)
    await engine.removeVolume(volume)
    rmSync(join(directory, 'container.json'), { force: true })
  })
}

async function withNames(
  directory: string,
  work: (engine: ContainerEngine, names: ContainerNames) => Promise<void>,
): Promise<void> {
  const names = recallIn<ContainerNames>(directory, 'container')
  if (names === undefined) return
  const engine = await findEngine()
  if (typeof engine !== 'string') return work(engine, names)
  throw new PortError({
    code: 'unavailable',
    outcome: 'not-applied',
    message: `the server of ${directory} is in a container with the volume ${names.volume}, and there is ${engine}`,
  })
}

/** Whether the engine refused because another process listens on the port. */
export function isPortTaken(error: unknown): boolean {
  return /port is already allocated|address already in use|ports are not available/i.test(reasonOf(error))
}

/** What the engine said, without what its client put before it. */
export function reasonOf(error: unknown): string {
  const said = error instanceof Error ? error.message : String(error)
  return said.replace(/^\(HTTP code \d+\) .*? - /, '').trim()
}

function statusOf(error: unknown): number | undefined {
  return (error as { readonly statusCode?: number }).statusCode
}

/** 404: gone already. 409: another process is removing it. */
async function unlessGone(removal: Promise<unknown>): Promise<void> {
  try {
    await removal
  } catch (error) {
    const status = statusOf(error)
    if (status !== 404 && !(status === 409 && reasonOf(error).includes('in progress'))) throw error
  }
}

/** The engine goes on with what it was asked; nobody waits for it. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work
  signal.throwIfAborted()
  const { promise, reject } = Promise.withResolvers<never>()
  const abort = (): void => reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

/** Readiness is a query that is answered, which only the server's own adapter can ask. */
const noWait: WaitStrategy = {
  waitUntilReady: (): Promise<void> => Promise.resolve(),
  withStartupTimeout: (): WaitStrategy => noWait,
  isStartupTimeoutSet: (): boolean => true,
  getStartupTimeout: (): number => 0,
}

/** The engine puts eight bytes before each piece of output: which stream it is of, and its length. */
function withoutFrames(frames: Buffer): string {
  let text = ''
  let at = 0
  while (at + 8 <= frames.length) {
    const end = at + 8 + frames.readUInt32BE(at + 4)
    text += frames.toString('utf8', at + 8, end)
    at = end
  }
  return text
}
