import { Mailer, ObjectStorage, SqlDatabase } from 'portside'
import { any, like, mock, sequence, verifying } from 'portside/testing'
import { expect, test } from 'vitest'
import { Shop } from './shop.ts'

test('the receipt is stored before the mail goes out, and a mail that fails loses no order', async () => {
  const inOrder = sequence()
  const orders = mock(SqlDatabase, { sequence: inOrder })
  const receipts = mock(ObjectStorage, { sequence: inOrder })
  const mail = mock(Mailer, { sequence: inOrder })

  orders.expect.one(like({ text: /^insert into orders/ })).resolves({ id: 7n })
  receipts.expect
    .put('receipts/7.txt', /4200 cents/, { contentType: 'text/plain' })
    .resolves({ key: 'receipts/7.txt', size: 19, etag: '"1"' })
  mail.expect
    .send({ from: any(), to: ['ada@example.com'], subject: 'Your order 7', text: any() })
    .rejects({ code: 'unavailable' })

  // All of this came, in this order, and nothing else.
  await verifying(inOrder, async () => {
    const shop = new Shop(orders.port, receipts.port, mail.port)
    expect(await shop.order('ada@example.com', 4_200)).toEqual({ id: 7n, mailed: false })
  })
})
