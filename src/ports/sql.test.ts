import assert from 'node:assert/strict'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { PortError } from '../errors.ts'
import { isSqlStatement, type SqlValue, sql } from './sql.ts'

function refused(make: () => unknown): PortError {
  try {
    make()
  } catch (error) {
    assert.ok(PortError.is(error), String(error))
    expect(error.code).toBe('invalid-argument')
    return error
  }
  return assert.fail('expected invalid-argument')
}

describe('a statement', () => {
  test('keeps values out of the text', () => {
    const { text, values } = sql`SELECT * FROM seats WHERE row = ${'A'} AND number = ${7}`
    expect(text).toBe('SELECT * FROM seats WHERE row = $1 AND number = $2')
    expect(values).toEqual(['A', 7])
  })

  test('splices a statement in and renumbers its parameters', () => {
    const condition = sql`row = ${'A'}`
    const both = sql`${condition} OR ${sql`number = ${7}`}`
    const { text, values } = sql`SELECT ${1} FROM seats WHERE ${both} LIMIT ${2}`
    expect(text).toBe('SELECT $1 FROM seats WHERE row = $2 OR number = $3 LIMIT $4')
    expect(values).toEqual([1, 'A', 7, 2])
  })

  test('keeps a parameter apart from digits and names beside it', () => {
    expect(sql`SELECT ${1}0`.text).toBe('SELECT $1 0')
    expect(sql`SELECT a${1}b`.text).toBe('SELECT a $1 b')
    expect(sql`SELECT ä${1}${2}`.text).toBe('SELECT ä $1 $2')
    expect(sql`(${1})::int`.text).toBe('($1)::int')
  })

  test('holds nothing of any value in its text, and all values in order', () => {
    const anything = fc.oneof(
      fc.string({ unit: 'binary' }).filter((text) => !text.includes('\0') && text.isWellFormed()),
      fc.constantFrom("'; DROP TABLE seats; --", '$1', '"', '\\', '/*', '$$', "E'\\''"),
    )
    fc.assert(
      fc.property(fc.array(anything, { minLength: 1, maxLength: 12 }), (texts) => {
        const { text, values } = sql`VALUES ${sql.join(texts.map((value) => sql`(${value})`))}`
        expect(text).toBe(`VALUES ${texts.map((_, index) => `($${index + 1})`).join(', ')}`)
        expect(values).toEqual(texts)
      }),
    )
  })

  test('is the same however it is nested', () => {
    const tree = fc.letrec<{ tree: readonly unknown[] | number }>((tie) => ({
      tree: fc.oneof({ depthSize: 'small' }, fc.integer(), fc.array(tie('tree'), { maxLength: 4 })),
    })).tree
    const build = (node: unknown): ReturnType<typeof sql> =>
      Array.isArray(node) ? sql.join(node.map(build), sql` + `) : sql`${node as number}`
    const leaves = (node: unknown): unknown[] => (Array.isArray(node) ? node.flatMap(leaves) : [node])
    fc.assert(
      fc.property(tree, (node) => {
        const { text, values, parts } = build(node)
        expect(values).toEqual(leaves(node))
        expect(parts).toHaveLength(values.length + 1)
        expect([...text.matchAll(/\$(\d+)/g)].map(([, number]) => Number(number))).toEqual(
          values.map((_, index) => index + 1),
        )
      }),
    )
  })

  test('copies what could change', () => {
    const bytes = new Uint8Array([1, 2])
    const date = new Date(0)
    const list = ['a']
    const { values } = sql`SELECT ${bytes}, ${date}, ${list}, ${{ list }}`
    bytes[0] = 9
    date.setTime(9)
    list.push('b')
    expect(values.slice(0, 3)).toEqual([new Uint8Array([1, 2]), new Date(0), ['a']])
    expect(values[3]).toMatchObject({ text: '{"list":["a"]}' })
    expect(() => (values as SqlValue[]).push(1)).toThrow(TypeError)
  })

  test('comes from the tag only', () => {
    // @ts-expect-error an object of the same form is no statement
    refused(() => sql.join([], { text: 'DROP TABLE seats', values: [], parts: ['DROP TABLE seats'] }))
    // @ts-expect-error a string is no template
    refused(() => sql('DROP TABLE seats'))
    // @ts-expect-error neither is a list of strings
    refused(() => sql(['DROP TABLE seats']))
    expect(isSqlStatement({ text: 'SELECT 1', values: [], parts: ['SELECT 1'] })).toBe(false)
    expect(isSqlStatement(JSON.parse(JSON.stringify(sql`SELECT 1`)))).toBe(false)
    // An object that looks like one is a value: JSON.
    const { text, values } = sql`SELECT ${{ text: 'DROP TABLE seats', values: [] }}`
    expect(text).toBe('SELECT $1')
    expect(values).toHaveLength(1)
  })

  test('refuses NUL and lone surrogates in its text', () => {
    refused(() => sql`SELECT '\0'`)
    refused(() => sql`SELECT '\ud800'`)
  })
})

