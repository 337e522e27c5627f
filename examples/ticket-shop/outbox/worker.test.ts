import { randomUUID } from 'node:crypto'
import { type Attached, PortError, type SqlDatabase, sql } from 'portside'
import { expect, onTestFinished, vi } from 'vitest'
import type { services } from '../services.ts'
import { Events } from '../shop/events.ts'
import { Orders } from '../shop/orders.ts'
import { receiptKey } from '../shop/receipt.ts'
import { quick, silent, test } from '../shop.setup.ts'
import { type Effects, mailId, makeEffects } from './effects.ts'
import { Outbox } from './outbox.ts'
import { OutboxWorker, type WorkerSettings } from './worker.ts'

function open(app: Attached<typeof services>) {
  const { orders: database, receipts, mail, social, printer } = app
  const effects = makeEffects(database, receipts, mail, social, printer)
  const outbox = new Outbox(database)
  const orders = new Orders(database)
  const events = new Events(database)
  return {
    effects,
    outbox,
    async order(seats = 1, of = 10) {
      const startsAt = new Date('2030-05-01T19:00:00Z')
      const event = await events.create({
        name: 'Opening night',
        startsAt,
        priceCents: 4_250,
        currency: 'EUR',
        rows: 1,
        seatsPerRow: of,
      })
      const request = { eventId: event.id, bestAvailable: seats }
      return (await orders.place('ada@example.org', randomUUID(), request)).order
    },
    work(changes: Partial<WorkerSettings> = {}, with_: Effects = effects): OutboxWorker {
      const worker = new OutboxWorker(outbox, with_, silent, { ...quick, ...changes })
      worker.start()
      onTestFinished(() => worker.stop())
      return worker
    },
    /** Waits until nothing is left that the worker could do. */
    settled: () =>
      vi.waitFor(
        async () => {
          const { waiting = 0, running = 0 } = await outbox.counts()
          expect(waiting + running).toBe(0)
        },
        { timeout: 10_000, interval: 20 },
      ),
  }
}

function makeDue(database: SqlDatabase): Promise<number> {
  return database.execute(sql`update outbox set due_at = now() - interval '1 second'`)
}

test('an order leads to a receipt, a mail and tickets, and the last one to a post', async ({
  app,
  fakes,
}) => {
  const { order, work, settled, outbox } = open(app)
  const { id, ...rest } = await order(2, 2)
  work()
  await settled()
  expect([...fakes.receipts.objects.keys()]).toEqual([receiptKey({ id, ...rest })])
  expect(fakes.mail.outbox).toMatchObject([{ messageId: mailId(id), recipients: ['ada@example.org'] }])
  expect(fakes.mail.outbox[0]?.message.text).toContain('Total: 85.00 EUR')
  expect(fakes.printer.jobs).toMatchObject([{ id, tickets: [{ seat: 'A-1' }, { seat: 'A-2' }] }])
  expect(fakes.social.posts).toMatchObject([{ text: expect.stringContaining('Sold out: Opening night') }])
  expect(await outbox.counts()).toEqual({ done: 4 })
})

test('a mail server that is down delays the mail and loses nothing', async ({ app, fakes }) => {
  const { order, work, settled, outbox } = open(app)
  fakes.mail.faults.next('send', { error: 'unavailable', times: 4 })
  await order()
  work()
  await settled()
  expect(fakes.mail.journal.of('send').map(({ result }) => result)).toEqual([
    ...Array.from({ length: 4 }, () => 'unavailable'),
    'ok',
  ])
  expect(fakes.mail.outbox).toHaveLength(1)
  expect(await outbox.counts()).toEqual({ done: 3 })
})

test('a mail whose answer was lost is not sent again, until a person says so', async ({ app, fakes }) => {
  const { order, work, settled, outbox } = open(app)
  fakes.mail.faults.next('send', { error: 'timeout', when: 'after' })
  const { id } = await order()
  const worker = work()
  await settled()
  expect(fakes.mail.outbox).toHaveLength(1)
  const stuck = await outbox.stuck()
  expect(stuck).toMatchObject([{ kind: 'mail', subjectId: id, state: 'uncertain' }])

  expect(await outbox.resolve(stuck[0]?.id ?? 0n, 'repeat')).toBe(true)
  worker.wake()
  await settled()
  expect(fakes.mail.outbox).toHaveLength(2)
  expect(await outbox.stuck()).toEqual([])
  expect(await outbox.resolve(stuck[0]?.id ?? 0n, 'done')).toBe(false)
})

test('a database that fails while a mail is prepared raises no doubt: nothing was sent yet', async ({
  app,
  fakes,
}) => {
  const { order, work, settled, outbox } = open(app)
  await order()
  let failures = 2
  const flaky: SqlDatabase = {
    ...app.orders,
    one: (statement, options) => {
      failures -= 1
      // The worst a lost connection can say.
      return failures >= 0
        ? Promise.reject(new PortError({ code: 'unavailable', message: 'lost', outcome: 'unknown' }))
        : app.orders.one(statement, options)
    },
  }
  work({ lanes: 1 }, makeEffects(flaky, app.receipts, app.mail, app.social, app.printer))
  await settled()
  expect(await outbox.counts()).toEqual({ done: 3 })
  expect(fakes.mail.outbox).toHaveLength(1)
})

