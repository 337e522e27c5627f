/**
 * An app's services, declared once for every environment. The boundary decides what is possible, and the types
 * say so: a bounded service has a version and never a fake, an unbounded one has a fake and no version.
 */
import { fileURLToPath } from 'node:url'
import type { Adapter, DatastoreAdapter, SeedableAdapter } from '../adapter.ts'
import { checkFields, checkInteger, typeName } from '../calls/arguments.ts'
import type { Clock } from '../calls/clock.ts'
import type { CallEvent, Guarded } from '../calls/guard.ts'
import type { RetryPolicy } from '../calls/retry.ts'
import { invalidArgument } from '../errors.ts'
import type { Port } from '../port.ts'
import { parsePin } from './pin.ts'

/** What `attach` needs of a fake: the guarded port inside it. The controls are the fake's own. */
export interface FakeLike<T extends object> {
  readonly guarded: Guarded<T>
}

/** How a fake is made: exported by its module under the name `fake`. */
export interface FakeFactory<T extends object, F extends FakeLike<T>> {
  readonly port: Port<T>
  create(options: FakeContext): F
}

/** What a fake is made with when it stands in for a service. */
export interface FakeContext {
  readonly service?: string
  /** @default a `VirtualClock` */
  readonly clock?: Clock
  /** Seeds everything that is left to chance. @default 1 */
  readonly seed?: number
  /** @default no retry, so that a forced failure is seen */
  readonly retry?: RetryPolicy
  readonly observe?: (event: CallEvent) => void
}

/** A lazily imported module that exports a fake. Never loaded where externals are real. */
export type FakeModule<T extends object, F extends FakeLike<T>> = () => Promise<{
  readonly fake: FakeFactory<T, F>
}>

/** A datastore of the app's own: real everywhere, at one version. */
export interface BoundedService<T extends object, Native = unknown> {
  readonly boundary: 'bounded'
  readonly port: Port<T>
  readonly adapters: readonly [DatastoreAdapter<T, Native>]
  /** The pin. */
  readonly version: string
  /** The path of the folder of its migrations. */
  readonly migrations: string | undefined
  /** Its synthetic data. `file` is a path. */
  readonly seed: (SeedDeclaration & { readonly file?: string }) | undefined
}

/** Synthetic data of a datastore: what `portside seed` writes where its flags say nothing else, and what tests find. */
export interface SeedDeclaration {
  /**
   * The module whose default export says what the schema does not, as the adapter would have it (PostgreSQL's: `defineSeed`).
   * Loaded by Node as it is, only where data is made. @default the schema alone says
   */
  readonly file?: string | URL
  /** How many rows each table gets, where the file does not say. @default 100 */
  readonly rows?: number
  /** @default 1 */
  readonly seed?: number
}

/** Someone else's API: real in production, fake in development and test. */
export interface UnboundedService<T extends object, F extends T & FakeLike<T>> {
  readonly boundary: 'unbounded'
  readonly port: Port<T>
  readonly adapters: readonly Adapter<T>[]
  readonly fake: FakeModule<T, F>
}

// biome-ignore lint/suspicious/noExplicitAny: the port's interface may be any; a variance-free bound is what any gives
export type AnyService = BoundedService<any, any> | UnboundedService<any, any>

/** An app's declaration: service name to service. */
export type Services = Readonly<Record<string, AnyService>>

/**
 * Declares a datastore inside the bounded context.
 * @throws PortError `invalid-argument` when the version is no pin (`17.10`, `7.0`)
 */
export function bounded<T extends object, Native>(
  port: Port<T>,
  options: {
    readonly adapter: DatastoreAdapter<T, Native>
    readonly version: string
    /** The folder of its migrations: a URL such as `new URL('./migrations', import.meta.url)`, or a path from the working directory. */
    readonly migrations?: string | URL
    /** A bounded service is never faked. */
    readonly fake?: never
  } & (
    | { readonly seed?: never }
    | {
        readonly adapter: SeedableAdapter<T, Native>
        /**
         * Its synthetic data, which the database of each test begins with: the file that says what the schema does not, or
         * that and more.
         */
        readonly seed: string | URL | SeedDeclaration
      }
  ),
): BoundedService<T, Native> {
  checkFields('the options of a bounded service', options, ['adapter', 'version', 'migrations', 'seed'])
  parsePin(options.version)
  checkAdapters(port, [options.adapter])
  const { adapter, version, migrations, seed } = options
  return {
    boundary: 'bounded',
    port,
    adapters: [adapter],
    version,
    migrations: migrations instanceof URL ? fileURLToPath(migrations) : migrations,
    seed: seed === undefined ? undefined : checkedSeed(seed, adapter),
  }
}

