import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { type SqlDatabase, sql } from 'portside'
import { expect } from 'vitest'
import { test } from '../shop.setup.ts'
import { ShopError } from './errors.ts'
import { Events } from './events.ts'
import { Orders } from './orders.ts'

const tomorrow = new Date(Date.now() + 24 * 60 * 60_000)

function open(database: SqlDatabase) {
  const events = new Events(database)
  const orders = new Orders(database)
  const createEvent = (rows: number, seatsPerRow: number) =>
    events.create({
      name: 'Opening night',
      startsAt: tomorrow,
      priceCents: 4_250,
      currency: 'EUR',
      rows,
      seatsPerRow,
    })
  const outboxOf = (subjectId: string) =>
    database.query<{ kind: string }>(sql`select kind from outbox where subject_id = ${subjectId} order by id`)
  return { events, orders, createEvent, outboxOf }
}

/** The order, or the code it was refused with. */
function outcome(placed: ReturnType<Orders['place']>) {
  return placed.catch((error: unknown) => {
    if (error instanceof ShopError) return error.code
    throw error
  })
}

test('an order has its seats, its price, and what is to follow from it', async ({ app }) => {
  const { orders, events, createEvent, outboxOf } = open(app.orders)
  const event = await createEvent(2, 3)
  const { order, repeated } = await orders.place('ada@example.org', 'key-0001', {
    eventId: event.id,
    seats: ['B-1', 'A-2'],
  })
  expect(repeated).toBe(false)
  expect(order).toMatchObject({
    seats: ['A-2', 'B-1'],
    totalCents: 8_500,
    currency: 'EUR',
    buyer: 'ada@example.org',
  })
  expect(await events.find(event.id)).toMatchObject({ seatsLeft: 4, freeSeats: ['A-1', 'A-3', 'B-2', 'B-3'] })
  expect((await outboxOf(order.id)).map(({ kind }) => kind)).toEqual(['receipt', 'mail', 'print'])
})

test('the best seats are the free ones in front', async ({ app }) => {
  const { orders, createEvent } = open(app.orders)
  const event = await createEvent(2, 2)
  await orders.place('ada@example.org', 'key-0001', { eventId: event.id, seats: ['A-1'] })
  const { order } = await orders.place('bo@example.org', 'key-0001', { eventId: event.id, bestAvailable: 2 })
  expect(order.seats).toEqual(['A-2', 'B-1'])
})

test('of 60 buyers who race for 40 seats, 40 get one each', async ({ app }) => {
  const { orders, events, createEvent, outboxOf } = open(app.orders)
  const event = await createEvent(4, 10)
  const answers = await Promise.all(
    Array.from({ length: 60 }, (_, index) =>
      outcome(
        orders.place(`buyer-${index}@example.org`, 'key-0001', { eventId: event.id, bestAvailable: 1 }),
      ),
    ),
  )
  const sold = answers.flatMap((answer) => (typeof answer === 'string' ? [] : answer.order.seats))
  expect(new Set(sold).size).toBe(40)
  expect(sold).toHaveLength(40)
  expect(answers.filter((answer) => answer === 'sold-out')).toHaveLength(20)
  expect(await events.find(event.id)).toMatchObject({ seatsLeft: 0, freeSeats: [] })
  expect(await outboxOf(event.id)).toEqual([{ kind: 'post' }])
})

test('two who pick the same seats at once: one gets all of them, the other none', async ({ app }) => {
  const { orders, events, createEvent } = open(app.orders)
  const event = await createEvent(1, 4)
  const answers = await Promise.all([
    outcome(orders.place('ada@example.org', 'key-0001', { eventId: event.id, seats: ['A-1', 'A-2'] })),
    outcome(orders.place('bo@example.org', 'key-0001', { eventId: event.id, seats: ['A-3', 'A-2'] })),
  ])
  expect(answers.filter((answer) => answer === 'seats-taken')).toHaveLength(1)
  expect(await events.find(event.id)).toMatchObject({ seatsLeft: 2 })
})

test('the last two seats, sold at the same time to two who picked them, give one post', async ({ app }) => {
  const { orders, createEvent, outboxOf } = open(app.orders)
  const event = await createEvent(1, 2)
  await Promise.all([
    orders.place('ada@example.org', 'key-0001', { eventId: event.id, seats: ['A-1'] }),
    orders.place('bo@example.org', 'key-0001', { eventId: event.id, seats: ['A-2'] }),
  ])
  expect(await outboxOf(event.id)).toEqual([{ kind: 'post' }])
})

