/** The receipt: the same order always gives the same key and the same text. */
import type { Order } from './orders.ts'

export function receiptKey({ eventId, id }: Pick<Order, 'eventId' | 'id'>): string {
  return `receipts/${eventId}/${id}.txt`
}

export function receiptText(order: Order): string {
  const { id, eventName, startsAt, seats, buyer } = order
  return [
    `Receipt for order ${id}`,
    '',
    `Event: ${eventName}`,
    `Starts: ${startsAt.toISOString()}`,
    `Seats: ${seats.join(', ')}`,
    `Buyer: ${buyer}`,
    `Total: ${formatMoney(order.totalCents, order.currency)}`,
    '',
  ].join('\n')
}

/** `4250` EUR → `42.50 EUR`, without passing through a fraction. */
export function formatMoney(cents: number, currency: string): string {
  return `${Math.trunc(cents / 100)}.${String(cents % 100).padStart(2, '0')} ${currency}`
}
