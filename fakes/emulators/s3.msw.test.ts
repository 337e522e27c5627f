/**
 * AWS's own client as it is in production — Amazon's endpoints, buckets as hosts, TLS, its own checksums and retries —
 * answered inside the process, with the egress guard as witness that nothing left it.
 */
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { setupServer } from 'msw/node'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock } from '../../src/calls/clock.ts'
import { type EgressGuard, installEgressGuard } from '../../src/testing/egress.ts'
import { FakeObjectStorage } from '../object-storage.ts'
import { mswHandlers } from './msw.ts'
import { type S3Emulator, s3Emulator } from './s3.ts'

/** New ones each time: the SDK writes into what it is given. */
const credentials = (secretAccessKey = 'secret') => ({ accessKeyId: 'AKIDEXAMPLE', secretAccessKey })
const amazon = [
  'https://s3.amazonaws.com',
  'https://*.s3.amazonaws.com',
  'https://s3.*.amazonaws.com',
  'https://*.s3.*.amazonaws.com',
]

let guard: EgressGuard
let server: ReturnType<typeof setupServer>
let storage: FakeObjectStorage
let emulator: S3Emulator
beforeEach(() => {
  guard = installEgressGuard()
  storage = new FakeObjectStorage({ clock: systemClock })
  emulator = s3Emulator({ buckets: { receipts: storage }, credentials: [credentials()] })
  server = setupServer(...mswHandlers(emulator, amazon))
  server.listen({ onUnhandledFrame: 'error' })
})
afterEach(async () => {
  server.close()
  await emulator.close()
  await storage.guarded.close()
  guard.uninstall()
  guard.assertClean()
})

test.each(['us-east-1', 'eu-central-1'])('an object lives its life in %s', async (region) => {
  const client = new S3Client({ region, credentials: credentials() })
  const at = { Bucket: 'receipts', Key: 'a b/ü+%/7.json' }
  const { ETag } = await client.send(
    new PutObjectCommand({ ...at, Body: '{"total":7}', Metadata: { by: 'test' } }),
  )
  const got = await client.send(new GetObjectCommand(at))
  expect([await got.Body?.transformToString(), got.ETag, got.Metadata]).toEqual([
    '{"total":7}',
    ETag,
    { by: 'test' },
  ])
  const { ContentLength } = await client.send(new HeadObjectCommand(at))
  expect(ContentLength).toBe(11)
  const { Contents } = await client.send(new ListObjectsV2Command({ Bucket: 'receipts', Prefix: 'a b/' }))
  expect(Contents?.map(({ Key }) => Key)).toEqual([at.Key])
  await client.send(new DeleteObjectCommand(at))
  await expect(client.send(new GetObjectCommand(at))).rejects.toMatchObject({ name: 'NoSuchKey' })
  client.destroy()
})

test('an upload in parts, a part of an object, and a signed URL', async () => {
  const client = new S3Client({ region: 'eu-central-1', credentials: credentials() })
  const at = { Bucket: 'receipts', Key: 'pixels.png' }
  const body = Buffer.alloc(6 * 1_048_576, 'pixel')
  await new Upload({ client, params: { ...at, Body: body }, partSize: 5 * 1_048_576 }).done()
  const range = await client.send(new GetObjectCommand({ ...at, Range: 'bytes=5-9' }))
  expect(await range.Body?.transformToString()).toBe('pixel')
  const signed = await fetch(await getSignedUrl(client, new GetObjectCommand(at), { expiresIn: 60 }))
  expect(Buffer.compare(Buffer.from(await signed.arrayBuffer()), body)).toBe(0)
  client.destroy()
})

test('a wrong secret, a lost connection and a bucket of another name', async () => {
  const wrong = new S3Client({
    region: 'us-east-1',
    credentials: credentials('wrong'),
  })
  const at = { Bucket: 'receipts', Key: 'a' }
  await expect(wrong.send(new HeadObjectCommand(at))).rejects.toMatchObject({
    $metadata: { httpStatusCode: 403 },
  })
  await expect(wrong.send(new GetObjectCommand(at))).rejects.toMatchObject({ name: 'SignatureDoesNotMatch' })
  const client = new S3Client({ region: 'us-east-1', credentials: credentials(), maxAttempts: 1 })
  await client.send(new PutObjectCommand({ ...at, Body: 'a' }))
  storage.faults.next('get', { error: 'unavailable', when: 'after' })
  await expect(client.send(new GetObjectCommand(at))).rejects.toThrow()
  expect(await (await client.send(new GetObjectCommand(at))).Body?.transformToString()).toBe('a')
  await client.send(new CreateBucketCommand({ Bucket: 'made.here' }))
  expect([...emulator.buckets.keys()]).toEqual(['receipts', 'made.here'])
  client.destroy()
  wrong.destroy()
})
