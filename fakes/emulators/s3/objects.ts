/** Operations on objects: PutObject, GetObject, HeadObject, DeleteObject(s), GetObjectAttributes. */
import type { Checksums, ObjectVersion } from '../../object-storage/bucket.ts'
import { checkKeyLength } from './address.ts'
import {
  checksumElements,
  checksumHeaders,
  checkVersionId,
  committing,
  descriptionOf,
  type Operation,
  type OperationTable,
  objectHeaders,
  objectOf,
  queryInteger,
  readBody,
  type S3Call,
  storageClassOf,
  storeBody,
  xmlReply,
} from './call.ts'
import { checkDelete, checkRead, checkWrite, writeCondition } from './conditions.ts'
import { copyObject } from './copies.ts'
import { S3Error } from './errors.ts'
import { systemMetadata } from './headers.ts'
import { childrenOf, readXml, textOf } from './read-xml.ts'
import { deleteObjectTagging, getObjectTagging, putObjectTagging } from './tags.ts'
import type { XmlTree } from './xml.ts'

const putObject: Operation = async (call) => {
  const { bucket, key, headers, query, dialect } = call
  const partNumber = query.get('partNumber')
  // A part whose upload was forgotten must not replace the object.
  if (partNumber !== undefined) {
    throw new S3Error('InvalidArgument', {
      message: 'A part number is of an upload, and there is no uploadId',
      fields: { ArgumentName: 'partNumber', ArgumentValue: partNumber },
    })
  }
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

/** The headers that the query asks for in place of the object's. */
function overrides({ query, isSigned }: S3Call): Record<string, string> {
  const asked = systemMetadata.flatMap((name) => {
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
  const keys = objects.map((object) => {
    const key = textOf(object, 'Key')
    if (key === undefined || key === '') throw new S3Error('MalformedXML')
    // For all of them: https://github.com/aws/aws-sdk-net/issues/3828
    checkKeyLength(key)
    return key
  })
  const deleted: XmlTree[] = []
  const errors: XmlTree[] = []
  for (const [index, object] of objects.entries()) {
    const key = keys[index] ?? ''
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

export const objectOperations: OperationTable = {
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
}