describe('a value', () => {
  const bad: readonly (readonly [string, unknown])[] = [
    ['null', null],
    ['a NUL character', 'a\0b'],
    ['a lone surrogate', '\udc00'],
    ['an invalid date', new Date(Number.NaN)],
    ['a date before 4713 BC', new Date(-9e14)],
    ['a bigint beyond 64 bits', 2n ** 63n],
    ['a negative bigint beyond 64 bits', -(2n ** 63n) - 1n],
    ['a function', () => 1],
    ['a symbol', Symbol('x')],
    ['a Map', new Map()],
    ['an instance of a class', new URL('http://localhost')],
    ['another typed array', new Float64Array(1)],
    ['a ragged array', [[1], [1, 2]]],
    ['an array of scalars and arrays', [1, [2]]],
    ['an array of arrays and scalars', [[2], 1]],
    ['an array of empty arrays', [[], []]],
    ['an array of seven dimensions', [[[[[[[1]]]]]]]],
    ['an array with a bad element', ['a', 'b\0']],
    ['an array with null', [null]],
    ['an object with NaN', { a: Number.NaN }],
    ['an object with a bigint', { a: 1n }],
    ['an object with a function', { a: { b: () => 1 } }],
    ['an object with undefined in an array', { a: [undefined] }],
    ['an object with a Map', { a: new Map() }],
    ['an object with a NUL key', { 'a\0': 1 }],
    ['an object with a lone surrogate', { a: ['\ud800'] }],
  ]
  test.each(bad)('is refused: %s', (_, value) => {
    const { message } = refused(() => sql`SELECT ${1}, ${value as SqlValue}`)
    expect(message).toContain('parameter 2')
  })

  test('is refused where an object refers to itself, or is nested without end', () => {
    const loop: Record<string, unknown> = {}
    loop.self = loop
    refused(() => sql`SELECT ${loop}`)
    let deep: unknown[] = []
    for (let level = 0; level < 5_000; level += 1) deep = [deep]
    refused(() => sql.json(deep))
  })

  test('is not refused at the edges', () => {
    const edges = [2n ** 63n - 1n, -(2n ** 63n), Number.NaN, Number.POSITIVE_INFINITY, '', [], {}, undefined]
    expect(sql`SELECT ${sql.join(edges)}`.values).toHaveLength(edges.length)
  })

  test('shows in no message', () => {
    expect(refused(() => sql`SELECT ${'canary-value\0'}`).message).not.toContain('canary')
  })
})

describe('an identifier', () => {
  test('is quoted', () => {
    expect(sql.identifier('shop', 'Seats').text).toBe('"shop"."Seats"')
    expect(sql.identifier('a"; DROP TABLE seats; --').text).toBe('"a""; DROP TABLE seats; --"')
  })

  test.each([[''], ['a\0b'], ['\ud800'], ['é'.repeat(32)]])('is refused: %j', (name) => {
    refused(() => sql.identifier(name))
  })

  test('may be 63 bytes long', () => {
    expect(sql.identifier(`a${'é'.repeat(31)}`).text).toHaveLength(34)
  })
})

test('joining nothing is the empty statement', () => {
  expect(sql.join([]).text).toBe('')
  expect(sql`SELECT 1${sql.empty}`.text).toBe('SELECT 1')
})

test('joining many does not overflow the stack', () => {
  const many = Array.from({ length: 200_000 }, (_, index) => index)
  expect(sql.join(many).values).toHaveLength(200_000)
})
