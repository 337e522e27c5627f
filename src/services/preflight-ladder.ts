/**
 * The ladder from configuration to migrations that is climbed before traffic: each rung for all services, one rung
 * after another, so that the first thing that is wrong is the first to be told. A service that fails a rung is
 * tried no further; the others go on, so that one run tells all that is wrong.
 */
import { isIP } from 'node:net'
import type { NetworkEndpoint } from '../adapter.ts'
import { checkFields, checkInteger } from '../calls/arguments.ts'
import { Redactor } from '../calls/redact.ts'
import { PortError, type PortErrorCode } from '../errors.ts'
import type { CallOptions } from '../port.ts'
import type { OpenedService, RealService } from './open.ts'
import { checkPin } from './pin.ts'
import { reach, resolveHost, type StepOptions } from './preflight-network.ts'
import { isLoopback, ServiceUrl } from './url.ts'

/** The rungs, in the order in which they are climbed. */
export const preflightRungs = [
  'config',
  'credentials',
  'dns',
  'tcp',
  'version',
  'operation',
  'migrations',
] as const

export type PreflightRung = (typeof preflightRungs)[number]

/** What became of one rung for one service. */
export interface PreflightStep {
  readonly rung: PreflightRung
  /** `undefined` for what is of all services. */
  readonly service: string | undefined
  /** `skipped`: there is nothing to try here; `not-tried`: a lower rung failed. */
  readonly outcome: 'go' | 'no-go' | 'skipped' | 'not-tried'
  /** What was found, or why not. Holds no secret. */
  readonly detail: string
  /** Of the error of a `no-go`. */
  readonly code: PortErrorCode | undefined
  readonly durationMs: number
}

export interface PreflightReport {
  readonly format: 1
  /** Whether every step is `go` or `skipped`. */
  readonly go: boolean
  /** The lowest rung that failed. */
  readonly failed: PreflightRung | undefined
  /** ISO 8601, UTC. */
  readonly startedAt: string
  readonly durationMs: number
  readonly steps: readonly PreflightStep[]
}

export interface PreflightOptions extends CallOptions {
  /** How long each step may take, in milliseconds. @default 10 000 */
  readonly timeoutMs?: number
  /** Called with each step in the order of the report, when its rung is done for all services. */
  readonly onStep?: (step: PreflightStep) => void
}

/** A service to try. */
export interface PreflightSubject {
  readonly name: string
  /** `undefined` where a fake stands in. */
  readonly real: RealService | undefined
  /** Where it is open already. */
  readonly opened?: OpenedService
  /** Opens it, where it is not. */
  readonly open?: () => Promise<OpenedService>
  /** Whether another version than the pinned one is no failure. */
  readonly tolerant?: boolean
}

const defaultTimeoutMs = 10_000

/** Climbs the ladder; `before` are steps that were done already. */
export async function climb(
  subjects: readonly PreflightSubject[],
  options: PreflightOptions = {},
  before: readonly PreflightStep[] = [],
): Promise<PreflightReport> {
  checkFields('options', options, ['timeoutMs', 'signal', 'onStep'])
  const { timeoutMs = defaultTimeoutMs, signal, onStep = () => {} } = options
  checkInteger('timeoutMs', timeoutMs, { min: 1, max: 600_000 })
  const startedAt = new Date()
  const started = performance.now()
  const steps = [...before]
  for (const step of before) onStep(step)
  const climbers = subjects.map((subject) => new Climber(subject))
  for (const rung of preflightRungs) {
    // All of them, so that nothing is under way where a listener throws.
    const done = await Promise.all(climbers.map((climber) => climber.climb(rung, { timeoutMs, signal })))
    for (const step of done) {
      if (step === undefined) continue
      steps.push(step)
      onStep(step)
    }
  }
  const failed = preflightRungs.find((rung) =>
    steps.some((step) => step.rung === rung && step.outcome === 'no-go'),
  )
  const durationMs = tenths(performance.now() - started)
  const at = startedAt.toISOString()
  return { format: 1, go: failed === undefined, failed, startedAt: at, durationMs, steps }
}

/** What a rung found; `skip` where there was nothing to try. */
type Found = { readonly go: string } | { readonly skip: string }

class Climber {
  readonly #subject: PreflightSubject
  readonly #redactor: Redactor
  #opened: OpenedService | undefined
  #failed: PreflightRung | undefined
  /** Of the service's host, once its name is resolved. */
  #addresses: readonly string[] = []

  constructor(subject: PreflightSubject) {
    this.#subject = subject
    this.#opened = subject.opened
    this.#redactor = new Redactor(subject.real?.secrets ?? [])
  }