test('a mail to an address that does not exist waits for a person and stops nothing else', async ({
  app,
  fakes,
}) => {
  const { order, work, settled, outbox } = open(app)
  fakes.mail.refuse('ada@example.org')
  await order()
  work()
  await settled()
  expect(await outbox.stuck()).toMatchObject([
    { kind: 'mail', state: 'failed', lastError: expect.stringMatching(/^rejected/) },
  ])
  expect(await outbox.counts()).toEqual({ done: 2, failed: 1 })
})

test('a post whose answer was lost is there once', async ({ app, fakes }) => {
  const { order, work, settled, outbox } = open(app)
  fakes.social.faults.next('publish', { error: 'timeout', when: 'after' })
  await order(1, 1)
  work()
  await settled()
  expect(fakes.social.journal.of('publish').map(({ result }) => result)).toEqual(['timeout', 'rejected'])
  expect(fakes.social.posts).toHaveLength(1)
  expect(await outbox.counts()).toEqual({ done: 4 })
})

test('receipts and print jobs whose answers were lost are there once', async ({ app, fakes }) => {
  const { order, work, settled, outbox } = open(app)
  fakes.receipts.faults.next('put', { error: 'timeout', when: 'after' })
  fakes.printer.faults.next('print', { error: 'timeout', when: 'after' })
  await order()
  work()
  await settled()
  expect(fakes.receipts.objects.size).toBe(1)
  expect(fakes.printer.jobs).toHaveLength(1)
  expect(await outbox.counts()).toEqual({ done: 3 })
})

test('two workers share the work and do nothing twice', async ({ app, fakes }) => {
  const { order, work, settled } = open(app)
  for (let count = 0; count < 15; count += 1) await order()
  work()
  work()
  await settled()
  expect(fakes.mail.outbox).toHaveLength(15)
  expect(fakes.mail.journal.of('send')).toHaveLength(15)
  expect(fakes.printer.journal.of('print')).toHaveLength(15)
})

test('what a dead worker had begun is done by another, except the mail, which may have gone out', async ({
  app,
  fakes,
}) => {
  const { order, work, settled, outbox } = open(app)
  await order()
  const kinds: string[] = []
  for (let count = 0; count < 3; count += 1) {
    kinds.push((await outbox.claim(60_000, ['receipt', 'print', 'post']))?.kind ?? 'none')
  }
  expect(kinds).toEqual(['receipt', 'mail', 'print'])
  expect(await outbox.claim(60_000, ['receipt', 'print', 'post'])).toBeUndefined()

  await makeDue(app.orders)
  work()
  await settled()
  expect(await outbox.counts()).toEqual({ done: 2, uncertain: 1 })
  expect(fakes.mail.outbox).toEqual([])
  expect(fakes.receipts.objects.size).toBe(1)
})

test('a worker that was taken for dead does not overwrite what came after it', async ({ app }) => {
  const { order, outbox } = open(app)
  await order()
  const late = await outbox.claim(60_000, ['receipt'])
  await makeDue(app.orders)
  const next = await outbox.claim(60_000, ['receipt'])
  expect(next).toMatchObject({ id: late?.id, attempts: 2 })
  if (late === undefined || next === undefined) return expect.unreachable()
  await outbox.settle(late, { state: 'failed', error: 'too late' })
  expect(await outbox.stuck()).toEqual([])
  await outbox.settle(next, { state: 'done' })
  expect((await outbox.counts()).done).toBe(1)
})

test('stopping waits for what is under way and takes on nothing more', async ({ app }) => {
  const { effects, order, work, outbox } = open(app)
  await order()
  const begun = Promise.withResolvers<void>()
  const end = Promise.withResolvers<void>()
  const slow: Effects = {
    ...effects,
    receipt: {
      whenUnknown: 'repeat',
      prepare: async () => () => {
        begun.resolve()
        return end.promise
      },
    },
  }
  const worker = work({ lanes: 1 }, slow)
  await begun.promise
  let stopped = false
  const stopping = worker.stop().then(() => {
    stopped = true
  })
  await new Promise((resolve) => setTimeout(resolve, 50))
  expect(stopped).toBe(false)
  end.resolve()
  await stopping
  expect(await outbox.counts()).toEqual({ done: 1, waiting: 2 })
})

test('a mistake in an effect waits for a person, with its message', async ({ app }) => {
  const { effects, order, work, settled, outbox } = open(app)
  await order()
  const broken: Effects = {
    ...effects,
    print: { whenUnknown: 'repeat', prepare: () => Promise.reject(new TypeError('a bug')) },
  }
  work({}, broken)
  await settled()
  expect(await outbox.stuck()).toMatchObject([
    { kind: 'print', state: 'failed', lastError: 'TypeError: a bug' },
  ])
})
