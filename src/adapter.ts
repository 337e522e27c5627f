/**
 * What an adapter or a fake must bring, so that the guard and `attach` can work with it. Built-in ones use no
 * more than this; a third party's are written the same way.
 */
import type { Clock } from './calls/clock.ts'
import type { PortErrorCode, PortErrorInit } from './errors.ts'
import type { Port } from './port.ts'
import type { TestIsolation } from './servers/isolation.ts'
import type { ServiceUrl, UrlParameters } from './services/url.ts'

/** What an error of a vendor's client means. `undefined` fields take the defaults of {@link PortErrorInit}. */
export type Classification = Pick<PortErrorInit, 'code' | 'message'> &
  Partial<Pick<PortErrorInit, 'retryable' | 'outcome' | 'retryAfterMs' | 'reason' | 'details'>>

/** An open implementation of a port, before the guard is put around it. */
export interface Driver<T extends object> {
  /**
   * The operations themselves. Each gets its arguments checked and copied, and as its last argument options
   * whose `signal` is always there and is aborted on cancellation and deadline alike.
   */
  readonly calls: T
  /** The capabilities it declares. @default all that the port names */
  readonly capabilities?: readonly string[]
  /** Strings that must appear in no error and no log, beyond those in the service's URL. */
  readonly secrets?: readonly string[]
  /** The vendor's own client, for `native()`. */
  readonly native?: unknown
  /** Says what a thrown error means; `undefined` where it does not know, which becomes `internal`. */
  classify?(error: unknown, operation: string): Classification | undefined
  /** The cheapest real operation that proves the service answers and accepts the credentials. Changes nothing. */
  ping(options: { readonly signal: AbortSignal }): Promise<void>
  /** Frees what it created, and only that. Called once, when no call is under way. */
  close(): Promise<void>
}

/** Which server answers: what a pin is compared with. */
export interface ServerIdentity {
  /** `postgresql`, `redis`, `valkey`. */
  readonly engine: string
  /** As the server says it: `17.10`, `7.0.15`. */
  readonly version: string
}

/**
 * How much a difference between two environments matters: `high`: data or answers differ; `medium`: the app
 * may notice; `low`: worth knowing.
 */
export type Severity = 'high' | 'medium' | 'low'

/** One thing about a server, besides its version, that changes how an app on it behaves. */
export interface Fact {
  /** As text, so that two are the same where their texts are. Never a secret. */
  readonly value: string
  /** Of a difference in it. */
  readonly severity: Severity
}

/** What two servers of one version may still differ in. */
export interface Fingerprint {
  /** By name, dotted: `collation.version`, `extension.pgcrypto`, `eviction.policy`. */
  readonly facts: Readonly<Record<string, Fact>>
  /** Names that this login may not read, or the word before the dot of many, each with the reason. */
  readonly unknown: Readonly<Record<string, string>>
  /** What the server differs in from what it should be by its own account: from its files, or node from node. @default nothing */
  readonly drift?: readonly FactDrift[]
}

/** A server that is not as it should be by its own account. */
export interface FactDrift {
  readonly severity: Severity
  /** `collation.version`, `setting.max_connections`. */
  readonly what: string
  /** What it should be. */
  readonly expected: string
  readonly found: string
}

/** A driver of a service inside the bounded context: it can say which server it runs on. */
export interface DatastoreDriver<T extends object> extends Driver<T> {
  identify(options: { readonly signal: AbortSignal }): Promise<ServerIdentity>
  /** What about the server changes behaviour beyond its version. Reads only. @default nothing is known */
  fingerprint?(options: { readonly signal: AbortSignal }): Promise<Fingerprint>
}

/** What {@link Adapter.open} is given. */
export interface OpenContext {
  /** The service's name in the declaration, for connection names that an operator sees. */
  readonly service: string
  readonly clock: Clock
}

/** Where a service listens. */
export interface NetworkEndpoint {
  /** A name or an address, without brackets. */
  readonly host: string
  readonly port: number
}

declare const nativeOf: unique symbol

