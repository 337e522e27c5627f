/** A shop for a test: real PostgreSQL and Redis, fakes for the rest, in this process or over HTTP. */
import { fileURLToPath } from 'node:url'
import { type Attached, type Fakes, ServiceUrl, systemClock } from 'portside'
import { postgres } from 'portside/adapters/postgres'
import { attachForTest } from 'portside/testing'
import { onTestFinished } from 'vitest'
import { freshPostgres, freshRedis } from '../../contract-tests/servers.ts'
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

export interface AttachedShop {
  readonly app: Attached<typeof services>
  readonly fakes: Fakes<typeof services>
  /** `ORDERS_URL` and `SESSIONS_URL`. */
  readonly env: Readonly<Record<string, string>>
}

/** Attaches the shop's services to places of their own, with the schema in place. Ends with the test. */
export async function attachShop(urls?: { orders: string; sessions: string }): Promise<AttachedShop> {
  const env = urls ?? (await freshPlaces())
  await migrate(env.orders)
  const variables = { ORDERS_URL: env.orders, SESSIONS_URL: env.sessions }
  const attached = await attachForTest(services, { env: variables, clock: systemClock })
  onTestFinished(() => attached.app.close())
  return { app: attached.app, fakes: attached.fakes, env: variables }
}

/** Starts the whole shop on a free port. Ends with the test. */
export async function openShop(
  urls?: { orders: string; sessions: string },
  log: Logger = silent,
): Promise<AttachedShop & { readonly shop: RunningShop }> {
  const attached = await attachShop(urls)
  const shop = await startShop(attached.app, { host: '127.0.0.1', port: 0, adminToken }, log, quick)
  // Runs before the services are closed: what is registered last ends first.
  onTestFinished(() => shop.stop())
  return { ...attached, shop }
}

async function freshPlaces(): Promise<{ orders: string; sessions: string }> {
  const orders = await freshPostgres()
  onTestFinished(() => orders.drop())
  const sessions = await freshRedis()
  onTestFinished(() => sessions.drop())
  return { orders: orders.url, sessions: sessions.url }
}

async function migrate(url: string): Promise<void> {
  const parsed = ServiceUrl.parse(url, postgres.parameters)
  if (!('url' in parsed)) throw new Error(parsed.problems.join('; '))
  await postgres.migrate?.(parsed.url, fileURLToPath(new URL('./migrations', import.meta.url)))
}
