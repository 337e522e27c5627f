/**
 * What a contract is: named behaviours of a port, each with code that checks it on any subject. Knows no test
 * runner; `run.ts` runs it anywhere, `vitest.ts` and `node-test.ts` inside a runner.
 */
import type { CallEvent, Guarded } from '../src/calls/guard.ts'
import { invalidArgument, type PortErrorCode } from '../src/errors.ts'
import type { ServerProduct } from '../src/parity/evidence.ts'
import type { Port } from '../src/port.ts'
import type { Network } from './network.ts'

/** What is held to a contract: a fake, an adapter on an emulator, an adapter on a real server. */
export interface Subject<T extends object> {
  /** As reports show it: `fake`, `ioredis on redis 7.0`. */
  readonly name: string
  /**
   * What evidence and divergences call it, whatever its name says: kebab-case, such as `s3-on-ceph-rgw`.
   * @default the name, in kebab-case
   */
  readonly id?: string | undefined
  readonly kind: 'fake' | 'emulator' | 'real'
  /** The adapter's name, for evidence. Absent for a fake. */
  readonly adapter?: string | undefined
  /** Which server it is, for evidence. Absent where there is none, or no way to tell. */
  readonly server?: (() => Promise<ServerProduct | undefined>) | undefined
  /** Opens it on a place of its own (a database, a prefix, a new fake) with nothing in it. Without retry. */
  open(): Promise<OpenSubject<T>>
  /** Opens it on an address where nothing listens. Absent where that cannot be. */
  readonly openUnreachable?: (() => Promise<OpenSubject<T>>) | undefined
}

/** A subject's {@link Subject.id}. */
export function subjectId(subject: Pick<Subject<object>, 'id' | 'name'>): string {
  const id =
    subject.id ??
    subject.name
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-|-$/g, '')
  if (kebabCase.test(id)) return id
  throw invalidArgument(`a subject's id is kebab-case, such as "s3-on-ceph-rgw"; got "${id}"`)
}

const kebabCase = /^[a-z0-9]+(-[a-z0-9]+)*$/

/** An open subject. The runner closes it after the behaviour. */
export interface OpenSubject<T extends object> {
  readonly guarded: Guarded<T>
  /** A second client on the same place, as another process would have it. Absent where that cannot be. */
  readonly openAnother?: (() => Promise<Guarded<T>>) | undefined
  /** Another client on the same place, with credentials that the service refuses. Absent where it asks for none. */
  readonly openRefused?: (() => Promise<Guarded<T>>) | undefined
  /** Another client on the same place, whose guard tells `observe` of each call. Absent where the guard is not ours. */
  readonly openObserved?: ((observe: (event: CallEvent) => void) => Promise<Guarded<T>>) | undefined
  /** A wire to the service that can be cut, and clients over it. Absent where there is none. */
  readonly network?: Network<T> | undefined
  /** Makes the next call of `operation` take at least `ms` (on the subject's clock). Absent where it cannot be forced. */
  readonly delayNext?: ((operation: string, ms: number) => void) | undefined
  /**
   * Makes the next call of `operation` fail as the service itself would. `after` does what was asked and loses the
   * answer. Absent where it cannot be forced.
   */
  readonly force?: ((operation: string, failure: ForcedFailure) => void) | undefined
  /**
   * A look inside the service and a hand on its conditions, in the form that the port's own contract names.
   * Absent where no one has either.
   */
  readonly inside?: unknown
  /** Moves the subject's time forward; real subjects wait. Absent where neither is possible. */
  readonly passTime?: ((ms: number) => Promise<void>) | undefined
  /** Kills the server, then starts it again, as two steps. Absent where the server is not ours. */
  readonly server?: { kill(): Promise<void>; restart(): Promise<void> } | undefined
  /** Secrets in its configuration that nothing may ever show. */
  readonly canaries?: readonly string[] | undefined
  /**
   * What its place kept from the service, and why, if it did: the check is then no finding either way, and the
   * behaviour is skipped with this reason.
   */
  readonly limitation?: (() => string | undefined) | undefined
  /** Removes its place. Runs after the subject is closed. */
  readonly dispose?: (() => Promise<void>) | undefined
}

/** How a call is made to fail. */
export interface ForcedFailure {
  readonly error: PortErrorCode
  readonly when?: 'before' | 'after'
  readonly reason?: string
  readonly retryAfterMs?: number
}

/** The optional means a behaviour may need; where one is missing, the behaviour is skipped with that reason. */
export type Means =
  | 'openAnother'
  | 'openRefused'
  | 'openObserved'
  | 'network'
  | 'delayNext'
  | 'force'
  | 'inside'
  | 'passTime'
  | 'server'
  | 'canaries'
  | 'openUnreachable'

/** What a behaviour's check is given. */
export interface BehaviourContext<T extends object> extends OpenSubject<T> {
  readonly port: T
  readonly capabilities: ReadonlySet<string>
  readonly subject: Subject<T>
}

/** One behaviour of a port. */
export interface Behaviour<T extends object> {
  /** Stable and readable, below the port's name: `conditional-write/if-absent-wins-once`. */
  readonly id: string
  /** One sentence that says what holds. */
  readonly sentence: string
  /** Must hold on every subject, or only where this capability is declared. */
  readonly capability?: string
  /** With a capability: the call that must answer `unsupported`, before any I/O, where it is not declared. */
  readonly undeclared?: (context: BehaviourContext<T>) => Promise<unknown>
  readonly needs?: readonly Means[]
  /** Rejects where the behaviour does not hold. */
  check(context: BehaviourContext<T>): Promise<void>
}

/** The behaviours of a port. */
export interface Contract<T extends object> {
  readonly port: Port<T>
  readonly behaviours: readonly Behaviour<T>[]
}

/**
 * Puts a contract together.
 * @throws PortError `invalid-argument` when two behaviours share an id, an id is not kebab-case with slashes, a
 * sentence is missing, or a capability is none of the port's
 */
export function defineContract<T extends object>(
  port: Port<T>,
  behaviours: readonly Behaviour<T>[],
): Contract<T> {
  const ids = new Set<string>()
  for (const { id, sentence, capability, undeclared } of behaviours) {
    if (!/^[a-z0-9]+(-[a-z0-9]+)*(\/[a-z0-9]+(-[a-z0-9]+)*)*$/.test(id)) {
      throw invalidArgument(`a behaviour's id is kebab-case with slashes; got "${id}"`)
    }
    if (ids.has(id)) throw invalidArgument(`two behaviours of "${port.name}" have the id "${id}"`)
    ids.add(id)
    if (!sentence.endsWith('.'))
      throw invalidArgument(`behaviour "${id}" needs one sentence, with its full stop`)
    if (capability !== undefined && !Object.hasOwn(port.capabilities, capability)) {
      throw invalidArgument(`behaviour "${id}" needs "${capability}", which "${port.name}" does not name`)
    }
    if (capability !== undefined && undeclared === undefined) {
      throw invalidArgument(`behaviour "${id}" must say which call is unsupported without "${capability}"`)
    }
  }
  return { port, behaviours }
}
