/** Uploads in parts: Create- and AbortMultipartUpload, UploadPart, UploadPartCopy, ListParts. */
import type { ChecksumType, Upload, UploadedPart } from '../../object-storage/bucket.ts'
import {
  checksumElements,
  checksumHeaders,
  descriptionOf,
  entityTooLarge,
  largestPutBytes,
  type Operation,
  type OperationTable,
  queryInteger,
  type S3Call,
  storeBody,
  xmlReply,
} from './call.ts'
import {
  type ChecksumAlgorithm,
  checksumAlgorithm,
  checksumAlgorithms,
  checksumHeader,
  isCombinable,
} from './checksums.ts'
import { algorithmOf, completeMultipartUpload, uploadOf } from './completion.ts'
import { copySourceOf, hashContent } from './copies.ts'
import { S3Error } from './errors.ts'
import { owner } from './lists.ts'

const createMultipartUpload: Operation = (call) => {
  const { bucket, bucketName, key, headers, dialect } = call
  const description = descriptionOf(call)
  const name = headers['x-amz-checksum-algorithm']
  const isKept = dialect.checksums === 'checked'
  const algorithm = name === undefined || !isKept ? undefined : checksumAlgorithm(name)
  const type = typeOf(headers['x-amz-checksum-type'], algorithm)
  const upload = bucket.begin(key, description, isKept ? { algorithm, type } : {})
  call.effect(`began to upload ${key}`)
  return xmlReply(
    'InitiateMultipartUploadResult',
    { Bucket: bucketName, Key: key, UploadId: upload.id },
    algorithm === undefined
      ? {}
      : { 'x-amz-checksum-algorithm': algorithm, 'x-amz-checksum-type': type ?? 'COMPOSITE' },
  )
}

function typeOf(
  asked: string | undefined,
  algorithm: ChecksumAlgorithm | undefined,
): ChecksumType | undefined {
  if (asked === undefined) {
    if (algorithm === undefined) return undefined
    return algorithm === 'CRC64NVME' ? 'FULL_OBJECT' : 'COMPOSITE'
  }
  if (asked !== 'COMPOSITE' && asked !== 'FULL_OBJECT') {
    throw new S3Error('InvalidRequest', { message: 'Value for x-amz-checksum-type header is invalid.' })
  }
  if (algorithm === undefined) {
    throw new S3Error('InvalidRequest', {
      message: 'The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.',
    })
  }
  const isPossible = asked === 'FULL_OBJECT' ? isCombinable(algorithm) : algorithm !== 'CRC64NVME'
  if (isPossible) return asked
  throw new S3Error('InvalidRequest', {
    message: `The ${asked} checksum type cannot be used with the ${algorithm.toLowerCase()} checksum algorithm.`,
  })
}

function partNumberOf({ query, dialect }: S3Call): number {
  const text = query.get('partNumber') ?? ''
  const number = Number(text)
  if (/^\d{1,6}$/.test(text) && number >= dialect.firstPartNumber && number <= dialect.lastPartNumber)
    return number
  throw new S3Error('InvalidArgument', {
    message: 'Part number must be an integer between 1 and 10000, inclusive',
    fields: { ArgumentName: 'partNumber', ArgumentValue: text },
  })
}

const uploadPart: Operation = async (call) => {
  const { dialect } = call
  const upload = uploadOf(call)
  const number = partNumberOf(call)
  const isKept = dialect.checksums === 'checked'
  if (isKept) checkPartAlgorithm(call, upload)
  const { content, md5, checksums } = await storeBody(call, isKept ? algorithmOf(upload) : undefined)
  keepPart(call, upload, { number, size: content.size, content, checksums, ...etagOf(md5) })
  return { status: 200, headers: { etag: `"${md5}"`, ...checksumHeaders(checksums) } }
}

/** Throws where the upload was completed or aborted while the part was on its way. */
function keepPart(
  { bucket }: S3Call,
  upload: Upload,
  part: Omit<UploadedPart, 'lastModifiedMs'>,
): UploadedPart {
  if (bucket.uploads.get(upload.id) === upload) return bucket.putPart(upload, part)
  part.content.release()
  throw new S3Error('NoSuchUpload', { fields: { UploadId: upload.id } })
}

function etagOf(md5: string): { readonly etag: string; readonly md5: Uint8Array } {
  return { etag: `"${md5}"`, md5: Buffer.from(md5, 'hex') }
}

