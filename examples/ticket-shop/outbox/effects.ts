/**
 * What an order leads to outside the database. Each effect says how it may be repeated when no one knows whether
 * it has happened: that is the whole difference between a lost answer and a duplicate.
 */
import {
  type Mailer,
  type ObjectStorage,
  PortError,
  type SocialPublisher,
  type SqlDatabase,
  sql,
} from 'portside'
import type { TicketPrinter } from '../printer/ticket-printer.ts'
import { readOrder } from '../shop/orders.ts'
import { receiptKey, receiptText } from '../shop/receipt.ts'
import type { Kind } from './outbox.ts'

export interface Effect {
  /**
   * Reads what the effect needs and answers the act itself, which resolves when it has happened, now or earlier.
   * Two steps, because only the second can leave a doubt about what happened outside.
   */
  prepare(subjectId: string): Promise<() => Promise<unknown>>
  /**
   * After an unknown outcome: `repeat` where a second time does no harm, `ask` where it would, and nothing but a
   * person can tell.
   */
  readonly whenUnknown: 'repeat' | 'ask'
}

export type Effects = Readonly<Record<Kind, Effect>>

export function makeEffects(
  orders: SqlDatabase,
  receipts: ObjectStorage,
  mail: Mailer,
  social: SocialPublisher,
  printer: TicketPrinter,
): Effects {
  return {
    receipt: {
      // Written once under the order's own key: whoever comes second finds it there.
      whenUnknown: 'repeat',
      async prepare(orderId) {
        const order = await readOrder(orders, orderId)
        const options = { ifAbsent: true, contentType: 'text/plain; charset=utf-8' }
        return () =>
          receipts
            .put(receiptKey(order), receiptText(order), options)
            .catch(unless((error) => error.code === 'precondition-failed'))
      },
    },
    mail: {
      // SMTP has no way to ask what became of a message. A buyer with two mails is worse than a person who looks
      // into the mail log once, so an unknown outcome is never sent again; one that surely failed is.
      whenUnknown: 'ask',
      async prepare(orderId) {
        const order = await readOrder(orders, orderId)
        const message = {
          from: { name: 'Ticket Shop', address: 'tickets@shop.example' },
          to: [order.buyer],
          subject: `Your tickets for ${order.eventName}`,
          text: receiptText(order),
          // The same at each attempt, for receivers that drop a second copy.
          messageId: mailId(order.id),
        }
        return () => mail.send(message)
      },
    },
    print: {
      // The order's id is the job's: the print shop takes it once.
      whenUnknown: 'repeat',
      async prepare(orderId) {
        const { id, eventName, buyer, seats } = await readOrder(orders, orderId)
        const tickets = seats.map((seat) => ({ event: eventName, seat, holder: buyer }))
        return () => printer.print(id, tickets)
      },
    },
    post: {
      // The network refuses the same text a second time, which after a lost answer is the proof we want.
      whenUnknown: 'repeat',
      async prepare(eventId) {
        const { name, startsAt } = await orders.one<{ name: string; startsAt: Date }>(
          sql`select name, starts_at as "startsAt" from events where id = ${eventId}`,
        )
        const text = soldOutPost(eventId, name, startsAt)
        return () =>
          social
            .publish({ text })
            .catch(unless((error) => error.code === 'rejected' && error.reason === 'duplicate'))
      },
    },
  }
}

/** The text of an event's post; the id keeps two events of one name on one day apart. */
export function soldOutPost(eventId: string, name: string, startsAt: Date): string {
  return `Sold out: ${name}, ${startsAt.toISOString().slice(0, 10)}. Thank you! (${eventId.slice(0, 8)})`
}

/** The Message-ID of an order's mail. */
export function mailId(orderId: string): string {
  return `<order-${orderId}@shop.example>`
}

function unless(expected: (error: PortError) => boolean): (error: unknown) => void {
  return (error) => {
    if (!PortError.is(error) || !expected(error)) throw error
  }
}
