/** One request to S3 on its way through the emulator: what it is about, and what its operation needs to answer it. */
import type {
  Bucket,
  Checksums,
  ObjectDescription,
  ObjectVersion,
  Tags,
} from '../../object-storage/bucket.ts'
import type { Content } from '../../object-storage/pieces.ts'
import type { HttpReply, HttpRequest } from '../http.ts'
import { type ChecksumAlgorithm, checksumAlgorithms, checksumElement, checksumHeader } from './checksums.ts'
import type { Dialect } from './dialects.ts'
import { type RequestIds, S3Error } from './errors.ts'
import { checkSystemMetadata } from './headers.ts'
import type { S3OperationName } from './operations.ts'
import { type Payload, type PayloadOptions, storedContentEncoding } from './payload.ts'
import { s3Namespace, writeXml, type XmlTree } from './xml.ts'

export interface S3Call {
  readonly operation: S3OperationName
  readonly request: HttpRequest
  readonly headers: Readonly<Record<string, string>>
  readonly query: ReadonlyMap<string, string>
  readonly dialect: Dialect
  readonly region: string
  readonly ids: RequestIds
  /** Whether the request was signed by anyone. */
  readonly isSigned: boolean
  /** Empty for what is about all buckets. */
  readonly bucketName: string
  /** Empty for what is about a bucket. */
  readonly key: string
  /** Its bucket. Throws `NoSuchBucket`. */
  readonly bucket: Bucket
  /** Another bucket, for copies. Throws `NoSuchBucket`. */
  bucketNamed(name: string): Bucket
  /** The body, decoded and held to its checksums. To be asked for once. */
  payload(options?: PayloadOptions): Payload
  /** Notes in the fake's journal what was changed. */
  effect(text: string): void
}

export type Operation = (call: S3Call) => Promise<HttpReply> | HttpReply

/** By S3's names. */
export type OperationTable = Readonly<Partial<Record<S3OperationName, Operation>>>

/** The most that one PUT, one part and one copy may hold. https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html */
export const largestPutBytes: number = 5 * 1024 ** 3

/** An answer in XML. */
export function xmlReply(
  root: string,
  tree: XmlTree | string,
  headers: Readonly<Record<string, string>> = {},
): HttpReply {
  return {
    status: 200,
    headers: { 'content-type': 'application/xml', ...headers },
    body: writeXml(root, tree, s3Namespace),
  }
}

export interface StoredBody {
  readonly content: Content
  /** In hexadecimal. */
  readonly md5: string
  readonly checksums: Checksums
}

/**
 * Writes the body into the bucket's store. What was decoded was held to every checksum that came along.
 * @param algorithm of a checksum to have of it. @default the client's, else CRC64NVME, which is S3's own
 */
export async function storeBody(call: S3Call, algorithm?: ChecksumAlgorithm): Promise<StoredBody> {
  const keeps = call.dialect.checksums === 'checked'
  const wanted = keeps ? { ...(algorithm !== undefined && { checksums: [algorithm] }) } : { checksums: [] }
  const payload = call.payload({ lengthRequired: true, ...wanted })
  const { declaredSize = 0 } = payload
  if (declaredSize > largestPutBytes) throw entityTooLarge(declaredSize)
  const content = await call.bucket.contents.write(payload.bytes)
  const { md5, checksums } = payload.done()
  return { content, md5, checksums: Object.fromEntries(checksums) }
}

export function entityTooLarge(size: number): S3Error {
  return new S3Error('EntityTooLarge', { fields: { ProposedSize: size, MaxSizeAllowed: largestPutBytes } })
}

/** A body that is small, whole. */
export async function readBody(call: S3Call, maxBytes: number = 2 * 1024 * 1024): Promise<Uint8Array> {
  const payload = call.payload({ checksums: [] })
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of payload.bytes) {
    size += chunk.length
    if (size > maxBytes)
      throw new S3Error('MaxMessageLengthExceeded', { fields: { MaxMessageLengthBytes: maxBytes } })
    chunks.push(chunk)
  }
  payload.done()
  return Buffer.concat(chunks)
}

