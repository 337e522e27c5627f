/** What a failed send says, and that it is true. */
import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { PortError, type PortErrorCode } from '../../src/errors.ts'
import type { Mailer } from '../../src/ports/mailer.ts'
import type { Behaviour } from '../contract.ts'
import { expectPortError } from '../expect.ts'
import { ada, delivered, hello, received } from './samples.ts'

const forced: readonly (readonly [PortErrorCode, boolean])[] = [
  ['unavailable', true],
  ['rate-limited', true],
  ['unauthenticated', false],
  ['permission-denied', false],
  ['quota-exceeded', false],
  ['unsupported', false],
]

/** Every code that a mailer can fail with: each is provoked on every subject whose failures can be forced. */
export const mailerCodes: readonly PortErrorCode[] = [
  ...forced.map(([code]) => code),
  ...(['cancelled', 'closed', 'invalid-argument', 'rejected', 'timeout'] as const),
].toSorted()

export const failures: readonly Behaviour<Mailer>[] = [
  ...forced.map(
    ([error, retryable]): Behaviour<Mailer> => ({
      id: `errors/${error}`,
      sentence: `A server that refuses so is ${error}, not applied, and the next mail goes through.`,
      needs: ['force', 'inside'],
      async check(context) {
        context.force?.('send', { error })
        const expected = { outcome: 'not-applied', retryable, operation: 'send', subject: ada } as const
        await expectPortError(context.port.send(hello), error, expected)
        assert.equal((await received(context)).length, 0)
        await delivered(context, hello)
      },
    }),
  ),
  {
    id: 'errors/rejected-content',
    sentence: 'A server that refuses the mail itself makes it rejected with reason content, for good.',
    needs: ['force', 'inside'],
    async check(context) {
      context.force?.('send', { error: 'rejected', reason: 'content' })
      const expected = { outcome: 'not-applied', retryable: false, reason: 'content' } as const
      await expectPortError(context.port.send(hello), 'rejected', expected)
      assert.equal((await received(context)).length, 0)
    },
  },
  {
    id: 'errors/lost-answer-is-unknown',
    sentence:
      'Where the mail was taken and the answer lost, the outcome is unknown, and the mail is there, once.',
    needs: ['force', 'inside'],
    async check(context) {
      context.force?.('send', { error: 'unavailable', when: 'after' })
      const messageId = '<once@example.com>'
      await expectPortError(context.port.send({ ...hello, messageId }), 'unavailable', { outcome: 'unknown' })
      assert.deepEqual(
        (await received(context)).map(({ message }) => message.messageId),
        [messageId],
      )
    },
  },
  {
    id: 'errors/abort-tells-the-truth',
    sentence:
      'A send that is aborted at any moment says cancelled or its receipt, and what it says of its outcome holds.',
    needs: ['inside'],
    async check(context) {
      const told = new Map<string, 'applied' | 'not-applied' | 'unknown'>()
      // As long as one call takes here: the aborts are spread over that time, and a little beyond.
      const started = performance.now()
      await context.port.send(hello)
      const callMs = performance.now() - started
      const rounds = 16
      for (let round = 0; round < rounds; round += 1) {
        const messageId = `<aborted-${round}@example.com>`
        const controller = new AbortController()
        const pending = context.port.send({ ...hello, messageId }, { signal: controller.signal }).then(
          () => 'applied' as const,
          (error: unknown) => {
            assert.ok(PortError.is(error) && error.code === 'cancelled', String(error))
            return error.outcome
          },
        )
        await new Promise((resolve) => setTimeout(resolve, (callMs * 1.2 * round) / rounds))
        controller.abort()
        told.set(messageId, await pending)
      }
      assert.deepEqual((await context.port.send(hello)).accepted, [ada], 'the mailer goes on working')
      const arrived = (await received(context)).map(({ message }) => message.messageId)
      for (const [messageId, outcome] of told) {
        const times = arrived.filter((one) => one === messageId).length
        if (outcome === 'not-applied') assert.equal(times, 0, messageId)
        else if (outcome === 'applied') assert.equal(times, 1, messageId)
        else assert.ok(times <= 1, messageId)
      }
    },
  },
  {
    id: 'errors/lost-answer-then-again',
    sentence: 'A mail that is sent again under its id after a lost answer is there twice under one id.',
    needs: ['force', 'inside'],
    async check(context) {
      context.force?.('send', { error: 'unavailable', when: 'after' })
      const message = { ...hello, messageId: '<again@example.com>' }
      await expectPortError(context.port.send(message), 'unavailable', {
        outcome: 'unknown',
        retryable: true,
      })
      assert.equal((await context.port.send(message)).messageId, message.messageId)
      const ids = (await received(context)).map((mail) => mail.message.messageId)
      assert.deepEqual(ids, [message.messageId, message.messageId])
    },
  },
  {
    id: 'errors/slow-answer-arrives',
    sentence: 'An answer that is slow but within the deadline is an answer.',
    needs: ['delayNext', 'inside'],
    async check(context) {
      context.delayNext?.('send', 500)
      assert.deepEqual((await context.port.send(hello, { timeoutMs: 20_000 })).accepted, [ada])
      assert.equal((await received(context)).length, 1)
    },
  },
  {
    id: 'errors/timeout-tells-the-truth',
    sentence:
      'A send that ends at its deadline is a timeout, and not-applied only where the mail does not arrive.',
    needs: ['delayNext', 'inside'],
    async check(context) {
      context.delayNext?.('send', 60_000)
      const error = await expectPortError(context.port.send(hello, { timeoutMs: 1_000 }), 'timeout', {
        retryable: true,
        subject: ada,
      })
      const arrived = (await received(context)).length
      if (error.outcome === 'not-applied') assert.equal(arrived, 0)
      else assert.equal(error.outcome, 'unknown')
      // What the server still does for the first mail is not to hold up the next on a clock that both share.
      await context.passTime?.(60_000)
      assert.deepEqual((await context.port.send(hello)).accepted, [ada], 'the mailer goes on working')
    },
  },
  {
    id: 'errors/name-no-value',
    sentence: 'No error shows the subject, the text or an attachment of the mail.',
    needs: ['force', 'inside'],
    async check(context) {
      const secrets = ['s3cret-subject', 's3cret-text', 's3cret-html', 's3cret-content', 's3cret-header']
      const [subject = '', text = '', html = '', attached = '', header = ''] = secrets
      const attachments = [{ filename: 'a.txt', content: attached }]
      const message = { ...hello, subject, text, html, attachments, headers: { 'X-A': header } }
      const calls = (['unavailable', 'permission-denied', 'rejected'] as const).map((error) => () => {
        context.force?.('send', { error })
        return context.port.send(message)
      })
      calls.push(() => context.port.send({ ...message, to: ['no address'] }))
      calls.push(() => context.port.send({ ...message, subject: `${subject}\n` }))
      for (const call of calls) {
        const error = await call().then(
          () => assert.fail('it resolved'),
          (reason: unknown) => reason,
        )
        assert.ok(PortError.is(error))
        const shown = inspect(error, { depth: 12, showHidden: true }) + JSON.stringify(error)
        for (const secret of secrets) assert.ok(!shown.includes(secret), `${error.code} shows ${secret}`)
      }
    },
  },
]
