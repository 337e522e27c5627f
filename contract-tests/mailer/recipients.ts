/** Recipients that a server does not take: some, all, for now, for good, and too many. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { mailLimits } from '../../src/ports/mail-message.ts'
import type { Mailer } from '../../src/ports/mailer.ts'
import type { Behaviour } from '../contract.ts'
import { expectPortError } from '../expect.ts'
import { ada, bob, eve, hello, inside, means, received } from './samples.ts'

export const recipients: readonly Behaviour<Mailer>[] = [
  {
    id: 'recipients/some-refused',
    sentence:
      'Where some recipients are refused, the others get the mail and the receipt says why each was not taken.',
    needs: ['inside'],
    async check(context) {
      inside(context).refuse(bob, { reason: 'no such user', retryable: false })
      inside(context).refuse(eve, { reason: 'mailbox busy', retryable: true })
      const receipt = await context.port.send({ ...hello, to: [bob, ada], bcc: [eve] })
      assert.deepEqual(receipt.accepted, [ada])
      assert.deepEqual(
        receipt.refused.map(({ recipient, retryable }) => [recipient, retryable]),
        [
          [bob, false],
          [eve, true],
        ],
      )
      assert.match(receipt.refused[0]?.reason ?? '', /no such user/)
      assert.match(receipt.refused[1]?.reason ?? '', /mailbox busy/)
      assert.deepEqual((await received(context))[0]?.recipients, [ada])
    },
  },
  {
    id: 'recipients/all-refused',
    sentence:
      'Where every recipient is refused, the call is rejected as bad-recipient, with the reasons, and nothing is sent.',
    needs: ['inside'],
    async check(context) {
      inside(context).refuse(ada, { reason: 'no such user', retryable: false })
      inside(context).refuse(bob, { reason: 'mailbox busy', retryable: true })
      const error = await expectPortError(context.port.send({ ...hello, cc: [bob] }), 'rejected', {
        reason: 'bad-recipient',
        retryable: false,
        outcome: 'not-applied',
        subject: ada,
      })
      assert.match(error.details[ada] ?? '', /no such user/)
      assert.match(error.details[bob] ?? '', /mailbox busy/)
      assert.equal((await received(context)).length, 0)
    },
  },
  {
    id: 'recipients/all-refused-for-now',
    sentence: 'Where every recipient is refused for now, the rejection is retryable.',
    needs: ['inside'],
    async check(context) {
      inside(context).refuse(ada, { reason: 'mailbox busy', retryable: true })
      await expectPortError(context.port.send(hello), 'rejected', {
        reason: 'bad-recipient',
        retryable: true,
      })
    },
  },
  {
    id: 'recipients/refused-among-many',
    sentence:
      'Whichever recipients are refused, accepted and refused are all of them, each once, in the order given.',
    needs: ['inside'],
    async check(context) {
      let run = 0
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.constantFrom('taken', 'refused', 'refused-for-now'), { minLength: 1, maxLength: 8 }),
          async (fates) => {
            run += 1
            const to = fates.map((_, index) => `r${index}.${run}@example.org`)
            const of = (...which: readonly string[]): string[] =>
              to.filter((_, index) => which.includes(fates[index] ?? ''))
            for (const address of of('refused'))
              inside(context).refuse(address, { reason: 'no', retryable: false })
            for (const address of of('refused-for-now')) {
              inside(context).refuse(address, { reason: 'later', retryable: true })
            }
            const before = (await received(context)).length
            if (of('taken').length === 0) {
              const error = await expectPortError(context.port.send({ ...hello, to }), 'rejected', {
                reason: 'bad-recipient',
                retryable: of('refused').length === 0,
                outcome: 'not-applied',
              })
              assert.deepEqual(Object.keys(error.details).toSorted(), to.toSorted())
              assert.equal((await received(context)).length, before)
              return
            }
            const { accepted, refused } = await context.port.send({ ...hello, to })
            assert.deepEqual(accepted, of('taken'))
            assert.deepEqual(
              refused.map(({ recipient, retryable }) => [recipient, retryable]),
              of('refused', 'refused-for-now').map((one) => [one, of('refused-for-now').includes(one)]),
            )
            assert.deepEqual((await received(context)).at(-1)?.recipients, accepted)
          },
        ),
        { numRuns: 20 },
      )
    },
  },
  {
    id: 'recipients/refused-in-any-case-of-letters',
    sentence: 'A refused recipient is told in the letters in which the caller wrote it.',
    needs: ['inside'],
    async check(context) {
      inside(context).refuse(bob, { reason: 'no such user', retryable: false })
      const { refused } = await context.port.send({ ...hello, cc: ['BOB@Example.org'] })
      assert.deepEqual(
        refused.map(({ recipient }) => recipient),
        ['BOB@Example.org'],
      )
    },
  },
  {
    id: 'recipients/refusal-leaves-the-next-mail-alone',
    sentence: 'After a mail whose recipients were all refused, the next one of the same client goes through.',
    needs: ['inside'],
    async check(context) {
      inside(context).refuse(bob, { reason: 'no such user', retryable: false })
      await expectPortError(context.port.send({ ...hello, to: [bob] }), 'rejected')
      assert.deepEqual((await context.port.send(hello)).accepted, [ada])
      assert.deepEqual(
        (await received(context)).map((mail) => mail.recipients),
        [[ada]],
      )
    },
  },
  {
    id: 'recipients/thousand',
    sentence: 'A mail may have a thousand recipients where the server takes as many.',
    needs: ['inside'],
    async check(context) {
      const bcc = Array.from({ length: mailLimits.recipients - 1 }, (_, index) => `r${index}@example.org`)
      const { accepted, refused } = await context.port.send({ ...hello, bcc })
      assert.deepEqual(refused, [])
      assert.deepEqual(accepted, [ada, ...bcc])
      assert.equal((await received(context)).at(-1)?.recipients.length, mailLimits.recipients)
    },
  },
  {
    id: 'recipients/more-than-the-server-takes',
    sentence:
      'Recipients beyond what the server takes of one mail are refused for now, and the others get it.',
    needs: ['inside'],
    async check(context) {
      means(context, 'limitRecipients')(2)
      const { accepted, refused } = await context.port.send({
        ...hello,
        cc: [bob],
        bcc: [eve, 'fay@example.net'],
      })
      assert.deepEqual(accepted, [ada, bob])
      assert.deepEqual(
        refused.map(({ recipient, retryable }) => [recipient, retryable]),
        [
          [eve, true],
          ['fay@example.net', true],
        ],
      )
      const rest = await context.port.send({ ...hello, to: refused.map(({ recipient }) => recipient) })
      assert.deepEqual(rest.accepted, [eve, 'fay@example.net'])
    },
  },
  {
    id: 'recipients/greylisted',
    sentence:
      'A server that greylists refuses a recipient for now, and takes it when it has waited long enough.',
    needs: ['inside', 'passTime'],
    async check(context) {
      means(context, 'greylist')(300_000)
      const expected = { reason: 'bad-recipient', retryable: true, outcome: 'not-applied' } as const
      await expectPortError(context.port.send(hello), 'rejected', expected)
      await context.passTime?.(299_000)
      await expectPortError(context.port.send(hello), 'rejected', expected)
      await context.passTime?.(1_000)
      assert.deepEqual((await context.port.send(hello)).accepted, [ada])
      assert.deepEqual((await context.port.send(hello)).accepted, [ada])
      const { accepted, refused } = await context.port.send({ ...hello, cc: [bob] })
      assert.deepEqual(accepted, [ada])
      assert.deepEqual(
        refused.map(({ recipient, retryable }) => [recipient, retryable]),
        [[bob, true]],
      )
    },
  },
]
