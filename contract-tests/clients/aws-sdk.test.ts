/** AWS's own client for Node, unmodified, on the emulator: what it sends and what it makes of the answers. */
import { createHash, randomBytes } from 'node:crypto'
import { Agent } from 'node:http'
import { Readable } from 'node:stream'
import {
  AbortMultipartUploadCommand,
  ChecksumAlgorithm,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetBucketLocationCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  PutBucketPolicyCommand,
  PutObjectCommand,
  PutObjectTaggingCommand,
  paginateListObjectsV2,
  S3Client,
  type S3ClientConfig,
  S3ServiceException,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { developmentCredentials, type S3Server, startS3Emulator } from '../../fakes/emulators/s3.ts'

const Bucket = 'bucket'
const MiB = 1024 * 1024
const { accessKeyId, secretAccessKey } = developmentCredentials

let server: S3Server
const clients: S3Client[] = []

function connect(options: S3ClientConfig = {}): S3Client {
  const client = new S3Client({
    endpoint: server.origin,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
    ...options,
  })
  clients.push(client)
  return client
}

beforeEach(async () => {
  server = await startS3Emulator()
  server.addBucket(Bucket)
})
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy()
  await server.close()
})

async function failure(sending: Promise<unknown>): Promise<S3ServiceException> {
  const error = await sending.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (error instanceof S3ServiceException) return error
  throw new Error(`it did not fail as S3 does: ${String(error)}`)
}

const operations = (): readonly (string | undefined)[] => server.requests.map(({ operation }) => operation)

/** Names below `localhost` are this machine (RFC 6761), which not every resolver knows. */
const localAgent = new Agent({
  lookup: (_, options, done) =>
    options.all === true ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4),
})

