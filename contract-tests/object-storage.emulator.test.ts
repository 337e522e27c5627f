/** What the S3 emulator answers to AWS's own client, beyond what the port asks of it. */
import assert from 'node:assert/strict'
import * as s3 from '@aws-sdk/client-s3'
import * as fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type S3Server, startS3Emulator } from '../fakes/emulators/s3.ts'
import { FakeObjectStorage } from '../fakes/object-storage.ts'
import type { Guarded } from '../src/calls/guard.ts'
import type { ObjectStorage } from '../src/ports/object-storage.ts'
import { pattern } from './object-storage/samples.ts'
import { connectS3, secret, startBucket } from './object-storage.emulator.setup.ts'
import { objectCommands, runObjectCommand } from './object-storage-model.ts'

const credentials = { accessKeyId: 'contract', secretAccessKey: secret }
const Bucket = 'contract'

function clientOf({ origin: endpoint }: { readonly origin: string }): s3.S3Client {
  return new s3.S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials, maxAttempts: 1 })
}

/** What the client makes of a refusal: S3's code and status. */
async function refusal(
  answer: Promise<unknown>,
): Promise<readonly [code: string, status: number | undefined]> {
  try {
    await answer
  } catch (error) {
    const { name, $metadata } = error as s3.S3ServiceException
    return [name, $metadata?.httpStatusCode]
  }
  return ['none', undefined]
}

let storage: FakeObjectStorage
let server: S3Server
let client: s3.S3Client

beforeAll(async () => {
  ;({ storage, server } = await startBucket())
  client = clientOf(server)
})
beforeEach(() => server.reset())
afterAll(async () => {
  client.destroy()
  await server.close()
  await storage.guarded.close()
})

const put = (Key: string, Body: string | Uint8Array = Key, more: Partial<s3.PutObjectCommandInput> = {}) =>
  client.send(new s3.PutObjectCommand({ Bucket, Key, Body, ...more }))
const head = (Key: string, more: Partial<s3.HeadObjectCommandInput> = {}) =>
  client.send(new s3.HeadObjectCommand({ Bucket, Key, ...more }))
const get = (Key: string, more: Partial<s3.GetObjectCommandInput> = {}) =>
  client.send(new s3.GetObjectCommand({ Bucket, Key, ...more }))
const keys = (): readonly string[] => [...storage.objects.keys()]

