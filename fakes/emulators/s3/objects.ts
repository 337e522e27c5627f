/** Operations on one object: PutObject, GetObject, HeadObject, CopyObject, DeleteObject(s), its attributes and tags. */
import { createHash } from 'node:crypto'
import type { Bucket, Checksums, ObjectDescription, ObjectVersion } from '../../object-storage/bucket.ts'
import type { Content } from '../../object-storage/contents.ts'
import { wholeEtag } from '../../object-storage/etags.ts'
import { parseCopySource } from './address.ts'
import {
  checksumHeaders,
  checkTags,
  checkVersionId,
  descriptionOf,
  entityTooLarge,
  largestPutBytes,
  type Operation,
  objectHeaders,
  objectOf,
  present,
  queryInteger,
  readBody,
  type S3Call,
  storageClassOf,
  storeBody,
  xmlReply,
} from './call.ts'
import { type ChecksumAlgorithm, checksumAlgorithm, checksumElement, createChecksum } from './checksums.ts'
import { checkCopySource, checkDelete, checkRead, checkWrite, writeCondition } from './conditions.ts'
import { S3Error } from './errors.ts'
import { childrenOf, readXml, textOf } from './read-xml.ts'
import type { XmlTree } from './xml.ts'

const putObject: Operation = async (call) => {
  const { bucket, key, headers, dialect } = call
  const condition = writeCondition(headers)
  const description = descriptionOf(call)
  if (dialect.putIfMatch === 'always-fails' && condition.ifMatch?.startsWith('"')) {
    throw new S3Error('PreconditionFailed', { fields: { Condition: 'If-Match' } })
  }
  // Told before gigabytes are sent; asked again when they are there.
  checkWrite(condition, key, bucket.get(key))
  const { content, md5, checksums } = await storeBody(call)
  const etag = `"${md5}"`
  committing(content, () => checkWrite(condition, key, bucket.get(key)))
  bucket.put(key, { content, etag, checksums }, description)
  call.effect(`stored ${key} (${content.size} bytes)`)
  return {
    status: 200,
    headers: { etag, ...checksumHeaders(checksums), ...typeHeader(checksums, 'FULL_OBJECT') },
  }
}

/** Lets go of the content where it is not stored after all. */
function committing(content: Content, check: () => void): void {
  try {
    check()
  } catch (error) {
    content.release()
    throw error
  }
}

const getObject: Operation = (call) => {
  const version = objectOf(call)
  checkRead(call.headers, version)
  const { content } = version
  const range = rangeOf(call, version)
  const headers = {
    ...objectHeaders(version),
    ...overrides(call),
    ...(range.isWhole ? checksumsAsked(call, version) : {}),
    ...(range.parts === undefined ? {} : { 'x-amz-mp-parts-count': String(range.parts) }),
    'content-length': String(range.end - range.start),
  }
  const isPart = range.isPart
  const contentRange = { 'content-range': `bytes ${range.start}-${range.end - 1}/${content.size}` }
  return {
    status: isPart ? 206 : 200,
    headers: isPart ? { ...headers, ...contentRange } : headers,
    ...(call.request.method === 'HEAD' ? {} : { body: content.read(range.start, range.end) }),
  }
}

function checksumsAsked({ headers }: S3Call, version: ObjectVersion): Record<string, string> {
  if (headers['x-amz-checksum-mode']?.toUpperCase() !== 'ENABLED') return {}
  return { ...checksumHeaders(version.checksums), ...typeHeader(version.checksums, version.checksumType) }
}

function typeHeader(checksums: Checksums, type: string): Record<string, string> {
  return Object.keys(checksums).length === 0 ? {} : { 'x-amz-checksum-type': type }
}

interface Range {
  readonly start: number
  /** The first byte after it. */
  readonly end: number
  /** Whether the answer is 206. */
  readonly isPart: boolean
  readonly isWhole: boolean
  /** How many parts there are, where one was asked for. */
  readonly parts?: number
}

