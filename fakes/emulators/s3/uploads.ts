/** Uploads in parts: Create-, Complete-, AbortMultipartUpload, UploadPart, UploadPartCopy, ListParts. */
import type { Checksums, ChecksumType, PartInfo, Upload, UploadedPart } from '../../object-storage/bucket.ts'
import { Content } from '../../object-storage/contents.ts'
import { partsEtag } from '../../object-storage/etags.ts'
import {
  checksumHeaders,
  descriptionOf,
  entityTooLarge,
  largestPutBytes,
  type Operation,
  queryInteger,
  readBody,
  type S3Call,
  storeBody,
  xmlReply,
} from './call.ts'
import {
  type ChecksumAlgorithm,
  checksumAlgorithm,
  checksumAlgorithms,
  checksumElement,
  checksumHeader,
  combineChecksums,
  compositeChecksum,
  isCombinable,
} from './checksums.ts'
import { checkWrite, matches, writeCondition } from './conditions.ts'
import { S3Error } from './errors.ts'
import { owner } from './lists.ts'
import { checksumElements, copySourceOf, hashContent } from './objects.ts'
import { childrenOf, readXml, textOf, type XmlElement } from './read-xml.ts'

const smallestPartBytes = 5 * 1024 * 1024
const mostParts = 10_000

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

