/**
 * What a server may say at each stage of an SMTP conversation (RFC 5321 §4.2, §4.3.2), or not say, and what becomes of it.
 * Only the end of the connection after the mail was handed over leaves its outcome open.
 */
import assert from 'node:assert/strict'
import type { PortErrorCode } from '../../src/errors.ts'
import type { Mailer } from '../../src/ports/mailer.ts'
import type { Behaviour } from '../contract.ts'
import { type ExpectedError, expectPortError } from '../expect.ts'
import { ada, delivered, hello, type MailStage, means, received } from './samples.ts'

type Row = readonly [
  stage: MailStage,
  reply: number,
  text: string,
  code: PortErrorCode,
  more: Pick<ExpectedError, 'retryable' | 'reason'>,
]

const later = { retryable: true } as const
const never = { retryable: false } as const
const sender = { retryable: false, reason: 'sender' } as const
const recipient = { retryable: false, reason: 'bad-recipient' } as const
const content = { retryable: false, reason: 'content' } as const

/** Replies that say at the stage they are for what the port promises of them. */
const table: readonly Row[] = [
  ['connect', 421, '4.3.2 shutting down', 'unavailable', later],
  ['connect', 554, '5.7.1 not from there', 'permission-denied', never],
  ['connect', 521, '5.3.2 no mail is taken here', 'permission-denied', never],
  ['ehlo', 421, '4.3.2 shutting down', 'unavailable', later],
  ['auth', 421, '4.3.2 shutting down', 'unavailable', later],
  ['auth', 454, '4.7.0 no way to check it now', 'unavailable', later],
  ['auth', 535, '5.7.8 credentials invalid', 'unauthenticated', never],
  ['auth', 500, '5.5.6 line too long', 'unauthenticated', never],
  ['auth', 504, '5.5.4 mechanism not known', 'unauthenticated', never],
  ['mail', 421, '4.3.2 shutting down', 'unavailable', later],
  ['mail', 450, '4.7.1 slow down', 'rate-limited', later],
  ['mail', 451, '4.3.0 local error', 'unavailable', later],
  ['mail', 452, '4.3.1 disk full', 'unavailable', later],
  ['mail', 501, '5.5.2 no such syntax', 'rejected', sender],
  ['mail', 530, '5.7.0 STARTTLS must come first', 'unavailable', never],
  ['mail', 530, '5.7.2 who are you', 'unauthenticated', never],
  ['mail', 534, '5.7.9 that mechanism is too weak', 'unauthenticated', never],
  ['mail', 538, '5.7.11 not without encryption', 'unauthenticated', never],
  ['mail', 550, '5.1.0 no such sender', 'rejected', sender],
  ['mail', 550, '5.7.1 not as this sender', 'permission-denied', never],
  ['mail', 552, '5.3.4 too large', 'quota-exceeded', never],
  ['mail', 552, '5.2.2 no room', 'quota-exceeded', never],
  ['mail', 554, '5.3.4 too large', 'quota-exceeded', never],
  ['mail', 553, '5.1.8 no such domain', 'rejected', sender],
  ['mail', 555, '5.5.4 parameter not known', 'unsupported', never],
  ['rcpt', 421, '4.3.2 shutting down', 'unavailable', later],
  ['rcpt', 450, '4.2.1 mailbox busy', 'rejected', { retryable: true, reason: 'bad-recipient' }],
  ['rcpt', 452, '4.5.3 too many recipients', 'rejected', { retryable: true, reason: 'bad-recipient' }],
  ['rcpt', 550, '5.1.1 no such user', 'rejected', recipient],
  ['rcpt', 551, '5.1.6 user not local', 'rejected', recipient],
  // RFC 5321 §4.5.3.1.10: to be taken for too many recipients, which is for now.
  ['rcpt', 552, '5.5.3 too many recipients', 'rejected', { retryable: true, reason: 'bad-recipient' }],
  ['data', 421, '4.3.2 shutting down', 'unavailable', later],
  ['data', 451, '4.3.0 local error', 'unavailable', later],
  ['data', 502, '5.5.1 not implemented', 'unsupported', never],
  ['data', 504, '5.5.4 not implemented like that', 'unsupported', never],
  ['data', 554, '5.6.0 no valid mail', 'rejected', content],
  ['content', 421, '4.3.2 shutting down', 'unavailable', later],
  ['content', 450, '4.7.1 too many mails', 'rate-limited', later],
  ['content', 451, '4.3.0 local error', 'unavailable', later],
  ['content', 452, '4.3.1 disk full', 'unavailable', later],
  ['content', 452, '4.5.3 too many recipients', 'rate-limited', later],
  ['content', 550, '5.1.7 no such sender after all', 'rejected', sender],
  ['content', 550, '5.1.8 no such domain of the sender', 'rejected', sender],
  ['content', 550, '5.1.1 no such user after all', 'rejected', recipient],
  ['content', 550, '5.7.1 against our policy', 'permission-denied', never],
  ['content', 550, '5.7.26 no one vouches for the sender', 'permission-denied', never],
  ['content', 552, '5.3.4 too large', 'quota-exceeded', never],
  ['content', 554, '5.6.0 spam', 'rejected', content],
]

