/** S3, and servers that speak its protocol: object storage. */
import { S3Client } from '@aws-sdk/client-s3'
import type { Adapter } from '../../src/adapter.ts'
import { ObjectStorage } from '../../src/ports/object-storage.ts'
import type { ServiceUrl } from '../../src/services/url.ts'
import { s3ObjectStorage } from './object-storage.ts'
import { largestPartBytes, smallestPartBytes } from './upload.ts'

export { classifyS3Error } from './errors.ts'
export { type S3ObjectStorageOptions, s3ObjectStorage } from './object-storage.ts'

const connectTimeoutMs = 5_000
/** How long a connection may be silent: it frees those of answers that nobody reads. */
const idleTimeoutMs = 120_000

/**
 * `s3://KEY:SECRET@bucket?region=eu-central-1`. Without key and secret the AWS SDK looks for credentials where it
 * always does: environment, shared files, the machine's role.
 */
export const s3: Adapter<ObjectStorage, S3Client> = {
  name: 's3',
  port: ObjectStorage,
  schemes: ['s3'],
  example: 's3://ACCESS_KEY:SECRET_KEY@bucket?region=eu-central-1',
  parameters: {
    region: { type: 'text', description: 'the AWS region; needed unless there is an endpoint' },
    endpoint: {
      type: 'text',
      description: "another server's http(s) URL; its region is us-east-1 by default",
    },
    pathStyle: { type: 'boolean', description: 'the bucket in the path instead of the host name' },
    sessionToken: { type: 'text', secret: true, description: 'the token of temporary credentials' },
    partSizeBytes: {
      type: 'integer',
      min: smallestPartBytes,
      max: largestPartBytes,
      description: 'longer bodies are uploaded in parts of this size; default 8388608',
    },
    checksums: {
      type: 'choice',
      choices: ['when-supported', 'when-required'],
      description: 'when-required for servers that do not know the checksums of the newer SDKs',
    },
    lacks: { type: 'text', description: 'capabilities the server does not have, separated by commas' },
  },
  validate(url) {
    const problems: string[] = []
    if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(url.host)) {
      problems.push(
        'its host must be the name of a bucket: 3 to 63 lower-case letters, digits, dots and hyphens',
      )
    }
    if (url.port !== undefined) problems.push('it must not have a port; that belongs to the endpoint')
    if (url.path !== '') problems.push('it must not have a path')
    if ((url.username === undefined) !== (url.password === undefined)) {
      problems.push('it must have both an access key and a secret key, or neither')
    }
    if (url.text('sessionToken') !== undefined && url.username === undefined) {
      problems.push('its sessionToken needs an access key and a secret key')
    }
    const endpoint = url.text('endpoint')
    if (endpoint === undefined && url.text('region') === undefined) {
      problems.push('it must have the parameter "region", or "endpoint"')
    }
    if (endpoint !== undefined && !isEndpoint(endpoint)) {
      problems.push('its parameter "endpoint" must be an http or https URL without credentials and query')
    }
    const unknown = lacksOf(url).filter((name) => !(name in ObjectStorage.capabilities))
    if (unknown.length > 0) {
      problems.push(`its parameter "lacks" may name ${Object.keys(ObjectStorage.capabilities).join(', ')}`)
    }
    return problems
  },
  async open(url) {
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
      lacks: lacksOf(url),
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
  },
}

function lacksOf(url: ServiceUrl): readonly string[] {
  return url.text('lacks')?.split(',') ?? []
}

function isEndpoint(text: string): boolean {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol)) return false
  return url.username === '' && url.password === '' && url.search === '' && url.hash === ''
}
