import { NoSuchKey, NotFound, S3ServiceException } from '@aws-sdk/client-s3'
import { describe, expect, test } from 'vitest'
import type { Classification } from '../../src/adapter.ts'
import { classifyS3Error, codeOf, isMissingObject } from './errors.ts'

/** As the SDK makes it from an answer with an XML body; of an answer to HEAD the name is what the status gives. */
function answered(status: number, name: string, more: object = {}): Error {
  const $metadata = { httpStatusCode: status, requestId: 'TX123', attempts: 1, totalRetryDelay: 0 }
  return Object.assign(new S3ServiceException({ name, $fault: 'client', message: name, $metadata }), more)
}

/** As Node's sockets make it; the SDK adds its own metadata, without a status. */
function socket(code: string, message = code): Error {
  return Object.assign(new Error(message), { code, $metadata: { attempts: 1, totalRetryDelay: 0 } })
}

function timeout(message: string): Error {
  return Object.assign(new Error(message), { name: 'TimeoutError' })
}

const $metadata = { httpStatusCode: 404 }

const table: readonly (readonly [what: string, error: unknown, expected: Partial<Classification>])[] = [
  [
    'GET of an absent key',
    new NoSuchKey({ message: 'The specified key does not exist.', $metadata }),
    { code: 'not-found' },
  ],
  ['HEAD of an absent key', new NotFound({ message: 'UnknownError', $metadata }), { code: 'not-found' }],
  ['a missing bucket', answered(404, 'NoSuchBucket'), { code: 'not-found', reason: 'no-such-bucket' }],
  ['an upload that is gone', answered(404, 'NoSuchUpload'), { code: 'not-found' }],
  [
    'If-Match or If-None-Match on a write',
    answered(412, 'PreconditionFailed'),
    { code: 'precondition-failed', reason: undefined },
  ],
  ['a condition of a HEAD', answered(412, '412'), { code: 'precondition-failed' }],
  ['not modified', answered(304, 'NotModified'), { code: 'precondition-failed', reason: 'not-modified' }],
  [
    'not modified, without a name',
    answered(304, '304'),
    { code: 'precondition-failed', reason: 'not-modified' },
  ],
  [
    'not modified, as the SDK calls it',
    answered(304, 'UnknownError'),
    { code: 'precondition-failed', reason: 'not-modified' },
  ],
  [
    'a concurrent conditional write',
    answered(409, 'ConditionalRequestConflict'),
    { code: 'conflict', retryable: undefined },
  ],
  ['a concurrent change of the bucket', answered(409, 'OperationAborted'), { code: 'conflict' }],
  ['no permission', answered(403, 'AccessDenied'), { code: 'permission-denied' }],
  ['a HEAD without permission', answered(403, 'Forbidden'), { code: 'permission-denied' }],
  ['a HEAD without permission, without a name', answered(403, '403'), { code: 'permission-denied' }],
  [
    'a wrong secret',
    answered(403, 'SignatureDoesNotMatch'),
    { code: 'unauthenticated', retryable: undefined },
  ],
  ['an unknown access key', answered(403, 'InvalidAccessKeyId'), { code: 'unauthenticated' }],
  ['an expired token', answered(400, 'ExpiredToken'), { code: 'unauthenticated' }],
  ['a wrong clock', answered(403, 'RequestTimeTooSkewed'), { code: 'unauthenticated', retryable: true }],
  ['another region', answered(301, 'PermanentRedirect'), { code: 'rejected', reason: 'wrong-region' }],
  [
    'another region, signed',
    answered(400, 'AuthorizationHeaderMalformed'),
    { code: 'rejected', reason: 'wrong-region' },
  ],
  [
    'a range outside',
    answered(416, 'InvalidRange', { ActualObjectSize: '10' }),
    {
      code: 'invalid-argument',
      reason: 'range-not-satisfiable',
      details: { status: '416', code: 'InvalidRange', requestId: 'TX123', size: '10' },
    },
  ],
  ['a key that is too long', answered(400, 'KeyTooLongError'), { code: 'invalid-argument' }],
  ['too much metadata', answered(400, 'MetadataTooLarge'), { code: 'invalid-argument' }],
  ['a body that is too large', answered(400, 'EntityTooLarge'), { code: 'invalid-argument' }],
  ['a body damaged on the way', answered(400, 'BadDigest'), { code: 'corrupt' }],
  ['a limit of the account', answered(403, 'QuotaExceeded'), { code: 'quota-exceeded' }],
  ['too many requests', answered(503, 'SlowDown'), { code: 'rate-limited', outcome: 'not-applied' }],
  ['too many requests elsewhere', answered(429, 'TooManyRequests'), { code: 'rate-limited' }],
  [
    'a body that came too slowly',
    answered(400, 'RequestTimeout'),
    { code: 'unavailable', outcome: 'not-applied' },
  ],
  ['what a server lacks', answered(501, 'NotImplemented'), { code: 'unsupported' }],
  ['an unknown refusal', answered(418, 'Teapot'), { code: 'rejected', outcome: 'not-applied' }],
  ['a failure inside', answered(500, 'InternalError'), { code: 'unavailable', outcome: 'unknown' }],
  ["a proxy's failure", answered(502, 'UnknownError'), { code: 'unavailable', outcome: 'unknown' }],
  ['nothing listening', socket('ECONNREFUSED'), { code: 'unavailable', outcome: 'not-applied' }],
  ['no such host', socket('ENOTFOUND'), { code: 'unavailable', outcome: 'not-applied' }],
  ['no answer from DNS', socket('EAI_AGAIN'), { code: 'unavailable', outcome: 'not-applied' }],
  [
    'a connection that does not come about',
    timeout(
      '@smithy/node-http-handler - the request socket did not establish a connection with the server within the configured timeout of 5000 ms.',
    ),
    { code: 'unavailable', outcome: 'not-applied' },
  ],
  [
    'a silent connection',
    timeout('@smithy/node-http-handler - the request socket timed out after 120000 ms of inactivity'),
    { code: 'unavailable', outcome: 'unknown' },
  ],
  ['a connection cut', socket('ECONNRESET', 'socket hang up'), { code: 'unavailable', outcome: 'unknown' }],
  ['a connection cut while sending', socket('EPIPE'), { code: 'unavailable', outcome: 'unknown' }],
  [
    'an untrusted certificate',
    socket('DEPTH_ZERO_SELF_SIGNED_CERT'),
    { code: 'unavailable', outcome: 'not-applied', retryable: false },
  ],
  [
    'a damaged download',
    new Error('Checksum mismatch: expected "a" but received "b" in response header "x-amz-checksum-crc32".'),
    { code: 'corrupt' },
  ],
  [
    'no credentials',
    Object.assign(new Error('Could not load credentials from any providers'), {
      name: 'CredentialsProviderError',
    }),
    { code: 'unauthenticated', outcome: 'not-applied' },
  ],
  [
    'an answer that is no XML',
    Object.assign(new SyntaxError('Unexpected token'), { $metadata: { httpStatusCode: 200 } }),
    { code: 'unavailable', outcome: 'unknown' },
  ],
]

