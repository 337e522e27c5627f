/**
 * Orders: seats are sold once, a request is carried out once, and what follows from an order is noted with it.
 *
 * Why it cannot oversell: a sale counts `seats_left` down with an UPDATE of the event's row. That row stays locked
 * until the sale commits, so the sales of one event go one after another, each seeing what the last one left; the
 * CHECK on the column and the single `order_id` of a seat's row would refuse what slipped through. Sales of
 * different events do not wait for each other. One lock in a fixed order also means no deadlock. Locking seat by
 * seat would let more sales of one event run at once, but then no sale could tell that it was the last.
 */
import { createHash, randomUUID } from 'node:crypto'
import { type SqlDatabase, type SqlTransaction, sql } from 'portside'
import { addToOutbox } from '../outbox/outbox.ts'
import { ShopError } from './errors.ts'

/** Seats by their labels, or the best so many that are free. */
type SeatChoice = { readonly seats: readonly string[] } | { readonly bestAvailable: number }

export type OrderRequest = { readonly eventId: string } & SeatChoice

export interface Order {
  readonly id: string
  readonly eventId: string
  readonly eventName: string
  readonly startsAt: Date
  readonly buyer: string
  /** The best first. */
  readonly seats: readonly string[]
  readonly totalCents: number
  readonly currency: string
  readonly createdAt: Date
}

export interface PlacedOrder {
  readonly order: Order
  /** Whether this very request was carried out before, and nothing was done now. */
  readonly repeated: boolean
}

export class Orders {
  readonly #database: SqlDatabase

  constructor(database: SqlDatabase) {
    this.#database = database
  }

  /**
   * Sells seats. The same key of the same buyer gives the same order, however often and however concurrently it
   * is sent; one that was refused left no trace and may be sent again.
   * @throws ShopError `sold-out`, `seats-taken`, `not-found`, and `key-reused` where the key stands for another request
   */
  async place(buyer: string, idempotencyKey: string, request: OrderRequest): Promise<PlacedOrder> {
    return this.#database.transaction(async (transaction) => {
      const event = await transaction.maybeOne<{ priceCents: number }>(
        sql`select price_cents as "priceCents" from events where id = ${request.eventId}`,
      )
      if (event === undefined) throw new ShopError('not-found', 'there is no such event')
      const id = randomUUID()
      const count = countOf(request)
      // Waits for a concurrent request with the same key: if that one commits, this one inserts nothing.
      const inserted = await transaction.execute(sql`
        insert into orders (id, event_id, buyer, idempotency_key, fingerprint, total_cents)
        values (${id}, ${request.eventId}, ${buyer}, ${idempotencyKey}, ${fingerprintOf(request)},
          ${event.priceCents * count})
        on conflict (buyer, idempotency_key) do nothing`)
      if (inserted === 0) {
        return { order: await this.#earlier(transaction, buyer, idempotencyKey, request), repeated: true }
      }
      const seatsLeft = await this.#countDown(transaction, request.eventId, count)
      await this.#takeSeats(transaction, id, request)
      await addToOutbox(transaction, ['receipt', 'mail', 'print'], id)
      // Only one sale can be the one that leaves none, so there is one post.
      if (seatsLeft === 0) await addToOutbox(transaction, ['post'], request.eventId)
      return { order: await readOrder(transaction, id), repeated: false }
    })
  }

  /** The order; `undefined` where there is none, or none of this buyer's. */
  async find(id: string, buyer: string): Promise<Order | undefined> {
    const found = await this.#database.maybeOne<Order>(
      sql`${orderQuery} where orders.id = ${id} and orders.buyer = ${buyer} ${orderGroups}`,
    )
    return found
  }

  async #earlier(
    transaction: SqlTransaction,
    buyer: string,
    idempotencyKey: string,
    request: OrderRequest,
  ): Promise<Order> {
    const earlier = await transaction.one<{ id: string; fingerprint: string }>(sql`
      select id, fingerprint from orders where buyer = ${buyer} and idempotency_key = ${idempotencyKey}`)
    if (earlier.fingerprint === fingerprintOf(request)) return readOrder(transaction, earlier.id)
    throw new ShopError('key-reused', 'this Idempotency-Key was used for another order; choose a new one')
  }

  async #countDown(transaction: SqlTransaction, eventId: string, count: number): Promise<number> {
    const event = await transaction.maybeOne<{ seatsLeft: number }>(sql`
      update events set seats_left = seats_left - ${count}
      where id = ${eventId} and seats_left >= ${count}
      returning seats_left as "seatsLeft"`)
    if (event === undefined) throw new ShopError('sold-out', 'there are not that many seats left')
    return event.seatsLeft
  }

  async #takeSeats(transaction: SqlTransaction, orderId: string, request: OrderRequest): Promise<void> {
    const { eventId } = request
    const wanted =
      'seats' in request
        ? sql`label = any(${request.seats}::text[])`
        : sql`label in (
            select label from seats where event_id = ${eventId} and order_id is null
            order by rank limit ${request.bestAvailable})`
    const taken = await transaction.execute(sql`
      update seats set order_id = ${orderId}
      where event_id = ${eventId} and order_id is null and ${wanted}`)
    if (taken === countOf(request)) return
    throw new ShopError('seats-taken', 'some of these seats are sold or do not exist; choose others')
  }
}

const orderQuery = sql`
  select orders.id, orders.event_id as "eventId", events.name as "eventName", events.starts_at as "startsAt",
    orders.buyer, orders.total_cents as "totalCents", events.currency, orders.created_at as "createdAt",
    array_agg(seats.label order by seats.rank) as seats
  from orders join events on events.id = orders.event_id join seats on seats.order_id = orders.id`
const orderGroups = sql`group by orders.id, events.id`

/** The order, which must be there. */
export async function readOrder(database: Pick<SqlDatabase, 'one'>, id: string): Promise<Order> {
  return database.one<Order>(sql`${orderQuery} where orders.id = ${id} ${orderGroups}`)
}

function countOf(choice: SeatChoice): number {
  return 'seats' in choice ? choice.seats.length : choice.bestAvailable
}

function fingerprintOf(request: OrderRequest): string {
  const seats = 'seats' in request ? [...request.seats].sort() : request.bestAvailable
  return createHash('sha256')
    .update(JSON.stringify([request.eventId, seats]))
    .digest('base64url')
}