describe('conditions', () => {
  test('on reads hold as recorded from Amazon S3', async () => {
    await put('a')
    const { ETag = '', LastModified = new Date() } = await head('a')
    const earlier = new Date(LastModified.getTime() - 10_000)
    const table: readonly (readonly [Partial<s3.GetObjectCommandInput>, number])[] = [
      [{ IfMatch: ETag }, 200],
      [{ IfMatch: ETag.replaceAll('"', '') }, 200],
      [{ IfMatch: '"other"' }, 412],
      [{ IfNoneMatch: ETag }, 304],
      [{ IfNoneMatch: ETag.replaceAll('"', '') }, 304],
      [{ IfNoneMatch: '"other"' }, 200],
      [{ IfModifiedSince: LastModified }, 304],
      [{ IfModifiedSince: earlier }, 200],
      [{ IfUnmodifiedSince: earlier }, 412],
      [{ IfUnmodifiedSince: LastModified }, 200],
      [{ IfMatch: ETag, IfUnmodifiedSince: earlier }, 200],
      [{ IfNoneMatch: ETag, IfModifiedSince: earlier }, 304],
      [{ IfNoneMatch: '"other"', IfModifiedSince: LastModified }, 200],
    ]
    for (const [condition, status] of table) {
      for (const call of [() => get('a', condition), () => head('a', condition)]) {
        const [, refused] = await refusal(
          call().then(async (answer) => 'Body' in answer && (await answer.Body?.transformToByteArray())),
        )
        expect([condition, refused ?? 200]).toEqual([condition, status])
      }
    }
  })

  test('on writes, copies and deletes hold as recorded from Amazon S3', async () => {
    const { ETag = '' } = await put('a')
    expect(await refusal(put('a', 'x', { IfNoneMatch: '*' }))).toEqual(['PreconditionFailed', 412])
    expect(await refusal(put('a', 'x', { IfNoneMatch: ETag }))).toEqual(['NotImplemented', 501])
    expect(await refusal(put('a', 'x', { IfMatch: '*' }))).toEqual(['NotImplemented', 501])
    expect(await refusal(put('a', 'x', { IfMatch: ETag, IfNoneMatch: '*' }))).toEqual(['NotImplemented', 501])
    expect(await refusal(put('a', 'x', { IfMatch: '"other"' }))).toEqual(['PreconditionFailed', 412])
    expect(await refusal(put('none', 'x', { IfMatch: ETag }))).toEqual(['NoSuchKey', 404])
    const copy = (more: Partial<s3.CopyObjectCommandInput>) =>
      client.send(new s3.CopyObjectCommand({ Bucket, Key: 'b', CopySource: `${Bucket}/a`, ...more }))
    for (const condition of [
      { CopySourceIfMatch: '"other"' },
      { CopySourceIfNoneMatch: ETag },
      { CopySourceIfModifiedSince: new Date('2100-01-01') },
      { CopySourceIfUnmodifiedSince: new Date('2000-01-01') },
    ]) {
      expect(await refusal(copy(condition))).toEqual(['PreconditionFailed', 412])
    }
    await copy({ CopySourceIfMatch: ETag, CopySourceIfUnmodifiedSince: new Date('2000-01-01') })
    expect(await refusal(copy({ IfNoneMatch: '*' }))).toEqual(['PreconditionFailed', 412])
    expect(await refusal(copy({ CopySource: `${Bucket}/none` }))).toEqual(['NoSuchKey', 404])
    expect(await refusal(copy({ CopySource: 'no-such/a' }))).toEqual(['NoSuchBucket', 404])
    expect(await refusal(copy({ Key: 'a' }))).toEqual(['InvalidRequest', 400])
    const remove = (IfMatch: string, Key = 'a') =>
      client.send(new s3.DeleteObjectCommand({ Bucket, Key, IfMatch }))
    expect(await refusal(remove('"other"'))).toEqual(['PreconditionFailed', 412])
    await remove(ETag)
    await remove('*', 'b')
    expect(keys()).toEqual([])
  })

  test('on completed uploads see what happened to the key meanwhile', async () => {
    const upload = async (key: string, condition: object, meanwhile: () => Promise<unknown>) => {
      const target = { Bucket, Key: key }
      const { UploadId } = await client.send(new s3.CreateMultipartUploadCommand(target))
      const part = { ...target, UploadId, PartNumber: 1, Body: 'part' }
      const { ETag } = await client.send(new s3.UploadPartCommand(part))
      await meanwhile()
      const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] }
      const complete = { ...target, UploadId, MultipartUpload, ...condition }
      return refusal(client.send(new s3.CompleteMultipartUploadCommand(complete)))
    }
    const nothing = async (): Promise<void> => {}
    const remove = (Key: string) => client.send(new s3.DeleteObjectCommand({ Bucket, Key }))
    expect(await upload('a', { IfNoneMatch: '*' }, nothing)).toEqual(['none', undefined])
    expect(await upload('a', { IfNoneMatch: '*' }, nothing)).toEqual(['PreconditionFailed', 412])
    expect(await upload('b', { IfNoneMatch: '*' }, () => put('b'))).toEqual(['PreconditionFailed', 412])
    const { ETag: IfMatch } = await put('a')
    expect(await upload('a', { IfNoneMatch: '*' }, () => remove('a'))).toEqual([
      'ConditionalRequestConflict',
      409,
    ])
    await put('a')
    expect(await upload('a', { IfMatch }, () => put('a'))).toEqual(['ConditionalRequestConflict', 409])
    expect(await upload('a', { IfMatch: '"other"' }, nothing)).toEqual(['PreconditionFailed', 412])
    expect(await upload('a', { IfMatch }, nothing)).toEqual(['none', undefined])
    expect(await upload('none', { IfMatch }, nothing)).toEqual(['NoSuchKey', 404])
  })
})

