import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readMail } from './mime.ts'

function read(...lines: readonly string[]): ReturnType<typeof readMail> {
  return readMail(Buffer.from(lines.join('\r\n'), 'latin1'), 'envelope@example.com', ['ada@example.org'])
}

describe('a mail of another client', () => {
  test('with headers folded, encoded and in any case', () => {
    const mail = read(
      'FROM: =?ISO-8859-1?Q?J=FCrgen?= <j@example.com>',
      'to: "Lovelace, Ada" <ada@example.org>,',
      '\tBob <bob@example.org>',
      'Subject: =?utf-8?B?R3LDvA==?=',
      ' =?utf-8?Q?=C3=9Fe_aus?= K',
      'Message-Id:  <1@example.com> ',
      'X-Mailer: old',
      '',
      'Body',
      '',
    )
    expect(mail).toMatchObject({
      from: { address: 'j@example.com', name: 'Jürgen' },
      to: [
        { address: 'ada@example.org', name: 'Lovelace, Ada' },
        { address: 'bob@example.org', name: 'Bob' },
      ],
      subject: 'Grüße aus K',
      messageId: '<1@example.com>',
      headers: { 'X-Mailer': 'old' },
      text: 'Body',
    })
    expect(mail.bcc).toBeUndefined()
  })

  test('with nothing but a text', () => {
    expect(read('', 'just text')).toEqual({
      from: 'envelope@example.com',
      bcc: ['ada@example.org'],
      subject: '',
      text: 'just text',
    })
  })

  test('with nothing at all', () => {
    expect(read()).toMatchObject({ from: 'envelope@example.com', subject: '', text: '' })
  })

  test('in another character set, and in one that no one knows', () => {
    const of = (charset: string, ...body: string[]) =>
      read(`Content-Type: text/plain; charset=${charset}`, '', ...body)
    expect(of('iso-8859-1', 'Gr\u00fc\u00dfe').text).toBe('Grüße')
    expect(of('"windows-1252"', '\u0080 5').text).toBe('€ 5')
    expect(of('x-unheard-of', 'plain').text).toBe('plain')
  })

  test('with parts in parts, text before and after them, and an end that never comes', () => {
    const mail = read(
      'Content-Type: multipart/mixed; boundary="a b"',
      '',
      'for old clients',
      '--a b',
      'Content-Type: multipart/alternative; boundary=c',
      '',
      '--c',
      '',
      'the text',
      '--c',
      'Content-Type: text/html',
      'Content-Transfer-Encoding: quoted-printable',
      '',
      '<p>=C3=A4 soft=',
      'break</p>   ',
      '--c--',
      '--a b',
      'Content-Type: text/plain; name="notes.txt"',
      'Content-Disposition: attachment',
      '',
      'a',
      'b',
      '--a b',
      'Content-Type: application/x-thing',
      'Content-Disposition: attachment; filename*0*=utf-8\'\'%E2%82%AC; filename*1=" b.bin"',
      'Content-Transfer-Encoding: BASE64',
      '',
      'AAEC',
      '/w==',
    )
    expect(mail.text).toBe('the text')
    expect(mail.html).toBe('<p>ä softbreak</p>')
    expect(mail.attachments).toEqual([
      { filename: 'notes.txt', content: Uint8Array.from(Buffer.from('a\r\nb')), contentType: 'text/plain' },
      { filename: '€ b.bin', content: Uint8Array.of(0, 1, 2, 255), contentType: 'application/x-thing' },
    ])
  })

  test('with parts in parts without end is read, not followed', () => {
    const nested = Array.from({ length: 200 }, () => [
      'Content-Type: multipart/mixed; boundary=x',
      '',
      '--x',
    ]).flat()
    expect(read(...nested, '', 'deep')).toBeDefined()
  })

  test('of any bytes at all is read in some way', () => {
    const line = fc.constantFrom(
      'Content-Type: multipart/mixed; boundary=x',
      '--x',
      '--x--',
      '',
      'Subject: =?utf-8?q?=',
      'To: <"',
    )
    fc.assert(
      fc.property(
        fc.array(fc.oneof(line, fc.string({ unit: 'binary', maxLength: 40 })), { maxLength: 30 }),
        (lines) => {
          expect(read(...lines)).toHaveProperty('subject')
        },
      ),
    )
  })
})
