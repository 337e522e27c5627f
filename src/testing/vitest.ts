/** Vitest fixtures for an app's services. */
import { test as base, type TestAPI } from 'vitest'
import type { Attached, Fakes } from '../services/attach.ts'
import type { Services } from '../services/declare.ts'
import { type EgressGuard, type EgressGuardOptions, installEgressGuard } from './egress.ts'
import { attachForTest, type TestAttachOptions } from './index.ts'
import { TestServers } from './places.ts'

const startTimeoutMs = 300_000

/** What a test is given. */
export interface ServiceFixtures<M extends Services> {
  /** The attached app: real datastores, fakes for the rest. Closed after the test. */
  readonly app: Attached<M>
  /** The fakes the app runs on, new for each test. */
  readonly fakes: Fakes<M>
  /** The egress guard of this test: `allow` opens a host for it, `take` answers the attempts that it expects. */
  readonly egress: EgressGuard
}

export interface TestWithOptions extends Omit<TestAttachOptions, 'env'> {
  /**
   * What a test may reach besides this machine; `false` for no guard, where no other `testWith` of the file has one.
   * @default {} nothing
   */
  readonly egress?: EgressGuardOptions | false
}

/**
 * A `test` whose callbacks are given `app` and `fakes`. The pinned datastores are started once a worker, when
 * the first test asks for them, and each test gets a database and a keyspace of its own, migrated and empty. URLs
 * in the environment are not read: a test never writes to a server that someone else runs.
 *
 * Nothing reaches the outside from the file's first test to its last: a test that has tried fails at its end, even if
 * the app swallowed the error, and what tries after its test has ended fails the file. Of tests that run concurrently
 * in one file, an attempt fails the first to end.
 */
export function testWith<const M extends Services>(
  services: M,
  options: TestWithOptions = {},
): TestAPI<ServiceFixtures<M>> {
  const { egress = {}, ...attachOptions } = options
  const extended = base
    // biome-ignore lint/correctness/noEmptyPattern: vitest reads what a fixture needs from the pattern; this needs nothing
    .extend('portsideServers', { scope: 'worker' }, async ({}, { onCleanup }) => {
      const servers = await TestServers.start(services)
      onCleanup(() => servers.stop())
      return servers
    })
    // biome-ignore lint/correctness/noEmptyPattern: as above
    .extend('portsideEgress', { scope: 'file' }, async ({}, { onCleanup }) => {
      const guard = installEgressGuard(egress === false ? {} : egress)
      onCleanup(() => guard[Symbol.dispose]())
      return guard
    })
    .extend('egress', { auto: egress !== false }, async ({ portsideEgress }, { onCleanup }) => {
      // Whatever came since the last test is not this one's, and stays with the file's.
      void portsideEgress
      const guard = installEgressGuard()
      onCleanup(() => {
        try {
          guard.assertClean()
        } finally {
          guard.take()
          guard.uninstall()
        }
      })
      return guard
    })
    .extend('portsideAttached', async ({ portsideServers }, { onCleanup }) => {
      const attached = await attachForTest(services, {
        ...attachOptions,
        env: await portsideServers.freshEnv(),
      })
      onCleanup(() => attached.app.close())
      return attached
    })
    .extend('app', ({ portsideAttached }) => portsideAttached.app)
    .extend('fakes', ({ portsideAttached }) => portsideAttached.fakes)
  // Under a limit of its own: the first start on a machine fetches what it lacks, which no test's limit allows for.
  extended.beforeAll(({ portsideServers }) => void portsideServers, startTimeoutMs)
  if (egress !== false) extended.beforeAll(({ portsideEgress }) => void portsideEgress)
  return extended as unknown as TestAPI<ServiceFixtures<M>>
}