function rangeOf(call: S3Call, version: ObjectVersion): Range {
  const { size } = version.content
  const header = call.headers.range
  const all = { start: 0, end: size, isPart: false, isWhole: true }
  const number = call.dialect.readsByPart ? call.query.get('partNumber') : undefined
  if (number !== undefined) {
    if (header !== undefined) {
      throw new S3Error('InvalidRequest', {
        message: 'Cannot specify both Range header and partNumber query parameter',
      })
    }
    return partRange(number, version)
  }
  // What is no range of bytes is not looked at, as RFC 9110 has it.
  const [, list = ''] = /^bytes\s*=\s*([\d\s,-]+)$/.exec(header ?? '') ?? []
  if (list === '') return all
  if (list.includes(',')) {
    throw new S3Error('NotImplemented', { message: 'The emulator answers a single range, as Amazon S3 does' })
  }
  const [, first = '', last = ''] = /^\s*(\d*)-(\d*)\s*$/.exec(list) ?? []
  if (first === '' && last === '') return all
  if (first !== '' && last !== '' && Number(first) > Number(last)) return all
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first)
  const end = first === '' || last === '' ? size : Math.min(Number(last) + 1, size)
  if (start >= end) {
    throw new S3Error('InvalidRange', {
      fields: { RangeRequested: header ?? '', ActualObjectSize: size },
      headers: { 'content-range': `bytes */${size}` },
    })
  }
  return { start, end, isPart: true, isWhole: start === 0 && end === size }
}

function partRange(text: string, { content, parts }: ObjectVersion): Range {
  const number = Number(text)
  if (!/^\d{1,5}$/.test(text) || number < 1 || number > 10_000) {
    throw new S3Error('InvalidArgument', {
      message: 'Part number must be an integer between 1 and 10000, inclusive',
      fields: { ArgumentName: 'partNumber', ArgumentValue: text },
    })
  }
  const index = parts === undefined ? number - 1 : parts.findIndex((part) => part.number === number)
  const count = parts?.length ?? 1
  if (index < 0 || index >= count) {
    throw new S3Error('InvalidPartNumber', {
      fields: { ActualPartCount: count, PartNumberRequested: number },
    })
  }
  const before = (parts ?? []).slice(0, index).reduce((sum, { size }) => sum + size, 0)
  const size = parts?.[index]?.size ?? content.size
  // An empty object has no range to name.
  const range = { start: before, end: before + size, isPart: size > 0, isWhole: count === 1 }
  return parts === undefined ? range : { ...range, parts: count }
}

const overridable = [
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-type',
  'expires',
]

/** The headers that the query asks for in place of the object's. */
function overrides({ query, isSigned }: S3Call): Record<string, string> {
  const asked = overridable.flatMap((name) => {
    const value = query.get(`response-${name}`)
    return value === undefined ? [] : [[name, value] as const]
  })
  if (asked.length > 0 && !isSigned) {
    throw new S3Error('InvalidRequest', {
      message: 'Request specific response headers cannot be used for anonymous GET requests.',
    })
  }
  return Object.fromEntries(asked)
}

/** The version that a copy is made of, and all conditions on it. */
export function copySourceOf(call: S3Call): { readonly version: ObjectVersion; readonly bucket: Bucket } {
  const source = parseCopySource(call.headers['x-amz-copy-source'] ?? '')
  checkVersionId(source.versionId)
  const bucket = call.bucketNamed(source.bucket)
  const version = bucket.get(source.key)
  if (version === undefined) throw new S3Error('NoSuchKey', { fields: { Key: source.key } })
  if (call.dialect.conditionsBeyondPut) checkCopySource(call.headers, version)
  return { version, bucket }
}

