/** Vitest fixtures for an app's services. */
import { test as base, type TestAPI } from 'vitest'
import type { Services } from '../services/declare.ts'
import { type EgressGuard, installEgressGuard } from './egress.ts'
import { allowedHosts, PlacesSupply } from './places.ts'
import { LodgingOfFile, lodgingOfTests, Stay } from './stay.ts'
import { type ServiceFixtures, startTimeoutMs, type TestWithOptions } from './test-with.ts'

export type { DatastoreTestOptions, Seed } from './places.ts'
export type { ServiceFixtures, TestWithOptions } from './test-with.ts'

/**
 * A `test` whose callbacks are given `app` and `fakes`. The pinned datastores are started when the first test asks for
 * them, and serve every worker and the next run. Each test gets a database and a keyspace of its own, migrated and seeded,
 * with the rights that production's app has. URLs in the environment are not read: a test never writes to a server
 * that someone else runs. What a failed test leaves is kept, and its URLs are printed.
 *
 * Nothing reaches the outside from the file's first test to its last: a test that has tried fails at its end, even if
 * the app swallowed the error, and what tries after its test has ended fails the file. Of tests that run concurrently
 * in one file, an attempt fails the first to end.
 */
export function testWith<const M extends Services>(
  services: M,
  options: TestWithOptions<M> = {},
): TestAPI<ServiceFixtures<M>> {
  const { egress = {}, isolation = 'test' } = options
  const guards = new WeakMap<object, EgressGuard>()
  const extended = base
    // biome-ignore lint/correctness/noEmptyPattern: vitest reads what a fixture needs from the pattern; this needs nothing
    .extend('portsideSupply', { scope: 'worker' }, async ({}, { onCleanup }) => {
      const supply = await PlacesSupply.open(services, options)
      onCleanup(() => supply.close())
      return supply
    })
    // biome-ignore lint/correctness/noEmptyPattern: as above
    .extend('portsideEgress', { scope: 'file' }, async ({}, { onCleanup }) => {
      const guard = installEgressGuard(egress === false ? {} : egress)
      guard.allow(...allowedHosts(options))
      onCleanup(() => guard[Symbol.dispose]())
      return guard
    })
    .extend('egress', { auto: egress !== false }, async ({ portsideEgress, task }, { onCleanup }) => {
      // Whatever came since the last test is not this one's, and stays with the file's.
      void portsideEgress
      const guard = installEgressGuard()
      guards.set(task, guard)
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
    .extend('portsideFile', { scope: 'file' }, async ({ portsideSupply }, { onCleanup }) => {
      const file = new LodgingOfFile(portsideSupply)
      onCleanup(() => file.close())
      return file
    })
    .extend('portsideAttached', async ({ portsideSupply, portsideFile, task }, { onCleanup }) => {
      const lodging = isolation === 'file' ? portsideFile : lodgingOfTests(portsideSupply)
      const stay = new Stay(services, lodging, options)
      onCleanup(() => {
        // What it fails for after this is known to its guard alone.
        const reached = (guards.get(task)?.attempts.length ?? 0) > 0
        const failed = (task.result?.state === 'fail' || reached) && task.fails !== true
        return stay.end(failed ? task.fullTestName : undefined)
      })
      return stay.attached
    })
    .extend('app', ({ portsideAttached }) => portsideAttached.app)
    .extend('fakes', ({ portsideAttached }) => portsideAttached.fakes)
  // Under a limit of its own: the first start on a machine fetches what it lacks, which no test's limit allows for.
  extended.beforeAll(({ portsideSupply }) => void portsideSupply, startTimeoutMs)
  if (egress !== false) extended.beforeAll(({ portsideEgress }) => void portsideEgress)
  return extended as unknown as TestAPI<ServiceFixtures<M>>
}