/** The real implementation of a port over one vendor's client, chosen by URL scheme. */
export interface Adapter<T extends object, Native = unknown> {
  /** The vendor's or protocol's name: `s3`, `smtp`. */
  readonly name: string
  readonly port: Port<T>
  /** The URL schemes that select it, without the colon. */
  readonly schemes: readonly string[]
  /** A URL that shows the form, with no real secret in it; printed when one is missing or wrong. */
  readonly example: string
  /** The query parameters it knows. Any other in a URL is an error. */
  readonly parameters: UrlParameters
  /**
   * What is wrong with the URL beyond its scheme and parameters, one sentence a problem; empty where nothing is.
   * Pure: no I/O.
   */
  validate?(url: ServiceUrl): readonly string[]
  /**
   * Where a connection goes first, for a check of names and ports before it. Pure: no I/O. Absent, or
   * `undefined`, where the URL alone does not tell.
   */
  endpoint?(url: ServiceUrl): NetworkEndpoint | undefined
  /** Builds the driver. May connect lazily: the first `ping` or `identify` is where absence shows. */
  open(url: ServiceUrl, context: OpenContext): Promise<Driver<T>>
  readonly [nativeOf]?: Native
}

/** An adapter for a datastore of the app's own: it can say which server it runs on, so its version can be pinned. */
export interface DatastoreAdapter<T extends object, Native = unknown> extends Adapter<T, Native> {
  /** The engine a pin speaks of: `postgresql`, `redis`. */
  readonly engine: string
  open(url: ServiceUrl, context: OpenContext): Promise<DatastoreDriver<T>>
  /** How to start such a server for development and test. Loaded only there. */
  readonly server: () => Promise<{
    readonly server: DatastoreServer
    /** How tests are kept apart on one server. Absent, each test has a place of its own from `provision`. */
    readonly isolation?: TestIsolation
  }>
  /** Brings the schema up to date, as an admin step. Absent where the datastore has none. */
  migrate?(url: ServiceUrl, directory: string, options?: MigrateOptions): Promise<MigrationReport>
  /** Fills it with synthetic data. Loaded only where that is asked for; absent where the datastore has no schema. */
  readonly seeder?: () => Promise<{ readonly seeder: DatastoreSeeder }>
  /** Which migrations of `directory` have run. Changes nothing, and waits for no lock. */
  migrationState?(
    url: ServiceUrl,
    directory: string,
    options?: Pick<MigrateOptions, 'signal'>,
  ): Promise<MigrationState>
}

/** A datastore adapter that can fill its datastore with synthetic data, so that a service on it can declare a seed. */
export interface SeedableAdapter<T extends object, Native = unknown> extends DatastoreAdapter<T, Native> {
  readonly seeder: () => Promise<{ readonly seeder: DatastoreSeeder }>
}

export interface MigrateOptions {
  readonly signal?: AbortSignal
  /** Called with one line a step. */
  readonly onProgress?: (message: string) => void
}

/** Fills datastores of one engine with rows that fit their schema. */
export interface DatastoreSeeder {
  /**
   * @throws PortError `precondition-failed`, with nothing written, for a server that may be more than a development or
   * test server, for one that has rows, and for a schema that cannot be met: the message says all that is wrong
   */
  seed(url: ServiceUrl, options?: SeedOptions): Promise<SeedReport>
  /**
   * Names what rows come of, beside the schema and the server: the same hash, the same rows. Functions of the definition
   * count as they are written, not by what they call.
   */
  hash(options?: Pick<SeedOptions, 'rows' | 'seed' | 'definition'>): string
}

