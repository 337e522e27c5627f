import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { literalsIn, readExpression, withValueNamed } from './expression.ts'

describe('an expression as PostgreSQL prints it', () => {
  test.each([
    ['(price >= 0)', { kind: 'compare', operator: '>=', left: { name: 'price' }, right: { text: '0' } }],
    [
      "((status)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[]))",
      { operator: '=', any: true, right: { items: [{ text: 'a' }, { text: 'b' }] } },
    ],
    [
      "(at > '2024-01-01 00:00:00+00'::timestamp with time zone)",
      { right: { text: '2024-01-01 00:00:00+00' } },
    ],
    ["(x > '-5'::integer)", { right: { text: '-5' } }],
    ['("Odd ""name" <> \'it\'\'s\'::text)', { left: { name: 'Odd "name' }, right: { text: "it's" } }],
    ["(code ~ E'^\\\\d$'::text)", { right: { text: '^\\d$' } }],
    [
      '((a IS NULL) OR (b < c))',
      { kind: 'or', terms: [{ kind: 'null-test', isNull: true }, { operator: '<' }] },
    ],
    ['(NOT (length(name) > 3))', { kind: 'not', term: { left: { kind: 'call', name: 'length' } } }],
  ])('%s is read', (text, expected) => expect(readExpression(text)).toMatchObject(expected))

  test.each([
    '(a + b > 3)',
    'CASE WHEN (a > 0) THEN (b > 0) ELSE true END',
    '((a % 7) = 3)',
    '(a > 0',
    "((doc ->> 'x'::text) = 'y'::text)",
    '',
  ])('%s is left to the database', (text) => expect(readExpression(text)).toBeUndefined())

  test('whatever it is, reading it does not throw', () => {
    const part = fc.constantFrom(
      'a',
      '(',
      ')',
      'AND',
      'OR',
      'NOT',
      "'t'",
      '5',
      '::',
      'text',
      '[',
      ']',
      ',',
      'ANY',
      'ARRAY',
      '=',
      '~',
      '"q"',
      '-',
      'IS',
      'NULL',
      "'",
    )
    fc.assert(
      fc.property(fc.array(part, { maxLength: 14 }), (parts) => {
        readExpression(parts.join(' '))
        literalsIn(parts.join(' '))
      }),
    )
  })

  test('of a domain says VALUE for the value, and elsewhere means something else by it', () => {
    expect(
      withValueNamed(`((VALUE > 0) AND ((VALUE)::text <> 'VALUE'::text) AND ("VALUE" > 1))`, '"c"'),
    ).toBe(`(("c" > 0) AND (("c")::text <> 'VALUE'::text) AND ("VALUE" > 1))`)
  })

  test('gives the values that it names', () => {
    expect(literalsIn("((kind = 'a'::text) OR (total > 5) OR (kind = 'a'::text))")).toEqual(['a', '5'])
  })
})
