import { describe, expect, test } from 'vitest'
import { type CorsRule, corsHeaders, preflight, readCorsRules, writeCorsRules } from './cors.ts'

const rules: readonly CorsRule[] = [
  {
    id: 'upload',
    allowedOrigins: ['https://*.example.com'],
    allowedMethods: ['PUT', 'POST'],
    allowedHeaders: ['Content-*', 'x-amz-date'],
    exposeHeaders: ['ETag', 'x-amz-request-id'],
    maxAgeSeconds: 600,
  },
  { allowedOrigins: ['*'], allowedMethods: ['GET'], allowedHeaders: [], exposeHeaders: [] },
]
const ask = (origin: string, method: string, asked?: string): Record<string, string> => ({
  origin,
  'access-control-request-method': method,
  ...(asked !== undefined && { 'access-control-request-headers': asked }),
})
const read = (xml: string): readonly CorsRule[] =>
  readCorsRules(Buffer.from(`<CORSConfiguration>${xml}</CORSConfiguration>`))

describe('rules', () => {
  test('are read as they were written', () => {
    expect(readCorsRules(Buffer.from(writeCorsRules(rules)))).toEqual(rules)
  })

  const get = '<AllowedMethod>GET</AllowedMethod>'
  const any = '<AllowedOrigin>*</AllowedOrigin>'
  test.each([
    ['nothing', '', 'MalformedXML'],
    ['no origin', `<CORSRule>${get}</CORSRule>`, 'MalformedXML'],
    ['no method', `<CORSRule>${any}</CORSRule>`, 'MalformedXML'],
    ['an element we do not know', `<CORSRule>${any}${get}<Allow/></CORSRule>`, 'MalformedXML'],
    ['more than a hundred', `<CORSRule>${any}${get}</CORSRule>`.repeat(101), 'MalformedXML'],
    [
      'no number of seconds',
      `<CORSRule>${any}${get}<MaxAgeSeconds>x</MaxAgeSeconds></CORSRule>`,
      'MalformedXML',
    ],
    ['another method', `<CORSRule>${any}<AllowedMethod>PATCH</AllowedMethod></CORSRule>`, 'InvalidRequest'],
    ['two stars', `<CORSRule><AllowedOrigin>*.*</AllowedOrigin>${get}</CORSRule>`, 'InvalidRequest'],
    ['a star to expose', `<CORSRule>${any}${get}<ExposeHeader>*</ExposeHeader></CORSRule>`, 'InvalidRequest'],
  ])('with %s are refused', (_, xml, code) => {
    expect(() => read(xml)).toThrow(expect.objectContaining({ code }))
  })
})

describe('a preflight', () => {
  test('is allowed by the first rule that takes origin, method and every header', () => {
    const headers = ask('https://app.example.com', 'PUT', 'Content-Type, X-Amz-Date')
    expect(preflight({ headers }, rules)).toEqual({
      status: 200,
      headers: {
        'access-control-allow-origin': 'https://app.example.com',
        'access-control-allow-methods': 'PUT, POST',
        'access-control-allow-headers': 'content-type, x-amz-date',
        'access-control-expose-headers': 'ETag, x-amz-request-id',
        'access-control-max-age': '600',
        'access-control-allow-credentials': 'true',
        vary: 'Origin, Access-Control-Request-Headers, Access-Control-Request-Method',
      },
    })
  })

  test('is for every origin where the rule is, and then without credentials', () => {
    expect(preflight({ headers: ask('https://a.test', 'GET') }, rules).headers).toEqual({
      'access-control-allow-origin': '*',
      'access-control-allow-methods': 'GET',
      vary: 'Origin, Access-Control-Request-Headers, Access-Control-Request-Method',
    })
  })

  test.each([
    ['of an origin that is not allowed', ask('https://example.org', 'PUT')],
    ['of an origin that only ends in the pattern', ask('https://.example.com.evil', 'PUT')],
    ['for a method that is not allowed', ask('https://app.example.com', 'DELETE')],
    ['for a header that is not allowed', ask('https://app.example.com', 'PUT', 'content-type, x-other')],
    ['for a header where none is', ask('https://a.test', 'GET', 'x-other')],
  ])('%s is refused', (_, headers) => {
    expect(() => preflight({ headers }, rules)).toThrow(
      expect.objectContaining({ code: 'AccessForbidden', status: 403 }),
    )
  })

  test('is refused where there are no rules, and where it is none', () => {
    expect(() => preflight({ headers: ask('https://a.test', 'GET') }, undefined)).toThrow(/not enabled/)
    expect(() => preflight({ headers: {} }, rules)).toThrow(expect.objectContaining({ status: 400 }))
    expect(() => preflight({ headers: { origin: 'https://a.test' } }, rules)).toThrow(/null/)
    expect(() => preflight({ headers: ask('https://a.test', 'PATCH') }, rules)).toThrow(/PATCH/)
  })
})

describe('other requests', () => {
  test('of an origin that is allowed are told so', () => {
    const headers = { origin: 'https://app.example.com' }
    expect(corsHeaders({ method: 'PUT', headers }, rules)).toMatchObject({
      'access-control-allow-origin': 'https://app.example.com',
    })
  })

  test('of no origin, of another, or without rules are told nothing', () => {
    expect(corsHeaders({ method: 'GET', headers: {} }, rules)).toEqual({})
    expect(corsHeaders({ method: 'DELETE', headers: { origin: 'https://a.test' } }, rules)).toEqual({})
    expect(corsHeaders({ method: 'GET', headers: { origin: 'https://a.test' } }, undefined)).toEqual({})
  })
})