function uploadOf({ bucket, key, query }: S3Call): Upload {
  const upload = bucket.uploads.get(query.get('uploadId') ?? '')
  if (upload?.key === key) return upload
  throw new S3Error('NoSuchUpload', { fields: { UploadId: query.get('uploadId') ?? '' } })
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

/** The checksum that every part of an upload has: the one it was begun with, else S3's own. */
function algorithmOf(upload: Upload): ChecksumAlgorithm {
  return (upload.checksumAlgorithm as ChecksumAlgorithm | undefined) ?? 'CRC64NVME'
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

const completeMultipartUpload: Operation = async (call) => {
  const { bucket, bucketName, key, headers, dialect } = call
  const condition = dialect.conditionsBeyondPut
    ? writeCondition(headers)
    : { ifAbsent: false, ifMatch: undefined }
  uploadOf(call)
  const listed = readParts(await readBody(call, 8 * 1024 * 1024))
  // From here to the end nothing waits, so that of racing writers each sees the other whole or not at all.
  const upload = uploadOf(call)
  const ordered = dialect.orderedParts ? listed : listed.toSorted((a, b) => a.number - b.number)
  const parts = chosenParts(upload, ordered)
  const size = parts.reduce((sum, part) => sum + part.size, 0)
  const expectedSize = headers['x-amz-mp-object-size']
  if (expectedSize !== undefined && Number(expectedSize) !== size) {
    throw new S3Error('InvalidRequest', {
      message: `The provided 'x-amz-mp-object-size' header value ${expectedSize} does not match what was computed: ${size}`,
    })
  }
  const { checksums, checksumType } = checksumOfParts(call, upload, ordered, parts)
  checkWrite(condition, key, bucket.get(key), upload)
  const etag = partsEtag(parts.map(({ md5 }) => md5))
  const content = Content.join(parts.map((part) => part.content))
  const infos = parts.map(({ number, size: bytes, checksums: own }): PartInfo => {
    return { number, size: bytes, checksums: upload.checksumAlgorithm === undefined ? {} : own }
  })
  // Ended first: what is stored now is no other's write to an upload that is under way.
  bucket.end(upload)
  bucket.put(key, { content, etag, checksums, checksumType, parts: infos }, upload.description)
  call.effect(`stored ${key} (${size} bytes in ${parts.length} parts)`)
  const path = key.split('/').map(encodeURIComponent).join('/')
  return xmlReply('CompleteMultipartUploadResult', {
    Location: `http://${headers.host ?? 's3.amazonaws.com'}/${bucketName}/${path}`,
    Bucket: bucketName,
    Key: key,
    ETag: dialect.etagOfCompletedUpload ? etag : '',
    ...checksumElements(checksums),
    ...(Object.keys(checksums).length === 0 ? {} : { ChecksumType: checksumType }),
  })
}

interface ListedPart {
  readonly number: number
  readonly etag: string
  readonly checksums: Checksums
}

function readParts(xml: Uint8Array): readonly ListedPart[] {
  const invalid = new S3Error('InvalidRequest', { message: 'You must specify at least one part' })
  if (xml.length === 0) throw invalid
  const root = readXml(xml, { root: 'CompleteMultipartUpload', maxBytes: 8 * 1024 * 1024 })
  const parts = childrenOf(root, 'Part')
  if (parts.length === 0) throw invalid
  if (parts.length > mostParts) throw new S3Error('MalformedXML')
  return parts.map(readPart)
}

function readPart(element: XmlElement): ListedPart {
  const number = textOf(element, 'PartNumber') ?? ''
  const etag = textOf(element, 'ETag')
  if (!/^-?\d{1,6}$/.test(number.trim()) || etag === undefined) throw new S3Error('MalformedXML')
  if (Number(number) < 0) {
    throw new S3Error('InvalidArgument', {
      message: 'PartNumber must be >= 1',
      fields: { ArgumentName: 'PartNumber', ArgumentValue: number },
    })
  }
  const checksums = checksumAlgorithms.flatMap((algorithm) => {
    const value = textOf(element, checksumElement(algorithm))
    return value === undefined || value === '' ? [] : [[algorithm, value] as const]
  })
  return { number: Number(number), etag, checksums: Object.fromEntries(checksums) }
}

/** The uploaded parts that were listed. Throws `InvalidPartOrder`, `InvalidPart`, `EntityTooSmall`. */
function chosenParts(upload: Upload, listed: readonly ListedPart[]): readonly UploadedPart[] {
  for (const [index, { number }] of listed.entries()) {
    if (index > 0 && number <= (listed[index - 1]?.number ?? 0)) {
      throw new S3Error('InvalidPartOrder', { fields: { UploadId: upload.id } })
    }
  }
  return listed.map(({ number, etag, checksums }, index) => {
    const part = upload.parts.get(number)
    const isSame =
      part !== undefined &&
      matches(etag, part.etag) &&
      Object.entries(checksums).every(([name, value]) => (part.checksums[name] ?? value) === value)
    if (!isSame) {
      throw new S3Error('InvalidPart', {
        fields: { UploadId: upload.id, PartNumber: number, ETag: etag.replaceAll('"', '') },
      })
    }
    if (index < listed.length - 1 && part.size < smallestPartBytes) {
      throw new S3Error('EntityTooSmall', {
        fields: {
          ProposedSize: part.size,
          MinSizeAllowed: smallestPartBytes,
          PartNumber: number,
          ETag: part.etag.replaceAll('"', ''),
        },
      })
    }
    return part
  })
}

function checksumOfParts(
  { headers, dialect }: S3Call,
  upload: Upload,
  listed: readonly ListedPart[],
  parts: readonly UploadedPart[],
): { readonly checksums: Checksums; readonly checksumType: ChecksumType } {
  if (dialect.checksums === 'ignored') return { checksums: {}, checksumType: 'FULL_OBJECT' }
  const algorithm = algorithmOf(upload)
  const checksumType = upload.checksumType ?? 'FULL_OBJECT'
  const values = parts.map(({ checksums, size }) => ({ value: checksums[algorithm] ?? '', size }))
  if (checksumType === 'COMPOSITE') checkComposite(upload, algorithm, listed)
  const whole =
    checksumType === 'FULL_OBJECT' && isCombinable(algorithm)
      ? combineChecksums(algorithm, values)
      : compositeChecksum(
          algorithm,
          values.map(({ value }) => value),
        )
  const sent = headers[checksumHeader(algorithm)]
  // Of a composite the number of parts may be left out.
  if (sent !== undefined && sent !== whole && sent !== whole.replace(/-\d+$/, '')) {
    throw new S3Error('BadDigest', {
      message: `The ${algorithm.toLowerCase()} you specified did not match the calculated checksum.`,
    })
  }
  return { checksums: { [algorithm]: whole }, checksumType }
}

function checkComposite(upload: Upload, algorithm: ChecksumAlgorithm, listed: readonly ListedPart[]): void {
  const missing = listed.find(({ checksums }) => checksums[algorithm] === undefined)
  if (missing !== undefined) {
    const name = algorithm.toLowerCase()
    throw new S3Error('InvalidRequest', {
      message: `The upload was created using a ${name} checksum. The complete request must include the checksum for each part. It was missing for part ${missing.number} in the request.`,
    })
  }
  // https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
  if (listed.some(({ number }, index) => number !== index + 1)) {
    throw new S3Error('InternalError', { fields: { UploadId: upload.id } })
  }
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

/** By S3's names. */
export const uploadOperations = {
  CreateMultipartUpload: createMultipartUpload,
  UploadPart: uploadPart,
  UploadPartCopy: uploadPartCopy,
  CompleteMultipartUpload: completeMultipartUpload,
  AbortMultipartUpload: abortMultipartUpload,
  ListParts: listParts,
} as const satisfies Readonly<Record<string, Operation>>
