/** A datastore dies and comes back: the shop recovers by itself, and what it said yes to is still there. */
import { setTimeout as sleep } from 'node:timers/promises'
import { systemClock } from 'portside'
import { attachForTest } from 'portside/testing'
import { expect, onTestFinished, test, vi } from 'vitest'
import { type Acknowledged, Buyer } from './demo/buyer.ts'
import { gatherFacts } from './demo/facts.ts'
import { checkInvariants } from './demo/invariants.ts'
import { services } from './services.ts'
import { adminToken, openShop, startDatastores } from './shop.setup.ts'

async function open() {
  const { env, servers } = await startDatastores()
  const { app, fakes } = await attachForTest(services, { env, clock: systemClock })
  onTestFinished(() => app.close())
  return { app, fakes, servers, shop: await openShop(app) }
}

async function createEvent(shop: URL, rows: number, seatsPerRow: number): Promise<string> {
  const response = await fetch(new URL('/events', shop), {
    method: 'POST',
    headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      name: 'Opening night',
      startsAt: '2030-05-01T19:00:00Z',
      priceCents: 4_250,
      currency: 'EUR',
      rows,
      seatsPerRow,
    }),
  })
  return ((await response.json()) as { id: string }).id
}

test.each(['orders', 'sessions'] as const)(
  'killing the server of %s with SIGKILL between orders loses none of them',
  { timeout: 60_000 },
  async (victim) => {
    const { app, fakes, shop, servers } = await open()
    const eventId = await createEvent(shop.url, 3, 10)
    const acknowledged: Acknowledged[] = []
    let crash: Promise<void> | undefined
    const buyers = Array.from({ length: 36 }, async (_, index) => {
      const buyer = new Buyer(shop.url, `buyer-${index}@example.org`, AbortSignal.timeout(50_000))
      await buyer.logIn()
      // Spread a little, so that some come before the crash, some during it and some after.
      await sleep(index * 25)
      const answer = await buyer.order({ eventId, bestAvailable: 1 })
      if (answer === undefined) return
      acknowledged.push(answer)
      if (acknowledged.length === 8) {
        crash = servers[victim]
          .kill()
          .then(() => sleep(500))
          .then(() => servers[victim].restart())
      }
    })
    await Promise.all(buyers)
    await crash
    expect(crash).toBeDefined()
    await vi.waitFor(
      async () => {
        const { waiting = 0, running = 0 } = await shop.outbox.counts()
        expect(waiting + running).toBe(0)
      },
      { timeout: 20_000, interval: 50 },
    )
    const facts = await gatherFacts(app, fakes, { acknowledged, lostMailAnswers: 0 })
    expect(checkInvariants(facts).flatMap(({ violations }) => violations)).toEqual([])
    expect(acknowledged).toHaveLength(30)
  },
)

test('/healthz is 503 while the database is away, and 200 again when it is back', {
  timeout: 60_000,
}, async () => {
  const { shop, servers } = await open()
  const health = async () => {
    const response = await fetch(new URL('/healthz', shop.url))
    return { status: response.status, body: await response.json() }
  }
  expect((await health()).status).toBe(200)
  await servers.orders.kill()
  expect(await health()).toMatchObject({
    status: 503,
    body: { ok: false, services: { orders: { ok: false, reason: 'unavailable' }, sessions: { ok: true } } },
  })
  const refused = await fetch(new URL('/events', shop.url))
  expect(refused.status).toBe(503)
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
  await servers.orders.restart()
  await vi.waitFor(async () => expect((await health()).status).toBe(200), { timeout: 20_000, interval: 100 })
  expect((await fetch(new URL('/events', shop.url))).status).toBe(200)
})
