import { describe, expect, test } from 'vitest'
import { errorReply, errorXml, isS3ErrorCode, S3Error } from './errors.ts'

const ids = { requestId: '0A1B', hostId: 'host+id=' }

describe('an error', () => {
  test('is answered in the XML of S3, with its fields in order and its numbers in the headers too', () => {
    const error = new S3Error('NoSuchKey', { fields: { Key: 'a&b', Size: 3 } })
    expect(errorReply(error, { method: 'GET' }, ids)).toEqual({
      status: 404,
      headers: { 'content-type': 'application/xml', 'x-amz-request-id': '0A1B', 'x-amz-id-2': 'host+id=' },
      body:
        '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message>' +
        '<Key>a&amp;b</Key><Size>3</Size><RequestId>0A1B</RequestId><HostId>host+id=</HostId></Error>',
    })
    expect(errorXml(error, ids)).toBe(errorReply(error, { method: 'GET' }, ids).body)
  })

  test('has no body in answer to HEAD, and none and no type where nothing was modified', () => {
    expect(errorReply(new S3Error('NoSuchKey'), { method: 'HEAD' }, ids)).not.toHaveProperty('body')
    const headers = { etag: '"a"' }
    expect(errorReply(new S3Error('NotModified', { headers }), { method: 'GET' }, ids)).toEqual({
      status: 304,
      headers: { etag: '"a"', 'x-amz-request-id': '0A1B', 'x-amz-id-2': 'host+id=' },
    })
  })

  test.each([
    ['SlowDown', 503],
    ['InternalError', 500],
    ['RequestTimeout', 400],
    ['RequestTimeTooSkewed', 403],
    ['SignatureDoesNotMatch', 403],
    ['InvalidAccessKeyId', 403],
    ['ExpiredToken', 400],
    ['EntityTooLarge', 400],
    ['OperationAborted', 409],
    ['MissingContentLength', 411],
    ['PreconditionFailed', 412],
    ['InvalidRange', 416],
    ['NotImplemented', 501],
  ] as const)('%s has the status %i', (code, status) => {
    expect(new S3Error(code).status).toBe(status)
  })

  test('takes another status and message where they are known better', () => {
    const error = new S3Error('InvalidRequest', { status: 409, message: 'so it is' })
    expect(error).toMatchObject({ status: 409, message: 'so it is', code: 'InvalidRequest' })
  })

  test('is known by a code of the table, and by no other', () => {
    expect(isS3ErrorCode('SlowDown')).toBe(true)
    expect(isS3ErrorCode('constructor')).toBe(false)
  })
})
