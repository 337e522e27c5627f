/** What every mailer does. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { PortError, type PortErrorCode } from '../src/errors.ts'
import { addressOf, mailLimits } from '../src/ports/mail-message.ts'
import { type MailAddress, Mailer, type MailMessage } from '../src/ports/mailer.ts'
import { commonBehaviours } from './common.ts'
import { type Behaviour, type BehaviourContext, type Contract, defineContract } from './contract.ts'
import { expectPortError } from './expect.ts'

/** A mail as it reached the mail system. */
export interface ReceivedMail {
  /** The envelope's recipients. */
  readonly recipients: readonly string[]
  /** What its headers and parts say; `bcc` is not looked at. */
  readonly message: MailMessage
  /** The bytes on the wire, where there was a wire. */
  readonly source?: Uint8Array | undefined
}

/** The `inside` that this contract can use. */
export interface MailerInside {
  /** Every mail accepted so far, oldest first. */
  received(): readonly ReceivedMail[]
  /** From now on this recipient is refused. */
  refuse(address: string, refusal: { readonly reason: string; readonly retryable: boolean }): void
  /** From now on the server takes no larger mail. */
  limitSize(maxBytes: number): void
}

const ada = 'ada@example.org'
const bob = 'bob@example.org'
const eve = 'eve@example.net'
const hello: MailMessage = {
  from: 'shop@example.com',
  to: [ada],
  subject: 'Hello',
  text: 'Hello Ada,\n\nyours',
}

function inside({ inside: given }: BehaviourContext<Mailer>): MailerInside {
  return given as MailerInside
}

/** Sends and answers what arrived. */
async function delivered(context: BehaviourContext<Mailer>, message: MailMessage): Promise<ReceivedMail> {
  const before = inside(context).received().length
  await context.port.send(message)
  const received = inside(context).received()
  assert.equal(received.length, before + 1, 'one mail more')
  const last = received.at(-1)
  assert.ok(last)
  return last
}

/** SMTP has CRLF alone, and a mail ends with a line end whether it was written or not. */
function sameText(actual: string | undefined, expected: string): void {
  const plain = (text: string): string => text.replace(/\r\n?/g, '\n').replace(/\n+$/, '')
  assert.equal(plain(actual ?? ''), plain(expected))
}

function sameAddresses(actual: readonly MailAddress[] | undefined, expected: readonly MailAddress[]): void {
  const shape = (one: MailAddress): string =>
    JSON.stringify([addressOf(one), typeof one === 'string' ? '' : one.name])
  assert.deepEqual((actual ?? []).map(shape), expected.map(shape))
}

/** Every field of `message` is refused before anything is sent. */
async function refusesEach(
  context: BehaviourContext<Mailer>,
  table: readonly (readonly [what: string, fields: Readonly<Record<string, unknown>>])[],
): Promise<void> {
  for (const [what, fields] of table) {
    const message = { ...hello, ...fields } as MailMessage
    await expectPortError(context.port.send(message), 'invalid-argument', { outcome: 'not-applied' }).catch(
      (error: unknown) => assert.fail(`${what}: ${String(error)}`),
    )
  }
  assert.equal(inside(context).received().length, 0, 'nothing was sent')
}

const lineBreaks = ['\r\n', '\n', '\r', '\0', '\u2028', '\u0085'].map(
  (character) => `a${character}Bcc: ${eve}`,
)

const sending: readonly Behaviour<Mailer>[] = [
  {
    id: 'send/arrives',
    sentence:
      'A mail arrives with its sender, recipient, subject and text, and the receipt names the recipient.',
    needs: ['inside'],
    async check(context) {
      const receipt = await context.port.send(hello)
      assert.deepEqual(receipt.accepted, [ada])
      assert.deepEqual(receipt.refused, [])
      const [mail] = inside(context).received()
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
      assert.deepEqual(inside(context).received()[0]?.recipients, [ada, bob])
    },
  },
  {
    id: 'send/keeps-the-message-id',
    sentence: 'A message id that is given is in the receipt and in the mail.',
    needs: ['inside'],
    async check(context) {
      const messageId = '<order-7.confirmation@example.com>'
      assert.equal((await context.port.send({ ...hello, messageId })).messageId, messageId)
      assert.equal(inside(context).received()[0]?.message.messageId, messageId)
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
        inside(context)
          .received()
          .map(({ message }) => message.messageId),
        [first.messageId, second.messageId],
      )
    },
  },
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
      const [mail] = inside(context).received()
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
      const received = inside(context).received()
      assert.deepEqual(received.map(({ message }) => message.subject).toSorted(), subjects.toSorted())
      for (const { message } of received) sameText(message.text, message.subject)
    },
  },
]

const refusing: readonly Behaviour<Mailer>[] = [
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
      assert.deepEqual(inside(context).received()[0]?.recipients, [ada])
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
      assert.equal(inside(context).received().length, 0)
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
      assert.equal(inside(context).received().length, 0)
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
]

const badInput: readonly Behaviour<Mailer>[] = [
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
          const before = inside(context).received().length
          try {
            await context.port.send(message)
          } catch (error) {
            assert.ok(PortError.is(error) && error.code === 'invalid-argument', String(error))
            assert.equal(inside(context).received().length, before)
            return
          }
          const mail = inside(context).received().at(-1)
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

const forced: readonly (readonly [PortErrorCode, boolean])[] = [
  ['unavailable', true],
  ['rate-limited', true],
  ['unauthenticated', false],
  ['permission-denied', false],
  ['quota-exceeded', false],
  ['unsupported', false],
]

const failing: readonly Behaviour<Mailer>[] = [
  ...forced.map(
    ([error, retryable]): Behaviour<Mailer> => ({
      id: `errors/${error}`,
      sentence: `A server that refuses so is ${error}, not applied, and the next mail goes through.`,
      needs: ['force', 'inside'],
      async check(context) {
        context.force?.('send', { error })
        const expected = { outcome: 'not-applied', retryable, operation: 'send', subject: ada } as const
        await expectPortError(context.port.send(hello), error, expected)
        assert.equal(inside(context).received().length, 0)
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
      assert.equal(inside(context).received().length, 0)
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
        inside(context)
          .received()
          .map(({ message }) => message.messageId),
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
      const arrived = inside(context)
        .received()
        .map(({ message }) => message.messageId)
      for (const [messageId, outcome] of told) {
        const times = arrived.filter((one) => one === messageId).length
        if (outcome === 'not-applied') assert.equal(times, 0, messageId)
        else if (outcome === 'applied') assert.equal(times, 1, messageId)
        else assert.ok(times <= 1, messageId)
      }
    },
  },
]

/** The contract of {@link Mailer}. */
export const mailerContract: Contract<Mailer> = defineContract(Mailer, [
  ...commonBehaviours(Mailer, { send: (port, options) => port.send(hello, options) }),
  ...sending,
  ...refusing,
  ...badInput,
  ...failing,
])
