/** Which of S3's own headers the emulator knows: a header that asks for more than it does is refused, never ignored. */
import { S3Error } from './errors.ts'

const prefix = 'x-amz-'

/** Those that are looked at, and those that change nothing in an emulator. */
const known: ReadonlySet<string> = new Set(
  [
    'acl',
    'bucket-object-lock-enabled',
    'checksum-algorithm',
    'checksum-crc32',
    'checksum-crc32c',
    'checksum-crc64nvme',
    'checksum-mode',
    'checksum-sha1',
    'checksum-sha256',
    'checksum-type',
    'content-sha256',
    'copy-source',
    'copy-source-if-match',
    'copy-source-if-modified-since',
    'copy-source-if-none-match',
    'copy-source-if-unmodified-since',
    'copy-source-range',
    'date',
    'decoded-content-length',
    'max-parts',
    'metadata-directive',
    'mp-object-size',
    'object-attributes',
    'object-ownership',
    'optional-object-attributes',
    'part-number-marker',
    'request-payer',
    'sdk-checksum-algorithm',
    'security-token',
    'server-side-encryption',
    'storage-class',
    'tagging',
    'tagging-directive',
    'trailer',
    'user-agent',
    'website-redirect-location',
  ].map((name) => prefix + name),
)

/** Of these only the values that ask for what is so anyhow. */
const values: Readonly<Record<string, readonly string[]>> = {
  'x-amz-acl': ['private', 'bucket-owner-full-control'],
  'x-amz-bucket-object-lock-enabled': ['false'],
  'x-amz-object-ownership': ['BucketOwnerEnforced'],
  'x-amz-server-side-encryption': ['AES256'],
}

/** @throws S3Error `NotImplemented` */
export function checkHeaders(headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) {
    if (!name.startsWith(prefix) || name.startsWith('x-amz-meta-')) continue
    const isKnown = known.has(name) && (values[name]?.includes(value) ?? true)
    // What other checksums there are is told where bodies are read.
    if (isKnown || name.startsWith('x-amz-checksum-')) continue
    throw new S3Error('NotImplemented', { fields: { Header: name } })
  }
}

/**
 * The whole of a PUT's headers is limited too: https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
 * @throws S3Error `RequestHeaderSectionTooLarge`
 */
export function checkHeaderSize(headers: Readonly<Record<string, string>>, most: number): void {
  // Each with its colon, its space and the end of its line.
  const size = Object.entries(headers).reduce((sum, [name, value]) => sum + name.length + value.length + 4, 0)
  if (size > most) throw new S3Error('RequestHeaderSectionTooLarge', { fields: { MaxSizeAllowed: most } })
}

/**
 * What S3 itself defines of an object and a client may set, as far as it is free text. A GET may ask for another value of
 * each in its query.
 */
export const systemMetadata: readonly string[] = [
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-type',
  'expires',
]

/**
 * What S3 itself defines has a limit of its own, in which the names count as well:
 * https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAPI.html
 * @throws S3Error `MetadataTooLarge`
 */
export function checkSystemMetadata(headers: Readonly<Record<string, string>>, most: number): void {
  const size = systemMetadata.reduce((sum, name) => {
    const value = headers[name]
    return value === undefined ? sum : sum + name.length + value.length
  }, 0)
  if (size > most) throw new S3Error('MetadataTooLarge', { fields: { Size: size, MaxSizeAllowed: most } })
}

/** The headers without what they say of the body's checksum. */
export function withoutChecksums(
  headers: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(headers).filter(
      ([name]) => !name.startsWith('x-amz-checksum-') && name !== 'x-amz-sdk-checksum-algorithm',
    ),
  )
}
