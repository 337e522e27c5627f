import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { openPageToken, sealPageToken } from './page-token.ts'

const query = fc.array(fc.option(fc.string(), { nil: undefined }), { minLength: 3, maxLength: 3 })

test('a token opens to its cursor with its own query', () => {
  fc.assert(
    fc.property(query, fc.string({ unit: 'binary' }), (own, cursor) => {
      expect(openPageToken(own, sealPageToken(own, cursor))).toBe(cursor)
    }),
  )
})

test('a token of another query is invalid-argument', () => {
  fc.assert(
    fc.property(query, query, fc.string(), (own, other, cursor) => {
      fc.pre(JSON.stringify(own) !== JSON.stringify(other))
      expect(() => openPageToken(other, sealPageToken(own, cursor))).toThrow(/another query/)
    }),
  )
})

test('an absent part of a query is not the empty one', () => {
  expect(() => openPageToken([undefined], sealPageToken([''], 'cursor'))).toThrow(/another query/)
})

test('anything else is invalid-argument', () => {
  const json = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  for (const token of [
    '',
    'x',
    '%',
    json({}),
    json([]),
    json(['a', 7]),
    json([7, 'a']),
    json(['a', 'b', 'c']),
  ]) {
    expect(() => openPageToken([], token)).toThrow(/none of this service/)
  }
  fc.assert(
    fc.property(fc.string(), (token) => {
      expect(() => openPageToken([], token)).toThrow()
    }),
  )
})