const metadataPrefix = 'x-amz-meta-'

/**
 * What the headers of a PUT, copy or new upload say of the object.
 * @throws S3Error `MetadataTooLarge`, `InvalidStorageClass`, `InvalidArgument`
 */
export function descriptionOf({ headers, dialect }: Pick<S3Call, 'headers' | 'dialect'>): ObjectDescription {
  const metadata: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith(metadataPrefix)) metadata[name.slice(metadataPrefix.length)] = textOfHeader(value)
  }
  const size = Object.entries(metadata).reduce((sum, pair) => sum + Buffer.byteLength(pair.join('')), 0)
  const limit = dialect.metadataBytes
  if (limit !== undefined && size > limit) {
    throw new S3Error('MetadataTooLarge', { fields: { Size: size, MaxSizeAllowed: limit } })
  }
  if (limit !== undefined) checkSystemMetadata(headers, limit)
  const attributes = {
    contentType: headers['content-type'] ?? 'binary/octet-stream',
    ...present('cacheControl', headers['cache-control']),
    ...present('contentDisposition', headers['content-disposition']),
    ...present('contentEncoding', storedContentEncoding(headers['content-encoding'])),
    ...present('contentLanguage', headers['content-language']),
    metadata,
  }
  const further = ['expires', 'x-amz-website-redirect-location', 'x-amz-storage-class'] as const
  const kept = further.flatMap((name) =>
    headers[name] === undefined ? [] : [[name, headers[name]] as const],
  )
  checkStorageClass(headers['x-amz-storage-class'])
  return {
    attributes,
    headers: Object.fromEntries(kept.filter(([, value]) => value !== 'STANDARD')),
    tags: tagsOfHeader(headers['x-amz-tagging']),
  }
}

const storageClasses = [
  'STANDARD',
  'REDUCED_REDUNDANCY',
  'STANDARD_IA',
  'ONEZONE_IA',
  'INTELLIGENT_TIERING',
  'GLACIER',
  'DEEP_ARCHIVE',
  'GLACIER_IR',
]
// Reading from these needs a restore first, which is not modelled.
const archived = ['GLACIER', 'DEEP_ARCHIVE']

function checkStorageClass(name: string | undefined): void {
  if (name === undefined) return
  if (!storageClasses.includes(name)) {
    throw new S3Error('InvalidStorageClass', { fields: { StorageClassRequested: name } })
  }
  if (archived.includes(name)) {
    throw new S3Error('NotImplemented', {
      message: `The emulator does not implement the storage class ${name}`,
    })
  }
}

export function storageClassOf(version: Pick<ObjectVersion, 'headers'>): string {
  return version.headers['x-amz-storage-class'] ?? 'STANDARD'
}

/** The headers of an answer about an object, without its length. */
export function objectHeaders(version: ObjectVersion): Record<string, string> {
  const { attributes, headers, tags, etag, lastModifiedMs } = version
  const metadata = Object.entries(attributes.metadata ?? {}).map(([name, value]) => [
    `${metadataPrefix}${name}`,
    headerOfText(value),
  ])
  return {
    'accept-ranges': 'bytes',
    etag,
    'last-modified': new Date(lastModifiedMs).toUTCString(),
    'content-type': attributes.contentType,
    ...present('cache-control', attributes.cacheControl),
    ...present('content-disposition', attributes.contentDisposition),
    ...present('content-encoding', attributes.contentEncoding),
    ...present('content-language', attributes.contentLanguage),
    ...headers,
    ...Object.fromEntries(metadata),
    ...(tags.length === 0 ? {} : { 'x-amz-tagging-count': String(tags.length) }),
  }
}

/** The checksums of a version or part as headers. */
export function checksumHeaders(checksums: Checksums): Record<string, string> {
  return Object.fromEntries(
    checksumAlgorithms.flatMap((algorithm) => {
      const value = checksums[algorithm]
      return value === undefined ? [] : [[checksumHeader(algorithm), value] as const]
    }),
  )
}

