/** Makes the `S3Client` that a URL asks for. Loaded only when one does. */
import { S3Client } from '@aws-sdk/client-s3'
import type { Driver } from '../../src/adapter.ts'
import type { ObjectStorage } from '../../src/ports/object-storage.ts'
import type { ServiceUrl } from '../../src/services/url.ts'
import { s3ObjectStorage } from './object-storage.ts'

const connectTimeoutMs = 5_000
/** How long a connection may be silent: it frees those of answers that nobody reads. */
const idleTimeoutMs = 120_000

export async function openS3(url: ServiceUrl, lacks: readonly string[]): Promise<Driver<ObjectStorage>> {
  const { host: bucket, username, password } = url
  const sessionToken = url.text('sessionToken')
  const endpoint = url.text('endpoint')
  const partSizeBytes = url.integer('partSizeBytes')
  const checksums = url.text('checksums') === 'when-required' ? 'WHEN_REQUIRED' : 'WHEN_SUPPORTED'
  const client = new S3Client({
    region: url.text('region') ?? 'us-east-1',
    forcePathStyle: url.boolean('pathStyle') ?? false,
    // The guard repeats what may be repeated, within the caller's deadline.
    maxAttempts: 1,
    requestChecksumCalculation: checksums,
    responseChecksumValidation: checksums,
    requestHandler: { connectionTimeout: connectTimeoutMs, socketTimeout: idleTimeoutMs },
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(username === undefined || password === undefined
      ? {}
      : {
          credentials: {
            accessKeyId: username,
            secretAccessKey: password,
            ...(sessionToken === undefined ? {} : { sessionToken }),
          },
        }),
  })
  const driver = s3ObjectStorage(client, {
    bucket,
    lacks,
    ...(partSizeBytes === undefined ? {} : { partSizeBytes }),
  })
  return {
    ...driver,
    secrets: url.secrets,
    async close() {
      await driver.close()
      client.destroy()
    },
  }
}