describe('what an error means', () => {
  test.each(table)('%s', (_, error, expected) => {
    const known = classifyS3Error(error)
    for (const [field, value] of Object.entries(expected)) {
      expect(known?.[field as keyof Classification], field).toEqual(value)
    }
  })

  test('every answer below 500 that is an error says that nothing was done', () => {
    for (const [what, error, expected] of table) {
      const status = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode
      if (status === undefined || status < 300 || status >= 500) continue
      expect(classifyS3Error(error)?.outcome, what).toBe('not-applied')
      expect(expected.outcome ?? 'not-applied', what).toBe('not-applied')
    }
  })

  test('what is none of it is left to others', () => {
    for (const error of [new TypeError('x is not a function'), 'text', 7, null, undefined, {}]) {
      expect(classifyS3Error(error)).toBeUndefined()
    }
  })

  test('a message holds nothing of what the service wrote', () => {
    const error = answered(403, 'SignatureDoesNotMatch', { message: 'canary', StringToSign: 'canary' })
    expect(JSON.stringify(classifyS3Error(error))).not.toContain('canary')
  })
})

test('an absent object is told from an absent bucket where the answer has a body', () => {
  expect(isMissingObject(answered(404, 'NoSuchKey'))).toBe(true)
  expect(isMissingObject(answered(404, 'NotFound'))).toBe(true)
  expect(isMissingObject(answered(404, '404'))).toBe(true)
  expect(isMissingObject(answered(404, 'NoSuchBucket'))).toBe(false)
  expect(isMissingObject(answered(403, 'AccessDenied'))).toBe(false)
  expect(isMissingObject(socket('ECONNREFUSED'))).toBe(false)
  expect(codeOf(answered(412, '412'))).toBe('PreconditionFailed')
})