describe('uploads in parts', () => {
  const five = 5 * 1024 * 1024
  const begin = async (Key: string, more: Partial<s3.CreateMultipartUploadCommandInput> = {}) => {
    const { UploadId } = await client.send(new s3.CreateMultipartUploadCommand({ Bucket, Key, ...more }))
    return { Bucket, Key, UploadId }
  }
  type Target = Awaited<ReturnType<typeof begin>>
  const send = (target: Target, PartNumber: number, Body: string | Uint8Array) =>
    client.send(new s3.UploadPartCommand({ ...target, PartNumber, Body }))
  const complete = (target: Target, Parts: s3.CompletedPart[]) =>
    client.send(new s3.CompleteMultipartUploadCommand({ ...target, MultipartUpload: { Parts } }))

  test('refuse what Amazon S3 refuses', async () => {
    const target = await begin('a')
    const { ETag } = await send(target, 1, 'small')
    const { ETag: last } = await send(target, 3, 'last')
    const one = { PartNumber: 1, ETag }
    const three = { PartNumber: 3, ETag: last }
    expect(await refusal(complete(target, []))).toEqual(['InvalidRequest', 400])
    expect(await refusal(complete(target, [one, three]))).toEqual(['EntityTooSmall', 400])
    expect(await refusal(complete(target, [three, one]))).toEqual(['InvalidPartOrder', 400])
    expect(await refusal(complete(target, [{ ...one, ETag: last }]))).toEqual(['InvalidPart', 400])
    // An etag is one etag here, not a condition.
    for (const other of ['*', `"other", ${ETag}`]) {
      expect(await refusal(complete(target, [{ ...one, ETag: other }]))).toEqual(['InvalidPart', 400])
    }
    expect(await refusal(complete(target, [{ ...one, PartNumber: 2 }]))).toEqual(['InvalidPart', 400])
    expect(await refusal(send(target, 0, 'x'))).toEqual(['InvalidArgument', 400])
    expect(await refusal(send(target, 10_001, 'x'))).toEqual(['InvalidArgument', 400])
    expect(await refusal(send({ ...target, Key: 'other' }, 1, 'x'))).toEqual(['NoSuchUpload', 404])
    const partOfNothing = new s3.PutObjectCommand({ Bucket, Key: 'a', Body: 'x' })
    partOfNothing.middlewareStack.add(
      (next) => (call) => {
        ;(call.request as { query: Record<string, string> }).query.partNumber = '1'
        return next(call)
      },
      { step: 'build' },
    )
    expect(await refusal(client.send(partOfNothing))).toEqual(['InvalidArgument', 400])
    await complete(target, [one])
    expect(await refusal(complete(target, [one]))).toEqual(['NoSuchUpload', 404])
    const aborted = await begin('b')
    await client.send(new s3.AbortMultipartUploadCommand(aborted))
    expect(await refusal(send(aborted, 1, 'x'))).toEqual(['NoSuchUpload', 404])
    expect(await refusal(client.send(new s3.AbortMultipartUploadCommand(aborted)))).toEqual([
      'NoSuchUpload',
      404,
    ])
    expect(keys()).toEqual(['a'])
  })

  test('of sparse numbers and ranges of other objects make one object, read whole and by part', async () => {
    const bytes = pattern(five + 100)
    await put('source', bytes)
    const target = await begin('joined')
    const copied = await client.send(
      new s3.UploadPartCopyCommand({
        ...target,
        PartNumber: 2,
        CopySource: `${Bucket}/source`,
        CopySourceRange: `bytes=10-${five + 19}`,
      }),
    )
    const { ETag } = await send(target, 7, 'the end')
    const { Parts = [], IsTruncated } = await client.send(new s3.ListPartsCommand({ ...target, MaxParts: 1 }))
    expect([Parts.map(({ PartNumber }) => PartNumber), IsTruncated]).toEqual([[2], true])
    const done = await complete(target, [
      { PartNumber: 2, ETag: copied.CopyPartResult?.ETag },
      { PartNumber: 7, ETag },
    ])
    expect(done.ETag).toMatch(/^"[0-9a-f]{32}-2"$/)
    const whole = await (await get('joined')).Body?.transformToByteArray()
    const expected = Buffer.concat([bytes.subarray(10, five + 20), Buffer.from('the end')])
    assert.equal(Buffer.compare(whole ?? new Uint8Array(), expected), 0)
    const part = await get('joined', { PartNumber: 7 })
    expect([part.PartsCount, part.ContentRange, await part.Body?.transformToString()]).toEqual([
      2,
      `bytes ${five + 10}-${five + 16}/${five + 17}`,
      'the end',
    ])
    expect(await refusal(get('joined', { PartNumber: 3 }))).toEqual(['InvalidPartNumber', 416])
    // What was uploaded stays when what it was copied from goes.
    await client.send(new s3.DeleteObjectCommand({ Bucket, Key: 'source' }))
    expect((await head('joined')).ContentLength).toBe(five + 17)
  })

  test('are listed page by page, by key and by age', async () => {
    const begun = [
      await begin('b'),
      await begin('a/1'),
      await begin('b'),
      await begin('a/2'),
      await begin('c'),
    ]
    const seen: (string | undefined)[] = []
    let page: s3.ListMultipartUploadsCommandOutput | undefined
    do {
      page = await client.send(
        new s3.ListMultipartUploadsCommand({
          Bucket,
          MaxUploads: 1,
          KeyMarker: page?.NextKeyMarker,
          UploadIdMarker: page?.NextUploadIdMarker,
        }),
      )
      seen.push(...(page.Uploads ?? []).map(({ UploadId }) => UploadId))
    } while (page.IsTruncated)
    expect(seen).toEqual([1, 3, 0, 2, 4].map((index) => begun[index]?.UploadId))
    const folded = await client.send(new s3.ListMultipartUploadsCommand({ Bucket, Delimiter: '/' }))
    expect(folded.CommonPrefixes).toEqual([{ Prefix: 'a/' }])
    expect(folded.Uploads).toHaveLength(3)
    const encoding = new s3.ListMultipartUploadsCommand({ Bucket, EncodingType: 'rot13' as 'url' })
    expect(await refusal(client.send(encoding))).toEqual(['InvalidArgument', 400])
  })
})

