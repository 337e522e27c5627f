import * as sdk from '@aws-sdk/client-s3'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  addressOf,
  encodeRfc3986,
  parseCopySource,
  parseQuery,
  type S3Address,
  splitTarget,
} from './address.ts'
import { startRecorder } from './fixtures/recorder.ts'

const at = (target: string, host = '127.0.0.1:9000', method = 'GET', headers = {}): S3Address =>
  addressOf({ method, target, headers: { host, ...headers } })

describe('bucket and key', () => {
  test.each([
    ['/', '127.0.0.1', undefined, undefined],
    ['', '127.0.0.1', undefined, undefined],
    ['/bucket', '127.0.0.1', 'bucket', undefined],
    ['/bucket/', '127.0.0.1', 'bucket', undefined],
    ['/bucket/a/b', '127.0.0.1', 'bucket', 'a/b'],
    ['/bucket//a//', '127.0.0.1', 'bucket', '/a//'],
    ['/bucket/../x/./y', '127.0.0.1', 'bucket', '../x/./y'],
    ['/bucket/a+b', '127.0.0.1', 'bucket', 'a+b'],
    ['/bucket/a%2Fb%2B%20%C3%BC%25', '127.0.0.1', 'bucket', 'a/b+ ü%'],
    ['/bucket/a%2520', '127.0.0.1', 'bucket', 'a%20'],
    ['/bucket/k?a=/b/c', '127.0.0.1', 'bucket', 'k'],
    ['/key/more', 'bucket.localhost:9000', 'bucket', 'key/more'],
    ['//key', 'bucket.localhost', 'bucket', '/key'],
    ['/', 'my.bucket.localhost', 'my.bucket', undefined],
    ['/bucket/key', 'localhost:9000', 'bucket', 'key'],
    ['/bucket/key', 'storage.internal:9000', 'bucket', 'key'],
    ['/bucket/key', 's3.amazonaws.com', 'bucket', 'key'],
    ['/bucket/key', 's3.eu-west-1.amazonaws.com', 'bucket', 'key'],
    ['/key', 'bucket.s3.amazonaws.com', 'bucket', 'key'],
    ['/key', 'BUCKET.s3.eu-west-1.amazonaws.com', 'bucket', 'key'],
    ['/key', 'my.bucket.s3.dualstack.eu-west-1.amazonaws.com:443', 'my.bucket', 'key'],
    ['/key', 'bucket.s3-eu-west-1.amazonaws.com', 'bucket', 'key'],
    ['http://127.0.0.1:9000/bucket/key?x', '127.0.0.1', 'bucket', 'key'],
  ])('of %s at %s are %s and %s', (target, host, bucket, key) => {
    expect(at(target, host)).toMatchObject({ bucket, key })
  })

  test('hosts may be given, the longer before the shorter', () => {
    const hosts = ['example.com', 's3.example.com']
    const bucketAt = (host: string): string | undefined =>
      addressOf({ method: 'GET', target: '/', headers: { host } }, { hosts }).bucket
    expect(bucketAt('b.s3.example.com')).toBe('b')
    expect(bucketAt('s3.example.com')).toBeUndefined()
    expect(bucketAt('b.example.com')).toBe('b')
    expect(bucketAt('b.localhost')).toBeUndefined()
  })

  test('a key is what the client meant, however odd', async () => {
    await using recorder = await startRecorder()
    const keys = fc
      .string({ minLength: 1, maxLength: 50, unit: 'binary' })
      .filter((key) => key.isWellFormed())
    await fc.assert(
      fc.asyncProperty(keys, async (key) => {
        const { method, target, headers } = await recorder.record((client) =>
          client.send(new sdk.GetObjectCommand({ Bucket: 'bucket', Key: key })),
        )
        const address = addressOf({ method, target, headers })
        expect(address).toMatchObject({ operation: 'GetObject', bucket: 'bucket', key })
        const copy = await recorder.record((client) =>
          client.send(
            new sdk.CopyObjectCommand({
              Bucket: 'bucket',
              Key: 'k',
              CopySource: `source/${encodeURIComponent(key)}`,
            }),
          ),
        )
        expect(parseCopySource(copy.headers['x-amz-copy-source'] ?? '')).toEqual({
          bucket: 'source',
          key,
          versionId: undefined,
        })
      }),
      // On a busy machine fewer runs, not none and not too late.
      { numRuns: 60, interruptAfterTimeLimit: 15_000 },
    )
  })

  test.each([
    ['/bucket/%', 'InvalidURI'],
    ['/bucket/%ff', 'InvalidURI'],
    ['/%E4/key', 'InvalidURI'],
    ['/bucket/key?a=%zz', 'InvalidURI'],
    ['*', 'InvalidURI'],
    ['//key', 'InvalidBucketName'],
    [`/bucket/${'a'.repeat(1_025)}`, 'KeyTooLongError'],
    [`/bucket/${'%C3%BC'.repeat(513)}`, 'KeyTooLongError'],
  ])('%s is refused with %s', (target, code) => {
    expect(() => at(target)).toThrow(expect.objectContaining({ code }))
  })

  test('a key of 1,024 bytes is not too long', () => {
    expect(at(`/bucket/${'%C3%BC'.repeat(512)}`).key).toHaveLength(512)
  })
})

