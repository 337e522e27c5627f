/** What must hold after the demo, whatever happened in it. Pure, so that a test can show each to fail. */
import type { Acknowledged } from './buyer.ts'
import type { Story } from './run.ts'

/** What the datastores and the fakes hold in the end. */
export interface Facts {
  /** Every "yes" that a buyer got, repeated ones too. */
  readonly acknowledged: readonly Acknowledged[]
  readonly events: readonly {
    readonly id: string
    readonly name: string
    readonly seatsTotal: number
    readonly seatsLeft: number
  }[]
  readonly orders: readonly {
    readonly id: string
    readonly buyer: string
    readonly key: string
    readonly totalCents: number
  }[]
  /** The seats that are sold. */
  readonly seats: readonly { readonly eventId: string; readonly label: string; readonly orderId: string }[]
  /** The order's id of each receipt in the object storage. */
  readonly receipts: readonly string[]
  /** The order's id and the recipients of each mail that was accepted. */
  readonly mails: readonly { readonly orderId: string; readonly to: readonly string[] }[]
  /** The order's id and the seats of each print job. */
  readonly prints: readonly { readonly orderId: string; readonly seats: readonly string[] }[]
  /** The event of each post. */
  readonly posts: readonly string[]
  /** What is left to do, by state. */
  readonly outbox: Readonly<Record<string, number>>
  /** How many mails' answers were lost on purpose: those wait for a person, and nothing else does. */
  readonly lostMailAnswers: number
}

export interface Invariant {
  readonly sentence: string
  /** What contradicts it; none where it holds. */
  readonly violations: readonly string[]
}

/** What was to go wrong must have gone wrong, or the rest would prove nothing. */
export function checkForced(forced: Pick<Story, 'mailsRefused' | 'postAttempts' | 'retries'>): Invariant {
  const violations: string[] = []
  if (forced.mailsRefused === 0) violations.push('no mail was refused')
  if (!forced.postAttempts.includes('timeout')) violations.push('no answer of a post was lost')
  if (forced.retries === 0) violations.push('no buyer noticed that the datastores were killed')
  return { sentence: 'Everything that was to be forced did happen', violations }
}

export function checkInvariants(facts: Facts): readonly Invariant[] {
  return [
    { sentence: 'No event is oversold, and no seat is sold twice', violations: oversold(facts) },
    { sentence: 'Every acknowledged order exists once, with its seats', violations: lostOrders(facts) },
    { sentence: 'No order exists that its buyer was not told of', violations: unknownOrders(facts) },
    { sentence: 'Each idempotency key gave one order', violations: splitKeys(facts) },
    { sentence: 'Every order has its receipt', violations: missing(facts, facts.receipts, 'receipt') },
    {
      sentence: 'Every order has one mail, to its buyer: none is lost, none is doubled',
      violations: mails(facts),
    },
    { sentence: 'Every order is printed once, all of its seats', violations: prints(facts) },
    { sentence: 'Every sold-out event has one post, and no other has any', violations: posts(facts) },
    { sentence: 'Nothing is left to do but what waits for a person', violations: leftovers(facts) },
  ]
}

function oversold({ events, seats, acknowledged }: Facts): string[] {
  const violations = events.flatMap(({ id, seatsTotal, seatsLeft }) => {
    const sold = seats.filter(({ eventId }) => eventId === id).length
    return sold > seatsTotal || sold + seatsLeft !== seatsTotal
      ? [`event ${id}: ${sold} of ${seatsTotal} seats sold, ${seatsLeft} left`]
      : []
  })
  // What buyers were told counts, not only what the tables say.
  const holders = new Map<string, Set<string>>()
  for (const { eventId, orderId, seats: labels } of acknowledged) {
    for (const label of labels) {
      const seat = `${eventId} ${label}`
      holders.set(seat, (holders.get(seat) ?? new Set()).add(orderId))
    }
  }
  for (const [seat, orders] of holders) {
    if (orders.size > 1) violations.push(`seat ${seat} was promised to ${orders.size} orders`)
  }
  return violations
}