describe.each([
  ['path style', 'WHEN_SUPPORTED'],
  ['path style', 'WHEN_REQUIRED'],
  ['virtual hosts', 'WHEN_SUPPORTED'],
  ['virtual hosts', 'WHEN_REQUIRED'],
] as const)('the client with %s and checksums %s', (style, checksums) => {
  const open = (options: S3ClientConfig = {}): S3Client =>
    connect({
      requestChecksumCalculation: checksums,
      responseChecksumValidation: checksums,
      ...(style === 'virtual hosts' && {
        endpoint: `http://localhost:${server.port}`,
        forcePathStyle: false,
        requestHandler: { httpAgent: localAgent },
      }),
      ...options,
    })

  test('stores, reads, copies, lists and deletes objects', async () => {
    const client = open()
    const put = await client.send(
      new PutObjectCommand({
        Bucket,
        Key: 'a/b c+d%20ü',
        Body: 'hello',
        ContentType: 'text/plain',
        CacheControl: 'max-age=60',
        Metadata: { owner: 'me' },
      }),
    )
    expect(put.ETag).toBe(`"${createHash('md5').update('hello').digest('hex')}"`)
    expect(put.$metadata.httpStatusCode).toBe(200)
    expect(put.$metadata.requestId).toMatch(/^[0-9A-F]{16}$/)
    const got = await client.send(new GetObjectCommand({ Bucket, Key: 'a/b c+d%20ü' }))
    expect(await got.Body?.transformToString()).toBe('hello')
    expect(got).toMatchObject({
      ContentType: 'text/plain',
      CacheControl: 'max-age=60',
      ContentLength: 5,
      Metadata: { owner: 'me' },
    })
    const part = await client.send(new GetObjectCommand({ Bucket, Key: 'a/b c+d%20ü', Range: 'bytes=1-3' }))
    expect(await part.Body?.transformToString()).toBe('ell')
    expect(part.ContentRange).toBe('bytes 1-3/5')
    const CopySource = `${Bucket}/${encodeURIComponent('a/b c+d%20ü')}`
    const copied = await client.send(new CopyObjectCommand({ Bucket, Key: 'copy', CopySource }))
    expect(copied.CopyObjectResult?.ETag).toBe(put.ETag)
    const keys: (string | undefined)[] = []
    for await (const page of paginateListObjectsV2({ client, pageSize: 1 }, { Bucket })) {
      keys.push(...(page.Contents ?? []).map(({ Key }) => Key))
    }
    expect(keys).toEqual(['a/b c+d%20ü', 'copy'])
    await client.send(new DeleteObjectCommand({ Bucket, Key: 'copy' }))
    const deleted = await client.send(
      new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: 'a/b c+d%20ü' }, { Key: 'none' }] } }),
    )
    expect(deleted.Deleted?.map(({ Key }) => Key)).toEqual(['a/b c+d%20ü', 'none'])
    expect(deleted.Errors).toBeUndefined()
    expect(server.buckets.get(Bucket)?.objects.size).toBe(0)
  })

  test('sends a stream of a known length', async () => {
    const client = open({ requestStreamBufferSize: 64 * 1024 })
    const body = randomBytes(300_000)
    const pieces = Array.from({ length: 100 }, (_, i) => body.subarray(i * 3_000, (i + 1) * 3_000))
    await client.send(
      new PutObjectCommand({
        Bucket,
        Key: 'stream',
        Body: Readable.from(pieces, { objectMode: false }),
        ContentLength: body.length,
      }),
    )
    const { Body } = await client.send(new GetObjectCommand({ Bucket, Key: 'stream' }))
    expect(body.equals((await Body?.transformToByteArray()) ?? new Uint8Array())).toBe(true)
  })

  test('uploads a stream of an unknown length in many parts', async () => {
    const client = open()
    const body = randomBytes(17 * MiB)
    const upload = new Upload({
      client,
      partSize: 5 * MiB,
      params: {
        Bucket,
        Key: 'parts',
        Body: Readable.from([body], { objectMode: false }),
        Metadata: { a: 'b' },
      },
    })
    const done = await upload.done()
    const md5s = [0, 5, 10, 15].map((at) =>
      createHash('md5')
        .update(body.subarray(at * MiB, (at + 5) * MiB))
        .digest(),
    )
    expect(done.ETag).toBe(`"${createHash('md5').update(Buffer.concat(md5s)).digest('hex')}-4"`)
    expect(operations().filter((each) => each === 'UploadPart')).toHaveLength(4)
    const { Body, Metadata } = await client.send(new GetObjectCommand({ Bucket, Key: 'parts' }))
    expect(body.equals((await Body?.transformToByteArray()) ?? new Uint8Array())).toBe(true)
    expect(Metadata).toEqual({ a: 'b' })
  })

  test('leaves nothing of an upload that it aborts', async () => {
    const client = open()
    const upload = new Upload({
      client,
      partSize: 5 * MiB,
      queueSize: 1,
      params: { Bucket, Key: 'aborted', Body: randomBytes(20 * MiB) },
    })
    upload.on('httpUploadProgress', () => void upload.abort())
    await expect(upload.done()).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }))
    await expect
      .poll(async () => (await client.send(new ListMultipartUploadsCommand({ Bucket }))).Uploads ?? [])
      .toEqual([])
    expect(server.buckets.get(Bucket)?.objects.has('aborted')).toBe(false)
  })

  test('makes URLs that work without it', async () => {
    const client = open()
    const url = await getSignedUrl(
      client,
      new PutObjectCommand({ Bucket, Key: 'signed/ü +%', ContentType: 'text/plain' }),
    )
    const local = (signed: string): readonly [string, Record<string, string>] => {
      const { host } = new URL(signed)
      return [signed.replace(host, `127.0.0.1:${server.port}`), { host }]
    }
    const [putUrl, putHeaders] = local(url)
    const put = await send(putUrl, 'PUT', { ...putHeaders, 'content-type': 'text/plain' }, 'by URL')
    expect(put.status).toBe(200)
    const [getUrl, getHeaders] = local(
      await getSignedUrl(client, new GetObjectCommand({ Bucket, Key: 'signed/ü +%' }), { expiresIn: 5 }),
    )
    expect(await send(getUrl, 'GET', getHeaders)).toEqual({ status: 200, body: 'by URL' })
    const another = await send(getUrl.replace('signed', 'other'), 'GET', getHeaders)
    expect(another).toMatchObject({ status: 403, body: expect.stringContaining('SignatureDoesNotMatch') })
  })
})