function checkedSeed(
  said: string | URL | SeedDeclaration,
  adapter: { readonly name: string; readonly seeder?: unknown },
): BoundedService<object>['seed'] {
  if (adapter.seeder === undefined) {
    throw invalidArgument(
      `a service on the adapter "${adapter.name}" has no schema to make data for: no seed`,
    )
  }
  const whole = typeof said === 'string' || said instanceof URL ? { file: said } : said
  checkFields('the seed of a bounded service', whole, ['file', 'rows', 'seed'])
  const { file, ...numbers } = whole
  const { rows, seed } = numbers
  if (rows !== undefined) checkInteger('rows', rows, { min: 0, max: 1_000_000_000 })
  if (seed !== undefined) checkInteger('seed', seed, { min: 0, max: Number.MAX_SAFE_INTEGER })
  if (file === undefined) return numbers
  const isFile = file instanceof URL ? file.protocol === 'file:' : typeof file === 'string' && file !== ''
  if (!isFile) throw invalidArgument('the file of a seed must be a path or a file: URL')
  return { ...numbers, file: file instanceof URL ? fileURLToPath(file) : file }
}

/** Declares someone else's API, with the adapters a URL may choose and the fake that stands in for it. */
export function unbounded<T extends object, F extends T & FakeLike<T>>(
  port: Port<T>,
  options: {
    readonly adapters: readonly [Adapter<NoInfer<T>>, ...Adapter<NoInfer<T>>[]]
    readonly fake: FakeModule<NoInfer<T>, F>
    /** Someone else's service cannot be pinned. */
    readonly version?: never
  },
): UnboundedService<T, F> {
  checkFields('the options of an unbounded service', options, ['adapters', 'fake'])
  checkAdapters(port, options.adapters)
  if (typeof options.fake !== 'function') {
    throw invalidArgument(`fake must be a function that imports the fake; got ${typeName(options.fake)}`)
  }
  return { boundary: 'unbounded', port, adapters: options.adapters, fake: options.fake }
}

/** Names that `attach` puts beside the services. */
const reservedNames = ['close', 'health', 'describe', 'parity', 'preflight', 'then']

/**
 * Declares all services of an app. The names become the configuration's: `ticketPrinter` is read from
 * `TICKET_PRINTER_URL`.
 * @throws PortError `invalid-argument` when a name is not camelCase, is reserved, or two give one variable
 */
export function defineServices<const M extends Services>(services: M): M {
  checkServices(services)
  const problems: string[] = []
  for (const name of Object.keys(services)) {
    if (!/^[a-z][a-zA-Z0-9]*$/.test(name)) problems.push(`"${name}" is not camelCase`)
    if (reservedNames.includes(name))
      problems.push(`"${name}" is the name of something else on the attached app`)
  }
  const variables = Object.keys(services).map(urlVariable)
  const twice = variables.filter((variable, index) => variables.indexOf(variable) !== index)
  problems.push(...twice.map((variable) => `two services would both read ${variable}`))
  if (problems.length > 0) throw invalidArgument(`the services' names do not do: ${problems.join('; ')}`)
  return Object.freeze({ ...services })
}

/** @throws PortError `invalid-argument` unless each of `services` was made by `bounded` or `unbounded` */
export function checkServices(services: unknown): void {
  if (typeof services !== 'object' || services === null || Array.isArray(services)) {
    throw invalidArgument(`services must be an object of declared services; got ${typeName(services)}`)
  }
  for (const [name, service] of Object.entries(services)) {
    if (typeof service === 'object' && service !== null && 'boundary' in service) continue
    throw invalidArgument(
      `service "${name}" must be made by bounded() or unbounded(); got ${typeName(service)}`,
    )
  }
}

/** `ticketPrinter` → `TICKET_PRINTER_URL`. */
export function urlVariable(service: string): string {
  return `${words(service).join('_').toUpperCase()}_URL`
}

/** `ticketPrinter` → `--ticket-printer-url`. */
export function urlFlag(service: string): string {
  return `--${words(service).join('-')}-url`
}

function words(service: string): string[] {
  return service
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(' ')
}

function checkAdapters(
  port: { readonly name: string },
  adapters: readonly {
    readonly port: { readonly name: string }
    readonly name: string
    readonly schemes: readonly string[]
  }[],
): void {
  if (typeof port?.name !== 'string')
    throw invalidArgument(`port must be a port's token; got ${typeName(port)}`)
  if (!Array.isArray(adapters) || adapters.length === 0) {
    throw invalidArgument('adapters must be an array of at least one adapter')
  }
  const takenBy = new Map<string, string>([['fake', 'the fake']])
  for (const adapter of adapters) {
    if (typeof adapter?.port?.name !== 'string') {
      throw invalidArgument(`an adapter for "${port.name}" must be one; got ${typeName(adapter)}`)
    }
    const { name, port: itsPort, schemes } = adapter
    if (itsPort.name !== port.name) {
      throw invalidArgument(`adapter "${name}" is for the port "${itsPort.name}", not for "${port.name}"`)
    }
    for (const scheme of schemes) {
      const other = takenBy.get(scheme)
      if (other !== undefined) {
        throw invalidArgument(`the scheme "${scheme}" of adapter "${name}" is taken by ${other}`)
      }
      takenBy.set(scheme, `adapter "${name}"`)
    }
  }
}
