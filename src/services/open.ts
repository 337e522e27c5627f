/**
 * Opens the real implementation of a service, and asks what it runs on. Both go through the guard, so that they have
 * the deadline, the errors and the redaction of any other call.
 */
import type {
  Adapter,
  DatastoreDriver,
  Driver,
  Fingerprint,
  MigrationState,
  ServerIdentity,
} from '../adapter.ts'
import { systemClock } from '../calls/clock.ts'
import { type Guarded, type GuardOptions, guard } from '../calls/guard.ts'
import { type CallOptions, definePort, type Port } from '../port.ts'
import type { AnyService } from './declare.ts'
import type { ServiceUrl } from './url.ts'

// As long as the slowest server may take to accept its first connection.
export const attachTimeoutMs = 15_000

/** How a service is to be opened, and what must be masked of it. */
export interface RealService {
  readonly name: string
  readonly service: AnyService
  readonly adapter: Adapter<object>
  readonly url: ServiceUrl
  readonly secrets: readonly string[]
}

export interface OpenedService {
  readonly guarded: Guarded<object>
  readonly asking: Guarded<Asking>
}

/** What can be asked of an open service besides its port's operations. */
export interface Asking {
  /** `undefined` for a service of someone else's. */
  identify(options?: CallOptions): Promise<ServerIdentity | undefined>
  /** `undefined` where the driver tells none. */
  fingerprint(options?: CallOptions): Promise<Fingerprint | undefined>
  /** `undefined` where it has no migrations, or the adapter does not tell. */
  migrations(options?: CallOptions): Promise<MigrationState | undefined>
}

const question = {
  kind: 'call',
  effect: 'read',
  idempotent: true,
  arity: 0,
  timeoutMs: attachTimeoutMs,
} as const
const asking: Port<Asking> = definePort<Asking>({
  name: 'attach',
  operations: { identify: question, fingerprint: question, migrations: question },
})

/**
 * Opens `real`. It may connect lazily: nothing says that the service answers.
 * @param check throws where the server is not the one that is wanted
 */
export async function openReal(
  real: RealService,
  options: Pick<GuardOptions, 'retry' | 'observe'>,
  check: (found: ServerIdentity) => void,
): Promise<OpenedService> {
  const { name, service, secrets } = real
  const driver = await openDriver(real)
  try {
    const guarded = guard(service.port as Port<object>, driver, { service: name, secrets, ...options })
    const questions: Driver<Asking> = {
      ...noLifecycle,
      calls: questionsOf(real, driver, check),
      classify: (error, operation) => driver.classify?.(error, operation),
      ...(driver.secrets === undefined ? {} : { secrets: driver.secrets }),
    }
    return {
      guarded,
      asking: guard({ ...asking, name: service.port.name }, questions, { service: name, secrets }),
    }
  } catch (error) {
    await driver.close().catch(() => {
      // The first failure is the one to tell.
    })
    throw error
  }
}

function questionsOf(
  { service, adapter, url }: RealService,
  driver: Driver<object>,
  check: (found: ServerIdentity) => void,
): Asking {
  const datastore = service.boundary === 'bounded' ? (driver as DatastoreDriver<object>) : undefined
  return {
    async identify(options) {
      const found = await datastore?.identify(options as Signalled)
      if (found === undefined) return undefined
      check(found)
      return { engine: found.engine, version: found.version }
    },
    fingerprint: async (options) => datastore?.fingerprint?.(options as Signalled),
    async migrations(options) {
      if (service.boundary !== 'bounded' || service.migrations === undefined) return undefined
      const { migrationState } = adapter as (typeof service.adapters)[0]
      return migrationState?.call(adapter, url, service.migrations, options as Signalled)
    },
  }
}

/** The guard always gives one. */
type Signalled = { readonly signal: AbortSignal }

const noLifecycle = { ping: async () => {}, close: async () => {} }

/** Opening a driver, as a port. */
interface Opening {
  open(options?: CallOptions): Promise<Driver<object>>
}

const opening: Port<Opening> = definePort<Opening>({
  name: 'attach',
  operations: {
    open: { kind: 'call', effect: 'read', idempotent: false, arity: 0, timeoutMs: attachTimeoutMs },
  },
})

async function openDriver({ name, service, adapter, url, secrets }: RealService): Promise<Driver<object>> {
  const opened = (async () => adapter.open(url, { service: name, clock: systemClock }))()
  const calls: Opening = { open: () => opened }
  const { port: guarded } = guard(
    { ...opening, name: service.port.name },
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