export interface SeedOptions {
  /** How many rows each table gets, where its definition does not say. @default 100 */
  readonly rows?: number
  /** The same seed, schema and version of this package give the same rows. @default 1 */
  readonly seed?: number
  /** What the app says of its data beyond the schema, in the adapter's own form (PostgreSQL's: `defineSeed`). */
  readonly definition?: unknown
  /** What to do with tables that have rows: do nothing at all, leave those as they are, or empty them first. @default 'refuse' */
  readonly existing?: 'refuse' | 'keep' | 'replace'
  /** Seed a server that may be more than a development or test server. @default false */
  readonly really?: boolean
  /** Stops it; nothing of it stays. */
  readonly signal?: AbortSignal
  /** Called as rows are written, many times a second. */
  readonly onProgress?: (progress: SeedProgress) => void
}

export interface SeedProgress {
  /** The table that is being filled. */
  readonly table: string
  /** Rows written so far, of all tables. */
  readonly done: number
  readonly total: number
}

/** What a seed wrote. */
export interface SeedReport {
  readonly tables: readonly {
    readonly name: string
    readonly rows: number
    /** Why there are not as many as were asked for. */
    readonly note?: string
  }[]
  /** Of the bytes that were sent: equal for equal rows. */
  readonly digest: string
  readonly elapsedMs: number
}

/** What a migration run did. */
export interface MigrationReport {
  /** The names of the migrations applied by this run, in order; empty where all were applied before. */
  readonly applied: readonly string[]
}

/** How a schema stands to a folder of migrations. */
export interface MigrationState {
  /** In the folder, and run. In order, as in the lists below. */
  readonly applied: readonly string[]
  /** In the folder, and not run. */
  readonly pending: readonly string[]
  /** Run, and not in the folder: the schema is ahead of this release. */
  readonly unknown: readonly string[]
}

/** Starts real servers of one engine, at a pinned version, on loopback: in a container or as a process. */
export interface DatastoreServer {
  readonly engine: string
  /**
   * @throws PortError `unsupported` when the pin cannot be had here: the message says what was found, what is
   * pinned and what to do; `unavailable` when the server did not come up
   */
  start(options: StartOptions): Promise<RunningServer>
  /**
   * Like `start`, but the server outlives this process, and one that already runs on the folder is taken as it is.
   * Absent where a server can only live with the process that started it.
   * @throws PortError as `start`
   */
  keep?(options: StartOptions): Promise<KeptServer>
}

export interface StartOptions {
  /** The pin: `17.10`, or `7.0` for any patch release of it. */
  readonly version: string
  /** Where the server keeps its data, its log and its socket. Created; never removed by `stop`. */
  readonly directory: string
  /** @default a free port */
  readonly port?: number
  /** Keep acknowledged writes through SIGKILL. Off makes throw-away servers of a test run faster. @default true */
  readonly durable?: boolean
  /**
   * What to do with data that was last used under another pin, settings or credentials: `refuse` it with
   * `precondition-failed` and a message that says what changed, or `accept` it as it is.
   * @default 'accept', as the caller has chosen the folder; 'refuse' of a server to keep
   */
  readonly changed?: 'refuse' | 'accept'
  readonly signal?: AbortSignal
  /** Called with one line for each step that may take more than half a second. */
  readonly onProgress?: (message: string) => void
}

/** A server that outlives the process that started it. */
export interface KeptServer
  extends Pick<RunningServer, 'identity' | 'pid' | 'port' | 'provision' | 'adminUrl' | 'stop'> {
  /** Whether it ran before it was asked for. */
  readonly reused: boolean
}

/** A server that this process started. */
export interface RunningServer {
  readonly identity: ServerIdentity
  readonly pid: number
  readonly port: number
  /** Makes a place of its own for one service (a database, a keyspace) if absent; answers the service's URL. */
  provision(service: string): Promise<string>
  /** The URL of its administrator, for tests that make places of their own. Never what an app is given. */
  adminUrl(): string
  /** Orderly stop. Stopping twice resolves. */
  stop(): Promise<void>
  /** SIGKILL, for tests of a crash. Resolves when the process is gone. */
  kill(): Promise<void>
  /** Starts it again on the same port and data after `stop` or `kill`. */
  restart(): Promise<void>
}

/** A table row of a vendor's error translation: vendor code to port code. */
export type CodeTable = Readonly<Record<string, PortErrorCode>>
