/** What no mail server could take is refused before anything is sent. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { PortError } from '../../src/errors.ts'
import type { Mailer } from '../../src/ports/mailer.ts'
import type { Behaviour } from '../contract.ts'
import { expectPortError } from '../expect.ts'
import { ada, eve, hello, received, refusesEach, sameAddresses } from './samples.ts'

const lineBreaks = ['\r\n', '\n', '\r', '\0', '\u2028', '\u0085'].map(
  (character) => `a${character}Bcc: ${eve}`,
)

export const badInput: readonly Behaviour<Mailer>[] = [
  {
    id: 'bad-input/addresses',
    sentence: 'An address that is no plain mail address is invalid-argument, wherever it stands.',
    needs: ['inside'],
    async check(context) {
      const bad = [
        '',
        'ada',
        '@example.org',
        'ada@',
        'a b@example.org',
        'ada@@example.org',
        '.ada@example.org',
        'a..b@example.org',
        'ada@-example.org',
        'ada@example..org',
        'ada@example.org.',
        '<ada@example.org>',
        'Ada <ada@example.org>',
        `ada@example.org, ${eve}`,
        `ada@example.org\r\nRCPT TO:<${eve}>`,
        'ada@exa\0mple.org',
        '"ada"@example.org',
        'ada@[127.0.0.1]',
        'ådä@example.org',
        'ada@exämple.org',
        '\ud800@example.org',
        `${'a'.repeat(65)}@example.org`,
        `ada@${'a.'.repeat(125)}org`,
        7,
        null,
        {},
        { address: ada },
        { address: ada, name: 7 },
        { address: ada, name: 'Ada', role: 'x' },
        ...lineBreaks.map((name) => ({ address: ada, name })),
      ]
      await refusesEach(
        context,
        bad.flatMap((address) => [
          [`from ${JSON.stringify(address)}`, { from: address }] as const,
          [`to ${JSON.stringify(address)}`, { to: [ada, address] }] as const,
          [`replyTo ${JSON.stringify(address)}`, { replyTo: [address] }] as const,
        ]),
      )
    },
  },
  {
    id: 'bad-input/header-injection',
    sentence: 'A line break or control character in anything that becomes a header is invalid-argument.',
    needs: ['inside'],
    async check(context) {
      await refusesEach(
        context,
        lineBreaks.flatMap((text) => [
          ['subject', { subject: text }] as const,
          ['header value', { headers: { 'X-A': text } }] as const,
          ['header name', { headers: { [text]: 'a' } }] as const,
          ['filename', { attachments: [{ filename: text, content: 'a' }] }] as const,
          [
            'content type',
            { attachments: [{ filename: 'a', content: 'a', contentType: `text/plain${text}` }] },
          ] as const,
          ['content id', { attachments: [{ filename: 'a', content: 'a', contentId: text }] }] as const,
          ['message id', { messageId: `<${text}@example.org>` }] as const,
        ]),
      )
    },
  },
  {
    id: 'bad-input/reserved-headers',
    sentence: 'A header that the mailer or a server makes is invalid-argument, in any case of letters.',
    needs: ['inside'],
    async check(context) {
      const names = [
        'From',
        'to',
        'CC',
        'bcc',
        'Subject',
        'Message-ID',
        'date',
        'Sender',
        'Reply-To',
        'MIME-Version',
        'Content-Type',
        'content-transfer-encoding',
        'Received',
        'Return-Path',
        'Resent-Bcc',
        'DKIM-Signature',
        '',
        'X A',
        'X:A',
        'Ä',
      ]
      await refusesEach(context, [
        ...names.map((name) => [name, { headers: { [name]: 'a' } }] as const),
        ['twice', { headers: { 'X-A': '1', 'x-a': '2' } }],
        ['empty', { headers: { 'X-A': ' ' } }],
        ['too long', { headers: { 'X-A': 'a'.repeat(901) } }],
        ['no text', { headers: { 'X-A': 1 } }],
        ['no object', { headers: ['X-A'] }],
      ])
    },
  },
  {
    id: 'bad-input/message',
    sentence:
      'A mail without recipient, without body, with too many of anything or with unknown fields is invalid-argument.',
    needs: ['inside'],
    async check(context) {
      const attachment = { filename: 'a.txt', content: 'a' }
      await refusesEach(context, [
        ['no recipient', { to: undefined }],
        ['empty lists', { to: [], cc: [], bcc: [] }],
        ['to is no list', { to: ada }],
        ['too many recipients', { bcc: Array.from({ length: 1_000 }, (_, n) => `r${n}@example.org`) }],
        ['no body', { text: undefined }],
        ['no subject', { subject: undefined }],
        ['subject too long', { subject: 'é'.repeat(451) }],
        ['lone surrogate in subject', { subject: '\ud800' }],
        ['lone surrogate in text', { text: '\udfff' }],
        ['NUL in text', { text: 'a\0b' }],
        ['NUL in html', { html: 'a\0b' }],
        ['html is no text', { html: 7 }],
        ['unknown field', { attachment: [] }],
        ['too many attachments', { attachments: Array.from({ length: 101 }, () => attachment) }],
        ['attachments is no list', { attachments: attachment }],
        ['no content', { attachments: [{ filename: 'a.txt' }] }],
        ['content of numbers', { attachments: [{ filename: 'a.txt', content: [1, 2] }] }],
        ['no filename', { attachments: [{ filename: '', content: 'a' }] }],
        ['path as filename', { attachments: [{ filename: '../../etc/passwd', content: 'a' }] }],
        ['Windows path as filename', { attachments: [{ filename: 'C:\\a.txt', content: 'a' }] }],
        ['long filename', { attachments: [{ filename: 'é'.repeat(128), content: 'a' }] }],
        ['unknown field of attachment', { attachments: [{ ...attachment, path: '/etc/passwd' }] }],
        ['no media type', { attachments: [{ ...attachment, contentType: 'pdf' }] }],
        ['multipart', { attachments: [{ ...attachment, contentType: 'multipart/mixed; boundary=a' }] }],
        ['message id without brackets', { messageId: 'a@example.org' }],
        ['message id with a space', { messageId: '<a b@example.org>' }],
      ])
      for (const message of [undefined, null, 'mail', [], 7]) {
        await expectPortError(context.port.send(message as never), 'invalid-argument')
      }
    },
  },
  {
    id: 'bad-input/any-text-is-refused-or-arrives',
    sentence:
      'Any subject, name, header and filename is either refused or arrives as it is, and adds no recipient.',
    needs: ['inside'],
    async check(context) {
      const risky = fc.constantFrom(
        '\r\n',
        '\n',
        ': ',
        '"',
        '\\',
        '<',
        '>',
        ',',
        ';',
        '=?',
        '?=',
        '@',
        ' ',
        '\t',
        '%',
      )
      const text = fc
        .array(fc.oneof(fc.string({ unit: 'grapheme', maxLength: 12 }), risky), { maxLength: 8 })
        .map((pieces) => pieces.join('').trim())
      await fc.assert(
        fc.asyncProperty(text, text, text, text, async (subject, name, header, filename) => {
          const message = {
            ...hello,
            to: [{ address: ada, name }],
            subject,
            headers: { 'X-Any': header },
            attachments: [{ filename, content: 'a' }],
          }
          const before = (await received(context)).length
          try {
            await context.port.send(message)
          } catch (error) {
            assert.ok(PortError.is(error) && error.code === 'invalid-argument', String(error))
            assert.equal((await received(context)).length, before)
            return
          }
          const mail = (await received(context)).at(-1)
          assert.deepEqual(mail?.recipients, [ada])
          sameAddresses(mail?.message.to, message.to)
          assert.equal(mail?.message.subject, subject)
          assert.equal(mail?.message.headers?.['X-Any'], header)
          assert.equal(mail?.message.attachments?.[0]?.filename, filename)
          assert.equal(mail?.message.cc, undefined)
        }),
        { numRuns: 60 },
      )
    },
  },
]
