/**
 * The whole shop on one machine: a real PostgreSQL and a real Redis, fakes for the rest, buyers over real HTTP.
 * Prints an account, and exits with 0 only if every invariant held.
 */
import { randomBytes } from 'node:crypto'
import { sql, systemClock } from 'portside'
import { startServices } from 'portside/servers'
import { attachForTest } from 'portside/testing'
import { accountOf } from './demo/account.ts'
import { gatherFacts } from './demo/facts.ts'
import { checkForced, checkInvariants } from './demo/invariants.ts'
import { runStory } from './demo/run.ts'
import { startShop } from './server.ts'
import { services } from './services.ts'

const directory = '.portside/demo'
const interrupted = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => interrupted.abort(new Error(`stopped by ${signal}`)))
}

const startedAt = Date.now()
function tell(line: string): void {
  process.stdout.write(`${((Date.now() - startedAt) / 1_000).toFixed(1).padStart(5)} s  ${line}\n`)
}

async function demo(): Promise<boolean> {
  tell('starting the datastores at their pinned versions')
  await using datastores = await startServices(services, {
    directory,
    signal: interrupted.signal,
    onProgress: tell,
  })
  await using attached = await attachForTest(services, { env: datastores.env, clock: systemClock })
  const { app, fakes } = attached
  // The data of an earlier run is still there; the story is told of this one alone.
  await app.orders.execute(sql`truncate events, orders, seats, outbox`)

  const adminToken = randomBytes(24).toString('base64url')
  const settings = { host: '127.0.0.1', port: 0, adminToken }
  const quiet = { info() {}, warn() {}, error() {} }
  const shop = await startShop(app, settings, quiet, { pollMs: 50, baseDelayMs: 100, maxDelayMs: 1_000 })
  try {
    tell(`the shop answers on ${shop.url.origin}`)
    const story = await runStory({
      shop: shop.url,
      adminToken,
      outbox: shop.outbox,
      fakes,
      database: datastores.servers.orders,
      store: datastores.servers.sessions,
      signal: interrupted.signal,
      tell,
    })
    const facts = await gatherFacts(app, fakes, story)
    const invariants = [...checkInvariants(facts), checkForced(story)]
    process.stdout.write(accountOf(app.describe(), story, facts, invariants))
    return invariants.every(({ violations }) => violations.length === 0)
  } finally {
    await shop.stop()
  }
}

try {
  const held = await demo()
  process.stdout.write(held ? '\nEvery invariant held.\n' : '\nAn invariant did not hold.\n')
  process.exitCode = held ? 0 : 1
} catch (error) {
  const stopped = interrupted.signal.aborted
  const reason = error instanceof Error ? (error.stack ?? error.message) : String(error)
  process.stderr.write(stopped ? '\nstopped\n' : `the demo failed: ${reason}\n`)
  // What shells give for a program that Ctrl-C has ended.
  process.exitCode = stopped ? 130 : 1
}
