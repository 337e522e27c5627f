import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { S3Error } from './errors.ts'
import { accessKeyId, type Recorder, region, secret, startRecorder } from './fixtures/recorder.ts'
import { authenticate, type SignatureContext } from './signature.ts'
import { amzDate, presign, type SignedRequest } from './signing.ts'

/** The key of the examples in AWS's documentation of Signature Version 4 for S3. */
const documented = { id: 'AKIAIOSFODNN7EXAMPLE', secret: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' }
const documentedDay = Date.UTC(2013, 4, 24)
const empty = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

function contextOf(options: Partial<SignatureContext> = {}): SignatureContext {
  const secrets = new Map([
    [documented.id, documented.secret],
    [accessKeyId, secret],
  ])
  return { secretOf: (id) => secrets.get(id), nowMs: Date.now(), ...options }
}

function refusal(request: SignedRequest, context: SignatureContext): S3Error {
  try {
    authenticate(request, context)
  } catch (error) {
    if (error instanceof S3Error) return error
    throw error
  }
  throw new Error('it was let in')
}

describe("the examples of AWS's documentation", () => {
  const context = contextOf({ nowMs: documentedDay, region: 'us-east-1' })
  const authorization = (names: string, signature: string): string =>
    `AWS4-HMAC-SHA256 Credential=${documented.id}/20130524/us-east-1/s3/aws4_request,SignedHeaders=${names},Signature=${signature}`
  const headers = {
    host: 'examplebucket.s3.amazonaws.com',
    'x-amz-content-sha256': empty,
    'x-amz-date': '20130524T000000Z',
  }
  const examples: readonly (readonly [string, SignedRequest])[] = [
    [
      'a range of an object',
      {
        method: 'GET',
        target: '/test.txt',
        headers: {
          ...headers,
          range: 'bytes=0-9',
          authorization: authorization(
            'host;range;x-amz-content-sha256;x-amz-date',
            'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
          ),
        },
      },
    ],
    [
      'an object with a dollar in its key',
      {
        method: 'PUT',
        target: '/test%24file.text',
        headers: {
          ...headers,
          'x-amz-content-sha256': '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072',
          date: 'Fri, 24 May 2013 00:00:00 GMT',
          'x-amz-storage-class': 'REDUCED_REDUNDANCY',
          authorization: authorization(
            'date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class',
            '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
          ),
        },
      },
    ],
    [
      'a query without a value',
      {
        method: 'GET',
        target: '/?lifecycle',
        headers: {
          ...headers,
          authorization: authorization(
            'host;x-amz-content-sha256;x-amz-date',
            'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543',
          ),
        },
      },
    ],
    [
      'a query in any order',
      {
        method: 'GET',
        target: '/?prefix=J&max-keys=2',
        headers: {
          ...headers,
          authorization: authorization(
            'host;x-amz-content-sha256;x-amz-date',
            '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
          ),
        },
      },
    ],
    [
      'a presigned URL',
      {
        method: 'GET',
        target: `/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${documented.id}%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404`,
        headers: { host: headers.host },
      },
    ],
  ]

  test.each(examples)('%s is let in', (_, request) => {
    expect(authenticate(request, context)).toMatchObject({ accessKeyId: documented.id })
  })

  test.each(examples)('%s is refused with another secret', (_, request) => {
    const error = refusal(request, { ...context, secretOf: () => 'another' })
    expect(error).toMatchObject({ code: 'SignatureDoesNotMatch', status: 403 })
    expect(error.fields).toMatchObject({ AWSAccessKeyId: documented.id })
    expect(error.fields.CanonicalRequest).toContain(request.method)
    expect(JSON.stringify(error.fields)).not.toContain('another')
  })

  test('the URL that presign makes is the documented one', () => {
    const url = presign({
      method: 'GET',
      url: `https://${headers.host}/test.txt`,
      accessKeyId: documented.id,
      secret: documented.secret,
      region: 'us-east-1',
      nowMs: documentedDay,
      expiresSeconds: 86_400,
    })
    expect(new URL(url).searchParams.get('X-Amz-Signature')).toBe(
      'aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404',
    )
  })
})

const keys = fc.oneof(
  fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' }),
  fc.string({ minLength: 1, maxLength: 40, unit: fc.constantFrom(..."/.+% ~()*!'?&=#a%2F") }),
)
const metadataValue = fc.string({ maxLength: 30, unit: fc.constantFrom(...'ab ,;:=\t"') })

describe("AWS's own client", () => {
  let recorder: Recorder
  beforeAll(async () => {
    recorder = await startRecorder()
  })
  afterAll(() => recorder[Symbol.asyncDispose]())

  test('is let in whatever the key, the metadata and the query hold', async () => {
    const wellFormed = keys.filter((key) => key.isWellFormed() && !key.includes('\0'))
    await fc.assert(
      fc.asyncProperty(wellFormed, metadataValue, async (key, value) => {
        const put = await recorder.record((client) =>
          client.send(new PutObjectCommand({ Bucket: 'b', Key: key, Body: 'x', Metadata: { v: value } })),
        )
        expect(authenticate(put, contextOf({ region }))).toMatchObject({ kind: 'header', accessKeyId })
        const list = await recorder.record((client) =>
          client.send(new ListObjectsV2Command({ Bucket: 'b', Prefix: key, Delimiter: value })),
        )
        expect(authenticate(list, contextOf({ region }))).toMatchObject({ kind: 'header' })
        const url = await getSignedUrl(recorder.client, new GetObjectCommand({ Bucket: 'b', Key: key }))
        const get = { method: 'GET', target: url.slice(recorder.origin.length), headers: hostOf(recorder) }
        expect(authenticate(get, contextOf({ region }))).toMatchObject({ kind: 'query' })
      }),
      // On a busy machine fewer runs, not none and not too late.
      { numRuns: 60, interruptAfterTimeLimit: 15_000 },
    )
  })

  test('is refused when anything it signed is changed on the way', async () => {
    const request = await recorder.record((client) =>
      client.send(
        new PutObjectCommand({ Bucket: 'bucket', Key: 'a/b', Body: 'x', Metadata: { owner: 'me' } }),
      ),
    )
    const { headers, target } = request
    const signed = /SignedHeaders=([^,]+)/.exec(headers.authorization ?? '')?.[1]?.split(';') ?? []
    expect(signed).toEqual(expect.arrayContaining(['host', 'x-amz-date', 'x-amz-meta-owner']))
    const changedHeaders = signed
      .filter((name) => name !== 'x-amz-date' && name !== 'x-amz-content-sha256')
      .map((name) => ({ ...request, headers: { ...headers, [name]: `${headers[name]}x` } }))
    const tampered: readonly SignedRequest[] = [
      { ...request, method: 'DELETE' },
      { ...request, target: target.replace('a/b', 'a/c') },
      { ...request, target: target.replace('a/b', 'a//b') },
      { ...request, target: target.replace('a/b', 'a/./b') },
      { ...request, target: target.replace('a/b', 'a%252Fb') },
      { ...request, target: `${target}&acl` },
      { ...request, target: target.replace('x-id=PutObject', 'x-id=DeleteObject') },
      { ...request, headers: { ...headers, 'x-amz-content-sha256': empty } },
      { ...request, headers: { ...headers, 'x-amz-date': amzDate(Date.now() + 60_000) } },
      { ...request, headers: { ...headers, 'x-amz-meta-owner': ' ' } },
      ...changedHeaders,
    ]
    for (const each of tampered) {
      expect(refusal(each, contextOf({ region })).code).toBe('SignatureDoesNotMatch')
    }
  })

  test('is refused when a header of S3 is put in that it has not signed', async () => {
    const request = await recorder.record((client) =>
      client.send(new GetObjectCommand({ Bucket: 'b', Key: 'k' })),
    )
    const added = { ...request, headers: { ...request.headers, 'x-amz-acl': 'public-read' } }
    expect(refusal(added, contextOf({ region }))).toMatchObject({
      code: 'AccessDenied',
      fields: { HeadersNotSigned: 'x-amz-acl' },
    })
  })

  test('is let in however its path is encoded, as long as it is the same key', async () => {
    const request = await recorder.record((client) =>
      client.send(new GetObjectCommand({ Bucket: 'b', Key: 'a~b/ü' })),
    )
    for (const path of ['/b/a%7Eb/%C3%BC', '/b/a~b/%c3%bc', '/b/%61~b/%C3%BC']) {
      const again = { ...request, target: request.target.replace(/^[^?]*/, path) }
      expect(authenticate(again, contextOf({ region })).kind).toBe('header')
    }
  })

  test('is refused once any character of a presigned URL is another', async () => {
    const url = await getSignedUrl(
      recorder.client,
      new PutObjectCommand({ Bucket: 'b', Key: 'some/key', ContentType: 'text/plain' }),
      { expiresIn: 60, signableHeaders: new Set(['content-type']) },
    )
    const target = url.slice(recorder.origin.length)
    const headers = { ...hostOf(recorder), 'content-type': 'text/plain' }
    const request = { method: 'PUT', target, headers }
    expect(authenticate(request, contextOf({ region })).kind).toBe('query')
    const wrongType = { ...request, headers: { ...headers, 'content-type': 'text/html' } }
    expect(refusal(wrongType, contextOf({ region })).code).toBe('SignatureDoesNotMatch')
    fc.assert(
      fc.property(fc.nat(target.length - 2), fc.constantFrom('0', 'z', '/'), (at, character) => {
        const changed = `${target.slice(0, at + 1)}${character}${target.slice(at + 2)}`
        fc.pre(decoded(changed) !== decoded(target))
        expect(verdictOf({ ...request, target: changed }, contextOf({ region }))).not.toBe('let in')
      }),
      { numRuns: 300 },
    )
  })
})

describe('presign', () => {
  const now = Date.UTC(2026, 0, 1)
  const options = { method: 'GET', accessKeyId, secret, region, nowMs: now, expiresSeconds: 60 }
  const requestOf = (url: string, headers = {}): SignedRequest => ({
    method: 'GET',
    target: url.slice('http://localhost:9000'.length),
    headers: { host: 'localhost:9000', ...headers },
  })

  test('makes URLs that are good until the second they expire', () => {
    const url = presign({ ...options, url: 'http://localhost:9000/b/k?versionId=null' })
    const at = (nowMs: number): SignatureContext => contextOf({ nowMs, region })
    expect(authenticate(requestOf(url), at(now + 59_999)).kind).toBe('query')
    expect(authenticate(requestOf(url), at(now - 15 * 60_000)).kind).toBe('query')
    expect(refusal(requestOf(url), at(now + 60_000))).toMatchObject({
      code: 'AccessDenied',
      message: 'Request has expired',
      fields: { 'X-Amz-Expires': 60, Expires: '2026-01-01T00:01:00Z', ServerTime: '2026-01-01T00:01:00Z' },
    })
    expect(refusal(requestOf(url), at(now - 15 * 60_000 - 1)).message).toBe('Request is not yet valid')
  })

  test('keeps the dots and slashes of a key', () => {
    const url = presign({ ...options, url: 'http://localhost:9000/b/a/../b//./c%20d' })
    expect(url).toContain('/b/a/../b//./c%20d?')
    expect(authenticate(requestOf(url), contextOf({ nowMs: now })).kind).toBe('query')
  })

  test('signs headers and a session token', () => {
    const headers = { 'content-type': 'text/plain', 'x-amz-acl': 'private' }
    const url = presign({ ...options, url: 'http://localhost:9000/b/k', headers, token: 'tok/en+' })
    const context = contextOf({ nowMs: now, tokenOf: () => 'tok/en+' })
    expect(authenticate(requestOf(url, headers), context).kind).toBe('query')
    expect(refusal(requestOf(url, { ...headers, 'x-amz-acl': 'public-read' }), context).code).toBe(
      'SignatureDoesNotMatch',
    )
    expect(refusal(requestOf(url, headers), { ...context, tokenOf: () => 'another' }).code).toBe(
      'InvalidToken',
    )
  })
})

describe('what is no good signature', () => {
  const now = Date.UTC(2026, 0, 1, 12)
  const context = contextOf({ nowMs: now, region: 'us-east-1' })
  const credential = `${documented.id}/20260101/us-east-1/s3/aws4_request`
  const authorization = (changed: Record<string, string> = {}): string =>
    `AWS4-HMAC-SHA256 ${Object.entries({
      Credential: credential,
      SignedHeaders: 'host;x-amz-content-sha256;x-amz-date',
      Signature: '0'.repeat(64),
      ...changed,
    })
      .filter(([, value]) => value !== '')
      .map(([name, value]) => `${name}=${value}`)
      .join(', ')}`
  const good = {
    host: 'localhost',
    'x-amz-date': '20260101T120000Z',
    'x-amz-content-sha256': 'UNSIGNED-PAYLOAD',
    authorization: authorization(),
  }
  const byHeader = (changed: Record<string, string | undefined>): SignedRequest => ({
    method: 'GET',
    target: '/b/k',
    headers: Object.fromEntries(
      Object.entries({ ...good, ...changed }).filter(([, value]) => value !== undefined),
    ) as Record<string, string>,
  })
  const byQuery = (changed: Record<string, string | undefined>): SignedRequest => ({
    method: 'GET',
    target: `/b/k?${Object.entries({
      'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
      'X-Amz-Credential': credential,
      'X-Amz-Date': '20260101T120000Z',
      'X-Amz-Expires': '60',
      'X-Amz-SignedHeaders': 'host',
      'X-Amz-Signature': '0'.repeat(64),
      ...changed,
    })
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => `${name}=${encodeURIComponent(value ?? '')}`)
      .join('&')}`,
    headers: { host: 'localhost' },
  })

  test.each([
    ['a wrong signature', byHeader({}), 'SignatureDoesNotMatch', 403, /calculated does not match/],
    ['another kind', byHeader({ authorization: 'Bearer x' }), 'InvalidArgument', 400, /Unsupported/],
    ['version 2', byHeader({ authorization: 'AWS id:sig' }), 'InvalidRequest', 400, /AWS4-HMAC-SHA256/],
    [
      'no credential',
      byHeader({ authorization: authorization({ Credential: '' }) }),
      'AuthorizationHeaderMalformed',
      400,
      /Credential/,
    ],
    [
      'no signature',
      byHeader({ authorization: authorization({ Signature: '' }) }),
      'AuthorizationHeaderMalformed',
      400,
      /Signature/,
    ],
    [
      'a credential in pieces',
      byHeader({ authorization: authorization({ Credential: 'id/x' }) }),
      'AuthorizationHeaderMalformed',
      400,
      /mal-formed/,
    ],
    [
      'another service',
      byHeader({ authorization: authorization({ Credential: credential.replace('/s3/', '/ec2/') }) }),
      'AuthorizationHeaderMalformed',
      400,
      /incorrect service "ec2"/,
    ],
    [
      'another region',
      byHeader({
        authorization: authorization({ Credential: credential.replace('us-east-1', 'eu-west-1') }),
      }),
      'AuthorizationHeaderMalformed',
      400,
      /the region 'eu-west-1' is wrong; expecting 'us-east-1'/,
    ],
    [
      'another day',
      byHeader({ authorization: authorization({ Credential: credential.replace('20260101', '20260102') }) }),
      'AuthorizationHeaderMalformed',
      400,
      /Invalid credential date/,
    ],
    [
      'an unknown key',
      byHeader({
        authorization: authorization({ Credential: credential.replace(documented.id, 'AKIDNONE') }),
      }),
      'InvalidAccessKeyId',
      403,
      /does not exist/,
    ],
    ['a token where there is none', byHeader({ 'x-amz-security-token': 'x' }), 'InvalidToken', 400, /token/],
    ['no date', byHeader({ 'x-amz-date': undefined }), 'AccessDenied', 403, /valid Date/],
    ['an old date', byHeader({ 'x-amz-date': '20260101T114459Z' }), 'RequestTimeTooSkewed', 403, /too large/],
    [
      'a date to come',
      byHeader({ 'x-amz-date': '20260101T121501Z' }),
      'RequestTimeTooSkewed',
      403,
      /too large/,
    ],
    [
      'no word on the payload',
      byHeader({ 'x-amz-content-sha256': undefined }),
      'InvalidRequest',
      400,
      /x-amz-content-sha256/,
    ],
    [
      'nonsense on the payload',
      byHeader({ 'x-amz-content-sha256': 'abc' }),
      'InvalidArgument',
      400,
      /valid sha256/,
    ],
    [
      'an unsigned host',
      byHeader({ authorization: authorization({ SignedHeaders: 'x-amz-content-sha256;x-amz-date' }) }),
      'AccessDenied',
      403,
      /not signed/,
    ],
    ['a wrong signature in the query', byQuery({}), 'SignatureDoesNotMatch', 403, /does not match/],
    [
      'no expiry',
      byQuery({ 'X-Amz-Expires': undefined }),
      'AuthorizationQueryParametersError',
      400,
      /requires the X-Amz-Algorithm/,
    ],
    [
      'no number',
      byQuery({ 'X-Amz-Expires': 'x' }),
      'AuthorizationQueryParametersError',
      400,
      /should be a number/,
    ],
    [
      'a negative expiry',
      byQuery({ 'X-Amz-Expires': '-1' }),
      'AuthorizationQueryParametersError',
      400,
      /non-negative/,
    ],
    [
      'more than a week',
      byQuery({ 'X-Amz-Expires': '604801' }),
      'AuthorizationQueryParametersError',
      400,
      /less than a week/,
    ],
    [
      'a malformed date',
      byQuery({ 'X-Amz-Date': '2026-01-01' }),
      'AuthorizationQueryParametersError',
      400,
      /ISO8601/,
    ],
    [
      'another algorithm',
      byQuery({ 'X-Amz-Algorithm': 'AWS4-ECDSA-P256-SHA256' }),
      'AuthorizationQueryParametersError',
      400,
      /only supports/,
    ],
    [
      'another region in the query',
      byQuery({ 'X-Amz-Credential': credential.replace('us-east-1', 'mars') }),
      'AuthorizationQueryParametersError',
      400,
      /region 'mars' is wrong/,
    ],
    [
      'an unknown key in the query',
      byQuery({ 'X-Amz-Credential': credential.replace(documented.id, 'X') }),
      'InvalidAccessKeyId',
      403,
      /does not exist/,
    ],
    [
      'both ways at once',
      { ...byQuery({}), headers: good },
      'InvalidArgument',
      400,
      /Only one auth mechanism/,
    ],
  ] as const)('%s is refused', (_, request, code, status, message) => {
    const error = refusal(request, context)
    expect(error).toMatchObject({ code, status })
    expect(error.message).toMatch(message)
  })

  test('a wrong region is told the right one', () => {
    const request = byHeader({
      authorization: authorization({ Credential: credential.replace('us-east-1', 'eu-west-1') }),
    })
    expect(refusal(request, context).fields).toEqual({ Region: 'us-east-1' })
  })

  test('a key that needs a token is unknown without it', () => {
    expect(refusal(byHeader({}), { ...context, tokenOf: () => 'token' }).code).toBe('InvalidAccessKeyId')
  })

  test('no signature at all is anonymous', () => {
    expect(authenticate({ method: 'GET', target: '/b/k?x=1', headers: {} }, context)).toEqual({
      kind: 'anonymous',
      payload: undefined,
    })
  })
})

function hostOf({ origin }: Recorder): Readonly<Record<string, string>> {
  return { host: origin.slice('http://'.length) }
}

/** Anonymous is what a URL becomes that is broken before the first word of its signature. */
function verdictOf(request: SignedRequest, context: SignatureContext): string {
  try {
    return authenticate(request, context).kind === 'anonymous' ? 'anonymous' : 'let in'
  } catch (error) {
    if (error instanceof S3Error) return error.code
    throw error
  }
}

/** What a target means: changes of what it looks like alone are none. */
function decoded(target: string): string {
  try {
    return decodeURIComponent(target)
  } catch {
    return `not decodable: ${target}`
  }
}
