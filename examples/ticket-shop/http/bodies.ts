/** What requests may hold, checked before anything is done with it. */
import type { HonoRequest } from 'hono'
import { z } from 'zod'
import { ShopError } from '../shop/errors.ts'
import type { NewEvent } from '../shop/events.ts'
import type { OrderRequest } from '../shop/orders.ts'

/** Text for people: no control characters, no half characters, which no service would store as they are. */
const text = (most: number) =>
  z
    .string()
    .trim()
    .min(1)
    .max(most)
    .refine((value) => value.isWellFormed(), 'must not hold half a surrogate pair')
    .refine((value) => !/\p{Cc}/u.test(value), 'must not hold control characters')

const seat = z.string().regex(/^[A-Z]-[1-9]\d{0,2}$/, 'must be a seat such as "A-1"')

/** At most so many in one order. */
const mostSeats = 10

export const NewSession: z.ZodType<{ email: string }> = z.strictObject({
  // Lower case, so that one buyer is one, however they type it.
  email: z.email().max(200).toLowerCase(),
})

export const EventBody: z.ZodType<NewEvent> = z.strictObject({
  name: text(100),
  startsAt: z.iso.datetime({ offset: true }).transform((value) => new Date(value)),
  priceCents: z.int().min(0).max(1_000_000),
  currency: z.string().regex(/^[A-Z]{3}$/, 'must be three capital letters, such as "EUR"'),
  rows: z.int().min(1).max(26),
  seatsPerRow: z.int().min(1).max(100),
})

export const OrderBody: z.ZodType<OrderRequest> = z.union(
  [
    z.strictObject({
      eventId: z.guid(),
      seats: z
        .array(seat)
        .min(1)
        .max(mostSeats)
        .refine((seats) => new Set(seats).size === seats.length, 'must not hold a seat twice'),
    }),
    z.strictObject({ eventId: z.guid(), bestAvailable: z.int().min(1).max(mostSeats) }),
  ],
  `must have an "eventId" and either "seats" or "bestAvailable", of 1 to ${mostSeats}`,
)

export const Resolution: z.ZodType<{ as: 'done' | 'repeat' }> = z.strictObject({
  as: z.enum(['done', 'repeat']),
})

/** Chosen by the client, new for each order it wants. A key is its buyer's own, so no one can guess another's. */
export const IdempotencyKey: z.ZodType<string> = z
  .string('is missing; send a new random one with each new order, and the same one with each repetition')
  .regex(/^[\x21-\x7e]{8,100}$/, 'must be 8 to 100 printable ASCII characters')

/**
 * The request's JSON body as `schema` has it.
 * @throws ShopError `bad-request` with one sentence for each field that is wrong
 */
export async function bodyOf<T>(request: HonoRequest, schema: z.ZodType<T>): Promise<T> {
  let json: unknown
  try {
    json = await request.json()
  } catch {
    throw new ShopError('bad-request', 'the body must be JSON')
  }
  return checked('body', json, schema)
}

/** @throws ShopError `bad-request` */
export function checked<T>(name: string, value: unknown, schema: z.ZodType<T>): T {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const problems = parsed.error.issues.map(({ path, message }) => `${[name, ...path].join('.')}: ${message}`)
  throw new ShopError('bad-request', 'the request is not as it should be', problems)
}
