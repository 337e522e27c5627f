/** Mails that are too large: for any server, and for this one. */
import assert from 'node:assert/strict'
import { mailLimits } from '../../src/ports/mail-message.ts'
import type { Mailer } from '../../src/ports/mailer.ts'
import type { Behaviour } from '../contract.ts'
import { expectPortError } from '../expect.ts'
import { ada, bob, hello, inside, received, refusesEach } from './samples.ts'

export const size: readonly Behaviour<Mailer>[] = [
  {
    id: 'size/larger-than-the-server-takes',
    sentence: 'A mail larger than the server takes is quota-exceeded and not applied; a smaller one goes on.',
    needs: ['inside'],
    async check(context) {
      inside(context).limitSize(20_000)
      const large = { ...hello, attachments: [{ filename: 'a.bin', content: new Uint8Array(20_000) }] }
      await expectPortError(context.port.send(large), 'quota-exceeded', {
        outcome: 'not-applied',
        retryable: false,
      })
      assert.equal((await received(context)).length, 0)
      assert.deepEqual((await context.port.send(hello)).accepted, [ada])
    },
  },
  {
    id: 'size/larger-than-any-server-takes',
    sentence: 'A mail larger than the documented limit is invalid-argument, before any I/O.',
    needs: ['inside'],
    async check(context) {
      const content = new Uint8Array(mailLimits.bytes)
      await refusesEach(context, [
        ['attachment', { attachments: [{ filename: 'a.bin', content }] }],
        ['text', { text: 'é'.repeat(mailLimits.bytes) }],
      ])
    },
  },
  {
    id: 'size/nothing-of-it-arrives',
    sentence: 'A mail that is too large reaches no recipient, also where others of it were refused.',
    needs: ['inside'],
    async check(context) {
      inside(context).limitSize(30_000)
      inside(context).refuse(bob, { reason: 'no such user', retryable: false })
      const text = 'word '.repeat(20_000)
      const error = await expectPortError(
        context.port.send({ ...hello, cc: [bob], text }),
        'quota-exceeded',
        {
          outcome: 'not-applied',
          retryable: false,
        },
      )
      // What one mailer told here, no app could count on.
      assert.deepEqual(error.details, {})
      assert.equal((await received(context)).length, 0)
    },
  },
  {
    id: 'size/mails-of-many-sizes',
    sentence:
      'Each mail well below the limit is taken and each well above it is refused, whatever makes its size.',
    needs: ['inside'],
    async check(context) {
      const limit = 60_000
      inside(context).limitSize(limit)
      const ways = [
        (bytes: number) => ({ text: 'x'.repeat(bytes) }),
        (bytes: number) => ({ html: 'ü'.repeat(bytes / 3) }),
        (bytes: number) => ({
          attachments: [{ filename: 'a.bin', content: new Uint8Array((bytes * 3) / 4) }],
        }),
      ]
      for (const fields of ways) {
        assert.deepEqual((await context.port.send({ ...hello, ...fields(limit * 0.8) })).accepted, [ada])
        await expectPortError(context.port.send({ ...hello, ...fields(limit * 1.2) }), 'quota-exceeded')
      }
      assert.equal((await received(context)).length, ways.length)
    },
  },
]
