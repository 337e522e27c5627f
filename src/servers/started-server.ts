/** What every started server has, wherever it runs: who it is, places for services, and one step after another. */
import type { RunningServer, ServerIdentity } from '../adapter.ts'
import { checkText } from '../calls/arguments.ts'
import { invalidArgument, PortError } from '../errors.ts'
import type { ServerEngine, ServerPlace } from './engine.ts'

/** How it ran last. */
export interface Run {
  readonly identity: ServerIdentity
  readonly port: number
  readonly pid: number
}

export abstract class StartedServer<Engine extends Pick<ServerEngine, 'title' | 'provision' | 'adminUrl'>>
  implements RunningServer
{
  protected readonly engine: Engine
  protected readonly place: ServerPlace
  protected ran: Run | undefined
  #turn: Promise<unknown> = Promise.resolve()

  constructor(engine: Engine, place: ServerPlace) {
    this.engine = engine
    this.place = place
  }

  get identity(): ServerIdentity {
    if (this.ran === undefined) throw new PortError({ code: 'internal', message: 'it was never started' })
    return this.ran.identity
  }

  /** Of a container as the engine's own machine counts: where that is a virtual one, no process of this one. */
  get pid(): number {
    return this.ran?.pid ?? 0
  }

  get port(): number {
    return this.ran?.port ?? 0
  }

  provision(service: string): Promise<string> {
    return this.inTurn(async () => {
      checkServiceName(service)
      if (!(await this.isRunning())) {
        throw new PortError({ code: 'closed', message: `${this.engine.title} was stopped; restart it first` })
      }
      return this.engine.provision(this.place, this.port, service)
    })
  }

  adminUrl(): string {
    return this.engine.adminUrl(this.place, this.port)
  }

  abstract stop(): Promise<void>
  abstract kill(): Promise<void>
  abstract restart(): Promise<void>

  protected abstract isRunning(): Promise<boolean>

  /** One after another: a stop that overtakes a restart would leave a server behind. */
  protected inTurn<T>(step: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(step)
    this.#turn = result.catch(() => {
      // The caller of that step was told.
    })
    return result
  }
}

export function checkServiceName(service: string): void {
  checkText('service', service)
  if (!/^[a-z][a-zA-Z0-9]{0,39}$/.test(service)) {
    throw invalidArgument('a service is named in camelCase with at most 40 letters and digits')
  }
}
