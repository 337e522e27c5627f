/**
 * Idempotency keys and the orders they gave, in Redis: a client's repeated request is answered without touching
 * the database. Only a shortcut. The truth is the unique key of the order's row, so what is missing here, or was
 * lost with the store, costs a query and never a second order.
 */
import { createHash } from 'node:crypto'
import { type KeyValueStore, PortError, type TypedView, typedView } from 'portside'
import { z } from 'zod'
import type { Order } from './orders.ts'

// JSON knows no dates.
const time = z.iso.datetime().transform((text) => new Date(text))

const Remembered = z.object({
  request: z.string(),
  order: z.object({
    id: z.string(),
    eventId: z.string(),
    eventName: z.string(),
    startsAt: time,
    buyer: z.string(),
    seats: z.array(z.string()),
    totalCents: z.int(),
    currency: z.string(),
    createdAt: time,
  }),
})

const ttlMs = 24 * 60 * 60_000

export class RecentOrders {
  readonly #view: TypedView<z.input<typeof Remembered>, z.output<typeof Remembered>>

  constructor(store: KeyValueStore) {
    this.#view = typedView(store, Remembered, { prefix: 'order-key:' })
  }

  /** The order that this very request gave; `undefined` where that is not known here. */
  async find(buyer: string, idempotencyKey: string, request: object): Promise<Order | undefined> {
    const found = await this.#view.get(nameOf(buyer, idempotencyKey)).catch(missed)
    if (found?.request !== hashOf(request)) return undefined
    return found.order
  }

  /** Resolves also where the store does not take it. */
  async remember(order: Order, idempotencyKey: string, request: object): Promise<void> {
    const value = {
      ...order,
      startsAt: order.startsAt.toISOString(),
      createdAt: order.createdAt.toISOString(),
      seats: [...order.seats],
    }
    const name = nameOf(order.buyer, idempotencyKey)
    await this.#view.set(name, { request: hashOf(request), order: value }, { ttlMs }).catch(missed)
  }
}

/** A shortcut that fails is one that is not there. */
function missed(error: unknown): undefined {
  if (!PortError.is(error)) throw error
}

function nameOf(buyer: string, idempotencyKey: string): string {
  return hashOf([buyer, idempotencyKey])
}

function hashOf(value: object): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('base64url')
}
