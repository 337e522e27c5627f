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
    ['example.org', 11],
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

  test('is never less than one for each character seen, and at most two for each code point', () => {
    const plain = fc.string({ unit: 'grapheme', maxLength: 40 }).filter((text) => !text.includes('://'))
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
  })
})
