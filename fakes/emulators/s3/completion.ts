/** CompleteMultipartUpload: parts that become an object, whose bytes stay where they are. */
import type { Checksums, ChecksumType, PartInfo, Upload, UploadedPart } from '../../object-storage/bucket.ts'
import { partsEtag } from '../../object-storage/etags.ts'
import { Content } from '../../object-storage/pieces.ts'
import { checksumElements, type Operation, readBody, type S3Call, xmlReply } from './call.ts'
import {
  type ChecksumAlgorithm,
  checksumAlgorithms,
  checksumElement,
  checksumHeader,
  combineChecksums,
  compositeChecksum,
  isCombinable,
} from './checksums.ts'
import { checkWrite, writeCondition } from './conditions.ts'
import { S3Error } from './errors.ts'
import { childrenOf, readXml, textOf, type XmlElement } from './read-xml.ts'

const smallestPartBytes = 5 * 1024 * 1024
const mostParts = 10_000

/** The upload that is meant. Throws `NoSuchUpload`. */
export function uploadOf({ bucket, key, query }: S3Call): Upload {
  const upload = bucket.uploads.get(query.get('uploadId') ?? '')
  if (upload?.key === key) return upload
  throw new S3Error('NoSuchUpload', { fields: { UploadId: query.get('uploadId') ?? '' } })
}

/** The checksum that every part of an upload has: the one it was begun with, else S3's own. */
export function algorithmOf(upload: Upload): ChecksumAlgorithm {
  return (upload.checksumAlgorithm as ChecksumAlgorithm | undefined) ?? 'CRC64NVME'
}

export const completeMultipartUpload: Operation = async (call) => {
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
      etag.replaceAll('"', '') === part.etag.replaceAll('"', '') &&
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
