/** S3, and servers that speak its protocol: object storage. */
import type { S3Client } from '@aws-sdk/client-s3'
import type { Adapter } from '../../src/adapter.ts'
import { ObjectStorage } from '../../src/ports/object-storage.ts'
import type { ServiceUrl } from '../../src/services/url.ts'
import { loadVendor } from '../../src/services/vendor.ts'
import { largestPartBytes, smallestPartBytes } from './limits.ts'

export { classifyS3Error } from './errors.ts'

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
  endpoint(url) {
    // Without an endpoint the SDK chooses a host by region, partition and bucket.
    const endpoint = URL.parse(url.text('endpoint') ?? '')
    if (endpoint === null) return undefined
    const { hostname, port, protocol } = endpoint
    const host = hostname.replace(/^\[(.*)\]$/, '$1')
    return { host, port: port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port) }
  },
  async open(url) {
    const packages = ['@aws-sdk/client-s3', '@aws-sdk/s3-request-presigner'] as const
    const { openS3 } = await loadVendor(() => import('./open.ts'), packages)
    return openS3(url, lacksOf(url))
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
