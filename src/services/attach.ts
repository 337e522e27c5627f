/**
 * Attaches an app to its services: read the configuration, open each, check the pins, hand out the ports; and
 * close them again, newest first.
 */
import type { ServerIdentity } from '../adapter.ts'
import { checkFields } from '../calls/arguments.ts'
import { systemClock } from '../calls/clock.ts'
import type { CallEvent, Guarded } from '../calls/guard.ts'
import { checkRetry, defaultRetry, type RetryPolicy } from '../calls/retry.ts'
import { invalidArgument, PortError } from '../errors.ts'
import { makeParityReport, type ParityOptions, type ParityReport } from '../parity/report.ts'
import type { CallOptions } from '../port.ts'
import { type Config, type ConfigSources, readConfig, type ServiceConfig } from './config.ts'
import {
  type AnyService,
  type BoundedService,
  checkServices,
  type FakeContext,
  type FakeFactory,
  type FakeLike,
  type Services,
  type UnboundedService,
} from './declare.ts'
import { type Native, registerNative } from './native.ts'
import { type Asking, attachTimeoutMs, openReal, type RealService } from './open.ts'
import { checkPin } from './pin.ts'
import {
  climb,
  type PreflightOptions,
  type PreflightReport,
  type PreflightStep,
  type PreflightSubject,
} from './preflight-ladder.ts'

export interface AttachOptions extends ConfigSources {
  /** How idempotent calls are repeated. @default 3 attempts, from 50 ms to 2 s apart */
  readonly retry?: RetryPolicy
  /** Called once for each finished call on any service: for logs, metrics and traces. */
  readonly observe?: (event: CallEvent) => void
  /** The clock and seed of fakes. @default the machine's clock, seed 1 */
  readonly fakes?: Pick<FakeContext, 'clock' | 'seed'>
  /**
   * What to do about a server of another version than is pinned: refuse to attach, or go on with a warning of the
   * process (`PORTSIDE_PIN`), as for the hours of an upgrade.
   * @default 'refuse'
   */
  readonly pins?: 'refuse' | 'warn'
}

/** The port of a service, with its vendor's client reachable through `native()`. */
export type PortOf<S> =
  S extends BoundedService<infer T, infer N>
    ? T & Native<N>
    : S extends UnboundedService<infer T, infer _F>
      ? T
      : never

/** The attached app: each service's port under its name, and the lifecycle. */
export type Attached<M extends Services> = { readonly [K in keyof M]: PortOf<M[K]> } & AttachedControls

/** The fakes of the unbounded services: what they hold, and how they are made to fail. */
export type Fakes<M extends Services> = {
  readonly [K in keyof M as M[K] extends UnboundedService<infer _T, infer _F>
    ? K
    : never]: M[K] extends UnboundedService<infer _T, infer F> ? F : never
}

export interface AttachedControls extends AsyncDisposable {
  /** What is attached to what, for a person or a health page. Holds no secret. */
  describe(): readonly ServiceDescription[]
  /** Asks every service for its cheapest operation, all at once. Never rejects. */
  health(options?: CallOptions): Promise<Health>
  /**
   * How this environment compares with what is declared: pins and running servers, who is fake, what is verified,
   * and the gaps of tools, time and personnel. A service that does not answer is in it with its problem. Holds no
   * secret, but tells much of the servers: show it to those who run the app.
   * @throws PortError `invalid-argument` for unknown options and for a file that cannot be read
   */
  parity(options?: ParityOptions): Promise<ParityReport>
  /** Climbs the ladder from names to migrations for every service, before traffic. Never rejects for what it finds. */
  preflight(options?: PreflightOptions): Promise<PreflightReport>
  /**
   * Closes all services, newest first, one after another, even if one fails. Closing twice resolves.
   * @throws AggregateError of every failure
   */
  close(): Promise<void>
}

export interface ServiceDescription {
  readonly service: string
  readonly port: string
  readonly boundary: 'bounded' | 'unbounded'
  /** The adapter's name, or `fake`. */
  readonly implementation: string
  /** Scheme, host and path of the URL, without credentials; `undefined` for a fake. */
  readonly url: string | undefined
  readonly pin: string | undefined
  /** What the running server says it is; `undefined` for an unbounded service. */
  readonly server: ServerIdentity | undefined
}

