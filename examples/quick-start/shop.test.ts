import { testWith } from 'portside/testing/vitest'
import { expect } from 'vitest'
import { services } from './services.ts'
import { Shop } from './shop.ts'

// A real PostgreSQL and Redis of the pinned versions, empty for each test; fakes for the rest.
const test = testWith(services)

test('an order leaves a receipt and a mail', async ({ app, fakes }) => {
  const { id } = await new Shop(app.orders, app.receipts, app.mail).order('ada@example.com', 4_200)

  expect([...fakes.receipts.objects.keys()]).toEqual([`receipts/${id}.txt`])
  expect(fakes.mail.outbox.map(({ message }) => message.subject)).toEqual([`Your order ${id}`])
})

test('a mail server that is down does not lose the order', async ({ app, fakes }) => {
  fakes.mail.faults.next('send', { error: 'unavailable' })
  const { id, mailed } = await new Shop(app.orders, app.receipts, app.mail).order('bo@example.com', 900)

  expect(mailed).toBe(false)
  expect(await app.receipts.head(`receipts/${id}.txt`)).toBeDefined()
  expect(fakes.mail.outbox).toHaveLength(0)
})