test('the same key gives the same order, also when it is sent many times at once', async ({ app }) => {
  const { orders, events, createEvent } = open(app.orders)
  const event = await createEvent(2, 10)
  const request = { eventId: event.id, bestAvailable: 2 }
  const placed = await Promise.all(
    Array.from({ length: 12 }, () => orders.place('ada@example.org', 'key-0001', request)),
  )
  expect(new Set(placed.map(({ order }) => order.id)).size).toBe(1)
  expect(placed.filter(({ repeated }) => !repeated)).toHaveLength(1)
  expect(await events.find(event.id)).toMatchObject({ seatsLeft: 18 })
})

test('a key is its buyer’s own: another may use the same', async ({ app }) => {
  const { orders, createEvent } = open(app.orders)
  const event = await createEvent(1, 2)
  const request = { eventId: event.id, bestAvailable: 1 }
  const ada = await orders.place('ada@example.org', 'key-0001', request)
  const bo = await orders.place('bo@example.org', 'key-0001', request)
  expect(bo.order.id).not.toBe(ada.order.id)
  expect(await orders.find(ada.order.id, 'bo@example.org')).toBeUndefined()
  expect(await orders.find(ada.order.id, 'ada@example.org')).toEqual(ada.order)
})

test('the same key for another order is refused', async ({ app }) => {
  const { orders, createEvent } = open(app.orders)
  const event = await createEvent(1, 4)
  await orders.place('ada@example.org', 'key-0001', { eventId: event.id, seats: ['A-1', 'A-2'] })
  const again = await orders.place('ada@example.org', 'key-0001', {
    eventId: event.id,
    seats: ['A-2', 'A-1'],
  })
  expect(again.repeated).toBe(true)
  const other = orders.place('ada@example.org', 'key-0001', { eventId: event.id, bestAvailable: 2 })
  await expect(other).rejects.toMatchObject({ code: 'key-reused' })
})

test('a refused order leaves nothing behind, not even its key', async ({ app }) => {
  const { orders, createEvent } = open(app.orders)
  const event = await createEvent(1, 2)
  const place = (request: Parameters<Orders['place']>[2]) =>
    orders.place('ada@example.org', 'key-0001', request)
  await expect(place({ eventId: event.id, bestAvailable: 3 })).rejects.toMatchObject({ code: 'sold-out' })
  await expect(place({ eventId: event.id, seats: ['A-1', 'Z-9'] })).rejects.toMatchObject({
    code: 'seats-taken',
  })
  await expect(place({ eventId: randomUUID(), bestAvailable: 1 })).rejects.toMatchObject({
    code: 'not-found',
  })
  expect(await app.orders.query(sql`select id from orders union select subject_id from outbox`)).toEqual([])
  expect((await place({ eventId: event.id, bestAvailable: 2 })).order.seats).toEqual(['A-1', 'A-2'])
})

test('whatever is ordered at once, the counter and the seats agree and no seat has two orders', async ({
  app,
}) => {
  const { orders, events, createEvent } = open(app.orders)
  const seat = fc.integer({ min: 1, max: 6 }).map((number) => `A-${number}`)
  const choice = fc.oneof(
    fc.record({ bestAvailable: fc.integer({ min: 1, max: 3 }) }, { noNullPrototype: true }),
    fc.record({ seats: fc.uniqueArray(seat, { minLength: 1, maxLength: 3 }) }, { noNullPrototype: true }),
  )
  const property = fc.asyncProperty(fc.array(choice, { minLength: 2, maxLength: 10 }), async (choices) => {
    const event = await createEvent(1, 6)
    const answers = await Promise.all(
      choices.map((wish, index) =>
        outcome(orders.place(`buyer-${index}@example.org`, randomUUID(), { eventId: event.id, ...wish })),
      ),
    )
    const sold = answers.flatMap((answer) => (typeof answer === 'string' ? [] : answer.order.seats))
    const { seatsLeft, freeSeats } = await events.find(event.id)
    expect(new Set(sold).size).toBe(sold.length)
    expect([...sold, ...freeSeats].sort()).toEqual(['A-1', 'A-2', 'A-3', 'A-4', 'A-5', 'A-6'])
    expect(freeSeats).toHaveLength(seatsLeft)
  })
  await fc.assert(property, { numRuns: 25 })
})