describe('lists', () => {
  test('of either version give the same, also where nothing may be given', async () => {
    for (const key of ['a', 'a/b', 'a/c', 'é +&', 'z']) await put(key)
    const v1 = await client.send(new s3.ListObjectsCommand({ Bucket, Delimiter: '/', MaxKeys: 2 }))
    expect([v1.Contents?.map(({ Key }) => Key), v1.CommonPrefixes, v1.NextMarker]).toEqual([
      ['a'],
      [{ Prefix: 'a/' }],
      'a/',
    ])
    const rest = await client.send(
      new s3.ListObjectsCommand({ Bucket, Delimiter: '/', Marker: v1.NextMarker }),
    )
    expect(rest.Contents?.map(({ Key }) => Key)).toEqual(['z', 'é +&'])
    const v2 = await client.send(new s3.ListObjectsV2Command({ Bucket, Delimiter: '/', MaxKeys: 2 }))
    expect([v2.KeyCount, v2.IsTruncated, v2.CommonPrefixes]).toEqual([2, true, [{ Prefix: 'a/' }]])
    const none = await client.send(new s3.ListObjectsV2Command({ Bucket, MaxKeys: 0 }))
    expect([none.KeyCount, none.IsTruncated, none.NextContinuationToken]).toEqual([0, false, undefined])
    const encoded = await client.send(
      new s3.ListObjectsV2Command({ Bucket, EncodingType: 'url', Prefix: 'é ' }),
    )
    expect([encoded.Prefix, encoded.Contents?.[0]?.Key]).toEqual(['%C3%A9+', '%C3%A9+%2B%26'])
    expect(
      await refusal(client.send(new s3.ListObjectsV2Command({ Bucket, ContinuationToken: 'x' }))),
    ).toEqual(['InvalidArgument', 400])
    const { Versions = [] } = await client.send(new s3.ListObjectVersionsCommand({ Bucket, Prefix: 'a/' }))
    expect(Versions.map(({ Key, VersionId, IsLatest }) => [Key, VersionId, IsLatest])).toEqual([
      ['a/b', 'null', true],
      ['a/c', 'null', true],
    ])
  })

  test('of what to delete: at most a thousand, quiet or not, each on its own condition', async () => {
    const { ETag } = await put('a')
    await put('b')
    const remove = (Objects: s3.ObjectIdentifier[], Quiet = false) =>
      client.send(new s3.DeleteObjectsCommand({ Bucket, Delete: { Objects, Quiet } }))
    const mixed = await remove([{ Key: 'a', ETag: '"other"' }, { Key: 'b' }, { Key: 'none' }])
    expect(mixed.Errors?.map(({ Key, Code }) => [Key, Code])).toEqual([['a', 'PreconditionFailed']])
    expect(mixed.Deleted?.map(({ Key }) => Key)).toEqual(['b', 'none'])
    expect((await remove([{ Key: 'a', ...(ETag && { ETag }) }], true)).Deleted).toBeUndefined()
    const many = Array.from({ length: 1_001 }, (_, index) => ({ Key: String(index) }))
    expect(await refusal(remove(many))).toEqual(['MalformedXML', 400])
    expect(keys()).toEqual([])
    // A key that none can have refuses all of them.
    await put('c')
    expect(await refusal(remove([{ Key: 'c' }, { Key: 'é'.repeat(513) }]))).toEqual(['KeyTooLongError', 400])
    expect(keys()).toEqual(['c'])
  })
})