const copyObject: Operation = async (call) => {
  const { bucket, key, headers, dialect } = call
  const source = parseCopySource(headers['x-amz-copy-source'] ?? '')
  const { version, bucket: from } = copySourceOf(call)
  const condition = dialect.conditionsBeyondPut
    ? writeCondition(headers)
    : { ifAbsent: false, ifMatch: undefined }
  const description = copyDescription(call, version)
  const isOntoItself = from === bucket && source.key === key
  const changes = ['x-amz-storage-class', 'x-amz-website-redirect-location', 'x-amz-server-side-encryption']
  if (
    isOntoItself &&
    directive(headers, 'x-amz-metadata-directive') === 'COPY' &&
    changes.every((name) => headers[name] === undefined)
  ) {
    throw new S3Error('InvalidRequest', {
      message:
        "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
    })
  }
  if (version.content.size > largestPutBytes) throw entityTooLarge(version.content.size)
  checkWrite(condition, key, bucket.get(key))
  const content = from === bucket ? version.content.share() : bucket.contents.adopt(version.content)
  const name = headers['x-amz-checksum-algorithm']
  const algorithm = name === undefined ? undefined : checksumAlgorithm(name)
  const made = await copyFacts(content, version, dialect.copyKeepsEtag, algorithm).catch((error: unknown) => {
    content.release()
    throw error
  })
  committing(content, () => checkWrite(condition, key, bucket.get(key)))
  const stored = bucket.put(key, { content, ...made }, description)
  call.effect(`copied ${source.key} to ${key} (${content.size} bytes)`)
  return xmlReply('CopyObjectResult', {
    LastModified: new Date(stored.lastModifiedMs),
    ETag: dialect.quotedEtagOfCopy ? stored.etag : stored.etag.replaceAll('"', ''),
    ...checksumElements(stored.checksums),
    ...(Object.keys(stored.checksums).length === 0 ? {} : { ChecksumType: stored.checksumType }),
  })
}

/** A copy is one piece, so what is known of a source in parts is not true of it. */
async function copyFacts(
  content: Content,
  { etag, checksums, checksumType }: ObjectVersion,
  keepsEtag: boolean,
  algorithm: ChecksumAlgorithm | undefined,
): Promise<{ readonly etag: string; readonly checksums: Checksums }> {
  const own = keepsEtag ? etag : await wholeEtag(etag, content)
  const names = algorithm === undefined ? (Object.keys(checksums) as ChecksumAlgorithm[]) : [algorithm]
  const isKnown = checksumType === 'FULL_OBJECT' && names.every((name) => checksums[name] !== undefined)
  if (isKnown)
    return { etag: own, checksums: Object.fromEntries(names.map((name) => [name, checksums[name] ?? ''])) }
  const running = names.map((name) => [name, createChecksum(name)] as const)
  for await (const chunk of content.read()) for (const [, checksum] of running) checksum.update(chunk)
  const made = running.map(([name, checksum]) => [name, checksum.digest().toString('base64')] as const)
  return { etag: own, checksums: Object.fromEntries(made) }
}

function directive(headers: Readonly<Record<string, string>>, name: string): 'COPY' | 'REPLACE' {
  const value = headers[name] ?? 'COPY'
  if (value === 'COPY' || value === 'REPLACE') return value
  const what = name === 'x-amz-tagging-directive' ? 'tagging' : 'metadata'
  throw new S3Error('InvalidArgument', {
    message: `Unknown ${what} directive.`,
    fields: { ArgumentName: name, ArgumentValue: value },
  })
}

function copyDescription(call: S3Call, source: ObjectVersion): ObjectDescription {
  const { headers } = call
  const given = descriptionOf(call)
  const isReplaced = directive(headers, 'x-amz-metadata-directive') === 'REPLACE'
  const isRetagged = directive(headers, 'x-amz-tagging-directive') === 'REPLACE'
  const own = given.headers ?? {}
  // Neither storage class nor redirect is copied.
  const { expires } = source.headers
  return {
    attributes: isReplaced ? given.attributes : source.attributes,
    headers: isReplaced ? own : { ...own, ...present('expires', expires) },
    tags: isRetagged ? (given.tags ?? []) : source.tags,
  }
}