  async climb(rung: PreflightRung, options: StepOptions): Promise<PreflightStep | undefined> {
    const { name, real } = this.#subject
    if (real === undefined) {
      if (rung !== 'operation') return undefined
      return step(rung, name, 'skipped', 'a fake stands in for it')
    }
    if (this.#failed !== undefined) return step(rung, name, 'not-tried', `${this.#failed} failed`)
    const started = performance.now()
    try {
      const found = await this.#try(rung, real, options)
      if (found === undefined) return undefined
      const durationMs = tenths(performance.now() - started)
      if ('skip' in found) return step(rung, name, 'skipped', found.skip)
      return { ...step(rung, name, 'go', this.#redactor.text(found.go)), durationMs }
    } catch (error) {
      this.#failed = rung
      const durationMs = tenths(performance.now() - started)
      const [code, detail] = PortError.is(error)
        ? ([error.code, error.detail] as const)
        : ([
            'internal',
            `unexpected failure: ${error instanceof Error ? error.message : typeof error}`,
          ] as const)
      return { ...step(rung, name, 'no-go', this.#redactor.text(detail)), code, durationMs }
    }
  }

  async #try(rung: PreflightRung, real: RealService, options: StepOptions): Promise<Found | undefined> {
    switch (rung) {
      case 'config':
        return undefined
      case 'credentials':
        return this.#credentials(real)
      case 'dns':
        return this.#resolve(endpointOf(real), options)
      case 'tcp':
        return this.#reach(endpointOf(real), options)
      case 'version':
        return this.#version(real, options)
      case 'operation':
        await this.#open().guarded.ping(options)
        return { go: `${real.adapter.name} answers, and takes the credentials` }
      case 'migrations':
        return this.#migrations(real, options)
    }
  }

  /** That they are there and can be read; whether the service takes them shows above. */
  async #credentials(real: RealService): Promise<Found> {
    if (this.#opened !== undefined) return { skip: 'it is open already' }
    const { url, adapter } = real
    const parsed = ServiceUrl.parse(adapter.example, adapter.parameters)
    const placeholder = 'url' in parsed ? parsed.url.password : undefined
    if (url.password !== undefined && url.password === placeholder && !isLoopback(url.host)) {
      throw new PortError({ code: 'unauthenticated', message: 'the password is the one of the example' })
    }
    this.#opened = await this.#subject.open?.()
    if (url.password === undefined)
      return { go: 'the URL holds none, so none are needed or the client finds them' }
    return { go: url.username === undefined ? 'a password is given' : 'a user and a password are given' }
  }

  async #resolve(endpoint: NetworkEndpoint | undefined, options: StepOptions): Promise<Found> {
    if (endpoint === undefined) return untold
    const { host } = endpoint
    this.#addresses = await resolveHost(host, options)
    if (isIP(host) !== 0) return { skip: `${host} is an address` }
    return { go: `${host} is ${this.#addresses.join(', ')}` }
  }

  async #reach(endpoint: NetworkEndpoint | undefined, options: StepOptions): Promise<Found> {
    if (endpoint === undefined) return untold
    return { go: await reach(endpoint, this.#addresses, options) }
  }

  async #version({ service }: RealService, options: StepOptions): Promise<Found> {
    if (service.boundary === 'unbounded') return { skip: "someone else's service is not pinned" }
    const found = await this.#open().asking.port.identify(options)
    if (found === undefined) return { skip: 'the server does not say' }
    const text = `${found.engine} ${found.version}`
    try {
      checkPin(service.adapters[0].engine, service.version, found)
    } catch (error) {
      if (!this.#subject.tolerant) throw error
      return { go: `${text}, though ${service.version} is pinned: pins are only warned of here` }
    }
    return { go: `${text}, as pinned (${service.version})` }
  }

  async #migrations({ service }: RealService, options: StepOptions): Promise<Found> {
    if (service.boundary === 'unbounded' || service.migrations === undefined) return { skip: 'it has none' }
    const state = await this.#open().asking.port.migrations(options)
    if (state === undefined) return { skip: 'its adapter does not tell which have run' }
    const { applied, pending, unknown } = state
    if (pending.length > 0) {
      throw new PortError({
        code: 'precondition-failed',
        message: `${count(pending.length)} not run: ${few(pending)}; run: portside migrate`,
      })
    }
    const ahead =
      unknown.length === 0
        ? ''
        : `; the schema is ahead of this release by ${count(unknown.length)}: ${few(unknown)}`
    return { go: `${count(applied.length)} run, none pending${ahead}` }
  }

  #open(): OpenedService {
    if (this.#opened === undefined) throw new PortError({ code: 'internal', message: 'it was not opened' })
    return this.#opened
  }
}

function endpointOf({ adapter, url }: RealService): NetworkEndpoint | undefined {
  return adapter.endpoint?.(url)
}

const untold = { skip: 'the URL does not tell where the client connects' }

function step(
  rung: PreflightRung,
  service: string | undefined,
  outcome: PreflightStep['outcome'],
  detail: string,
): PreflightStep {
  return { rung, service, outcome, detail, code: undefined, durationMs: 0 }
}

function count(migrations: number): string {
  return migrations === 1 ? '1 migration' : `${migrations} migrations`
}

function few(names: readonly string[]): string {
  const more = names.length - 3
  return `${names.slice(0, 3).join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}

function tenths(ms: number): number {
  return Math.round(ms * 10) / 10
}