describe('limits', () => {
  test('are those of Amazon S3', async () => {
    expect(await refusal(put('k'.repeat(1_025)))).toEqual(['KeyTooLongError', 400])
    expect(await refusal(put('a', 'x', { Metadata: { a: 'b'.repeat(2_048) } }))).toEqual([
      'MetadataTooLarge',
      400,
    ])
    // Told in S3's words, also where Node's own limit for headers would come first.
    for (const length of [8_192, 40_000]) {
      const long = put('a', 'x', { ContentDisposition: 'b'.repeat(length) })
      expect(await refusal(long)).toEqual(['RequestHeaderSectionTooLarge', 400])
    }
    expect(keys()).toEqual([])
    await put('a', 'x', { Metadata: { a: 'b'.repeat(2_047) } })
    // What S3 defines itself has a limit of its own, in which the names count as well.
    const names = 'content-typecache-controlcontent-dispositioncontent-encodingcontent-languageexpires'
    const system = {
      ContentType: 't/t',
      CacheControl: 'c',
      ContentEncoding: 'e',
      ContentLanguage: 'l',
      Expires: new Date(0),
      ContentDisposition: 'd'.repeat(
        2_048 - names.length - 'tttcel'.length - new Date(0).toUTCString().length,
      ),
    }
    await put('a', 'x', system)
    expect(await refusal(put('b', 'x', { ...system, ContentLanguage: 'll' }))).toEqual([
      'MetadataTooLarge',
      400,
    ])
    expect(
      await refusal(
        client.send(new s3.CreateMultipartUploadCommand({ Bucket, Key: 'b', ...system, CacheControl: 'cc' })),
      ),
    ).toEqual(['MetadataTooLarge', 400])
    expect(keys()).toEqual(['a'])
    expect(await refusal(get('a', { Range: 'bytes=1-' }))).toEqual(['InvalidRange', 416])
    expect(await refusal(get('a', { Range: 'bytes=0-0,0-0' }))).toEqual(['NotImplemented', 501])
    expect(await refusal(get('none', { Range: 'bytes=9-' }))).toEqual(['NoSuchKey', 404])
    expect(await (await get('a', { Range: 'lines=1-2' })).Body?.transformToString()).toBe('x')
  })

  test('what is not implemented says so by its name, and no header is ignored', async () => {
    expect(await refusal(client.send(new s3.GetBucketPolicyCommand({ Bucket })))).toEqual([
      'NotImplemented',
      501,
    ])
    expect(await refusal(put('a', 'x', { ACL: 'public-read' }))).toEqual(['NotImplemented', 501])
    expect(await refusal(put('a', 'x', { ServerSideEncryption: 'aws:kms' }))).toEqual(['NotImplemented', 501])
    expect(await refusal(put('a', 'x', { StorageClass: 'NONE' as 'STANDARD' }))).toEqual([
      'InvalidStorageClass',
      400,
    ])
    expect(keys()).toEqual([])
    expect(await client.send(new s3.GetBucketVersioningCommand({ Bucket }))).not.toHaveProperty('Status')
  })
})

