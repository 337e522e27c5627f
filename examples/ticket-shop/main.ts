/** Runs the shop: `ORDERS_URL`, `SESSIONS_URL`, … say where its services are. SIGTERM drains and ends it. */
import { attach } from 'portside'
import { createLogger, logFailures } from './log.ts'
import { startShop } from './server.ts'
import { services } from './services.ts'
import { readSettings } from './settings.ts'

const log = createLogger()

try {
  const settings = readSettings(process.env)
  await using app = await attach(services, { observe: logFailures(log) })
  for (const service of app.describe()) log.info('attached', { ...service })
  const shop = await startShop(app, settings, log)
  log.info('serving', { url: shop.url.href })
  log.info('stopping', { signal: await stopSignal() })
  await shop.stop()
} catch (error) {
  log.error('the shop ended with an error', { error })
  process.exitCode = 1
}
log.info('stopped', { exitCode: process.exitCode ?? 0 })

/** The first signal to stop. A second one of the same kind ends the process at once, as it would any other. */
function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(signal))
  })
}
