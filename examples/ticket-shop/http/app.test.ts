import { type Attached, sql } from 'portside'
import { expect, vi } from 'vitest'
import type { services } from '../services.ts'
import { adminToken, openShop, test } from '../shop.setup.ts'

type Json = Readonly<Record<string, unknown>>

/** What the shop's answers may hold, each only where it belongs. */
interface Body {
  readonly id: string
  readonly token: string
  readonly events: readonly unknown[]
  readonly freeSeats: readonly string[]
  readonly progress: Json
  readonly services: Json
  readonly stuck: readonly { readonly id: string }[]
  readonly error: { readonly code: string; readonly message: string; readonly problems?: readonly string[] }
}

/** A shop over HTTP, and a client for it. */
async function open(app: Attached<typeof services>) {
  const shop = await openShop(app)
  const send = async (
    method: string,
    path: string,
    token = '',
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ) => {
    const response = await fetch(new URL(path, shop.url), {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await response.text()
    const isJson = response.headers.get('content-type')?.startsWith('application/json') ?? false
    return {
      status: response.status,
      headers: response.headers,
      text,
      json: (isJson ? JSON.parse(text) : {}) as Body,
    }
  }
  const logIn = async (email: string): Promise<string> =>
    (await send('POST', '/sessions', '', { email })).json.token
  const event = {
    name: 'Opening night',
    startsAt: '2030-05-01T19:00:00Z',
    priceCents: 4_250,
    currency: 'EUR',
  }
  const createEvent = async (changes: Json = {}) =>
    (await send('POST', '/events', adminToken, { ...event, rows: 2, seatsPerRow: 3, ...changes })).json
      .id as string
  const order = (token: string, body: unknown, key = 'key-0001') =>
    send('POST', '/orders', token, body, { 'idempotency-key': key })
  return { send, logIn, event, createEvent, order }
}

test('from the event to the receipt', async ({ app, fakes }) => {
  const { send, logIn, createEvent, order } = await open(app)
  const eventId = await createEvent()
  const token = await logIn('Ada@Example.org')
  expect((await send('GET', '/events')).json.events).toMatchObject([{ id: eventId, seatsLeft: 6 }])

  const placed = await order(token, { eventId, seats: ['A-3', 'B-1'] })
  expect(placed).toMatchObject({ status: 201, json: { eventId, seats: ['A-3', 'B-1'], totalCents: 8_500 } })
  const path = `/orders/${placed.json.id}`
  await vi.waitFor(async () => {
    const { json } = await send('GET', path, token)
    expect(json.progress).toEqual({ receipt: 'done', mail: 'done', print: 'done' })
  })
  const receipt = await send('GET', `${path}/receipt`, token)
  expect(receipt.headers.get('content-type')).toBe('text/plain; charset=utf-8')
  expect(receipt.text).toContain('Seats: A-3, B-1')
  expect(fakes.mail.outboxOf('ada@example.org')).toHaveLength(1)
  expect((await send('GET', `/events/${eventId}`)).json.freeSeats).toEqual(['A-1', 'A-2', 'B-2', 'B-3'])
})

test('the same request again is the same order, with and without its shortcut in Redis', async ({ app }) => {
  const { logIn, createEvent, order } = await open(app)
  const eventId = await createEvent()
  const token = await logIn('ada@example.org')
  const request = { eventId, bestAvailable: 2 }
  const first = await order(token, request)
  expect(first.status).toBe(201)
  expect(await order(token, request)).toMatchObject({ status: 200, json: first.json })

  const keys: string[] = []
  for await (const key of app.sessions.scan('order-key:')) keys.push(key)
  expect(keys).toHaveLength(1)
  await app.sessions.deleteMany(keys)
  expect(await order(token, request)).toMatchObject({ status: 200, json: first.json })

  // What is remembered there in another form than today's is as good as nothing.
  for await (const key of app.sessions.scan('order-key:')) await app.sessions.set(key, '{"request":7}')
  expect(await order(token, request)).toMatchObject({ status: 200, json: first.json })
  expect(await order(token, { eventId, bestAvailable: 1 })).toMatchObject({
    status: 422,
    json: { error: { code: 'key-reused' } },
  })
  expect(await app.orders.query(sql`select id from orders`)).toHaveLength(1)
})

test('sold out is 409, and so are seats that another has', async ({ app }) => {
  const { logIn, createEvent, order } = await open(app)
  const eventId = await createEvent({ rows: 1, seatsPerRow: 2 })
  const token = await logIn('ada@example.org')
  await order(token, { eventId, seats: ['A-1'] }, 'key-0001')
  const taken = await order(token, { eventId, seats: ['A-1'] }, 'key-0002')
  expect(taken).toMatchObject({ status: 409, json: { error: { code: 'seats-taken' } } })
  const none = await order(token, { eventId, bestAvailable: 2 }, 'key-0003')
  expect(none).toMatchObject({ status: 409, json: { error: { code: 'sold-out' } } })
})

const eventId = '0b7e6d5c-1a2b-4c3d-8e9f-0a1b2c3d4e5f'

test('an order that is not as it should be is 400, and says what is wrong', async ({ app }) => {
  const { logIn, order } = await open(app)
  const token = await logIn('ada@example.org')
  const bad: readonly unknown[] = [
    {},
    [],
    null,
    'not json {',
    { eventId },
    { eventId, bestAvailable: 0 },
    { eventId, bestAvailable: -1 },
    { eventId, bestAvailable: 1.5 },
    { eventId, bestAvailable: 11 },
    { eventId, bestAvailable: 1e300 },
    { eventId, bestAvailable: '1' },
    { eventId, seats: [] },
    { eventId, seats: ['A-0'] },
    { eventId, seats: ["A-1'; drop table seats; --"] },
    { eventId, seats: ['A-1', 'A-1'] },
    { eventId, seats: ['A-1\u0000'] },
    { eventId, seats: ['A-1'], bestAvailable: 1 },
    { eventId, bestAvailable: 1, priceCents: 0 },
    { eventId: '../../etc/passwd', bestAvailable: 1 },
  ]
  for (const body of bad) {
    const answer = await order(token, body)
    expect({ body, status: answer.status }).toEqual({ body, status: 400 })
    expect(answer.json.error).toMatchObject({ code: 'bad-request', message: expect.any(String) })
  }
  expect(await app.orders.query(sql`select id from orders`)).toEqual([])
})

test('an order without a proper idempotency key is 400', async ({ app }) => {
  const { send, logIn, createEvent, order } = await open(app)
  const body = { eventId: await createEvent(), bestAvailable: 1 }
  const token = await logIn('ada@example.org')
  expect(await send('POST', '/orders', token, body)).toMatchObject({
    status: 400,
    json: { error: { problems: [expect.stringMatching(/^Idempotency-Key: is missing/)] } },
  })
  for (const key of ['short', 'x'.repeat(101), 'with space', 'schlüssel']) {
    expect((await order(token, body, key)).status).toBe(400)
  }
})

test('an event that is not as it should be is 400', async ({ app }) => {
  const { send, event } = await open(app)
  const good = { ...event, rows: 1, seatsPerRow: 1 }
  const bad: readonly Json[] = [
    { name: '' },
    { name: '  ' },
    { name: 'x'.repeat(101) },
    { name: 'nul\u0000' },
    { name: 'two\r\nBcc: lines@example.org' },
    { name: 'half \ud800' },
    { startsAt: 'tomorrow' },
    { startsAt: '2030-02-30T19:00:00Z' },
    { priceCents: -1 },
    { priceCents: 0.5 },
    { priceCents: 1e12 },
    { currency: 'euro' },
    { rows: 0 },
    { rows: 27 },
    { seatsPerRow: 101 },
    { surprise: true },
  ]
  for (const change of bad) {
    const { status } = await send('POST', '/events', adminToken, { ...good, ...change })
    expect({ change, status }).toEqual({ change, status: 400 })
  }
  expect((await send('GET', '/events')).json).toEqual({ events: [] })
})

test('a body that is too large is refused before it is read', async ({ app }) => {
  const { send } = await open(app)
  const { status, json } = await send('POST', '/sessions', '', { email: 'x'.repeat(100_000) })
  expect(status).toBe(400)
  expect(json.error.message).toContain('at most')
})

test('only an admin creates events', async ({ app }) => {
  const { send, event, logIn } = await open(app)
  const body = { ...event, rows: 1, seatsPerRow: 1 }
  for (const token of ['', 'wrong', await logIn('ada@example.org')]) {
    expect((await send('POST', '/events', token, body)).status).toBe(403)
  }
})

test('a buyer sees their own orders only, and nothing after logging out', async ({ app }) => {
  const { send, logIn, createEvent, order } = await open(app)
  const ada = await logIn('ada@example.org')
  const bo = await logIn('bo@example.org')
  const placed = await order(ada, { eventId: await createEvent(), bestAvailable: 1 })
  const path = `/orders/${placed.json.id}`
  expect((await send('GET', path, ada)).status).toBe(200)
  expect((await send('GET', path, bo)).status).toBe(404)
  expect((await send('GET', `${path}/receipt`, bo)).status).toBe(404)
  expect((await send('GET', path)).status).toBe(401)
  expect((await send('DELETE', '/sessions', ada)).status).toBe(204)
  expect((await send('GET', path, ada)).status).toBe(401)
})

test('what is not there is 404', async ({ app }) => {
  const { send, logIn, order } = await open(app)
  const token = await logIn('ada@example.org')
  for (const path of ['/nothing', '/events/7', `/events/${eventId}`, '/events/%00']) {
    expect({ path, status: (await send('GET', path)).status }).toEqual({ path, status: 404 })
  }
  expect((await order(token, { eventId, bestAvailable: 1 })).status).toBe(404)
})

test('sessions end by themselves, and their tokens are not in the store', async ({ app }) => {
  const { logIn } = await open(app)
  const token = await logIn('ada@example.org')
  const keys: string[] = []
  for await (const key of app.sessions.scan('')) keys.push(key)
  expect(keys).toHaveLength(1)
  expect(keys[0]).not.toContain(token)
  const expiry = await app.sessions.expiry(keys[0] ?? '')
  expect(expiry?.ttlMs).toBeGreaterThan(25 * 60_000)
  expect(expiry?.ttlMs).toBeLessThanOrEqual(30 * 60_000)
})

test('what is stuck is shown to an admin, who says what becomes of it', async ({ app, fakes }) => {
  const { send, logIn, createEvent, order } = await open(app)
  fakes.mail.faults.next('send', { error: 'timeout', when: 'after' })
  const token = await logIn('ada@example.org')
  await order(token, { eventId: await createEvent(), bestAvailable: 1 })
  const { id } = await vi.waitFor(async () => {
    const { json } = await send('GET', '/outbox/stuck', adminToken)
    expect(json.stuck).toMatchObject([{ kind: 'mail', state: 'uncertain' }])
    return json.stuck[0] as { readonly id: string }
  })
  expect((await send('GET', '/outbox/stuck', token)).status).toBe(403)
  expect((await send('POST', `/outbox/${id}/resolution`, adminToken, { as: 'maybe' })).status).toBe(400)
  expect((await send('POST', `/outbox/${id}/resolution`, adminToken, { as: 'done' })).status).toBe(204)
  expect((await send('POST', `/outbox/${id}/resolution`, adminToken, { as: 'done' })).status).toBe(404)
  expect((await send('GET', '/outbox/stuck', adminToken)).json).toEqual({ stuck: [] })
})

test('what is deployed is shown to an admin, and to nobody else', async ({ app }) => {
  const { send } = await open(app)
  for (const token of ['', 'guessed-token-of-nobody']) {
    const { status, text } = await send('GET', '/parity', token)
    expect(status).toBe(403)
    expect(text).not.toContain('17.10')
  }
  const { status, json, headers } = await send('GET', '/parity', adminToken)
  expect(status).toBe(200)
  expect(headers.get('cache-control')).toBe('no-store')
  expect(json.services).toMatchObject([
    { service: 'orders', pin: 'postgresql 17.10', server: { version: '17.10' }, drift: [] },
    { service: 'sessions', pin: 'redis 7.0', drift: [] },
    { service: 'receipts', implementation: 'fake' },
    { service: 'mail' },
    { service: 'social' },
    { service: 'printer' },
  ])
})

test('a healthy shop says so', async ({ app }) => {
  const { send } = await open(app)
  const { status, json } = await send('GET', '/healthz')
  expect(status).toBe(200)
  expect(Object.keys(json.services)).toEqual(['orders', 'sessions', 'receipts', 'mail', 'social', 'printer'])
})
