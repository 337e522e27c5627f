import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { sql } from '../ports/sql.ts'
import { any, differences, like, snapshot } from './match.ts'

const said = (expected: unknown, actual: unknown): string[] =>
  differences(expected, actual, 'it').map(({ path, ...rest }) => `${path}: ${rest.expected} | ${rest.actual}`)
const data = fc.anything({ withBigInt: true, withDate: true, withNullPrototype: true, withTypedArray: false })

describe('plain data', () => {
  test('matches its own copy, whatever it is', () => {
    fc.assert(
      fc.property(data, (value) => {
        expect(said(value, snapshot(value))).toEqual([])
        expect(said(snapshot(value), value)).toEqual([])
      }),
    )
  })

  test('does not match what has another value in one place, and that place is named', () => {
    const keys = fc.constantFrom('a', 'b', 'constructor', 'toString', '__proto__', 'two words')
    fc.assert(
      fc.property(fc.dictionary(keys, data), keys, (fields, key) => {
        const [wanted, given] = [withField(fields, key, 'one'), withField(fields, key, 'two')]
        const place = /\s/.test(key) ? `it['${key}']` : `it.${key}`

        expect(said(wanted, given)).toEqual([`${place}: 'one' | 'two'`])
        expect(said(wanted, withField(fields, key, undefined))).toEqual([`${place}: 'one' | nothing`])
        expect(said(withField(fields, key, undefined), given)).toEqual([`${place}: nothing | 'two'`])
      }),
    )
  })

  test('is copied so that later changes show in neither', () => {
    const value = { list: [1], bytes: Uint8Array.of(1), at: new Date(0) }
    const copy = snapshot(value)
    value.list.push(2)
    value.bytes.fill(9)
    value.at.setTime(5)

    expect(copy).toEqual({ list: [1], bytes: Uint8Array.of(1), at: new Date(0) })
  })

  test('that refers to itself is copied as it is, and what cannot be read is shared', () => {
    const ring: { self?: unknown } = {}
    ring.self = ring
    const copy = snapshot(ring) as typeof ring
    const hostile = {
      get field(): never {
        throw new Error('not to be read')
      },
    }

    expect(copy).not.toBe(ring)
    expect(copy.self).toBe(copy)
    expect(snapshot(hostile)).toBe(hostile)
  })
})

function withField(fields: object, key: string, value: unknown): object {
  return Object.fromEntries([...Object.entries(fields).filter(([name]) => name !== key), [key, value]])
}

describe('values', () => {
  test.each<[string, unknown, unknown]>([
    ['bytes and a buffer of the same', Uint8Array.of(1, 2), Buffer.from([1, 2])],
    ['dates of one instant', new Date(5), new Date(5)],
    ['addresses', new URL('https://example.com/a'), new URL('https://example.com/a')],
    ['no number', Number.NaN, Number.NaN],
    ['statements', sql`select ${1}`, sql`select ${1}`],
    ['sets', new Set([1]), new Set([1])],
    ['text by a sticky or global expression', /a/gy, 'abc'],
  ])('match: %s', (_, expected, actual) => {
    expect(said(expected, actual)).toEqual([])
    // An expression has a memory; a second look must not differ.
    expect(said(expected, actual)).toEqual([])
  })

  const stream = async function* () {}
  test.each<[string, unknown, unknown, string]>([
    ['types', 1, '1', "it: 1 | '1'"],
    ['nothing and null', undefined, null, 'it: nothing | null'],
    ['an array and its fields', [1], { 0: 1 }, "it: [ 1 ] | { '0': 1 }"],
    ['lengths of arrays', [1], [1, 2], 'it[1]: nothing | 2'],
    [
      'bytes',
      Uint8Array.of(1, 2, 3),
      Uint8Array.of(1, 9),
      'it, from byte 1 on: 3 bytes, 0x0203 | 2 bytes, 0x09',
    ],
    ['statements', sql`select ${1}`, sql`select ${2}`, 'it.values[0]: 1 | 2'],
    ['text and an expression', /^b/, 'abc', "it: /^b/ | 'abc'"],
    [
      'two streams, alike as they look',
      stream(),
      stream(),
      'it: Object [AsyncGenerator] {} | Object [AsyncGenerator] {}',
    ],
    ['two sets', new Set([1]), new Set([2]), 'it: Set(1) { 1 } | Set(1) { 2 }'],
    [
      'addresses',
      new URL('https://a.example/'),
      'https://a.example/',
      expect.stringContaining("| 'https://a.example/'"),
    ],
  ])('differ: %s', (_, expected, actual, difference) => {
    expect(said(expected, actual)).toEqual([difference])
  })

  test('that are long are shown around the place in which they differ', () => {
    const [text, other] = [`${'x'.repeat(500)}a${'y'.repeat(500)}`, `${'x'.repeat(500)}b${'y'.repeat(500)}`]

    expect(said(text, other)).toEqual([
      `it, from character 500 on: …'${'x'.repeat(20)}a${'y'.repeat(39)}'… | …'${'x'.repeat(20)}b${'y'.repeat(39)}'…`,
    ])
  })
})

describe('matchers', () => {
  test('any takes everything, like what has the fields', () => {
    fc.assert(
      fc.property(data, (value) => {
        expect(said(any(), value)).toEqual([])
      }),
    )
    expect(said(like({ a: 1 }), { a: 1, b: 2 })).toEqual([])
    expect(said(like({ a: 1, b: like({ c: 2 }) }), { a: 2, b: { c: 2, d: 3 } })).toEqual(['it.a: 1 | 2'])
    expect(said(like({ a: { b: 1 } }), { a: { b: 1, c: 2 } })).toEqual(['it.a.c: nothing | 2'])
    expect(said(like({ a: 1 }), 'text')).toEqual(["it: like({ a: 1 }) | 'text'"])
    expect(said(like({ constructor: any(), toString: 'x' }), {})).toEqual(["it.toString: 'x' | nothing"])
  })

  test('a predicate must answer true: a promise, or a forgotten return, is no yes', () => {
    const isOne = (value: unknown): boolean => value === 1
    expect(said(isOne, 1)).toEqual([])
    expect(said(isOne, 2)).toEqual(['it: what the predicate isOne takes | 2'])
    expect(said(() => {}, 1)).toEqual(['it: what the predicate takes (it answered nothing, not true) | 1'])
    expect(said(async () => true, 1)[0]).toMatch(/answered Promise/)
    const failing = () => {
      throw new Error('1 is not 2')
    }
    expect(said(failing, 1)).toEqual(['it: what the predicate failing takes (it threw: 1 is not 2) | 1'])
  })
})
