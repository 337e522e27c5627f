/** Vitest fixtures for an app's services. */
import { test as base, type TestAPI } from 'vitest'
import type { Attached, Fakes } from '../services/attach.ts'
import type { Services } from '../services/declare.ts'
import { attachForTest, type TestAttachOptions } from './index.ts'
import { TestServers } from './places.ts'

const startTimeoutMs = 300_000

/** What a test is given. */
export interface ServiceFixtures<M extends Services> {
  /** The attached app: real datastores, fakes for the rest. Closed after the test. */
  readonly app: Attached<M>
  /** The fakes the app runs on, new for each test. */
  readonly fakes: Fakes<M>
}

/**
 * A `test` whose callbacks are given `app` and `fakes`. The pinned datastores are started once a worker, when
 * the first test asks for them, and each test gets a database and a keyspace of its own, migrated and empty. URLs
 * in the environment are not read: a test never writes to a server that someone else runs.
 */
export function testWith<const M extends Services>(
  services: M,
  options: Omit<TestAttachOptions, 'env'> = {},
): TestAPI<ServiceFixtures<M>> {
  const extended = base
    // biome-ignore lint/correctness/noEmptyPattern: vitest reads what a fixture needs from the pattern; this needs nothing
    .extend('portsideServers', { scope: 'worker' }, async ({}, { onCleanup }) => {
      const servers = await TestServers.start(services)
      onCleanup(() => servers.stop())
      return servers
    })
    .extend('portsideAttached', async ({ portsideServers }, { onCleanup }) => {
      const attached = await attachForTest(services, { ...options, env: await portsideServers.freshEnv() })
      onCleanup(() => attached.app.close())
      return attached
    })
    .extend('app', ({ portsideAttached }) => portsideAttached.app)
    .extend('fakes', ({ portsideAttached }) => portsideAttached.fakes)
  // Under a limit of its own: the first start on a machine fetches what it lacks, which no test's limit allows for.
  extended.beforeAll(({ portsideServers }) => void portsideServers, startTimeoutMs)
  return extended as unknown as TestAPI<ServiceFixtures<M>>
}
