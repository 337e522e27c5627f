/** What the shop's tests share: real datastores of the pinned versions, fakes for the rest, the shop over HTTP. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Attached, systemClock } from 'portside'
import { type ServersOf, type StartedServices, startServices } from 'portside/servers'
import { testWith } from 'portside/testing/vitest'
import { onTestFinished } from 'vitest'
import type { Logger } from './log.ts'
import type { WorkerSettings } from './outbox/worker.ts'
import { type RunningShop, startShop } from './server.ts'
import { services } from './services.ts'

export const adminToken = 'admin-token-of-the-tests'
export const silent: Logger = { info() {}, warn() {}, error() {} }
export const quick: WorkerSettings = {
  lanes: 4,
  pollMs: 10,
  leaseMs: 60_000,
  baseDelayMs: 5,
  maxDelayMs: 50,
}

/** A test is given `app`, attached to places of its own, and the `fakes` in it. */
export const test = testWith(services, { clock: systemClock })

/** Starts the shop on a free port. It ends with the test. */
export async function openShop(app: Attached<typeof services>): Promise<RunningShop> {
  const shop = await startShop(app, { host: '127.0.0.1', port: 0, adminToken }, silent, quick)
  onTestFinished(() => shop.stop())
  return shop
}

/** Datastores of the test's own, to kill or to lend to another process. They end with the test. */
export async function startDatastores(
  options: { readonly migrate?: boolean } = {},
): Promise<StartedServices<ServersOf<typeof services>>> {
  const directory = await mkdtemp(join(tmpdir(), 'ticket-shop-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }))
  const datastores = await startServices(services, { directory, ...options })
  onTestFinished(() => datastores.stop())
  return datastores
}