describe('cross-origin rules', () => {
  test('answer a preflight, and let the page see what was answered', async () => {
    const preflight = () =>
      fetch(`${server.origin}/${Bucket}/a`, {
        method: 'OPTIONS',
        headers: { origin: 'https://shop.test', 'access-control-request-method': 'PUT' },
      })
    expect((await preflight()).status).toBe(403)
    const CORSRules = [{ AllowedOrigins: ['https://*.test'], AllowedMethods: ['PUT', 'GET'] }]
    await client.send(new s3.PutBucketCorsCommand({ Bucket, CORSConfiguration: { CORSRules } }))
    expect((await client.send(new s3.GetBucketCorsCommand({ Bucket }))).CORSRules).toMatchObject(CORSRules)
    const allowed = await preflight()
    expect([allowed.status, allowed.headers.get('access-control-allow-origin')]).toEqual([
      200,
      'https://shop.test',
    ])
    await client.send(new s3.DeleteBucketCorsCommand({ Bucket }))
    expect((await preflight()).status).toBe(403)
  })
})

describe('what can be forced', () => {
  test('a refusal, a late failure, a lost answer, by the name of the operation', async () => {
    await put('a')
    server.force({ operation: 'PutObject', key: 'b', code: 'SlowDown', headers: { 'retry-after': '7' } })
    await put('a')
    expect(await refusal(put('b'))).toEqual(['SlowDown', 503])
    server.force({ operation: 'PutObject', drop: 'before' })
    await assert.rejects(put('b'))
    expect(keys()).toEqual(['a'])
    server.force({ operation: 'PutObject', drop: 'after' })
    await assert.rejects(put('b'))
    expect(keys()).toEqual(['a', 'b'])
    server.force({ operation: 'CopyObject', lateCode: 'InternalError' })
    const copy = () => client.send(new s3.CopyObjectCommand({ Bucket, Key: 'c', CopySource: `${Bucket}/a` }))
    expect((await refusal(copy()))[0]).toBe('InternalError')
    server.force({ operation: 'GetObject', drop: 'body', skip: 1 })
    expect(await (await get('a')).Body?.transformToString()).toBe('a')
    await put('long', pattern(600_000))
    await assert.rejects(async () => (await get('long')).Body?.transformToByteArray())
    server.force({ operation: 'HeadBucket', status: 418, body: 'teapot' })
    expect((await refusal(client.send(new s3.HeadBucketCommand({ Bucket }))))[1]).toBe(418)
    expect(server.forced).toEqual([])
    expect(keys()).toEqual(['a', 'b', 'long'])
  })

  test('nothing that is none', () => {
    for (const bad of [
      { operation: 'Nonsense', code: 'SlowDown' },
      { operation: 'PutObject' },
      { operation: 'PutObject', code: 'NoSuchCode' },
      { operation: 'PutObject', code: 'SlowDown', drop: 'before' },
      { operation: 'PutObject', lateCode: 'InternalError' },
      { operation: 'PutObject', code: 'SlowDown', times: 0 },
      { operation: 'PutObject', code: 'SlowDown', colour: 'red' },
    ]) {
      expect(() => server.force(bad as never), JSON.stringify(bad)).toThrow(
        /must|one of|several|needs|no code|possible|colour/,
      )
    }
  })

  test("the fake's faults hit the requests that its operations stand for, and its journal shows them", async () => {
    storage.faults.script([
      { operation: 'put', error: 'rate-limited', retryAfterMs: 1_500 },
      { operation: 'listAll', error: 'permission-denied' },
      { operation: 'copy', match: 'a', error: 'unavailable', when: 'after' },
    ])
    expect(await refusal(put('a'))).toEqual(['SlowDown', 503])
    await put('a')
    expect(await refusal(client.send(new s3.ListObjectsV2Command({ Bucket })))).toEqual(['AccessDenied', 403])
    await client.send(new s3.ListObjectsV2Command({ Bucket }))
    const copy = client.send(new s3.CopyObjectCommand({ Bucket, Key: 'b', CopySource: `${Bucket}/a` }))
    await assert.rejects(copy)
    expect(keys()).toEqual(['a', 'b'])
    const journal = storage.journal.entries.map(({ operation, subject, effects, result }) => {
      return [operation, subject, effects, result]
    })
    expect(journal).toEqual([
      ['put', 'a', [], 'rate-limited'],
      ['put', 'a', ['stored a (1 bytes)'], 'ok'],
      ['listAll', undefined, [], 'permission-denied'],
      ['list', undefined, [], 'ok'],
      ['copy', 'a', ['copied a to b (1 bytes)'], 'unavailable'],
    ])
    expect(server.requests.map(({ operation, answer }) => [operation, answer])).toEqual([
      ['PutObject', { status: 503, code: 'SlowDown' }],
      ['PutObject', { status: 200 }],
      ['ListObjectsV2', { status: 403, code: 'AccessDenied' }],
      ['ListObjectsV2', { status: 200 }],
      ['CopyObject', 'lost'],
    ])
  })
})