/** A part must come with the checksum that its upload was begun with, else the whole could not be told from them. */
function checkPartAlgorithm(call: S3Call, upload: Upload): void {
  const expected = upload.checksumAlgorithm
  if (expected === undefined) return
  const { headers } = call
  const names = [...Object.keys(headers), headers['x-amz-trailer'] ?? '']
  const sent = checksumAlgorithms.find((each) => names.includes(checksumHeader(each)))
  if (sent === expected || (sent === undefined && upload.checksumType === 'FULL_OBJECT')) return
  throw new S3Error('InvalidRequest', {
    message: `Checksum Type mismatch occurred, expected checksum Type: ${expected.toLowerCase()}, actual checksum Type: ${sent?.toLowerCase() ?? 'null'}`,
  })
}

const uploadPartCopy: Operation = async (call) => {
  const { bucket, headers, dialect } = call
  const upload = uploadOf(call)
  const number = partNumberOf(call)
  const { version, bucket: from } = copySourceOf(call)
  const { start, end } = copyRange(headers['x-amz-copy-source-range'], version.content.size)
  if (end - start > largestPutBytes) throw entityTooLarge(end - start)
  const shared = version.content.share(start, end)
  let content = shared
  if (from !== bucket) {
    content = bucket.contents.adopt(shared)
    shared.release()
  }
  const hashed = await hashContent(content, algorithmOf(upload)).catch((error: unknown) => {
    content.release()
    throw error
  })
  const checksums = dialect.checksums === 'checked' ? hashed.checksums : {}
  const part = keepPart(call, upload, {
    number,
    size: content.size,
    content,
    checksums,
    ...etagOf(hashed.md5),
  })
  return xmlReply('CopyPartResult', {
    LastModified: new Date(part.lastModifiedMs),
    ETag: part.etag,
    ...checksumElements(upload.checksumAlgorithm === undefined ? {} : checksums),
  })
}

function copyRange(
  header: string | undefined,
  size: number,
): { readonly start: number; readonly end: number } {
  if (header === undefined) return { start: 0, end: size }
  const [, first, last] = /^bytes=(\d{1,15})-(\d{1,15})$/.exec(header) ?? []
  const [start, end] = [Number(first), Number(last) + 1]
  const refuse = (message: string): never => {
    throw new S3Error('InvalidArgument', {
      message,
      fields: { ArgumentName: 'x-amz-copy-source-range', ArgumentValue: header },
    })
  }
  if (first === undefined || last === undefined || start >= end) {
    return refuse(
      'The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy',
    )
  }
  if (end > size) return refuse(`Range specified is not valid for source object of size: ${size}`)
  return { start, end }
}

const abortMultipartUpload: Operation = (call) => {
  const upload = uploadOf(call)
  call.bucket.end(upload)
  call.effect(`gave up to upload ${upload.key}`)
  return { status: 204 }
}

const listParts: Operation = (call) => {
  const upload = uploadOf(call)
  const most = queryInteger(call, 'max-parts', 1_000, 1_000)
  const marker = queryInteger(call, 'part-number-marker', 0)
  const after = [...upload.parts.values()]
    .filter(({ number }) => number > marker)
    .sort((a, b) => a.number - b.number)
  const shown = after.slice(0, most)
  const isTruncated = after.length > shown.length && most > 0
  return xmlReply('ListPartsResult', {
    Bucket: call.bucketName,
    Key: upload.key,
    UploadId: upload.id,
    Initiator: owner,
    Owner: owner,
    StorageClass: upload.description.headers?.['x-amz-storage-class'] ?? 'STANDARD',
    PartNumberMarker: marker,
    NextPartNumberMarker: shown.at(-1)?.number ?? 0,
    MaxParts: most,
    IsTruncated: isTruncated,
    ChecksumAlgorithm: upload.checksumAlgorithm,
    ChecksumType: upload.checksumType,
    Part: shown.map((part) => ({
      PartNumber: part.number,
      LastModified: new Date(part.lastModifiedMs),
      ETag: part.etag,
      Size: part.size,
      ...checksumElements(upload.checksumAlgorithm === undefined ? {} : part.checksums),
    })),
  })
}

export const uploadOperations: OperationTable = {
  CreateMultipartUpload: createMultipartUpload,
  UploadPart: uploadPart,
  UploadPartCopy: uploadPartCopy,
  CompleteMultipartUpload: completeMultipartUpload,
  AbortMultipartUpload: abortMultipartUpload,
  ListParts: listParts,
}