const deleteObject: Operation = (call) => {
  const { bucket, key, headers, query, dialect } = call
  checkVersionId(query.get('versionId'))
  if (dialect.conditionsBeyondPut) checkDelete(headers['if-match'], key, bucket.get(key))
  if (bucket.remove(key)) call.effect(`deleted ${key}`)
  return { status: 204 }
}

const mostDeleted = 1_000

const deleteObjects: Operation = async (call) => {
  const { bucket, headers, dialect } = call
  const isChecked = Object.keys(headers).some(
    (name) => name === 'content-md5' || name === 'x-amz-trailer' || name.startsWith('x-amz-checksum-'),
  )
  if (!isChecked) {
    throw new S3Error('InvalidRequest', {
      message: 'Missing required header for this request: Content-MD5 OR x-amz-checksum-*',
    })
  }
  const root = readXml(await readBody(call), { root: 'Delete', maxBytes: 2 * 1024 * 1024 })
  const isQuiet = textOf(root, 'Quiet')?.toLowerCase() === 'true'
  const objects = childrenOf(root, 'Object')
  if (objects.length === 0 || objects.length > mostDeleted) throw new S3Error('MalformedXML')
  const deleted: XmlTree[] = []
  const errors: XmlTree[] = []
  for (const object of objects) {
    const key = textOf(object, 'Key')
    if (key === undefined || key === '') throw new S3Error('MalformedXML')
    const versionId = textOf(object, 'VersionId')
    try {
      if (textOf(object, 'Size') !== undefined || textOf(object, 'LastModifiedTime') !== undefined) {
        throw new S3Error('NotImplemented')
      }
      checkVersionId(versionId)
      if (dialect.conditionsBeyondPut) checkDelete(textOf(object, 'ETag'), key, bucket.get(key))
      if (bucket.remove(key)) call.effect(`deleted ${key}`)
      if (!isQuiet) deleted.push({ Key: key, VersionId: versionId })
    } catch (error) {
      if (!(error instanceof S3Error)) throw error
      errors.push({ Key: key, VersionId: versionId, Code: error.code, Message: error.message })
    }
  }
  return xmlReply('DeleteResult', { Deleted: deleted, Error: errors })
}

const getObjectAttributes: Operation = (call) => {
  const version = objectOf(call)
  const asked = (call.headers['x-amz-object-attributes'] ?? '').split(',').map((name) => name.trim())
  const known = ['ETag', 'Checksum', 'ObjectParts', 'StorageClass', 'ObjectSize']
  if (asked.some((name) => !known.includes(name))) {
    throw new S3Error('InvalidArgument', {
      message: 'Invalid attribute name specified.',
      fields: { ArgumentName: 'x-amz-object-attributes', ArgumentValue: asked.join(',') },
    })
  }
  const { checksums, checksumType, content } = version
  const lastModified = new Date(version.lastModifiedMs).toUTCString()
  const checksum =
    Object.keys(checksums).length === 0
      ? undefined
      : { ...checksumElements(checksums), ChecksumType: checksumType }
  const tree: XmlTree = {
    ETag: asked.includes('ETag') ? version.etag.replaceAll('"', '') : undefined,
    Checksum: asked.includes('Checksum') ? checksum : undefined,
    ObjectParts: asked.includes('ObjectParts') ? partsPage(call, version) : undefined,
    StorageClass: asked.includes('StorageClass') ? storageClassOf(version) : undefined,
    ObjectSize: asked.includes('ObjectSize') ? content.size : undefined,
  }
  return xmlReply('GetObjectAttributesResponse', tree, { 'last-modified': lastModified })
}