describe('checksums', () => {
  test.each(['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as const)(
    '%s is sent, checked, kept and read back',
    async (algorithm) => {
      const client = connect()
      const put = await client.send(
        new PutObjectCommand({
          Bucket,
          Key: 'k',
          Body: 'hello',
          ChecksumAlgorithm: ChecksumAlgorithm[algorithm],
        }),
      )
      const head = await client.send(new HeadObjectCommand({ Bucket, Key: 'k', ChecksumMode: 'ENABLED' }))
      expect(head[`Checksum${algorithm}`]).toBe(put[`Checksum${algorithm}`])
      expect(head[`Checksum${algorithm}`]).toMatch(/=$/)
      expect(head.ChecksumType).toBe('FULL_OBJECT')
    },
  )

  test('a wrong one is refused and nothing is stored', async () => {
    const sending = connect().send(
      new PutObjectCommand({ Bucket, Key: 'k', Body: 'hello', ChecksumCRC32: 'AAAAAA==' }),
    )
    expect(await failure(sending)).toMatchObject({ name: 'BadDigest', $fault: 'client' })
    expect(server.buckets.get(Bucket)?.objects.size).toBe(0)
  })

  test('the one that S3 adds is there where the client sent none', async () => {
    const client = connect({ requestChecksumCalculation: 'WHEN_REQUIRED' })
    await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: '123456789' }))
    const head = await client.send(new HeadObjectCommand({ Bucket, Key: 'k', ChecksumMode: 'ENABLED' }))
    expect(head.ChecksumCRC64NVME).toBe('rosUhgp5mIg=')
  })

  test('a stream in chunks too small for S3 is refused as there', async () => {
    const Body = Readable.from(
      ['abc', 'def'].map((text) => Buffer.from(text)),
      { objectMode: false },
    )
    const sending = connect().send(new PutObjectCommand({ Bucket, Key: 'k', Body, ContentLength: 6 }))
    expect(await failure(sending)).toMatchObject({ name: 'InvalidChunkSizeError' })
  })
})

describe('uploads in parts by hand', () => {
  test('are listed, copied into, resumed and given up', async () => {
    const client = connect()
    await client.send(new PutObjectCommand({ Bucket, Key: 'source', Body: randomBytes(6 * MiB) }))
    const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key: 'k' }))
    const target = { Bucket, Key: 'k', UploadId }
    const copied = await client.send(
      new UploadPartCopyCommand({
        ...target,
        PartNumber: 1,
        CopySource: `${Bucket}/source`,
        CopySourceRange: `bytes=0-${5 * MiB - 1}`,
      }),
    )
    const sent = await client.send(new UploadPartCommand({ ...target, PartNumber: 7, Body: 'the end' }))
    const { Parts } = await client.send(new ListPartsCommand(target))
    expect(Parts?.map(({ PartNumber, Size, ETag }) => [PartNumber, Size, ETag])).toEqual([
      [1, 5 * MiB, copied.CopyPartResult?.ETag],
      [7, 7, sent.ETag],
    ])
    const { Uploads } = await client.send(new ListMultipartUploadsCommand({ Bucket }))
    expect(Uploads?.map(({ Key }) => Key)).toEqual(['k'])
    await client.send(new AbortMultipartUploadCommand(target))
    expect(await failure(client.send(new ListPartsCommand(target)))).toMatchObject({ name: 'NoSuchUpload' })
  })
})