const cuts: readonly (readonly [stage: MailStage, outcome: 'not-applied' | 'unknown'])[] = [
  ['connect', 'not-applied'],
  ['ehlo', 'not-applied'],
  ['auth', 'not-applied'],
  ['mail', 'not-applied'],
  ['rcpt', 'not-applied'],
  ['data', 'not-applied'],
  ['content', 'unknown'],
]

const names: Readonly<Record<MailStage, string>> = {
  connect: 'the greeting',
  ehlo: 'EHLO',
  auth: 'AUTH',
  mail: 'MAIL FROM',
  rcpt: 'RCPT TO',
  data: 'the DATA command',
  content: 'the end of the mail',
  quit: 'QUIT',
}

function enhancedOf(text: string): string {
  return text.split(' ', 1)[0] ?? ''
}

export const stages: readonly Behaviour<Mailer>[] = [
  ...table.map(
    ([stage, reply, text, code, more]): Behaviour<Mailer> => ({
      id: `stages/${stage}-${reply}-${enhancedOf(text).replaceAll('.', '-')}`,
      sentence: `A server that answers ${reply} ${enhancedOf(text)} at ${names[stage]} makes the call ${code}, ${more.reason === undefined ? '' : `with reason ${more.reason}, `}not applied, ${more.retryable ? '' : 'not '}retryable, and the next mail goes through.`,
      needs: ['inside'],
      async check(context) {
        means(context, 'reply')(stage, { code: reply, text })
        const expected = { ...more, outcome: 'not-applied', subject: ada } as const
        const error = await expectPortError(context.port.send(hello), code, expected)
        // What the server said is told, so that someone can act on it.
        const told = error.message + JSON.stringify(error.details)
        assert.ok(told.includes(text.slice(enhancedOf(text).length + 1)), told)
        assert.equal((await received(context)).length, 0)
        await delivered(context, hello)
      },
    }),
  ),
  ...cuts.map(
    ([stage, outcome]): Behaviour<Mailer> => ({
      id: `stages/${stage}-cut`,
      sentence: `A connection that ends in place of a reply at ${names[stage]} is unavailable, retryable, of outcome ${outcome}${outcome === 'unknown' ? '' : ', or made good over another one'}, and the next mail goes through.`,
      needs: ['inside'],
      async check(context) {
        means(context, 'reply')(stage, { drop: true })
        const expected = { outcome, retryable: true, subject: ada } as const
        const call = context.port.send(hello)
        const isSent = await call.then(
          () => true,
          () => false,
        )
        // Before the mail was handed over a pool may try again: nothing is sent twice by that.
        if (!isSent || outcome === 'unknown') await expectPortError(call, 'unavailable', expected)
        if (outcome === 'not-applied') assert.equal((await received(context)).length, isSent ? 1 : 0)
        assert.deepEqual((await context.port.send(hello)).accepted, [ada])
      },
    }),
  ),
  {
    id: 'stages/quit-does-not-matter',
    sentence: 'Whatever a server makes of QUIT, a mail that it took is sent.',
    needs: ['inside'],
    async check(context) {
      const reply = means(context, 'reply')
      for (const forced of [
        { code: 421, text: '4.3.2 shutting down' },
        { code: 554, text: '5.0.0 no' },
        { drop: true },
      ] as const) {
        reply('quit', forced)
        await delivered(context, hello)
      }
    },
  },
  {
    id: 'stages/one-recipient-of-several',
    sentence: 'A reply to one recipient is about that one alone: the others get the mail.',
    needs: ['inside'],
    async check(context) {
      means(context, 'reply')('rcpt', { code: 550, text: '5.1.1 no such user' })
      const { accepted, refused } = await context.port.send({ ...hello, to: ['first@example.org', ada] })
      assert.deepEqual(accepted, [ada])
      assert.deepEqual(
        refused.map((one) => [one.recipient, one.retryable]),
        [['first@example.org', false]],
      )
      assert.match(refused[0]?.reason ?? '', /no such user/)
      assert.deepEqual((await received(context))[0]?.recipients, [ada])
    },
  },
  {
    id: 'stages/long-reply-is-cut',
    sentence: 'Whatever a server answers, an error tells at most 200 characters of it.',
    needs: ['inside'],
    async check(context) {
      const reply = means(context, 'reply')
      const text = `5.6.0 not like this, ${'and never again '.repeat(25)}`
      reply('content', { code: 554, text })
      const { message } = await expectPortError(context.port.send(hello), 'rejected', content)
      // A server may break a long reply into lines.
      assert.match(message, /554[ -]5\.6\.0 not like this, and never/)
      assert.ok(message.length < 300, `${message.length} characters`)
      reply('rcpt', { code: 550, text })
      const { refused } = await context.port.send({ ...hello, cc: ['bob@example.org'] })
      assert.match(refused[0]?.reason ?? '', /550[ -]5\.6\.0 not like this, and never/)
      assert.ok((refused[0]?.reason.length ?? 0) <= 200, `${refused[0]?.reason.length} characters`)
    },
  },
]
