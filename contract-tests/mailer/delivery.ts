/** Who gets a mail, how often, and under which id. */
import assert from 'node:assert/strict'
import type { MailAddress, Mailer, MailMessage } from '../../src/ports/mailer.ts'
import type { Behaviour } from '../contract.ts'
import { expectPortError } from '../expect.ts'
import {
  ada,
  bob,
  delivered,
  eve,
  hello,
  inside,
  received,
  sameAddresses,
  sameText,
  wireOf,
} from './samples.ts'

export const delivery: readonly Behaviour<Mailer>[] = [
  {
    id: 'send/arrives',
    sentence:
      'A mail arrives with its sender, recipient, subject and text, and the receipt names the recipient.',
    needs: ['inside'],
    async check(context) {
      const receipt = await context.port.send(hello)
      assert.deepEqual(receipt.accepted, [ada])
      assert.deepEqual(receipt.refused, [])
      const [mail] = await received(context)
      assert.ok(mail)
      assert.deepEqual(mail.recipients, [ada])
      sameAddresses([mail.message.from], [hello.from])
      sameAddresses(mail.message.to, [ada])
      assert.equal(mail.message.subject, 'Hello')
      sameText(mail.message.text, hello.text ?? '')
    },
  },
  {
    id: 'send/reaches-to-cc-and-bcc',
    sentence: 'To, cc and bcc all receive the mail, in that order, and the bcc is in no header of it.',
    needs: ['inside'],
    async check(context) {
      const mail = await delivered(context, { ...hello, cc: [bob], bcc: [eve] })
      assert.deepEqual(mail.recipients, [ada, bob, eve])
      sameAddresses(mail.message.to, [ada])
      sameAddresses(mail.message.cc, [bob])
      if (mail.source !== undefined) {
        const wire = Buffer.from(mail.source).toString('latin1')
        assert.ok(!wire.toLowerCase().includes('eve@'), 'the bcc shows in the mail')
        assert.ok(!/^bcc:/im.test(wire), 'there is a Bcc header')
      }
    },
  },
  {
    id: 'send/bcc-alone-is-enough',
    sentence: 'A mail may have no other recipient than a bcc.',
    needs: ['inside'],
    async check(context) {
      const { to: _, ...nobody } = hello
      assert.deepEqual((await delivered(context, { ...nobody, bcc: [eve] })).recipients, [eve])
    },
  },
  {
    id: 'send/duplicate-recipient-gets-it-once',
    sentence: 'A recipient that stands there twice, in any case of letters, gets the mail once.',
    needs: ['inside'],
    async check(context) {
      const message = {
        ...hello,
        to: [ada, { address: ada, name: 'Ada' }],
        cc: ['ADA@Example.org'],
        bcc: [bob, ada],
      }
      assert.deepEqual((await context.port.send(message)).accepted, [ada, bob])
      assert.deepEqual((await received(context))[0]?.recipients, [ada, bob])
    },
  },
  {
    id: 'send/keeps-the-message-id',
    sentence: 'A message id that is given is in the receipt and in the mail.',
    needs: ['inside'],
    async check(context) {
      const messageId = '<order-7.confirmation@example.com>'
      assert.equal((await context.port.send({ ...hello, messageId })).messageId, messageId)
      assert.equal((await received(context))[0]?.message.messageId, messageId)
    },
  },
  {
    id: 'send/makes-a-message-id',
    sentence: "Where none is given, a new message id at the sender's domain is made for each mail.",
    needs: ['inside'],
    async check(context) {
      const first = await context.port.send(hello)
      const second = await context.port.send(hello)
      for (const { messageId } of [first, second]) assert.match(messageId, /^<[^@<>\s]+@example\.com>$/)
      assert.notEqual(first.messageId, second.messageId)
      assert.deepEqual(
        (await received(context)).map(({ message }) => message.messageId),
        [first.messageId, second.messageId],
      )
    },
  },
  {
    id: 'send/copies-the-message',
    sentence: 'What the caller changes in the message after the call is not in the mail.',
    needs: ['inside'],
    async check(context) {
      const content = Uint8Array.of(1, 2, 3)
      const to: MailAddress[] = [ada]
      const pending = context.port.send({ ...hello, to, attachments: [{ filename: 'a.bin', content }] })
      content.fill(9)
      to.push(eve)
      await pending
      const [mail] = await received(context)
      assert.deepEqual(mail?.recipients, [ada])
      assert.deepEqual([...Buffer.from(mail?.message.attachments?.[0]?.content ?? '')], [1, 2, 3])
    },
  },
  {
    id: 'send/many-at-once',
    sentence: 'Mails sent at the same time all arrive, each once and each whole.',
    needs: ['inside'],
    async check(context) {
      const subjects = Array.from({ length: 20 }, (_, index) => `Mail ${index}`)
      await Promise.all(subjects.map((subject) => context.port.send({ ...hello, subject, text: subject })))
      const all = await received(context)
      assert.deepEqual(all.map(({ message }) => message.subject).toSorted(), subjects.toSorted())
      for (const { message } of all) sameText(message.text, message.subject)
    },
  },
  {
    id: 'send/accepts-in-the-order-given',
    sentence: 'The receipt names to, cc and bcc in the order given, each as it was first written.',
    needs: ['inside'],
    async check(context) {
      const to = Array.from({ length: 30 }, (_, index) => `Reader-${(index * 7) % 30}@Example.org`)
      const receipt = await context.port.send({ ...hello, to, cc: [{ address: bob, name: 'B' }], bcc: [eve] })
      assert.deepEqual(receipt.accepted, [...to, bob, eve])
      // A host's name has no case, so a server may write it in its own.
      const arrived = (await received(context))[0]?.recipients.map((one) => one.toLowerCase())
      assert.deepEqual(
        arrived,
        [...to, bob, eve].map((one) => one.toLowerCase()),
      )
    },
  },
  {
    id: 'send/bcc-is-nowhere-in-the-bytes',
    sentence: 'Neither the address nor the name of a bcc is anywhere in the bytes of the mail.',
    needs: ['inside'],
    async check(context) {
      const bcc = [{ address: eve, name: 'Evelyn Secret' }, bob]
      const wire = wireOf(context, await delivered(context, { ...hello, bcc })).toLowerCase()
      // What the server itself adds on arrival, it adds of the envelope.
      const own = wire.slice(wire.search(/^(?:mime-version|from|message-id|subject|to|date|content-type):/m))
      for (const shown of ['eve@', 'evelyn', 'bob@', 'bcc:']) assert.ok(!own.includes(shown), shown)
    },
  },
  {
    id: 'send/same-message-twice-arrives-twice',
    sentence: 'A mail that is sent twice arrives twice, under one id where one is given.',
    needs: ['inside'],
    async check(context) {
      const message = { ...hello, messageId: '<twice@example.com>' }
      for (const _ of [1, 2]) await context.port.send(message)
      const ids = (await received(context)).map((mail) => mail.message.messageId)
      assert.deepEqual(ids, [message.messageId, message.messageId])
    },
  },
  {
    id: 'send/undefined-fields-are-absent',
    sentence: 'A field that is undefined is as one left out.',
    needs: ['inside'],
    async check(context) {
      const message = { ...hello, cc: undefined, html: undefined, headers: undefined, messageId: undefined }
      const mail = await delivered(context, message as unknown as MailMessage)
      assert.deepEqual(mail.recipients, [ada])
      assert.equal(mail.message.html, undefined)
      assert.equal(mail.message.cc, undefined)
      assert.ok(mail.message.messageId)
    },
  },
  {
    id: 'send/receipt-is-a-copy',
    sentence: 'What the caller changes in a receipt changes no other receipt.',
    async check({ port }) {
      const first = await port.send(hello)
      ;(first.accepted as string[]).push(eve)
      assert.deepEqual((await port.send(hello)).accepted, [ada])
    },
  },
  {
    id: 'send/one-refused-of-many-at-once',
    sentence: 'Of mails sent at the same time, one that is refused fails alone.',
    needs: ['inside'],
    async check(context) {
      inside(context).refuse(bob, { reason: 'no such user', retryable: false })
      const results = await Promise.allSettled(
        Array.from({ length: 12 }, (_, index) =>
          context.port.send({ ...hello, to: [index === 5 ? bob : ada], subject: `Mail ${index}` }),
        ),
      )
      assert.deepEqual(
        results.flatMap(({ status }, index) => (status === 'rejected' ? [index] : [])),
        [5],
      )
      assert.equal((await received(context)).length, 11)
    },
  },
  {
    id: 'send/from-several-clients',
    sentence: 'Mails of several clients at the same time all arrive, each once.',
    needs: ['inside', 'openAnother'],
    async check(context) {
      const other = await context.openAnother?.()
      assert.ok(other)
      try {
        const subjects = Array.from({ length: 10 }, (_, index) => `Mail ${index}`)
        await Promise.all(
          subjects.map((subject, index) =>
            (index % 2 === 0 ? context : other).port.send({ ...hello, subject }),
          ),
        )
        const arrived = (await received(context)).map(({ message }) => message.subject)
        assert.deepEqual(arrived.toSorted(), subjects)
      } finally {
        await other.close()
      }
    },
  },
  {
    id: 'close/mail-under-way-arrives',
    sentence: 'Closing while mails are being sent lets each of them arrive, once, and later ones are closed.',
    needs: ['inside'],
    async check(context) {
      const pending = Array.from({ length: 5 }, (_, index) =>
        context.port.send({ ...hello, subject: `Mail ${index}` }),
      )
      const closing = context.guarded.close()
      await expectPortError(context.port.send(hello), 'closed', { outcome: 'not-applied' })
      await Promise.all(pending)
      await closing
      assert.equal((await received(context)).length, 5)
    },
  },
]