/** Node gives each byte of a header as the character of that number; SDKs send UTF-8. */
function textOfHeader(value: string): string {
  const bytes = Buffer.from(value, 'latin1')
  const text = bytes.toString()
  return text.includes('\ufffd') ? value : text
}

/** S3 gives back what is no ASCII in the form of RFC 2047. */
function headerOfText(value: string): string {
  return /^[\t\x20-\x7e]*$/.test(value) ? value : `=?UTF-8?B?${Buffer.from(value).toString('base64')}?=`
}

function tagsOfHeader(header: string | undefined): Tags {
  if (header === undefined) return []
  return checkTags([...new URLSearchParams(header)], 10)
}

/**
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html
 * @throws S3Error `InvalidTag`, `BadRequest`
 */
export function checkTags(tags: Tags, most: number): Tags {
  if (tags.length > most) {
    const of = most === 10 ? 'Object' : 'Bucket'
    throw new S3Error('BadRequest', { message: `${of} tags cannot be greater than ${most}` })
  }
  const names = new Set<string>()
  for (const [name, value] of tags) {
    const invalid = (message: string): S3Error =>
      new S3Error('InvalidTag', { message, fields: { TagKey: name, TagValue: value } })
    if (name.length < 1 || name.length > 128 || !tagText.test(name))
      throw invalid('The TagKey you have provided is invalid')
    if (value.length > 256 || !tagText.test(value)) throw invalid('The TagValue you have provided is invalid')
    if (name.toLowerCase().startsWith('aws:'))
      throw invalid('System tags cannot be added/updated by requester')
    if (names.has(name)) throw invalid('Cannot provide multiple Tags with the same key')
    names.add(name)
  }
  return tags
}

const tagText = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u

/** A whole number in the query. Throws `InvalidArgument`. */
export function queryInteger(
  { query }: Pick<S3Call, 'query'>,
  name: string,
  byDefault: number,
  most: number = Number.MAX_SAFE_INTEGER,
): number {
  const text = query.get(name)
  if (text === undefined || text === '') return byDefault
  const value = Number(text)
  if (/^-?\d+$/.test(text) && value >= 0 && value <= 2 ** 31 - 1) return Math.min(value, most)
  const message = /^\d+$/.test(text)
    ? `Argument ${name} must be an integer between 0 and 2147483647`
    : `Provided ${name} not an integer or within integer range`
  throw new S3Error('InvalidArgument', { message, fields: { ArgumentName: name, ArgumentValue: text } })
}

/** An object with the field, or without it where there is no value. */
export function present<Name extends string, Value>(
  name: Name,
  value: Value | undefined,
): { readonly [K in Name]?: Value } {
  return (value === undefined ? {} : { [name]: value }) as { readonly [K in Name]?: Value }
}

/** The bucket's object. Throws `NoSuchKey`. */
export function objectOf({ bucket, key, query }: S3Call): ObjectVersion {
  const version = bucket.get(key)
  checkVersionId(query.get('versionId'))
  if (version === undefined) throw new S3Error('NoSuchKey', { fields: { Key: key } })
  return version
}

/** A bucket without versions has the version `null`, and no other. */
export function checkVersionId(versionId: string | undefined): void {
  if (versionId === undefined || versionId === 'null') return
  throw new S3Error('InvalidArgument', {
    message: 'Invalid version id specified',
    fields: { ArgumentName: 'versionId', ArgumentValue: versionId },
  })
}

/** Lets go of the content where it is not stored after all. */
export function committing(content: Content, check: () => void): void {
  try {
    check()
  } catch (error) {
    content.release()
    throw error
  }
}

/** The checksums of a version or part as elements. */
export function checksumElements(checksums: Checksums): XmlTree {
  return Object.fromEntries(
    Object.entries(checksums).map(([name, value]) => [checksumElement(name as ChecksumAlgorithm), value]),
  )
}
