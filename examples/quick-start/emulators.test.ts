import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { setupServer } from 'msw/node'
import { mswHandlers } from 'portside/fakes/emulators/msw'
import { s3Emulator, startS3Emulator } from 'portside/fakes/emulators/s3'
import { FakeObjectStorage } from 'portside/fakes/object-storage'
import { expect, test } from 'vitest'

const credentials = { accessKeyId: 'portside', secretAccessKey: 'portside-development' }

test('code that speaks S3 itself runs on the fake, over a socket', async () => {
  await using server = await startS3Emulator()
  const storage = server.addBucket('invoices')
  const s3 = new S3Client({ endpoint: server.origin, region: 'us-east-1', forcePathStyle: true, credentials })

  // S3 answers the first attempt with 503 SlowDown, as it will one day.
  storage.faults.next('put', { error: 'rate-limited' })
  await s3.send(new PutObjectCommand({ Bucket: 'invoices', Key: '7.pdf', Body: 'paid' }))

  expect(storage.objects.get('7.pdf')?.text).toBe('paid')
  expect(storage.journal.of('put').map(({ result }) => result)).toEqual(['rate-limited', 'ok'])
})

test('or without one, at the address it has in production', async () => {
  const storage = new FakeObjectStorage()
  storage.seed({ '7.pdf': 'paid' })
  await using emulator = s3Emulator({ buckets: { invoices: storage } })
  const network = setupServer(...mswHandlers(emulator, 'https://*.s3.eu-central-1.amazonaws.com'))
  network.listen()

  const s3 = new S3Client({ region: 'eu-central-1', credentials: { ...credentials } })
  const { Body } = await s3.send(new GetObjectCommand({ Bucket: 'invoices', Key: '7.pdf' }))
  expect(await Body?.transformToString()).toBe('paid')
  network.close()
})
