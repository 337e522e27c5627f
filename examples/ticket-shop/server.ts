/** The running shop: HTTP in front, the outbox worker behind. Attaching and closing the services is the caller's. */
import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAdaptorServer } from '@hono/node-server'
import { createContainer, type ShopServices } from './container.ts'
import { createHttpApp } from './http/app.ts'
import type { Logger } from './log.ts'
import { Outbox } from './outbox/outbox.ts'
import { OutboxWorker, type WorkerSettings } from './outbox/worker.ts'
import type { Settings } from './settings.ts'
import { Events } from './shop/events.ts'
import { Orders } from './shop/orders.ts'
import { RecentOrders } from './shop/recent-orders.ts'
import { Sessions } from './shop/sessions.ts'

export interface RunningShop {
  readonly url: URL
  readonly outbox: Outbox
  /** Accepts nothing more, finishes the requests and effects under way. Stopping twice resolves. */
  stop(): Promise<void>
}

// Requests that take longer than this at the end are cut off.
const drainMs = 10_000

export async function startShop(
  app: ShopServices,
  settings: Settings,
  log: Logger,
  workerSettings: Partial<WorkerSettings> = {},
): Promise<RunningShop> {
  const container = await createContainer(app, log, workerSettings)
  const worker = container.get(OutboxWorker)
  const outbox = container.get(Outbox)
  const http = createHttpApp({
    events: container.get(Events),
    orders: container.get(Orders),
    sessions: container.get(Sessions),
    recent: container.get(RecentOrders),
    outbox,
    worker,
    receipts: app.receipts,
    health: app.health,
    parity: app.parity,
    adminToken: settings.adminToken,
    log,
  })
  const server = createAdaptorServer({ fetch: http.fetch }) as Server
  server.listen(settings.port, settings.host)
  await once(server, 'listening')
  worker.start()
  let stopped: Promise<void> | undefined
  return {
    url: urlOf(server.address() as AddressInfo),
    outbox,
    stop() {
      stopped ??= closeServer(server).then(() => worker.stop())
      return stopped
    },
  }
}

async function closeServer(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  // A connection that is kept alive would keep the server open; it is closed once its request is answered.
  const idle = setInterval(() => server.closeIdleConnections(), 50)
  const cut = setTimeout(() => server.closeAllConnections(), drainMs)
  await closed
  clearInterval(idle)
  clearTimeout(cut)
}

function urlOf({ address, family, port }: AddressInfo): URL {
  return new URL(`http://${family === 'IPv6' ? `[${address}]` : address}:${port}`)
}