export interface Health {
  readonly ok: boolean
  readonly services: Readonly<
    Record<string, { readonly ok: true } | { readonly ok: false; readonly reason: string }>
  >
}

interface Opened {
  readonly name: string
  readonly guarded: Guarded<object>
  readonly fake: FakeLike<object> | undefined
  readonly real: (RealService & { readonly asking: Guarded<Asking>; readonly tolerant: boolean }) | undefined
  readonly description: ServiceDescription
}

/**
 * Reads the configuration and attaches every service. A bounded service's server is asked for its version,
 * and refused where that is not the pinned one.
 * @throws PortError `invalid-argument` listing every problem of the configuration, before any I/O;
 * `precondition-failed` on a version that is not pinned; `unavailable`, `unauthenticated` … as the service says.
 * Whatever was opened before the failure is closed again.
 */
export async function attach<const M extends Services>(
  services: M,
  options: AttachOptions = {},
): Promise<Attached<M>> {
  checkServices(services)
  checkFields('options', options, ['env', 'args', 'retry', 'observe', 'fakes', 'pins'])
  if (options.pins !== undefined && options.pins !== 'refuse' && options.pins !== 'warn') {
    throw invalidArgument('pins must be "refuse" (the default) or "warn"')
  }
  if (options.retry !== undefined) checkRetry(options.retry)
  const config = readConfig(services, options)
  return (await openAll(services, config, options)).app
}

/** Opens every service as `config` says; answers the app and the fakes in it. */
export async function openAll<const M extends Services>(
  services: M,
  config: Config,
  options: Omit<AttachOptions, keyof ConfigSources>,
): Promise<{ readonly app: Attached<M>; readonly fakes: Fakes<M> }> {
  const opened: Opened[] = []
  try {
    for (const [name, service] of Object.entries<AnyService>(services)) {
      const how = config.services.get(name)
      if (how === undefined)
        throw new PortError({ code: 'internal', message: `no configuration for ${name}` })
      opened.push(await open(name, service, how, config, options))
    }
  } catch (error) {
    await closeAll(opened).catch(() => {
      // The failure to attach is what to tell; what could not be closed after it is of no use to the caller.
    })
    throw error
  }
  return { app: makeApp<M>(opened), fakes: makeFakes<M>(opened) }
}

async function open(
  name: string,
  service: AnyService,
  how: ServiceConfig,
  config: Config,
  options: AttachOptions,
): Promise<Opened> {
  const { retry = defaultRetry, observe } = options
  const description = { service: name, port: service.port.name, boundary: service.boundary, pin: undefined }
  if (how.implementation === 'fake') {
    if (service.boundary === 'bounded') throw new PortError({ code: 'internal', message: 'no fake' })
    const factory = await loadFake(name, service)
    const fake: FakeLike<object> = factory.create({
      service: name,
      retry,
      clock: options.fakes?.clock ?? systemClock,
      ...(options.fakes?.seed === undefined ? {} : { seed: options.fakes.seed }),
      ...(observe === undefined ? {} : { observe }),
    })
    return {
      name,
      guarded: fake.guarded,
      fake,
      real: undefined,
      description: { ...description, implementation: 'fake', url: undefined, server: undefined },
    }
  }
  const real: RealService = { name, service, ...how, secrets: config.secrets }
  let server: ServerIdentity | undefined
  const { guarded, asking } = await openReal(real, { retry, observe }, (found) => {
    // Once open, a server that was changed is what parity() tells of.
    if (server === undefined) checkServer(name, service, found, options.pins)
  })
  try {
    if (service.boundary === 'bounded') {
      await guarded.ping({ timeoutMs: attachTimeoutMs })
      server = await asking.port.identify()
    }
  } catch (error) {
    await guarded.close().catch(() => {
      // The first failure is the one to tell.
    })
    throw error
  }
  registerNative(guarded.port, guarded.native)
  return {
    name,
    guarded,
    fake: undefined,
    real: { ...real, asking, tolerant: options.pins === 'warn' },
    description: {
      ...description,
      implementation: how.adapter.name,
      url: how.url.toString(),
      pin: service.boundary === 'bounded' ? service.version : undefined,
      server,
    },
  }
}

