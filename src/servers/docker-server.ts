/** Watches, stops and restarts a server in a container; the same for every engine. */
import { writeFileSync } from 'node:fs'
import type { ServerIdentity } from '../adapter.ts'
import { systemClock } from '../calls/clock.ts'
import { PortError } from '../errors.ts'
import { pinHolds } from '../services/pin.ts'
import type { ContainedEngine } from './docker.ts'
import {
  type Container,
  type ContainerEngine,
  type ContainerPlan,
  type ContainerState,
  identityLabel,
  isPortTaken,
  reasonOf,
} from './docker-engine.ts'
import { guardContainer } from './docker-guardian.ts'
import type { ServerPlace } from './engine.ts'
import { freePort, isFree } from './free-port.ts'
import type { Guardian } from './guardian.ts'
import { cancelled, portTaken } from './launch.ts'
import type { Lock } from './lock.ts'
import { lockFolder } from './server.ts'
import { StartedServer } from './started-server.ts'

const startTimeoutMs = 60_000
const stopTimeoutMs = 20_000

export class ContainerServer extends StartedServer<ContainedEngine> {
  readonly #containers: ContainerEngine
  readonly #plan: Omit<ContainerPlan, 'hostPort'>
  /** Without a lock it is not this process's own, and outlives it. */
  readonly #isKept: boolean
  #lock: Lock | undefined
  #container: Container | undefined
  #guardian: Guardian | undefined
  #isReused = false

  constructor(
    contained: ContainedEngine,
    place: ServerPlace,
    containers: ContainerEngine,
    lock: Lock | undefined,
    plan: Omit<ContainerPlan, 'hostPort'>,
  ) {
    super(contained, place)
    this.#containers = containers
    this.#lock = lock
    this.#isKept = lock === undefined
    this.#plan = plan
  }

  /** Whether its container ran before it was asked for. */
  get reused(): boolean {
    return this.#isReused
  }

