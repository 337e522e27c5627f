/**
 * Large objects pass through the emulator without being held in memory or copied. With PORTSIDE_LARGE_BYTES=5368709120
 * this is the largest object of one PUT; in the suite it is smaller.
 */
import { createHash } from 'node:crypto'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { CopyObjectCommand, GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { expect, test } from 'vitest'
import { bucketOf } from '../fakes/object-storage/bucket.ts'
import { pattern } from './object-storage/samples.ts'
import { secret, startBucket } from './object-storage.emulator.setup.ts'

const size = Number(process.env.PORTSIDE_LARGE_BYTES ?? 96 * 1024 * 1024)
const chunk = Buffer.from(pattern(1024 * 1024))

/** Bytes that are made as they are read. */
async function* generated(): AsyncGenerator<Buffer> {
  for (let left = size; left > 0; left -= chunk.length) yield chunk.subarray(0, Math.min(left, chunk.length))
}

async function digestOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('md5')
  for await (const bytes of body) hash.update(bytes)
  return hash.digest('hex')
}

test('a large object is put in one piece and in parts, copied and read in little memory, and stored once', async () => {
  const { storage, server } = await startBucket()
  const client = new S3Client({
    endpoint: server.origin,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: 'contract', secretAccessKey: secret },
  })
  const target = { Bucket: 'contract' }
  const before = process.memoryUsage().rss
  let peak = before
  const watch = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().rss)
  }, 20)
  const times: Record<string, number> = {}
  const timed = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    const started = performance.now()
    const result = await work()
    times[name] = Math.round(performance.now() - started)
    return result
  }
  try {
    const body = (): Readable => Readable.from(generated(), { objectMode: false })
    await timed('put', () =>
      client.send(new PutObjectCommand({ ...target, Key: 'whole', Body: body(), ContentLength: size })),
    )
    await timed('upload', () =>
      new Upload({
        client,
        params: { ...target, Key: 'parts', Body: body() },
        partSize: 8 * 1024 * 1024,
      }).done(),
    )
    await timed('copy', () =>
      client.send(new CopyObjectCommand({ ...target, Key: 'copy', CopySource: 'contract/parts' })),
    )
    const expected = await digestOf(generated())
    for (const Key of ['whole', 'copy']) {
      const { Body } = await timed(`get ${Key}`, () => client.send(new GetObjectCommand({ ...target, Key })))
      expect(await timed(`read ${Key}`, () => digestOf(Body as Readable))).toBe(expected)
    }
    // Two bodies, not three: the copy shares the parts.
    const folder = bucketOf(storage)?.contents.folder ?? ''
    const stored = readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0)
    expect(stored).toBeLessThanOrEqual(2 * size)
    expect(stored).toBeGreaterThan(size)
    const grown = Math.round((peak - before) / 1024 ** 2)
    if (process.env.PORTSIDE_LARGE_BYTES !== undefined)
      process.stdout.write(`${JSON.stringify({ grown, times })}\n`)
    // Less than the two bodies that are stored: it is the parts that the client holds and what is not collected yet.
    expect(grown).toBeLessThan(180)
  } finally {
    clearInterval(watch)
    client.destroy()
    await server.close()
    await storage.guarded.close()
  }
}, 1_800_000)