test('the journal has refusals by their port code, what is absent as an answer, and faults lose that answer too', async () => {
  expect(await refusal(get('none'))).toEqual(['NoSuchKey', 404])
  await put('a')
  await refusal(put('a', 'x', { IfNoneMatch: '*' }))
  await refusal(get('a', { Range: 'bytes=9-' }))
  storage.faults.next('get', { error: 'unavailable', when: 'after' })
  await assert.rejects(get('none'), (error: Error) => error.name !== 'NoSuchKey')
  expect(storage.journal.entries.map(({ operation, result }) => [operation, result])).toEqual([
    ['get', 'ok'],
    ['put', 'ok'],
    ['put', 'precondition-failed'],
    ['get', 'invalid-argument'],
    ['get', 'unavailable'],
  ])
})

describe('buckets', () => {
  test('that are made over the wire share content with others, and go when they are empty', async () => {
    const Other = 'another-bucket'
    await client.send(new s3.CreateBucketCommand({ Bucket: Other }))
    await put('a', pattern(2_000_000))
    await client.send(new s3.CopyObjectCommand({ Bucket: Other, Key: 'b', CopySource: `${Bucket}/a` }))
    await client.send(new s3.DeleteObjectCommand({ Bucket, Key: 'a' }))
    const { Body } = await client.send(new s3.GetObjectCommand({ Bucket: Other, Key: 'b' }))
    const copied = (await Body?.transformToByteArray()) ?? new Uint8Array()
    assert.equal(Buffer.compare(copied, pattern(2_000_000)), 0)
    const remove = () => client.send(new s3.DeleteBucketCommand({ Bucket: Other }))
    expect(await refusal(remove())).toEqual(['BucketNotEmpty', 409])
    await client.send(new s3.DeleteObjectCommand({ Bucket: Other, Key: 'b' }))
    await remove()
    expect(await refusal(remove())).toEqual(['NoSuchBucket', 404])
    expect([...server.buckets.keys()]).toEqual([Bucket])
    for (const bad of ['UPPER', 'a', '192.168.0.1']) {
      const made = client.send(new s3.CreateBucketCommand({ Bucket: bad }))
      expect((await refusal(made))[0]).toBe('InvalidBucketName')
    }
  })
})