  protected async isRunning(): Promise<boolean> {
    return (await this.#state())?.State.Running === true
  }

  /** The container stays, so that the next start finds it. */
  stop(): Promise<void> {
    return this.inTurn(async () => {
      if (await this.isRunning()) {
        await this.#container?.stop({ t: stopTimeoutMs / 1000 }).catch(unlessStopped)
      }
      this.#guardian?.dismiss()
      this.#guardian = undefined
      this.#lock?.release()
      this.#lock = undefined
    })
  }

  kill(): Promise<void> {
    return this.inTurn(async () => {
      if (!(await this.isRunning())) return
      await this.#container?.kill({ signal: 'SIGKILL' }).catch(unlessStopped)
      await this.#container?.wait()
    })
  }

  restart(): Promise<void> {
    return this.inTurn(async () => {
      if (await this.isRunning()) return
      if (!this.#isKept) this.#lock ??= await lockFolder(this.engine, this.place.folder, this.place)
      await this.#startOn(this.port)
    })
  }

  /** On the given port and no other; or else on that of the last run, so that URLs stay, or on any. */
  async startOnSomePort(folderId: string, wanted: number | undefined): Promise<void> {
    this.#container = await this.#containers.find(folderId)
    const last = (await this.#state())?.HostConfig.PortBindings as PortBindings | undefined
    const lastPort =
      Number(last?.[`${this.#plan.port}/tcp`]?.[0]?.HostPort) || this.place.folder.lastRun?.port
    if (wanted !== undefined) return this.#startOn(wanted)
    for (let tries = 1; ; tries += 1) {
      const port = tries === 1 && lastPort !== undefined ? lastPort : await freePort()
      try {
        return await this.#startOn(port)
      } catch (error) {
        const taken = PortError.is(error) && error.code === 'conflict'
        if (!taken || tries >= 5) throw error
      }
    }
  }

  async #startOn(port: number): Promise<void> {
    const { title } = this.engine
    const { folder, signal, onProgress } = this.place
    signal?.throwIfAborted()
    const slow = systemClock.timer(500, () => onProgress(`waiting for ${title} to be ready`))
    try {
      const container = await this.#runOn(port)
      this.#container = container
      this.#guardian?.dismiss()
      if (!this.#isKept)
        this.#guardian = guardContainer(this.#containers.address, container.id, stopTimeoutMs)
      const identity = await this.#untilReady(container, port)
      this.ran = { identity, port, pid: (await container.inspect()).State.Pid }
      folder.lastRun = { port }
    } catch (error) {
      this.#guardian?.dismiss()
      this.#guardian = undefined
      // Its data stays in the volume; what was not ready in it yet is made anew by the next start.
      if (this.#container !== undefined) await this.#containers.remove(this.#container)
      this.#container = undefined
      throw signal?.aborted ? cancelled() : error
    } finally {
      slow()
    }
  }

  /** The folder's container on that port: the running one, the stopped one started again, or a new one. */
  async #runOn(port: number): Promise<Container> {
    const { title } = this.engine
    try {
      const state = await this.#state()
      if (this.#container !== undefined && state !== undefined) {
        if (this.#isSame(state, port)) {
          this.#isReused = state.State.Running
          if (!state.State.Running) await this.#container.start()
          return this.#container
        }
        await this.#containers.remove(this.#container)
        this.#container = undefined
      }
      this.#isReused = false
      if (!(await isFree(port))) throw portTaken(port)
      return await this.#containers.run({ ...this.#plan, hostPort: port })
    } catch (cause) {
      if (PortError.is(cause)) throw cause
      if (isPortTaken(cause)) throw portTaken(port)
      throw new PortError({
        code: 'unavailable',
        outcome: 'not-applied',
        message: `${title} could not be started in a container: ${reasonOf(cause)}`,
        cause,
      })
    }
  }

  #isSame({ Config, HostConfig }: ContainerState, port: number): boolean {
    const bound = (HostConfig.PortBindings as PortBindings)[`${this.#plan.port}/tcp`]?.[0]?.HostPort
    return bound === String(port) && Config.Labels[identityLabel] === this.#plan.labels[identityLabel]
  }

  async #untilReady(container: Container, port: number): Promise<ServerIdentity> {
    const { title, engine } = this.engine
    const { signal, programs } = this.place
    const end = Date.now() + startTimeoutMs
    let last: unknown
    for (;;) {
      signal?.throwIfAborted()
      if (!(await container.inspect()).State.Running) {
        throw await this.#failed(container, `${title} ended while it was starting`, last)
      }
      try {
        const found = await this.engine.identify(this.place, port)
        if (found.engine === engine && pinHolds(programs.version, found.version)) return found
        throw new PortError({
          code: 'unsupported',
          message: `${title} ${programs.version} is pinned, and the image ${this.#plan.image} holds ${found.engine} ${found.version}`,
          details: { pinned: programs.version, found: found.version },
        })
      } catch (error) {
        if (PortError.is(error) && error.code === 'unsupported') throw error
        last = error
      }
      if (Date.now() > end) {
        throw await this.#failed(container, `${title} was not ready after ${startTimeoutMs / 1000} s`, last)
      }
      await systemClock.sleep(25)
    }
  }

  async #failed(container: Container, what: string, cause: unknown): Promise<PortError> {
    const { folder } = this.place
    const log = await this.#containers.logTail(container).catch(reasonOf)
    writeFileSync(folder.log, log, { mode: 0o600 })
    return new PortError({
      code: 'unavailable',
      outcome: 'not-applied',
      message: `${what}; its log ${folder.log} ends with:\n${folder.logTail()}`,
      cause,
    })
  }

  /** `undefined` where someone removed it. */
  async #state(): Promise<ContainerState | undefined> {
    try {
      return await this.#container?.inspect()
    } catch (error) {
      if ((error as { readonly statusCode?: number }).statusCode === 404) return undefined
      throw error
    }
  }
}

type PortBindings = Readonly<Record<string, readonly { readonly HostPort?: string }[] | undefined>>

/** 304 and 409: it ended by itself in the meantime. */
function unlessStopped(error: unknown): void {
  const { statusCode } = error as { readonly statusCode?: number }
  if (statusCode !== 304 && statusCode !== 409 && statusCode !== 404) throw error
}