describe('queries', () => {
  test('are read in order, with and without values', () => {
    expect(parseQuery('a&b=&c=1=2&a=+%2B&&')).toEqual([
      ['a', ''],
      ['b', ''],
      ['c', '1=2'],
      ['a', ' +'],
    ])
    expect(at('/b?prefix=one&prefix=two').query.get('prefix')).toBe('one')
  })

  test('come back as they were written', () => {
    const text = fc.string({ unit: 'binary', maxLength: 10 }).filter((each) => each.isWellFormed())
    fc.assert(
      fc.property(fc.array(fc.tuple(text, text)), (entries) => {
        const query = entries.map((entry) => entry.map(encodeRfc3986).join('=')).join('&')
        expect(parseQuery(query)).toEqual(entries)
        expect(splitTarget(`/a?${query}`)).toEqual({ path: '/a', query })
      }),
    )
  })
})

describe('operations', () => {
  /** Method and path of every command of AWS's client, as its own description has them. */
  const commands = Object.values(sdk as Readonly<Record<string, unknown>>)
    .filter(
      (each): each is readonly [9, string, string, { http: readonly [string, string, number] }] =>
        Array.isArray(each) && each[0] === 9,
    )
    .map(([, , name, { http }]) => ({ name, method: http[0], path: http[1] }))
  /** What those descriptions do not say, but the commands do: what else is in the query, and headers. */
  const further: Readonly<Record<string, { query?: string; headers?: Record<string, string> }>> = {
    AbortMultipartUpload: { query: 'uploadId=u' },
    CompleteMultipartUpload: { query: 'uploadId=u' },
    CopyObject: { headers: { 'x-amz-copy-source': 'b/k' } },
    ListParts: { query: 'uploadId=u' },
    UploadPart: { query: 'uploadId=u&partNumber=1' },
    UploadPartCopy: { query: 'uploadId=u&partNumber=1', headers: { 'x-amz-copy-source': 'b/k' } },
    GetBucketAnalyticsConfiguration: { query: 'id=i' },
    GetBucketIntelligentTieringConfiguration: { query: 'id=i' },
    GetBucketInventoryConfiguration: { query: 'id=i' },
    GetBucketMetricsConfiguration: { query: 'id=i' },
    GetObjectAnnotation: { query: 'annotationName=a' },
    WriteGetObjectResponse: { headers: { 'x-amz-request-route': 'r' } },
  }
  // The one that is told from ListBuckets by its endpoint alone.
  const told = commands.filter(({ name }) => name !== 'ListDirectoryBuckets')

  test('are all of those that the client knows', () => {
    expect(told.length).toBeGreaterThan(100)
  })

  test.each(told)('$name is told from $method $path', ({ name, method, path }) => {
    const { query = '', headers = {} } = further[name] ?? {}
    const [plain = '', search] = path.replace('{Key+}', 'k').split('?')
    const known = (search ?? '').split('&').filter((part) => !part.startsWith('x-id='))
    const entries = [...known, ...(query === '' ? [] : [query])].filter((part) => part !== '')
    const bucket = name === 'ListBuckets' ? '' : '/bucket'
    const target = `${bucket}${plain}${entries.length === 0 ? '' : `?${entries.join('&')}`}`
    expect(at(target, '127.0.0.1', method, headers).operation).toBe(name)
  })

  test.each([
    ['OPTIONS', '/bucket/key', 'Preflight'],
    ['POST', '/bucket', 'PostObject'],
    ['GET', '/bucket?list-type=1', 'ListObjects'],
    ['GET', '/bucket/key?response-content-type=x', 'GetObject'],
    ['GET', '/bucket?uploads&prefix=versions', 'ListMultipartUploads'],
  ])('%s %s is %s', (method, target, operation) => {
    expect(at(target, '127.0.0.1', method).operation).toBe(operation)
  })

  test.each([
    ['PATCH', '/bucket/key', 'OBJECT'],
    ['POST', '/bucket/key', 'OBJECT'],
    ['PUT', '/', 'SERVICE'],
    ['DELETE', '/bucket?location', 'LOCATION'],
    ['TRACE', '/bucket/key?constructor', 'OBJECT'],
  ])('%s %s is none', (method, target, type) => {
    expect(() => at(target, '127.0.0.1', method)).toThrow(
      expect.objectContaining({
        code: 'MethodNotAllowed',
        status: 405,
        fields: { Method: method, ResourceType: type },
      }),
    )
  })
})

describe('copy sources', () => {
  test.each([
    ['/b/k', 'k', undefined],
    ['b/k', 'k', undefined],
    ['b//a/', '/a/', undefined],
    ['b/a%2Bb+c', 'a+b c', undefined],
    ['b/a%3FversionId=x', 'a?versionId=x', undefined],
    ['b/k?versionId=null', 'k', 'null'],
  ])('%s names the key %s of version %s', (header, key, versionId) => {
    expect(parseCopySource(header)).toEqual({ bucket: 'b', key, versionId })
  })

  test.each([
    ['', 'InvalidArgument'],
    ['/', 'InvalidArgument'],
    ['b', 'InvalidArgument'],
    ['b/', 'InvalidArgument'],
    ['/b/', 'InvalidArgument'],
    ['b/%', 'InvalidArgument'],
    [`b/${'a'.repeat(1_025)}`, 'KeyTooLongError'],
    ['arn:aws:s3:us-east-1:1:accesspoint/p/object/k', 'NotImplemented'],
  ])('"%s" is refused with %s', (header, code) => {
    expect(() => parseCopySource(header)).toThrow(expect.objectContaining({ code }))
  })
})
