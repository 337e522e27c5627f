import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { weightedLength } from './weighted-length.ts'

describe('the weighted length of a text', () => {
  test.each([
    ['', 0],
    ['plain text', 10],
    ['Grüße, Ελλάδα, Москва', 21],
    ['日本語', 6],
    ['“quoted” – and so on…', 22],
    ['👍', 2],
    ['👍🏽', 2],
    ['👨‍👩‍👧‍👦', 2],
    ['🇩🇪🇫🇷', 4],
    ['❤️', 2],
    ['1️⃣', 2],
    ['1⃣', 2],
    ['© 2026', 6],
    ['https://a.co', 23],
    ['HTTPS://EXAMPLE.ORG/', 23],
    ['see https://example.org/a/very/long/path?with=a&query=string#part', 27],
    ['https://example.org/a.', 24],
    ['(https://example.org/a_(b))', 25],
    ['https://münchen.example/straße', 23],
    ['https://example.org and http://example.com', 51],
    ['http://localhost/path', 21],
    ['mailto@https://example.org', 26],
    ['https://internal.corp', 23],
    ['example.org', 23],
    ['EXAMPLE.ORG', 23],
    ['example.org/a/very/long/path?with=a&query=string', 23],
    ['example.org?a=b', 27],
    ['example.org:8080', 28],
    ['example.org:8080/a', 23],
    ['see example.org.', 28],
    ['shop.example.org, example.com', 48],
    ['example.org.unknowntld', 34],
    ['日本語example.com日本語', 35],
    ['xn--mnchen-3ya.de/a', 23],
    ['a.xn--p1ai', 23],
    ['me@example.org', 14],
    ['user.name@example.org', 21],
    ['@example.org', 12],
    ['#example.org', 12],
    ['$example.org', 12],
    ['-example.org', 12],
    ['.example.org', 12],
    ['/example.org', 12],
    ['readme.md', 9],
    ['readme.md/raw', 23],
    ['www.readme.md', 23],
    ['t.co', 23],
    ['twitch.tv', 23],
    ['node.js and main.rs', 19],
    ['e.g. this, i.e. that', 20],
    ['1.5 or 2.0.1', 12],
    ['end.Start of another', 20],
    ['example.unknowntld', 18],
    ['example.community', 23],
    ['example.comm', 12],
  ])('%j is %i long', (text, length) => {
    expect(weightedLength(text)).toBe(length)
  })

  const word = fc.string({ unit: 'grapheme', maxLength: 40 })

  test('is the same for every normal form of a text', () => {
    fc.assert(
      fc.property(word, (text) => {
        expect(weightedLength(text.normalize('NFD'))).toBe(weightedLength(text.normalize('NFC')))
      }),
    )
  })

  test('adds up over words with spaces between', () => {
    fc.assert(
      fc.property(word, word, (a, b) => {
        expect(weightedLength(`${a} ${b}`)).toBe(weightedLength(a) + 1 + weightedLength(b))
      }),
    )
  })

  test('of a link is 23, whatever its path', () => {
    const segment = fc.stringMatching(/^[a-z0-9_-]{1,30}$/)
    fc.assert(
      fc.property(fc.array(segment, { maxLength: 20 }), (segments) => {
        expect(weightedLength(`https://example.org/${segments.join('/')}`)).toBe(23)
      }),
    )
  })

  test('of a bare domain is that of the same with a scheme', () => {
    const label = fc.stringMatching(/^[a-z][a-z0-9]{0,10}$/)
    const end = fc.constantFrom('com', 'org', 'de', 'co.uk', 'app', 'shop')
    fc.assert(
      fc.property(label, label, end, label, (sub, domain, top, page) => {
        const bare = `${sub}.${domain}.${top}/${page}`
        expect(weightedLength(bare)).toBe(weightedLength(`https://${bare}`))
        expect(weightedLength(`(${sub}.${domain}.${top})`)).toBe(25)
      }),
    )
  })

  test('is never less than one for each character seen, and at most two for each code point', () => {
    const plain = fc.string({ unit: 'grapheme', maxLength: 40 }).filter((text) => !text.includes('.'))
    const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' })
    fc.assert(
      fc.property(plain, (text) => {
        const normal = text.normalize('NFC')
        const length = weightedLength(text)
        expect(length).toBeGreaterThanOrEqual([...graphemes.segment(normal)].length)
        expect(length).toBeLessThanOrEqual(2 * [...normal].length)
      }),
    )
  })

  test('of a long text full of what looks like links is counted at once', () => {
    const nasty = `${'https://'.repeat(5_000)}${'a'.repeat(20_000)}${'.('.repeat(10_000)}`
    expect(weightedLength(nasty)).toBeGreaterThan(280)
    for (const part of ['a.', 'a-', '-a.', 'a.a-', 'a.co/', 'xn--', 'example.org', 'a.com:1', '..', 'ü.']) {
      expect(weightedLength(part.repeat(100_000 / part.length))).toBeGreaterThan(20)
    }
  })
})
