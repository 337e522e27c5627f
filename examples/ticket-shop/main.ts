/**
 * Runs the shop: `ORDERS_URL`, `SESSIONS_URL`, … say where its services are. It listens once preflight lets it, and
 * SIGTERM drains and ends it.
 */
import { attach } from 'portside'
import type { ShopServices } from './container.ts'
import { createLogger, logFailures } from './log.ts'
import { startShop } from './server.ts'
import { services } from './services.ts'
import { readSettings } from './settings.ts'

const log = createLogger()

try {
  const settings = readSettings(process.env)
  await using app = await attach(services, { observe: logFailures(log) })
  for (const service of app.describe()) log.info('attached', { ...service })
  await refuseUnready(app)
  const shop = await startShop(app, settings, log)
  log.info('serving', { url: shop.url.href })
  log.info('stopping', { signal: await stopSignal() })
  await shop.stop()
} catch (error) {
  log.error('the shop ended with an error', { error })
  process.exitCode = 1
}
log.info('stopped', { exitCode: process.exitCode ?? 0 })

/** Ends a release that must not take traffic, while the one before it still does: a migration that has not run, say. */
async function refuseUnready(app: ShopServices): Promise<void> {
  const { steps } = await app.preflight()
  const failed = steps.filter(({ outcome }) => outcome === 'no-go')
  for (const step of failed) log.warn('no-go', { ...step })
  // The outbox waits for a mail server that is down; nothing waits for the shop's own datastores.
  const own = app.describe().filter(({ boundary }) => boundary === 'bounded')
  const refused = failed.find(({ service }) => own.some((one) => one.service === service))
  if (refused !== undefined) throw new Error(`${refused.service} is not ready: ${refused.detail}`)
}

/** The first signal to stop. A second one of the same kind ends the process at once, as it would any other. */
function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(signal))
  })
}