test("Ceph's dialect has the ways that were measured on its gateway", async () => {
  const ceph = await startBucket('ceph')
  const own = clientOf(ceph.server)
  try {
    const target = { Bucket, Key: 'a' }
    const wrong = { ...target, Body: 'x', ChecksumCRC32: 'AAAAAA==' }
    await own.send(new s3.PutObjectCommand(wrong))
    const { ETag } = await own.send(new s3.HeadObjectCommand(target))
    expect(await refusal(own.send(new s3.PutObjectCommand({ ...wrong, IfMatch: ETag })))).toEqual([
      'PreconditionFailed',
      412,
    ])
    await own.send(new s3.PutObjectCommand({ ...target, ContentDisposition: 'b'.repeat(15_000) }))
    await own.send(new s3.DeleteObjectCommand({ ...target, IfMatch: '"other"' }))
    expect(ceph.storage.objects.size).toBe(0)
    const location = await own.send(new s3.GetBucketLocationCommand({ Bucket }))
    expect(location.LocationConstraint).toBe('default')
    const long = own.send(new s3.HeadObjectCommand({ Bucket, Key: 'k'.repeat(1_025) }))
    expect((await refusal(long))[1]).toBe(400)
  } finally {
    own.destroy()
    await ceph.server.close()
    await ceph.storage.guarded.close()
  }
})

test('an emulator takes no options that cannot be', async () => {
  const bad: unknown[] = [
    { buckets: { UPPER: new FakeObjectStorage() } },
    { credentials: [{ accessKeyId: '', secretAccessKey: 'x' }] },
    { credentials: [credentials, credentials] },
    { dialect: 'minio' },
    { port: -1 },
    { colour: 'red' },
  ]
  for (const options of bad) await expect(startS3Emulator(options as object)).rejects.toThrow()
})

describe('differential', () => {
  let guarded: Guarded<ObjectStorage>
  beforeAll(async () => {
    guarded = await connectS3({ port: server.port })
  })
  afterAll(() => guarded.close())

  test('random commands answer on the fake what they answer through adapter and emulator', async () => {
    await fc.assert(
      fc.asyncProperty(objectCommands, async (commands) => {
        server.reset()
        const fake = new FakeObjectStorage()
        for (const command of commands) {
          const onFake = await runObjectCommand(fake, command)
          assert.deepEqual(await runObjectCommand(guarded.port, command), onFake, JSON.stringify(command))
        }
        // Not only the answers: what is stored, to the byte.
        const contents = (each: FakeObjectStorage): unknown =>
          [...each.objects].map(([key, { info, text }]) => [key, { ...info, lastModified: 0 }, text])
        assert.deepEqual(contents(storage), contents(fake))
      }),
      // On a busy machine fewer runs, not none and not too late.
      { numRuns: 60, interruptAfterTimeLimit: 15_000 },
    )
  })
})