function partsPage(call: S3Call, { parts }: ObjectVersion): XmlTree | undefined {
  if (parts === undefined) return undefined
  const { headers } = call
  const numbers = new Map(
    ['x-amz-max-parts', 'x-amz-part-number-marker'].map((name) => [name, headers[name] ?? '']),
  )
  const most = queryInteger({ query: numbers }, 'x-amz-max-parts', 1_000, 1_000)
  const marker = queryInteger({ query: numbers }, 'x-amz-part-number-marker', 0)
  const after = parts.filter(({ number }) => number > marker)
  const shown = after.slice(0, most)
  // Without checksums of the parts S3 tells only how many there are.
  const hasChecksums = parts.every(({ checksums }) => Object.keys(checksums).length > 0)
  if (!hasChecksums) return { PartsCount: parts.length }
  return {
    PartsCount: parts.length,
    PartNumberMarker: marker,
    NextPartNumberMarker: shown.at(-1)?.number ?? 0,
    MaxParts: most,
    IsTruncated: after.length > shown.length,
    Part: shown.map(({ number, size, checksums }) => ({
      PartNumber: number,
      Size: size,
      ...checksumElements(checksums),
    })),
  }
}

/** The checksums of a version or part as elements. */
export function checksumElements(checksums: Checksums): XmlTree {
  return Object.fromEntries(
    Object.entries(checksums).map(([name, value]) => [checksumElement(name as ChecksumAlgorithm), value]),
  )
}

const getObjectTagging: Operation = (call) => xmlReply('Tagging', tagTree(objectOf(call).tags))

const putObjectTagging: Operation = async (call) => {
  const tags = await readTags(call, 10)
  const { bucket, key } = call
  bucket.describe(key, objectOf(call), { tags })
  call.effect(`tagged ${key}`)
  return { status: 200 }
}

const deleteObjectTagging: Operation = (call) => {
  const { bucket, key } = call
  bucket.describe(key, objectOf(call), { tags: [] })
  call.effect(`untagged ${key}`)
  return { status: 204 }
}

/** Tags as elements. */
export function tagTree(tags: readonly (readonly [string, string])[]): XmlTree {
  return { TagSet: { Tag: tags.map(([name, value]) => ({ Key: name, Value: value })) } }
}

/** The tags in a body. Throws `MalformedXML`, `InvalidTag`, `BadRequest`. */
export async function readTags(call: S3Call, most: number): Promise<readonly (readonly [string, string])[]> {
  const [set] = childrenOf(readXml(await readBody(call), { root: 'Tagging' }), 'TagSet')
  if (set === undefined) throw new S3Error('MalformedXML')
  const tags = childrenOf(set, 'Tag').map((tag) => {
    const [name, value] = [textOf(tag, 'Key'), textOf(tag, 'Value')]
    if (name === undefined || value === undefined) throw new S3Error('MalformedXML')
    return [name, value] as const
  })
  return checkTags(tags, most)
}

/** The MD5 of content that is there already, and its checksum. */
export async function hashContent(
  content: Content,
  algorithm: ChecksumAlgorithm,
): Promise<{ readonly md5: string; readonly checksums: Checksums }> {
  const [md5, checksum] = [createHash('md5'), createChecksum(algorithm)]
  for await (const chunk of content.read()) {
    md5.update(chunk)
    checksum.update(chunk)
  }
  return { md5: md5.digest('hex'), checksums: { [algorithm]: checksum.digest().toString('base64') } }
}

/** By S3's names. */
export const objectOperations = {
  PutObject: putObject,
  GetObject: getObject,
  HeadObject: getObject,
  CopyObject: copyObject,
  DeleteObject: deleteObject,
  DeleteObjects: deleteObjects,
  GetObjectAttributes: getObjectAttributes,
  GetObjectTagging: getObjectTagging,
  PutObjectTagging: putObjectTagging,
  DeleteObjectTagging: deleteObjectTagging,
} as const satisfies Readonly<Record<string, Operation>>
