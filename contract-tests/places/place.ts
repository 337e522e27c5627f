/**
 * A place of one's own on a service that others use too: what `portside verify` runs a contract in, so that it
 * neither sees nor touches anything else.
 */
import type { Driver, ServerIdentity } from '../../src/adapter.ts'
import { systemClock } from '../../src/calls/clock.ts'
import type { CallEvent, Guarded } from '../../src/calls/guard.ts'
import type { BulkResult } from '../../src/ports/bulk.ts'
import type { OpenSubject } from '../contract.ts'

/** The way to the service that a place lies on. */
export interface Connection<T extends object> {
  /** What the place calls everything it makes: lower-case letters, digits and hyphens, used by no one else. */
  readonly name: string
  /** The adapter's name. */
  readonly adapter: string
  /** The query parameters that the adapter's URLs take. */
  readonly parameters: ReadonlySet<string>
  /** The secrets in the service's URL. */
  readonly canaries: readonly string[]
  /** What the run may really do to others, where that was said. */
  readonly really: Really | undefined
  /** Whether the service asks for a password and refuses a wrong one. */
  readonly refuses: boolean
  /** Ends waiting when the run is cut short. */
  readonly signal: AbortSignal
  /** A driver on the service's URL, or on what `change` makes of it. Whoever opens it closes it. */
  open(change?: (url: URL) => void): Promise<OpenDriver<T>>
  /** A subject on an address where nothing listens. */
  openUnreachable(): Promise<OpenSubject<T>>
  /** Puts the guard around it: the service's name, its secrets, the run's rate. */
  guard(driver: Driver<T>, observe?: (event: CallEvent) => void): Guarded<T>
}

/** A driver, which of a datastore also says which server it runs on. */
export type OpenDriver<T extends object> = Driver<T> & {
  identify?(options: { readonly signal: AbortSignal }): Promise<ServerIdentity>
}

/** Consent to effects outside the place, each with what it is for. */
export interface Really {
  /** Every mail goes from this address … */
  readonly sender?: string | undefined
  /** … to this one. */
  readonly recipient?: string | undefined
  /** Posts are published on this account, and deleted again. */
  readonly account?: string | undefined
}

/** A place that is made. */
export interface Place<T extends object> {
  /** What it is, for a person: `the prefix portside-verify-3f2a/ of the bucket`. */
  readonly description: string
  /** Opens it with nothing in it. */
  open(): Promise<OpenSubject<T>>
  /** As `Subject.openUnreachable`. */
  readonly openUnreachable?: (() => Promise<OpenSubject<T>>) | undefined
  /** Removes everything that was made, also after a failure. Twice resolves. */
  remove(): Promise<void>
}

/** Makes a place. One that stayed behind under the same name is taken over. */
export type PlaceMaker<T extends object> = (connection: Connection<T>) => Promise<Place<T>>

/**
 * What every subject on a real service has.
 * @param open a driver on the place, its URL changed by `change`
 */
export async function onService<T extends object>(
  connection: Connection<T>,
  open: (change?: (url: URL) => void) => Promise<Driver<T>>,
): Promise<OpenSubject<T>> {
  const another = async (): Promise<Guarded<T>> => connection.guard(await open())
  return {
    guarded: await another(),
    openAnother: another,
    openObserved: async (observe) => connection.guard(await open(), observe),
    openRefused: connection.refuses
      ? async () =>
          connection.guard(
            await open((url) => {
              url.password = wrongPassword
            }),
          )
      : undefined,
    passTime: (ms) => systemClock.sleep(ms, connection.signal),
    canaries: connection.canaries,
  }
}

/** Makes or removes what a place consists of, by a client that is open no longer than that. */
export async function administer<T extends object>(
  connection: Connection<T>,
  work: (port: T) => Promise<unknown>,
  open: () => Promise<Driver<T>> = () => connection.open(),
): Promise<void> {
  const guarded = connection.guard(await open())
  try {
    await work(guarded.port)
  } finally {
    await guarded.close()
  }
}

/** Fails as the first item did that stayed. */
export function assertDeleted({ items }: BulkResult): void {
  const failed = items.find(({ error }) => error !== undefined)
  if (failed?.error !== undefined) throw failed.error
}

/** No one has it, and it is no secret. */
export const wrongPassword = 'portside-verify-wrong-password'

/** The driver with other calls. */
export function withCalls<T extends object>(driver: Driver<T>, calls: T): Driver<T> {
  return {
    calls,
    ...(driver.capabilities === undefined ? {} : { capabilities: driver.capabilities }),
    ...(driver.secrets === undefined ? {} : { secrets: driver.secrets }),
    native: driver.native,
    classify: (error, operation) => driver.classify?.(error, operation),
    ping: (options) => driver.ping(options),
    close: () => driver.close(),
  }
}

/** Remembers what a place kept from the service since its subject was opened. */
export class Limitation {
  #reason: string | undefined

  /** For `OpenSubject.limitation`. */
  readonly reason = (): string | undefined => this.#reason

  /** Notes it and fails the call. */
  keep(reason: string): never {
    this.#reason ??= reason
    throw new Error(reason)
  }
}