function lostOrders({ acknowledged, orders, seats }: Facts): string[] {
  return unique(acknowledged.map(({ orderId }) => orderId)).flatMap((id) => {
    const rows = orders.filter((order) => order.id === id).length
    if (rows !== 1) return [`order ${id} exists ${rows} times`]
    const promised = acknowledged.find(({ orderId }) => orderId === id)?.seats ?? []
    const held = seats.filter(({ orderId }) => orderId === id).map(({ label }) => label)
    return sameItems(promised, held) ? [] : [`order ${id} was promised ${promised} and has ${held}`]
  })
}

function unknownOrders({ acknowledged, orders }: Facts): string[] {
  const known = new Set(acknowledged.map(({ orderId }) => orderId))
  return orders.filter(({ id }) => !known.has(id)).map(({ id }) => `order ${id} is known to no one`)
}

function splitKeys({ acknowledged, orders }: Facts): string[] {
  const answers = [
    ...acknowledged.map(({ orderId, buyer, key }) => ({ orderId, key: `${buyer} ${key}` })),
    ...orders.map(({ id, buyer, key }) => ({ orderId: id, key: `${buyer} ${key}` })),
  ]
  return [...Map.groupBy(answers, ({ key }) => key)].flatMap(([key, same]) => {
    const ids = unique(same.map(({ orderId }) => orderId))
    return ids.length === 1 ? [] : [`key ${key} gave ${ids.length} orders`]
  })
}

function missing({ orders }: Facts, present: readonly string[], what: string): string[] {
  const there = new Set(present)
  return orders.filter(({ id }) => !there.has(id)).map(({ id }) => `order ${id} has no ${what}`)
}

function mails(facts: Facts): string[] {
  const { orders, mails: sent } = facts
  const violations = missing(
    facts,
    sent.map(({ orderId }) => orderId),
    'mail',
  )
  for (const [orderId, same] of Map.groupBy(sent, (mail) => mail.orderId)) {
    const buyer = orders.find(({ id }) => id === orderId)?.buyer
    if (same.length > 1) violations.push(`order ${orderId} has ${same.length} mails`)
    if (!same.every(({ to }) => to.length === 1 && to[0] === buyer)) {
      violations.push(`order ${orderId} has a mail to someone who is not its buyer`)
    }
  }
  return violations
}

function prints(facts: Facts): string[] {
  const { seats, prints: jobs } = facts
  const violations = missing(
    facts,
    jobs.map(({ orderId }) => orderId),
    'print job',
  )
  for (const [orderId, same] of Map.groupBy(jobs, (job) => job.orderId)) {
    const held = seats.filter((seat) => seat.orderId === orderId).map(({ label }) => label)
    if (same.length > 1) violations.push(`order ${orderId} has ${same.length} print jobs`)
    if (!same.every((job) => sameItems(job.seats, held)))
      violations.push(`order ${orderId} has wrong tickets`)
  }
  return violations
}

function posts({ events, posts: published }: Facts): string[] {
  return events.flatMap(({ id, seatsLeft }) => {
    const count = published.filter((eventId) => eventId === id).length
    const expected = seatsLeft === 0 ? 1 : 0
    return count === expected ? [] : [`event ${id} has ${count} posts, not ${expected}`]
  })
}

function leftovers({ outbox, lostMailAnswers }: Facts): string[] {
  const { done: _, uncertain = 0, ...others } = outbox
  const violations = Object.entries(others).map(([state, count]) => `${count} ${state}`)
  if (uncertain !== lostMailAnswers) violations.push(`${uncertain} uncertain, not ${lostMailAnswers}`)
  return violations
}

function unique(items: readonly string[]): string[] {
  return [...new Set(items)]
}

function sameItems(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && new Set([...a, ...b]).size === a.length
}