describe('buckets', () => {
  test('are made, found, located and taken away', async () => {
    const client = connect()
    await client.send(new CreateBucketCommand({ Bucket: 'another-bucket' }))
    const { Buckets } = await client.send(new ListBucketsCommand())
    expect(Buckets?.map(({ Name }) => Name)).toEqual(['another-bucket', Bucket])
    await client.send(new HeadBucketCommand({ Bucket: 'another-bucket' }))
    await client.send(new GetBucketLocationCommand({ Bucket: 'another-bucket' }))
    await client.send(new PutObjectCommand({ Bucket: 'another-bucket', Key: 'k', Body: 'x' }))
    const deleting = client.send(new DeleteBucketCommand({ Bucket: 'another-bucket' }))
    expect(await failure(deleting)).toMatchObject({ name: 'BucketNotEmpty' })
    await client.send(new DeleteObjectCommand({ Bucket: 'another-bucket', Key: 'k' }))
    await client.send(new DeleteBucketCommand({ Bucket: 'another-bucket' }))
    expect(await failure(client.send(new HeadBucketCommand({ Bucket: 'another-bucket' })))).toMatchObject({
      $metadata: { httpStatusCode: 404 },
    })
  })

  test('have objects with tags', async () => {
    const client = connect()
    await client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'x', Tagging: 'a=1&b=x%20y' }))
    const tags = async (): Promise<unknown> =>
      (await client.send(new GetObjectTaggingCommand({ Bucket, Key: 'k' }))).TagSet
    expect(await tags()).toEqual([
      { Key: 'a', Value: '1' },
      { Key: 'b', Value: 'x y' },
    ])
    const TagSet = [{ Key: 'c', Value: 'x y+-=._:/@ü' }]
    await client.send(new PutObjectTaggingCommand({ Bucket, Key: 'k', Tagging: { TagSet } }))
    expect(await tags()).toEqual(TagSet)
  })
})

describe('what fails', () => {
  test.each([
    [
      'an absent key',
      (c: S3Client) => c.send(new GetObjectCommand({ Bucket, Key: 'none' })),
      'NoSuchKey',
      404,
    ],
    [
      'an absent bucket',
      (c: S3Client) => c.send(new GetObjectCommand({ Bucket: 'none', Key: 'k' })),
      'NoSuchBucket',
      404,
    ],
    [
      'HEAD of an absent key',
      (c: S3Client) => c.send(new HeadObjectCommand({ Bucket, Key: 'none' })),
      'NotFound',
      404,
    ],
    [
      'a condition',
      (c: S3Client) => c.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'x', IfMatch: '"x"' })),
      'NoSuchKey',
      404,
    ],
    [
      'what is not implemented',
      (c: S3Client) => c.send(new PutBucketPolicyCommand({ Bucket, Policy: '{}' })),
      'NotImplemented',
      501,
    ],
  ])('%s is an error of its kind', async (_, run, name, httpStatusCode) => {
    const error = await failure(run(connect({ maxAttempts: 1 })))
    expect(error).toMatchObject({ name, $metadata: { httpStatusCode } })
    expect(error.$metadata.requestId).toMatch(/^[0-9A-F]{16}$/)
  })

  test.each([
    ['a wrong secret', { accessKeyId, secretAccessKey: 'wrong' }, 'SignatureDoesNotMatch'],
    ['an unknown key', { accessKeyId: 'AKIDNONE', secretAccessKey }, 'InvalidAccessKeyId'],
    ['a token that was not asked for', { accessKeyId, secretAccessKey, sessionToken: 't' }, 'InvalidToken'],
  ])('%s is told so', async (_, credentials, name) => {
    const sending = connect({ credentials }).send(new GetObjectCommand({ Bucket, Key: 'k' }))
    expect(await failure(sending)).toMatchObject({ name })
  })

  test('a clock that is wrong is told so, and set right by the client for the next call', async () => {
    const client = connect({ systemClockOffset: -3_600_000 })
    const put = new PutObjectCommand({ Bucket, Key: 'k', Body: 'x' })
    expect(await failure(client.send(put))).toMatchObject({ name: 'RequestTimeTooSkewed' })
    expect((await client.send(put)).$metadata.attempts).toBe(1)
  })

  test('a moment of too much is tried again', async () => {
    server.force({ operation: 'PutObject', code: 'SlowDown', times: 2 })
    const { $metadata } = await connect().send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'x' }))
    expect($metadata.attempts).toBe(3)
  })
})

/** A request as another program makes it; `fetch` would not let the host be told. */
async function send(
  url: string,
  method: string,
  headers: Record<string, string>,
  body?: string,
): Promise<{ status: number; body: string }> {
  const { request } = await import('node:http')
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, headers }, async (response) => {
      const chunks = await response.toArray()
      resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() })
    })
    sent.once('error', reject)
    sent.end(body)
  })
}
