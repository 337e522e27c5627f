/** `portside emulate s3`, asked by Amazon's own client: what it keeps, and how it is controlled. */
import {
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  ListBucketsCommand,
  ListPartsCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { describe, expect, test } from 'vitest'
import { emulate, persisted, s3Client, settled, stop } from './fixtures/emulating.ts'

describe('portside emulate s3', () => {
  test('keeps buckets, objects and uploads under way over a restart', async () => {
    const args = ['s3', '--persist', 'state', '--bucket', 'tickets', '--bucket', 'posters']
    const first = await emulate(args)
    const client = s3Client(first)
    const large = new Uint8Array(6 * 1024 * 1024).fill(7)
    await client.send(
      new PutObjectCommand({ Bucket: 'tickets', Key: 'a/1', Body: 'seat 7', Metadata: { by: 'me' } }),
    )
    await client.send(new PutObjectCommand({ Bucket: 'tickets', Key: 'large', Body: large }))
    await client.send(new CreateBucketCommand({ Bucket: 'made-later' }))
    const { UploadId } = await client.send(
      new CreateMultipartUploadCommand({ Bucket: 'made-later', Key: 'parts' }),
    )
    const part = { Bucket: 'made-later', Key: 'parts', UploadId, PartNumber: 1 }
    await client.send(new UploadPartCommand({ ...part, Body: large }))
    client.destroy()
    await stop(first)
    const second = await emulate(args)
    const again = s3Client(second)
    const { Buckets } = await again.send(new ListBucketsCommand({}))
    expect(Buckets?.map(({ Name }) => Name)).toEqual(['made-later', 'posters', 'tickets'])
    const { Body, Metadata } = await again.send(new GetObjectCommand({ Bucket: 'tickets', Key: 'a/1' }))
    expect([await Body?.transformToString(), Metadata]).toEqual(['seat 7', { by: 'me' }])
    const got = await again.send(new GetObjectCommand({ Bucket: 'tickets', Key: 'large' }))
    expect(Buffer.compare((await got.Body?.transformToByteArray()) ?? new Uint8Array(), large)).toBe(0)
    const { Parts } = await again.send(new ListPartsCommand({ Bucket: 'made-later', Key: 'parts', UploadId }))
    expect(Parts).toMatchObject([{ PartNumber: 1, Size: large.length }])
    again.destroy()
    await stop(second)
  })

  test('survives SIGKILL, and is controlled as a whole over all buckets', async () => {
    const args = ['s3', '--persist', 'state']
    const first = await emulate(args)
    const client = s3Client(first)
    const put = (Bucket: string, Key: string): Promise<unknown> =>
      client.send(new PutObjectCommand({ Bucket, Key, Body: 'x' }))
    await client.send(new CreateBucketCommand({ Bucket: 'made-later' }))
    const control = first.control.service('s3')
    await control.addFaults({ operation: 'put', error: 'rate-limited' })
    await expect(put('made-later', 'a')).rejects.toMatchObject({ name: 'SlowDown' })
    await put('development', 'a')
    await put('made-later', 'b')
    expect((await control.journalAfter(0)).entries.map(({ subject, result }) => [subject, result])).toEqual([
      ['a', 'rate-limited'],
      ['a', 'ok'],
      ['b', 'ok'],
    ])
    await control.force({ operation: 'ListBuckets', code: 'InternalError' })
    await expect(client.send(new ListBucketsCommand({}))).rejects.toMatchObject({ name: 'InternalError' })
    await control.save('two')
    await put('made-later', 'c')
    await expect.poll(() => persisted('s3/buckets/made-later'), settled).toContain('"c"')
    await expect.poll(() => persisted('s3'), settled).toContain('made-later')
    first.child.kill('SIGKILL')
    await first.ended
    client.destroy()
    const second = await emulate(args)
    const keys = async (): Promise<Readonly<Record<string, readonly string[]>>> => {
      const { buckets } = await second.control
        .service('s3')
        .state<{ buckets: Record<string, { objects: readonly { key: string }[] }> }>()
      return Object.fromEntries(
        Object.entries(buckets).map(([name, { objects }]) => [name, objects.map(({ key }) => key)]),
      )
    }
    expect(await keys()).toEqual({ development: ['a'], 'made-later': ['b', 'c'] })
    await second.control.service('s3').load('two')
    expect(await keys()).toEqual({ development: ['a'], 'made-later': ['b'] })
    await second.control.service('s3').reset()
    expect(await keys()).toEqual({ development: [] })
    await stop(second)
  })
})
