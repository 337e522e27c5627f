/**
 * Attaches an app to its services: read the configuration, open each, check the pins, hand out the ports; and
 * close them again, newest first.
 */
import type { Adapter, DatastoreDriver, Driver, ServerIdentity } from '../adapter.ts'
import { checkFields } from '../calls/arguments.ts'
import { systemClock } from '../calls/clock.ts'
import { type CallEvent, type Guarded, guard } from '../calls/guard.ts'
import { checkRetry, defaultRetry, type RetryPolicy } from '../calls/retry.ts'
import { PortError } from '../errors.ts'
import { type CallOptions, definePort, type Port } from '../port.ts'
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
import { checkPin } from './pin.ts'
import type { ServiceUrl } from './url.ts'

export interface AttachOptions extends ConfigSources {
  /** How idempotent calls are repeated. @default 3 attempts, from 50 ms to 2 s apart */
  readonly retry?: RetryPolicy
  /** Called once for each finished call on any service: for logs, metrics and traces. */
  readonly observe?: (event: CallEvent) => void
  /** The clock and seed of fakes. @default the machine's clock, seed 1 */
  readonly fakes?: Pick<FakeContext, 'clock' | 'seed'>
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
  checkFields('options', options, ['env', 'args', 'retry', 'observe', 'fakes'])
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
      description: { ...description, implementation: 'fake', url: undefined, server: undefined },
    }
  }
  const { adapter, url } = how
  const driver = await openDriver(name, service, adapter, url, config)
  let server: ServerIdentity | undefined
  let guarded: Guarded<object>
  try {
    guarded = guard(service.port as Port<object>, driver, {
      service: name,
      secrets: config.secrets,
      retry,
      observe,
    })
    if (service.boundary === 'bounded') server = await checkedIdentity(name, service, driver, guarded, config)
  } catch (error) {
    await driver.close().catch(() => {
      // The first failure is the one to tell.
    })
    throw error
  }
  registerNative(guarded.port, guarded.native)
  return {
    name,
    guarded,
    fake: undefined,
    description: {
      ...description,
      implementation: adapter.name,
      url: url.toString(),
      pin: service.boundary === 'bounded' ? service.version : undefined,
      server,
    },
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

// As long as the slowest server may take to accept its first connection.
const attachTimeoutMs = 15_000

/** Opening a driver, as a port: so that it has the deadline, the errors and the redaction of any other call. */
interface Opening {
  open(): Promise<Driver<object>>
}

const opening: Port<Opening> = definePort<Opening>({
  name: 'attach',
  operations: {
    open: { kind: 'call', effect: 'read', idempotent: false, arity: 0, timeoutMs: attachTimeoutMs },
  },
})

async function openDriver(
  name: string,
  { port }: AnyService,
  adapter: Adapter<object>,
  url: ServiceUrl,
  { secrets }: Config,
): Promise<Driver<object>> {
  const opened = (async () => adapter.open(url, { service: name, clock: systemClock }))()
  const calls: Opening = { open: () => opened }
  const { port: guarded } = guard(
    { ...opening, name: port.name },
    { calls, ...noLifecycle },
    { service: name, secrets },
  )
  try {
    return await guarded.open()
  } catch (error) {
    // What comes after the deadline is wanted by nobody, and must not stay open.
    opened.then((driver) => driver.close()).catch(() => {})
    throw error
  }
}

/** Asking a server what it is, likewise. */
interface Identity {
  identify(options?: CallOptions): Promise<ServerIdentity>
}

const identity: Port<Identity> = definePort<Identity>({
  name: 'attach',
  operations: {
    identify: { kind: 'call', effect: 'read', idempotent: true, arity: 0, timeoutMs: attachTimeoutMs },
  },
})

const noLifecycle = { ping: async () => {}, close: async () => {} }

async function checkedIdentity(
  name: string,
  service: BoundedService<object>,
  driver: Driver<object>,
  guarded: Guarded<object>,
  config: Config,
): Promise<ServerIdentity> {
  const { identify } = driver as DatastoreDriver<object>
  const asked: Driver<Identity> = {
    ...noLifecycle,
    calls: {
      async identify(options) {
        const found = await identify.call(driver, options as { signal: AbortSignal })
        checkPin(service.adapters[0].engine, service.version, found)
        return { engine: found.engine, version: found.version }
      },
    },
    classify: (error, operation) => driver.classify?.(error, operation),
    ...(driver.secrets === undefined ? {} : { secrets: driver.secrets }),
  }
  await guarded.ping({ timeoutMs: attachTimeoutMs })
  const { port } = guard({ ...identity, name: service.port.name }, asked, {
    service: name,
    secrets: config.secrets,
  })
  return port.identify()
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

async function closeAll(opened: readonly Opened[]): Promise<void> {
  const failures: unknown[] = []
  for (const { guarded } of opened.toReversed()) {
    try {
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
