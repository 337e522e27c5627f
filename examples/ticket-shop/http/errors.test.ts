import { PortError } from 'portside'
import { expect, test } from 'vitest'
import { ShopError } from '../shop/errors.ts'
import { errorAnswer } from './errors.ts'

test.each([
  ['bad-request', 400],
  ['not-logged-in', 401],
  ['not-allowed', 403],
  ['not-found', 404],
  ['sold-out', 409],
  ['seats-taken', 409],
  ['key-reused', 422],
] as const)('the shop’s %s is %i', (code, status) => {
  expect(errorAnswer(new ShopError(code, 'why'))).toEqual({
    status,
    headers: {},
    body: { error: { code, message: 'why' } },
  })
})

test('the problems of a bad request are told', () => {
  const { body } = errorAnswer(new ShopError('bad-request', 'why', ['body.name: is missing']))
  expect(body.error.problems).toEqual(['body.name: is missing'])
})

test.each([
  ['unavailable', undefined, '1'],
  ['timeout', undefined, '1'],
  ['conflict', undefined, '1'],
  ['closed', undefined, '1'],
  ['rate-limited', 2_400, '3'],
] as const)('a port’s %s passes: 503, to be sent again', (code, retryAfterMs, seconds) => {
  const answer = errorAnswer(new PortError({ code, message: 'host 10.0.0.7 is down', retryAfterMs }))
  expect(answer).toMatchObject({ status: 503, headers: { 'retry-after': seconds } })
  expect(JSON.stringify(answer)).not.toContain('10.0.0.7')
})

test.each([
  new PortError({ code: 'invalid-argument', message: 'column secret_plan' }),
  new PortError({ code: 'unauthenticated', message: 'secret_plan' }),
  new TypeError('secret_plan is undefined'),
  'secret_plan',
])('what is ours to mend is 500 and tells nothing', (error) => {
  const answer = errorAnswer(error)
  expect(answer.status).toBe(500)
  expect(JSON.stringify(answer)).not.toContain('secret_plan')
})
