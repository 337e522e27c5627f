import { describe, expect, test } from 'vitest'
import { classifyXError, XAnswerError, XApiError } from './errors.ts'

const problems = 'https://api.twitter.com/2/problems'
const now = Date.parse('2026-01-01T00:00:00Z')

describe('an answer of X', () => {
  test.each([
    [
      400,
      { title: 'Invalid Request', detail: 'One or more parameters was invalid.' },
      'invalid-argument',
      undefined,
    ],
    [401, { title: 'Unauthorized', detail: 'Unauthorized' }, 'unauthenticated', undefined],
    [
      403,
      {
        detail: 'You are not allowed to create a Tweet with duplicate content.',
        type: 'about:blank',
        title: 'Forbidden',
        status: 403,
      },
      'rejected',
      'duplicate',
    ],
    [
      403,
      { detail: 'You attempted to reply to a Tweet that is deleted or not visible to you.' },
      'rejected',
      'missing-post',
    ],
    [
      403,
      { detail: 'You are not allowed to create a Tweet with more than one cashtag.' },
      'rejected',
      'too-many-cashtags',
    ],
    [403, { detail: 'You are not permitted to perform this action.' }, 'permission-denied', undefined],
    [403, { type: `${problems}/client-forbidden` }, 'permission-denied', undefined],
    [403, undefined, 'permission-denied', undefined],
    [404, { title: 'Not Found' }, 'not-found', undefined],
    [429, { type: `${problems}/rate-limit-exceeded` }, 'rate-limited', undefined],
    [429, { type: `${problems}/usage-capped` }, 'quota-exceeded', undefined],
    [429, 'Too Many Requests', 'rate-limited', undefined],
    [302, undefined, 'internal', undefined],
    [418, undefined, 'internal', undefined],
    [501, undefined, 'unsupported', undefined],
  ])('of %i with %j is %s %s, not applied', (status, problem, code, reason) => {
    const classified = classifyXError(new XApiError(status, problem), now)
    expect(classified).toMatchObject({ code, outcome: 'not-applied' })
    expect(classified?.reason).toBe(reason)
  })

  test.each([500, 502, 503, 504])('of %i is unavailable and may have been applied', (status) => {
    const classified = classifyXError(new XApiError(status, undefined), now)
    expect(classified).toMatchObject({ code: 'unavailable', outcome: 'unknown' })
  })

  test.each([
    [now + 90_000, 90_000],
    [now - 5_000, 0],
    [undefined, undefined],
  ])('of 429 with a window that ends at %s asks to wait %s', (resetAtMs, retryAfterMs) => {
    expect(classifyXError(new XApiError(429, undefined, resetAtMs), now)?.retryAfterMs).toBe(retryAfterMs)
  })

  test.each([
    [true, 'applied'],
    [false, 'unknown'],
  ])('that makes no sense is corrupt (accepted: %s, so %s)', (accepted, outcome) => {
    const classified = classifyXError(new XAnswerError('no JSON', accepted), now)
    expect(classified).toMatchObject({ code: 'corrupt', outcome })
  })

  test('is told in short', () => {
    expect(new XApiError(400, { detail: 'x'.repeat(5_000) }).message.length).toBeLessThan(350)
    expect(new XApiError(400, { detail: { nested: true }, title: 7 }).message).toBe('X answered 400')
  })
})

describe('a failure of fetch', () => {
  const failed = (code: string): Error =>
    new TypeError('fetch failed', { cause: Object.assign(new Error(code), { code }) })

  test.each([
    ['ECONNREFUSED', 'not-applied', undefined],
    ['ENOTFOUND', 'not-applied', undefined],
    ['EAI_AGAIN', 'not-applied', undefined],
    ['UND_ERR_CONNECT_TIMEOUT', 'not-applied', undefined],
    ['CERT_HAS_EXPIRED', 'not-applied', false],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'not-applied', false],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'not-applied', false],
    ['ECONNRESET', 'unknown', undefined],
    ['EPIPE', 'unknown', undefined],
    ['UND_ERR_SOCKET', 'unknown', undefined],
    ['UND_ERR_HEADERS_TIMEOUT', 'unknown', undefined],
    ['UND_ERR_BODY_TIMEOUT', 'unknown', undefined],
  ])('with %s is unavailable and %s, retryable: %s', (code, outcome, retryable) => {
    const classified = classifyXError(failed(code), now)
    expect(classified).toMatchObject({ code: 'unavailable', outcome })
    expect(classified?.retryable).toBe(retryable)
    expect(classified?.message).toContain(code)
  })

  const attempt = (code: string): Error => Object.assign(new Error(code), { code })

  test.each([
    ['not-applied', ['ECONNREFUSED', 'ECONNREFUSED']],
    ['not-applied', ['ENETUNREACH', 'ECONNREFUSED']],
    ['unknown', ['ECONNREFUSED', 'ECONNRESET']],
  ])('at several addresses is %s after %j', (outcome, codes) => {
    const error = new TypeError('fetch failed', { cause: new AggregateError(codes.map(attempt)) })
    expect(classifyXError(error, now)).toMatchObject({ code: 'unavailable', outcome })
  })

  test('is read from however deep in the causes, and from no circle of them', () => {
    const deep = new TypeError('fetch failed', { cause: new Error('outer', { cause: attempt('ENOTFOUND') }) })
    expect(classifyXError(deep, now)).toMatchObject({ code: 'unavailable', outcome: 'not-applied' })
    const circle = new TypeError('fetch failed')
    circle.cause = circle
    expect(classifyXError(circle, now)).toMatchObject({ code: 'unavailable', outcome: 'unknown' })
  })

  test('of unknown cause is unavailable and unknown', () => {
    const classified = classifyXError(new TypeError('fetch failed'), now)
    expect(classified).toMatchObject({ code: 'unavailable', outcome: 'unknown' })
  })
})

test.each([[undefined], ['text'], [new Error('a bug')], [new TypeError('x is not a function')]])(
  '%s is none of its errors',
  (error) => {
    expect(classifyXError(error, now)).toBeUndefined()
  },
)
