/** What holds for every ticket printer: the fake, the adapter on the emulator, the adapter on the shop's staging. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  type BehaviourContext,
  type Contract,
  commonBehaviours,
  defineContract,
  expectPortError,
} from 'portside/contract-tests'
import { mostTickets, type Ticket, TicketPrinter } from './ticket-printer.ts'

const ticket: Ticket = { event: 'Opening night', seat: 'A-1', holder: 'ada@example.org' }
const other: Ticket = { ...ticket, seat: 'A-2' }
type Context = BehaviourContext<TicketPrinter>

/** What a subject's `inside` must offer: a hand on the printer itself. */
export interface InsidePrinter {
  /** Prints all that is waiting. */
  finishAll(): void
}

const words = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what the port refuses
  .filter((text) => text.isWellFormed() && !/[\u0000-\u001f\u007f]/.test(text))

export const ticketPrinterContract: Contract<TicketPrinter> = defineContract(TicketPrinter, [
  ...commonBehaviours(TicketPrinter, {
    print: (port, options) => port.print('sample', [ticket], options),
    find: (port, options) => port.find('sample', options),
    cancel: (port, options) => port.cancel('sample', options),
  }),
  {
    id: 'print/a-job-is-found-as-ordered',
    sentence: 'A job that was ordered is found, with its tickets in order and waiting.',
    async check({ port }: Context) {
      const expected = { id: 'job-1', tickets: [ticket, other], status: 'waiting' }
      assert.deepEqual(await port.print('job-1', [ticket, other]), expected)
      assert.deepEqual(await port.find('job-1'), expected)
    },
  },
  {
    id: 'print/any-text-comes-back-as-it-was',
    sentence: 'Whatever text a ticket carries comes back unaltered.',
    async check({ port }: Context) {
      const tickets = fc.array(
        fc.record({ event: words, seat: words, holder: words }, { noNullPrototype: true }),
        {
          minLength: 1,
          maxLength: 5,
        },
      )
      let number = 0
      const property = fc.asyncProperty(tickets, async (given) => {
        number += 1
        await port.print(`text-${number}`, given)
        assert.deepEqual((await port.find(`text-${number}`))?.tickets, given)
      })
      await fc.assert(property, { numRuns: 25 })
    },
  },
  {
    id: 'print/the-same-job-twice-is-one-job',
    sentence: 'The same job again, also at the same time, resolves with that job.',
    async check({ port }: Context) {
      const jobs = await Promise.all(Array.from({ length: 8 }, () => port.print('job-1', [ticket])))
      for (const job of jobs) assert.deepEqual(job, jobs[0])
      assert.deepEqual(await port.print('job-1', [ticket]), jobs[0])
    },
  },
  {
    id: 'print/other-tickets-under-an-id-are-refused',
    sentence: 'Other tickets under an id that has some are already-exists, and change nothing.',
    async check({ port }: Context) {
      await port.print('job-1', [ticket])
      await expectPortError(port.print('job-1', [other]), 'already-exists', { outcome: 'not-applied' })
      assert.deepEqual((await port.find('job-1'))?.tickets, [ticket])
    },
  },
  {
    id: 'print/tickets-are-copied',
    sentence: 'What the caller does with the array afterwards, or with the answer, changes no job.',
    async check({ port }: Context) {
      const given = [{ ...ticket }]
      const ordered = port.print('job-1', given)
      given[0] = other
      given.push(other)
      ;((await ordered).tickets as Ticket[]).push(other)
      assert.deepEqual((await port.find('job-1'))?.tickets, [ticket])
    },
  },
  {
    id: 'print/bad-jobs-are-refused',
    sentence: 'A job without a proper id or proper tickets is invalid-argument and is not ordered.',
    async check({ port }: Context) {
      for (const jobId of ['', 'A', 'a/b', '..', 'a b', 'a\u0000', '\ud800', 'x'.repeat(65)]) {
        await expectPortError(port.print(jobId, [ticket]), 'invalid-argument')
      }
      const tooMany = Array.from({ length: mostTickets + 1 }, () => ticket)
      const bad: unknown[] = [[], tooMany, undefined, 'A-1', [undefined], [{ ...ticket, price: 1 }]]
      for (const text of ['', 'x'.repeat(201), 'line\nbreak', '\ud800', undefined, 7]) {
        bad.push([{ ...ticket, holder: text }])
      }
      for (const tickets of bad) {
        await expectPortError(port.print('job-1', tickets as readonly Ticket[]), 'invalid-argument')
      }
      assert.equal(await port.find('job-1'), undefined)
    },
  },
  {
    id: 'find/absent-is-undefined',
    sentence: 'Finding a job that was never ordered gives undefined.',
    async check({ port }: Context) {
      assert.equal(await port.find('nobody'), undefined)
    },
  },
  {
    id: 'cancel/a-waiting-job-is-gone',
    sentence: 'A cancelled job is absent, and its id may be used again.',
    async check({ port }: Context) {
      await port.print('job-1', [ticket])
      await port.cancel('job-1')
      assert.equal(await port.find('job-1'), undefined)
      assert.deepEqual((await port.print('job-1', [other])).tickets, [other])
    },
  },
  {
    id: 'cancel/absent-resolves',
    sentence: 'Cancelling what is absent resolves, also twice.',
    async check({ port }: Context) {
      await port.cancel('nobody')
      await port.cancel('nobody')
    },
  },
  {
    id: 'cancel/a-printed-job-stays',
    sentence: 'Cancelling a job that is printed is precondition-failed, and the job stays.',
    needs: ['inside'],
    async check({ port, inside }: Context) {
      await port.print('job-1', [ticket])
      ;(inside as InsidePrinter).finishAll()
      await expectPortError(port.cancel('job-1'), 'precondition-failed', { outcome: 'not-applied' })
      assert.equal((await port.find('job-1'))?.status, 'printed')
    },
  },
  {
    id: 'failures/a-lost-answer-leaves-a-doubt-that-repeating-ends',
    sentence:
      'When the answer is lost the outcome is unknown, the job is there, and repeating it is harmless.',
    needs: ['force'],
    async check({ port, force }: Context) {
      force?.('print', { error: 'unavailable', when: 'after' })
      await expectPortError(port.print('job-1', [ticket]), 'unavailable', { outcome: 'unknown' })
      const job = await port.find('job-1')
      assert.deepEqual(job?.tickets, [ticket])
      assert.deepEqual(await port.print('job-1', [ticket]), job)
    },
  },
  {
    id: 'failures/a-shop-that-is-down-has-not-taken-the-job',
    sentence: 'When the shop refuses because it is down, the call is unavailable, retryable and not applied.',
    needs: ['force'],
    async check({ port, force }: Context) {
      force?.('print', { error: 'unavailable' })
      const expected = { outcome: 'not-applied', retryable: true } as const
      await expectPortError(port.print('job-1', [ticket]), 'unavailable', expected)
      assert.equal(await port.find('job-1'), undefined)
    },
  },
  {
    id: 'failures/a-rate-limit-says-how-long',
    sentence: 'When the shop asks to be left alone, the call is rate-limited and says for how long.',
    needs: ['force'],
    async check({ port, force }: Context) {
      force?.('print', { error: 'rate-limited', retryAfterMs: 3_000 })
      const error = await expectPortError(port.print('job-1', [ticket]), 'rate-limited', {
        outcome: 'not-applied',
      })
      assert.equal(error.retryAfterMs, 3_000)
    },
  },
])