function checkServer(
  name: string,
  service: AnyService,
  found: ServerIdentity,
  pins: AttachOptions['pins'],
): void {
  if (service.boundary !== 'bounded') return
  try {
    checkPin(service.adapters[0].engine, service.version, found)
  } catch (error) {
    if (pins !== 'warn' || !PortError.is(error)) throw error
    process.emitWarning(`${name}: ${error.detail}`, { type: 'PortsideWarning', code: 'PORTSIDE_PIN' })
  }
}

async function loadFake(
  name: string,
  { fake, port }: UnboundedService<object, FakeLike<object>>,
): Promise<FakeFactory<object, FakeLike<object>>> {
  const where = { service: name, port: port.name, operation: 'attach' }
  const { fake: factory } = await fake().catch((cause: unknown) => {
    throw new PortError({ code: 'internal', ...where, message: 'its fake could not be loaded', cause })
  })
  if (factory?.port?.name === port.name) return factory
  throw new PortError({
    code: 'invalid-argument',
    ...where,
    message: `its fake is ${factory?.port === undefined ? 'no fake at all' : `for the port "${factory.port.name}"`}; import one for "${port.name}"`,
  })
}

function makeApp<M extends Services>(opened: readonly Opened[]): Attached<M> {
  let closing: Promise<void> | undefined
  const close = (): Promise<void> => {
    closing ??= closeAll(opened)
    return closing
  }
  const controls: AttachedControls = {
    describe: () => opened.map(({ description }) => structuredClone(description)),
    health: (options) => healthOf(opened, options),
    parity: (options) => parityOf(opened, options),
    preflight: (options) => climb(opened.map(rungsOf), options, [configured]),
    close,
    [Symbol.asyncDispose]: close,
  }
  const app = Object.fromEntries(opened.map(({ name, guarded }) => [name, guarded.port]))
  for (const key of Reflect.ownKeys(controls)) {
    Object.defineProperty(app, key, { value: controls[key as keyof AttachedControls], enumerable: false })
  }
  return Object.freeze(app) as Attached<M>
}

function makeFakes<M extends Services>(opened: readonly Opened[]): Fakes<M> {
  const fakes = opened.filter(({ fake }) => fake !== undefined).map(({ name, fake }) => [name, fake])
  return Object.freeze(Object.fromEntries(fakes)) as Fakes<M>
}

async function healthOf(opened: readonly Opened[], options: CallOptions = {}): Promise<Health> {
  const answers = await Promise.all(
    opened.map(async ({ name, guarded }) => {
      try {
        await guarded.ping({ timeoutMs: 5_000, ...options })
        return [name, { ok: true }] as const
      } catch (error) {
        return [name, { ok: false, reason: PortError.is(error) ? error.code : 'internal' }] as const
      }
    }),
  )
  return { ok: answers.every(([, answer]) => answer.ok), services: Object.fromEntries(answers) }
}

function parityOf(opened: readonly Opened[], options: ParityOptions = {}): Promise<ParityReport> {
  const subjects = opened.map(({ description, real }) => ({
    ...description,
    ...(real === undefined ? {} : { ask: real.asking.port }),
    ...(real?.service.boundary === 'bounded' ? { engine: real.service.adapters[0].engine } : {}),
  }))
  const bootedAt = new Date(Date.now() - process.uptime() * 1_000)
  return makeParityReport(subjects, { bootedAt, ...options })
}

/** The first rung of an app that is attached. */
const configured: PreflightStep = {
  rung: 'config',
  service: undefined,
  outcome: 'skipped',
  detail: 'it was read when the app was attached',
  code: undefined,
  durationMs: 0,
}

function rungsOf({ name, guarded, real }: Opened): PreflightSubject {
  if (real === undefined) return { name, real }
  return { name, real, opened: { guarded, asking: real.asking }, tolerant: real.tolerant }
}

async function closeAll(opened: readonly Opened[]): Promise<void> {
  const failures: unknown[] = []
  for (const { guarded, real } of opened.toReversed()) {
    try {
      await real?.asking.close()
      await guarded.close()
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length > 0)
    throw new AggregateError(
      failures,
      `${failures.length === 1 ? 'one service' : `${failures.length} services`} did not close cleanly`,
    )
}
