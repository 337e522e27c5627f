import { expect, test } from 'vitest'
import { checkForced, checkInvariants, type Facts } from './invariants.ts'

const order = { id: 'o1', buyer: 'ada@example.org', key: 'k1', totalCents: 100 }
const acknowledged = {
  orderId: 'o1',
  eventId: 'e1',
  buyer: order.buyer,
  key: 'k1',
  wish: { eventId: 'e1', bestAvailable: 2 },
  seats: ['A-1', 'A-2'],
}
const seats = [
  { eventId: 'e1', label: 'A-1', orderId: 'o1' },
  { eventId: 'e1', label: 'A-2', orderId: 'o1' },
]
const good: Facts = {
  // Told twice: the buyer repeated the request.
  acknowledged: [acknowledged, acknowledged],
  events: [
    { id: 'e1', name: 'e1', seatsTotal: 2, seatsLeft: 0 },
    { id: 'e2', name: 'e2', seatsTotal: 5, seatsLeft: 5 },
  ],
  orders: [order],
  seats,
  receipts: ['o1'],
  mails: [{ orderId: 'o1', to: [order.buyer] }],
  prints: [{ orderId: 'o1', seats: ['A-2', 'A-1'] }],
  posts: ['e1'],
  outbox: { done: 3, uncertain: 1 },
  lostMailAnswers: 1,
}

function broken(facts: Facts): readonly string[] {
  return checkInvariants(facts)
    .filter(({ violations }) => violations.length > 0)
    .map(({ sentence }) => sentence)
}

test('all hold for a run as it should be', () => {
  expect(broken(good)).toEqual([])
})

const otherOrder = { id: 'o2', buyer: order.buyer, key: 'k2', totalCents: 0 }

test.each<[string, Partial<Facts>, RegExp]>([
  [
    'more seats than there are',
    { events: [{ id: 'e1', name: 'e1', seatsTotal: 1, seatsLeft: 0 }] },
    /oversold/,
  ],
  [
    'a counter that does not fit',
    { events: [{ id: 'e1', name: 'e1', seatsTotal: 9, seatsLeft: 0 }] },
    /oversold/,
  ],
  [
    'a seat promised to two',
    { acknowledged: [acknowledged, { ...acknowledged, orderId: 'o2', key: 'k2' }] },
    /oversold/,
  ],
  ['a lost order', { orders: [] }, /acknowledged order exists/],
  ['an order there twice', { orders: [order, order] }, /acknowledged order exists/],
  ['an order without a seat of its', { seats: seats.slice(1) }, /acknowledged order exists/],
  ['an order nobody was told of', { orders: [order, otherOrder] }, /not told of/],
  [
    'two orders for one key',
    { acknowledged: [acknowledged, { ...acknowledged, orderId: 'o2' }] },
    /idempotency key/,
  ],
  ['a missing receipt', { receipts: [] }, /receipt/],
  ['a lost mail', { mails: [] }, /one mail/],
  ['a mail twice', { mails: [...good.mails, ...good.mails] }, /one mail/],
  ['a mail to another', { mails: [{ orderId: 'o1', to: ['bo@example.org'] }] }, /one mail/],
  ['nothing printed', { prints: [] }, /printed once/],
  ['printed twice', { prints: [...good.prints, ...good.prints] }, /printed once/],
  ['printed in part', { prints: [{ orderId: 'o1', seats: ['A-1'] }] }, /printed once/],
  ['no post', { posts: [] }, /one post/],
  ['two posts', { posts: ['e1', 'e1'] }, /one post/],
  ['a post on what is not sold out', { posts: ['e1', 'e2'] }, /one post/],
  ['something failed', { outbox: { done: 3, uncertain: 1, failed: 1 } }, /left to do/],
  ['something still waiting', { outbox: { done: 3, uncertain: 1, waiting: 1 } }, /left to do/],
  ['a doubt that nobody forced', { lostMailAnswers: 0 }, /left to do/],
])('%s is seen', (_, change, sentence) => {
  expect(broken({ ...good, ...change })).toEqual(expect.arrayContaining([expect.stringMatching(sentence)]))
})

test('a run in which nothing went wrong proves nothing', () => {
  const forced = { mailsRefused: 3, postAttempts: ['timeout', 'rejected'], retries: 2 }
  expect(checkForced(forced).violations).toEqual([])
  for (const change of [{ mailsRefused: 0 }, { postAttempts: ['ok'] }, { retries: 0 }]) {
    expect(checkForced({ ...forced, ...change }).violations).toHaveLength(1)
  }
})
