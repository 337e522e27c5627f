import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { languageOf, likeLanguage } from './pattern.ts'

describe('the texts of a pattern', () => {
  test.each([
    '^[A-Z]{3}$',
    '^[a-z]+[0-9]*$',
    '^(red|green|blue)-\\d{2,4}$',
    '^\\w+@\\w+\\.(com|org)$',
    '[0-9]{3}',
    '^(?:ab)?c+$',
    '^a+?b{2}?$',
    '^[^a-z ]{2}x{2,}$',
    '^a.b$',
    '^#[0-9A-Fa-f]{6}$',
  ])('%s are of it, and different from each other', (pattern) => {
    const language = languageOf(pattern)
    if (language === undefined) throw new Error('not understood')
    fc.assert(
      fc.property(fc.nat({ max: Math.min(language.size - 1, 2 ** 31 - 1) }), (index) => {
        const text = language.at(index)
        expect(text).toMatch(new RegExp(pattern))
        expect(text.length).toBeGreaterThanOrEqual(language.shortest)
        expect(text.length).toBeLessThanOrEqual(language.longest)
        expect(language.has?.(text)).toBe(true)
        expect(language.has?.(`${text}\u0000`)).toBe(false)
      }),
    )
    const first = Array.from({ length: Math.min(language.size, 2000) }, (_, index) => language.at(index))
    expect(new Set(first).size).toBe(first.length)
  })

  test('are counted', () => {
    expect(languageOf('^[a-c]{2}$')?.size).toBe(9)
    expect(languageOf('^(x|yz)?$')?.size).toBe(3)
    expect(languageOf('^[[:digit:]]$')?.size).toBe(10)
  })

  test('are no longer than a column holds', () => {
    expect(languageOf('^[a-z]+$', 3)?.longest).toBeLessThanOrEqual(3)
    expect(languageOf('^[a-z]{4}$', 3)).toBeUndefined()
    expect(likeLanguage('ab%', 4)?.longest).toBeLessThanOrEqual(4)
  })

  test('are as long as they have to be, where they can', () => {
    for (const [pattern, shortest, longest] of [
      ['^[a-z]+$', 6, 10],
      ['^[A-Z]{2,12}$', 6, 12],
      ['^[a-z]+-[0-9]*$', 20, 60],
      ['^a?b{3,}$', 5, 6],
    ] as const) {
      const language = languageOf(pattern, longest, shortest)
      expect(language?.shortest, pattern).toBeGreaterThanOrEqual(shortest)
      expect(language?.longest, pattern).toBeLessThanOrEqual(longest)
      expect(language?.at(0)).toMatch(new RegExp(pattern))
    }
    expect(likeLanguage('%@%', 40, 12)?.shortest).toBeGreaterThanOrEqual(12)
    // And as they are, where they cannot.
    expect(languageOf('^[a-z]{3}$', 10, 5)?.longest).toBe(3)
  })

  test.each(['(?=a)b', '(a)\\1', '^a$b', '\\bword', 'a{2', 'a?+', 'a**', '[a', '(a', '*', '^[z-a]$', '\\'])(
    'of %s are left to the database',
    (pattern) => expect(languageOf(pattern)).toBeUndefined(),
  )

  test('whatever a pattern says, reading it ends and does not throw', () => {
    const part = fc.constantFrom(
      'a',
      '[b-d]',
      '\\d',
      '(',
      ')',
      '|',
      '*',
      '+',
      '?',
      '{1,3}',
      '{',
      '^',
      '$',
      '[^x]',
      '.',
      '\\',
      '[:',
    )
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
        const language = languageOf(parts.join(''))
        if (language === undefined) return
        expect(language.size).toBeGreaterThan(0)
        expect(typeof language.at(0)).toBe('string')
      }),
    )
  })
})
