/** Attaching an app for a test: real datastores, and fakes for everything else. Needs no test runner. */
import type { Clock } from '../calls/clock.ts'
import { VirtualClock } from '../calls/clock.ts'
import type { CallEvent } from '../calls/guard.ts'
import type { RetryPolicy } from '../calls/retry.ts'
import { type Attached, type Fakes, openAll } from '../services/attach.ts'
import { readConfig } from '../services/config.ts'
import type { Services } from '../services/declare.ts'

export {
  type EgressAttempt,
  type EgressGuard,
  type EgressGuardOptions,
  type EgressRoute,
  installEgressGuard,
} from './egress.ts'

export { any, like, type Matcher, type Matching } from './match.ts'
export { type Mock, type MockOptions, mock } from './mock.ts'
export { MockVerificationError, UnexpectedCallError } from './mock-errors.ts'
export type { Rejection, Times } from './mock-expectation.ts'
export { type Sequence, sequence } from './mock-script.ts'
export type { Expectations, ExpectedCall, ExpectedStream, MockCall } from './mock-types.ts'
export { type Verifiable, verifying } from './verifying.ts'

export interface TestAttachOptions {
  /** Where the URLs of the bounded services are read from. `PORTSIDE_EXTERNALS` is always `fake`. @default process.env */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** What the fakes take for the time. @default a new `VirtualClock` for all of them */
  readonly clock?: Clock
  /** What the fakes' chance is drawn from. @default 1 */
  readonly seed?: number
  /** How idempotent calls are repeated. @default as in production */
  readonly retry?: RetryPolicy
  readonly observe?: (event: CallEvent) => void
}

/** An attached app with the fakes it runs on. Closing the app closes them too. */
export interface AttachedForTest<M extends Services> extends AsyncDisposable {
  readonly app: Attached<M>
  readonly fakes: Fakes<M>
}

/**
 * Attaches `services` as a test wants them: the bounded ones to the URLs in `env`, every unbounded one to a
 * fake, whose controls are in `fakes`.
 * @throws PortError as `attach` does; a real URL of an unbounded service is `invalid-argument`
 */
export async function attachForTest<const M extends Services>(
  services: M,
  options: TestAttachOptions = {},
): Promise<AttachedForTest<M>> {
  const { env = process.env, clock = new VirtualClock(), seed, retry, observe } = options
  const config = readConfig(services, { env: { ...env, PORTSIDE_EXTERNALS: 'fake' }, args: [] })
  const opened = await openAll(services, config, {
    fakes: seed === undefined ? { clock } : { clock, seed },
    ...(retry === undefined ? {} : { retry }),
    ...(observe === undefined ? {} : { observe }),
  })
  return { ...opened, [Symbol.asyncDispose]: () => opened.app.close() }
}
