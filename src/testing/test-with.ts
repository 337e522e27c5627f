/** What `testWith` takes and gives, whatever runs the tests. */
import type { Attached, Fakes } from '../services/attach.ts'
import type { Services } from '../services/declare.ts'
import type { EgressGuard, EgressGuardOptions } from './egress.ts'
import type { TestAttachOptions } from './index.ts'
import type { PlacesOptions } from './places.ts'

/** How long the first start may take: on a new machine it fetches what is missing. */
export const startTimeoutMs = 300_000

/** What a test is given. */
export interface ServiceFixtures<M extends Services> {
  /** The attached app: real datastores, fakes for the rest. Closed after the test. */
  readonly app: Attached<M>
  /** The fakes the app runs on, new for each test. */
  readonly fakes: Fakes<M>
  /** The egress guard of this test: `allow` opens a host for it, `take` answers the attempts that it expects. */
  readonly egress: EgressGuard
}

export interface TestWithOptions<M extends Services = Services>
  extends Omit<TestAttachOptions, 'env'>,
    PlacesOptions<M> {
  /**
   * What has databases and keyspaces of its own: each test, or each file, whose tests then see what those before
   * them left. Fakes are new for each test either way.
   * @default 'test'
   */
  readonly isolation?: 'test' | 'file'
  /**
   * What a test may reach besides this machine; `false` for no guard, where no other `testWith` of the file has one.
   * @default {} nothing
   */
  readonly egress?: EgressGuardOptions | false
}
