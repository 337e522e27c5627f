/** That what was written is what arrives, and what it looks like on the wire. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { MailAttachment, Mailer } from '../../src/ports/mailer.ts'
import type { Behaviour } from '../contract.ts'
import { ada, bob, delivered, hello, sameAddresses, sameText, wireOf } from './samples.ts'

export const content: readonly Behaviour<Mailer>[] = [
  {
    id: 'send/text-is-unchanged',
    sentence:
      'Text arrives as it was written: any script, long lines, lone dots, and what looks like markup.',
    needs: ['inside'],
    async check(context) {
      const texts = [
        '',
        'Grüße aus Köln — 日本語, العربية, 👩‍👩‍👧',
        '.\n..\n.hidden\nFrom here\n.',
        `${'word '.repeat(400)}end`,
        'x'.repeat(3_000),
        'a=3D =?utf-8?q?no?= = =\n--boundary--\n<b>&amp;</b>',
        'trailing spaces   \nand tabs\t\nkept',
      ]
      for (const text of texts) sameText((await delivered(context, { ...hello, text })).message.text, text)
    },
  },
  {
    id: 'send/html-with-and-without-text',
    sentence: 'HTML arrives, alone or as an alternative to the text.',
    needs: ['inside'],
    async check(context) {
      const html = '<p class="a">Grüße, <b>Ada</b> &amp; co.</p>'
      const both = await delivered(context, { ...hello, html })
      sameText(both.message.html, html)
      sameText(both.message.text, hello.text ?? '')
      const { text: _, ...noText } = hello
      const alone = await delivered(context, { ...noText, html })
      sameText(alone.message.html, html)
      assert.equal(alone.message.text, undefined)
    },
  },
  {
    id: 'send/attachments-are-unchanged',
    sentence: 'Attachments arrive in order, byte for byte, with name and type.',
    needs: ['inside'],
    async check(context) {
      const all = Uint8Array.from({ length: 256 * 40 }, (_, index) => index % 256)
      const attachments = [
        { filename: 'receipt.pdf', content: all, contentType: 'application/pdf' },
        { filename: 'empty.bin', content: new Uint8Array(), contentType: 'application/octet-stream' },
        { filename: 'Grüße "1"; 日本語.txt', content: '.\nline\r\nGrüße\r', contentType: 'text/plain' },
        {
          filename: 'logo.png',
          content: Uint8Array.of(0, 13, 10, 46),
          contentType: 'image/png',
          contentId: 'logo@shop',
        },
      ]
      const { message } = await delivered(context, {
        ...hello,
        html: '<img src="cid:logo@shop">',
        attachments,
      })
      const byName = new Map((message.attachments ?? []).map((one) => [one.filename, one]))
      assert.equal(byName.size, attachments.length)
      for (const expected of attachments) {
        const actual = byName.get(expected.filename)
        assert.ok(actual, `${expected.filename} is missing`)
        assert.deepEqual(Buffer.from(actual.content), Buffer.from(expected.content), expected.filename)
        assert.equal(actual.contentType, expected.contentType)
        assert.equal(actual.contentId, 'contentId' in expected ? expected.contentId : undefined)
      }
    },
  },
  {
    id: 'send/names-subject-and-headers-are-unchanged',
    sentence: 'Names, subject, reply-to and further headers arrive as they were written, in any script.',
    needs: ['inside'],
    async check(context) {
      const message = {
        ...hello,
        from: { address: 'shop@example.com', name: 'Shop, "The" <Best>; Ltd.' },
        to: [
          { address: ada, name: 'Ada Łovelace 👩‍💻' },
          { address: bob, name: `bob@example.org` },
        ],
        replyTo: [{ address: 'help@example.com', name: '日本語サポート' }],
        subject: `Grüße: =?utf-8?q?x?= ${'лонг '.repeat(60)}end`,
        headers: { 'X-Order': '7; a=b', 'X-Note': 'Grüße, 日本語', 'In-Reply-To': '<first@example.com>' },
      }
      const { message: arrived } = await delivered(context, message)
      sameAddresses([arrived.from], [message.from])
      sameAddresses(arrived.to, message.to)
      sameAddresses(arrived.replyTo, message.replyTo)
      assert.equal(arrived.subject, message.subject)
      const headers = new Map(
        Object.entries(arrived.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]),
      )
      for (const [name, value] of Object.entries(message.headers)) {
        assert.equal(headers.get(name.toLowerCase()), value, name)
      }
    },
  },
  {
    id: 'content/any-text-arrives',
    sentence: 'Any text and HTML arrive as they were written, but for the form of their line ends.',
    needs: ['inside'],
    async check(context) {
      const risky = fc.constantFrom(
        '.',
        '\n.',
        '\n..',
        '\r',
        '\r\n.\r\n',
        '\n',
        '=',
        '=20',
        ' \n',
        '\t\n',
        'From ',
        '--',
      )
      const text = fc
        .array(fc.oneof(risky, fc.string({ unit: 'grapheme', maxLength: 90 })), { maxLength: 12 })
        .map((pieces) => pieces.join('').replaceAll('\0', ''))
      await fc.assert(
        fc.asyncProperty(text, text, async (plain, html) => {
          const { message } = await delivered(context, { ...hello, text: plain, html })
          sameText(message.text, plain)
          sameText(message.html, html)
        }),
        { numRuns: 40 },
      )
    },
  },
  {
    id: 'content/any-attachment-arrives',
    sentence: 'Any bytes arrive as an attachment, of any length and under the same name twice.',
    needs: ['inside'],
    async check(context) {
      const bytes = fc.oneof(fc.uint8Array({ maxLength: 600 }), fc.constantFrom(...edges))
      await fc.assert(
        fc.asyncProperty(fc.array(bytes, { minLength: 1, maxLength: 4 }), async (contents) => {
          const attachments = contents.map((one) => ({ filename: 'same.bin', content: one }))
          const { message } = await delivered(context, { ...hello, attachments })
          assert.deepEqual(
            (message.attachments ?? []).map((one: MailAttachment) => [one.filename, hex(one.content)]),
            contents.map((one) => ['same.bin', hex(one)]),
          )
        }),
        { numRuns: 30 },
      )
    },
  },
  {
    id: 'content/large-attachment-arrives',
    sentence: 'An attachment of megabytes arrives whole.',
    needs: ['inside'],
    async check(context) {
      const large = Uint8Array.from({ length: 2_000_001 }, (_, index) => (index * 31 + (index >> 8)) % 256)
      const attachments = [{ filename: 'large.bin', content: large }]
      const { message } = await delivered(context, { ...hello, attachments })
      assert.ok(Buffer.from(message.attachments?.[0]?.content ?? '').equals(large))
    },
  },
  {
    id: 'content/nothing-in-it',
    sentence: 'An empty subject, an empty text and empty lists arrive as such.',
    needs: ['inside'],
    async check(context) {
      const nothing = { subject: '', text: '', cc: [], bcc: [], replyTo: [], attachments: [], headers: {} }
      const { message } = await delivered(context, { ...hello, ...nothing })
      assert.equal(message.subject, '')
      sameText(message.text, '')
      assert.equal(message.attachments?.length ?? 0, 0)
    },
  },
  {
    id: 'content/longest-of-everything',
    sentence: 'The longest subject, name, header, filename and address that are possible arrive.',
    needs: ['inside'],
    async check(context) {
      const longest = `${'a'.repeat(64)}@${`${'b'.repeat(60)}.`.repeat(3)}museum`
      const message = {
        ...hello,
        from: { address: 'shop@example.com', name: 'Ä'.repeat(450) },
        to: [{ address: longest, name: 'n'.repeat(900) }],
        subject: `${'日'.repeat(299)}end`,
        headers: { [`X-${'h'.repeat(74)}`]: 'v'.repeat(900) },
        attachments: [{ filename: `${'ф'.repeat(125)}.txt`, content: 'a' }],
      }
      const { message: arrived, recipients } = await delivered(context, message)
      assert.deepEqual(recipients, [longest])
      sameAddresses([arrived.from], [message.from])
      sameAddresses(arrived.to, message.to)
      assert.equal(arrived.subject, message.subject)
      assert.deepEqual(Object.values(arrived.headers ?? {}).filter((value) => value.length === 900).length, 1)
      assert.equal(arrived.attachments?.[0]?.filename, message.attachments[0]?.filename)
    },
  },
  {
    id: 'content/many-headers',
    sentence: 'A hundred further headers arrive.',
    needs: ['inside'],
    async check(context) {
      const names = Array.from({ length: 100 }, (_, index) => `X-Field-${index}`)
      const headers = Object.fromEntries(names.map((name, index) => [name, `value ${index}`]))
      const { message } = await delivered(context, { ...hello, headers })
      for (const name of names) assert.equal(message.headers?.[name], headers[name])
    },
  },
  {
    id: 'content/hundred-attachments',
    sentence: 'A hundred attachments, as many as are possible, arrive in order.',
    needs: ['inside'],
    async check(context) {
      const attachments = Array.from({ length: 100 }, (_, index) => ({
        filename: `${index}.txt`,
        content: `no. ${index}`,
      }))
      const { message } = await delivered(context, { ...hello, attachments })
      assert.deepEqual(
        (message.attachments ?? []).map(({ filename }) => filename),
        attachments.map(({ filename }) => filename),
      )
    },
  },
  {
    id: 'wire/lines-are-short-and-seven-bit',
    sentence: 'On the wire every line ends with CRLF, has at most 998 characters, and all of them are ASCII.',
    needs: ['inside'],
    async check(context) {
      const long = `${'Grüße '.repeat(900)}\r bare \n.\n${'x'.repeat(5_000)}`
      const mail = await delivered(context, {
        ...hello,
        to: Array.from({ length: 60 }, (_, index) => ({
          address: `r${index}@example.org`,
          name: `Ä ${index}`,
        })),
        subject: 'лонг '.repeat(80),
        text: long,
        html: `<p>${long}</p>`,
        headers: { 'X-Long': 'word '.repeat(150), 'X-Unbroken': 'é'.repeat(400) },
        attachments: [{ filename: 'Grüße.txt', content: long }],
      })
      const wire = wireOf(context, mail)
      assert.ok(!/[^\0-\x7f]/.test(wire), 'a byte beyond ASCII')
      const lines = wire.split('\r\n')
      assert.ok(
        lines.every((line) => !/[\r\n]/.test(line)),
        'a bare CR or LF',
      )
      const longest = lines.reduce((most, line) => Math.max(most, line.length), 0)
      assert.ok(longest <= 998, `a line of ${longest} characters`)
    },
  },
  {
    id: 'wire/headers-stand-there-once',
    sentence:
      'From, To, Subject, Date, Message-ID and MIME-Version stand there once each, the date is now, and nothing names the software.',
    needs: ['inside'],
    async check(context) {
      const head = headOf(wireOf(context, await delivered(context, { ...hello, cc: [bob] })))
      for (const name of ['From', 'To', 'Cc', 'Subject', 'Date', 'Message-ID', 'MIME-Version']) {
        assert.equal(head.match(new RegExp(`^${name}:`, 'gim'))?.length, 1, name)
      }
      const date = Date.parse(/^Date:\s*(.*)$/im.exec(head)?.[1] ?? '')
      assert.ok(Math.abs(date - Date.now()) < 86_400_000, 'the date is of today')
      assert.ok(!/^(?:X-Mailer|User-Agent|X-Originating-IP):/im.test(head), head)
    },
  },
  {
    id: 'wire/html-stands-after-text',
    sentence: 'Of text and HTML the text stands first, so that readers choose the HTML where they can.',
    needs: ['inside'],
    async check(context) {
      const mail = await delivered(context, { ...hello, html: '<p>Hello</p>' })
      const wire = wireOf(context, mail).toLowerCase()
      assert.match(headOf(wire), /^content-type: multipart\/alternative/m)
      assert.ok(wire.indexOf('content-type: text/plain') < wire.indexOf('content-type: text/html'))
    },
  },
  {
    id: 'wire/attached-or-inline',
    sentence: 'A part with a content id stands in the text, under that id; any other is attached.',
    needs: ['inside'],
    async check(context) {
      const attachments = [
        { filename: 'logo.png', content: Uint8Array.of(1), contentType: 'image/png', contentId: 'logo@shop' },
        { filename: 'list.csv', content: 'a,b', contentType: 'text/csv' },
      ]
      const html = '<img src="cid:logo@shop">'
      const wire = wireOf(context, await delivered(context, { ...hello, html, attachments }))
      const partOf = (type: string): string =>
        headOf(wire.slice(wire.search(new RegExp(`^Content-Type: ${type}`, 'im'))))
      assert.match(partOf('image/png'), /^Content-Disposition: inline/im)
      assert.match(partOf('image/png'), /^Content-Id: <logo@shop>/im)
      assert.match(partOf('text/csv'), /^Content-Disposition: attachment/im)
      assert.doesNotMatch(partOf('text/csv'), /^Content-Id:/im)
    },
  },
  {
    id: 'wire/type-by-the-filename',
    sentence:
      "An attachment without a type has that of its filename's ending, else application/octet-stream.",
    needs: ['inside'],
    async check(context) {
      const names = ['a.pdf', 'b.png', 'c.html', 'd.unheard-of', 'e']
      const attachments = names.map((filename) => ({ filename, content: 'a' }))
      const mail = await delivered(context, { ...hello, attachments })
      wireOf(context, mail)
      assert.deepEqual(
        mail.message.attachments?.map(({ contentType }) => contentType),
        ['application/pdf', 'image/png', 'text/html', 'application/octet-stream', 'application/octet-stream'],
      )
    },
  },
]

/** Lengths at which base64 ends in each of its ways, and bytes that mean something to SMTP. */
const edges: readonly Uint8Array[] = [
  new Uint8Array(),
  ...[1, 2, 3, 56, 57, 58, 16_384, 16_385].map((length) => new Uint8Array(length).fill(46)),
  Uint8Array.from(Buffer.from('\r\n.\r\n')),
  Uint8Array.from({ length: 256 }, (_, index) => index),
]

function hex(bytes: Uint8Array | string): string {
  return Buffer.from(bytes).toString('hex')
}

/** The headers of a mail, unfolded. */
function headOf(wire: string): string {
  return wire.slice(0, wire.indexOf('\r\n\r\n') + 2).replace(/\r\n(?=[ \t])/g, '')
}
