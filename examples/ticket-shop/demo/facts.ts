/** Looks up what the datastores and the fakes hold in the end, past all of the shop's own code. */
import { type Attached, type Fakes, sql } from 'portside'
import { mailId, soldOutPost } from '../outbox/effects.ts'
import type { services } from '../services.ts'
import type { Facts } from './invariants.ts'
import type { Story } from './run.ts'

export async function gatherFacts(
  app: Attached<typeof services>,
  fakes: Fakes<typeof services>,
  { acknowledged, lostMailAnswers }: Pick<Story, 'acknowledged' | 'lostMailAnswers'>,
): Promise<Facts> {
  const events = await app.orders.query<EventRow>(sql`
    select id, name, starts_at as "startsAt", seats_total as "seatsTotal", seats_left as "seatsLeft" from events`)
  const orders = await app.orders.query<Facts['orders'][number]>(
    sql`select id, buyer, idempotency_key as key, total_cents as "totalCents" from orders`,
  )
  const seats = await app.orders.query<Facts['seats'][number]>(sql`
    select event_id as "eventId", label, order_id as "orderId" from seats where order_id is not null`)
  const outbox = await app.orders.query<{ state: string; count: number }>(
    sql`select state, count(*)::integer as count from outbox group by state`,
  )
  const orderOfMail = new Map(orders.map(({ id }) => [mailId(id), id]))
  const eventOfPost = new Map(events.map(({ id, name, startsAt }) => [soldOutPost(id, name, startsAt), id]))
  return {
    acknowledged,
    events,
    orders,
    seats,
    receipts: [...fakes.receipts.objects.keys()].map((key) => /([^/]+)\.txt$/.exec(key)?.[1] ?? key),
    mails: fakes.mail.outbox.map(({ messageId, recipients }) => ({
      orderId: orderOfMail.get(messageId) ?? messageId,
      to: recipients,
    })),
    prints: fakes.printer.jobs.map(({ id, tickets }) => ({
      orderId: id,
      seats: tickets.map(({ seat }) => seat),
    })),
    posts: fakes.social.posts.map(({ text }) => eventOfPost.get(text) ?? text),
    outbox: Object.fromEntries(outbox.map(({ state, count }) => [state, count])),
    lostMailAnswers,
  }
}

type EventRow = Facts['events'][number] & { readonly startsAt: Date }
