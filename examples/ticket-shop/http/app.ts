/** The shop over HTTP. */
import { createHash, timingSafeEqual } from 'node:crypto'
import { type Context, Hono, type MiddlewareHandler } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { type AttachedControls, type ObjectStorage, parityHandler } from 'portside'
import { z } from 'zod'
import type { Logger } from '../log.ts'
import type { Outbox } from '../outbox/outbox.ts'
import type { OutboxWorker } from '../outbox/worker.ts'
import { ShopError } from '../shop/errors.ts'
import type { Events } from '../shop/events.ts'
import type { Order, Orders } from '../shop/orders.ts'
import { receiptKey } from '../shop/receipt.ts'
import type { RecentOrders } from '../shop/recent-orders.ts'
import { type Sessions, sessionTtlMs } from '../shop/sessions.ts'
import { bodyOf, checked, EventBody, IdempotencyKey, NewSession, OrderBody, Resolution } from './bodies.ts'
import { errorAnswer } from './errors.ts'

export interface HttpParts {
  readonly events: Events
  readonly orders: Orders
  readonly sessions: Sessions
  readonly recent: RecentOrders
  readonly outbox: Outbox
  readonly worker: Pick<OutboxWorker, 'wake'>
  readonly receipts: ObjectStorage
  readonly health: AttachedControls['health']
  readonly parity: AttachedControls['parity']
  readonly adminToken: string | undefined
  readonly log: Logger
}

type Env = { Variables: { buyer: string } }

const mostBodyBytes = 64 * 1024

export function createHttpApp(parts: HttpParts): Hono<Env> {
  const { events, orders, sessions, recent, outbox, worker, receipts, log } = parts
  const buyer = buyerOf(sessions)
  const admin = adminOnly(parts.adminToken)
  const app = new Hono<Env>()
  app.use(bodyLimit({ maxSize: mostBodyBytes, onError: tooLarge }))

  app.get('/healthz', async (c) => {
    const health = await parts.health({ timeoutMs: 3_000 })
    return c.json(health, health.ok ? 200 : 503)
  })

  app.post('/sessions', async (c) => {
    const { email } = await bodyOf(c.req, NewSession)
    return c.json({ token: await sessions.start(email), expiresInMs: sessionTtlMs }, 201)
  })
  app.delete('/sessions', async (c) => {
    await sessions.end(bearerOf(c) ?? '')
    return c.body(null, 204)
  })

  app.get('/events', async (c) => c.json({ events: await events.list() }))
  app.get('/events/:id', async (c) => c.json(await events.find(idOf(c))))
  app.post('/events', admin, async (c) => c.json(await events.create(await bodyOf(c.req, EventBody)), 201))

  app.post('/orders', buyer, async (c) => {
    const key = checked('Idempotency-Key', c.req.header('idempotency-key'), IdempotencyKey)
    const request = await bodyOf(c.req, OrderBody)
    const known = await recent.find(c.var.buyer, key, request)
    if (known !== undefined) return c.json(orderBody(known), 200)
    const { order, repeated } = await orders.place(c.var.buyer, key, request)
    worker.wake()
    await recent.remember(order, key, request)
    return c.json(orderBody(order), repeated ? 200 : 201)
  })
  app.get('/orders/:id', buyer, async (c) => {
    const order = await orderOf(c)
    return c.json({ ...orderBody(order), progress: await outbox.statesOf(order.id) })
  })
  app.get('/orders/:id/receipt', buyer, async (c) => {
    const receipt = await receipts.get(receiptKey(await orderOf(c)))
    if (receipt === undefined) throw new ShopError('not-found', 'the receipt is not written yet')
    return c.body(ReadableStream.from(receipt.body) as ReadableStream<Uint8Array>, 200, {
      'content-type': receipt.info.contentType,
      'content-length': String(receipt.info.size),
    })
  })

  // What is deployed here, for whoever runs the shop: `admin` has let the request in already.
  app.get('/parity', admin, parityHandler({ parity: parts.parity }, { authorize: 'upstream' }))

  app.get('/outbox/stuck', admin, async (c) => {
    const stuck = await outbox.stuck()
    return c.json({ stuck: stuck.map((entry) => ({ ...entry, id: String(entry.id) })) })
  })
  app.post('/outbox/:id/resolution', admin, async (c) => {
    const id = BigInt(
      checked('id', c.req.param('id'), z.string().regex(/^[1-9]\d{0,17}$/, 'must be a number')),
    )
    const { as } = await bodyOf(c.req, Resolution)
    if (!(await outbox.resolve(id, as))) throw new ShopError('not-found', 'no stuck entry has this id')
    worker.wake()
    return c.body(null, 204)
  })

  app.notFound((c) => answer(c, new ShopError('not-found', 'there is nothing here')))
  app.onError((error, c) => {
    const { status } = errorAnswer(error)
    // The failing calls of ports are logged where they are observed; this is what no one expected.
    if (status === 500) log.error('a request failed', { method: c.req.method, path: c.req.path, error })
    return answer(c, error)
  })
  return app

  async function orderOf(c: Context<Env>): Promise<Order> {
    const order = await orders.find(idOf(c), c.var.buyer)
    if (order === undefined) throw new ShopError('not-found', 'there is no such order')
    return order
  }
}

function orderBody({ buyer: _, ...order }: Order): Omit<Order, 'buyer'> {
  return order
}

function answer(c: Context, error: unknown): Response {
  const { status, headers, body } = errorAnswer(error)
  return c.json(body, status, headers)
}

function tooLarge(c: Context): Response {
  return answer(c, new ShopError('bad-request', `a body has at most ${mostBodyBytes} bytes`))
}

function buyerOf(sessions: Sessions): MiddlewareHandler<Env> {
  return async (c, next) => {
    const token = bearerOf(c)
    const session = token === undefined ? undefined : await sessions.find(token)
    if (session === undefined) throw new ShopError('not-logged-in', 'log in with POST /sessions')
    c.set('buyer', session.email)
    await next()
  }
}

function adminOnly(adminToken: string | undefined): MiddlewareHandler<Env> {
  return async (c, next) => {
    if (adminToken === undefined) {
      throw new ShopError('not-allowed', 'no one is an admin here; set SHOP_ADMIN_TOKEN to change that')
    }
    if (!sameText(bearerOf(c) ?? '', adminToken)) throw new ShopError('not-allowed', 'this is for admins')
    await next()
  }
}

/** The ids of events and orders. What is no id cannot be one of something. */
function idOf(c: Context): string {
  const id = z.guid().safeParse(c.req.param('id'))
  if (!id.success) throw new ShopError('not-found', 'there is nothing under this id')
  return id.data
}

function bearerOf(c: Context): string | undefined {
  return /^Bearer ([\x21-\x7e]{1,200})$/.exec(c.req.header('authorization') ?? '')?.[1]
}

/** Compares in the same time however much is alike. */
function sameText(a: string, b: string): boolean {
  const [hashA, hashB] = [a, b].map((text) => createHash('sha256').update(text).digest())
  return timingSafeEqual(hashA as Buffer, hashB as Buffer)
}
