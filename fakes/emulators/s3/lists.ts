/** Operations that list a bucket: ListObjects, ListObjectsV2, ListObjectVersions, ListMultipartUploads. */
import { compareUtf8 } from '../../../src/calls/arguments.ts'
import type { ListEntry, ListQuery, Upload } from '../../object-storage/bucket.ts'
import { encodeRfc3986 } from './address.ts'
import {
  type Operation,
  type OperationTable,
  queryInteger,
  type S3Call,
  storageClassOf,
  xmlReply,
} from './call.ts'
import { S3Error } from './errors.ts'
import type { XmlTree } from './xml.ts'

const mostKeys = 1_000

/** Who owns everything here. */
export const owner = { ID: 'e1a5f66a480ca99a4fdfe8e318c3020446c9989d7004e7778029fbcc5d990fa0' } as const

interface Listing {
  readonly entries: readonly ListEntry[]
  readonly isTruncated: boolean
  readonly prefix: string
  readonly delimiter: string | undefined
  readonly most: number
  /** Writes a name as the client wants it. */
  readonly text: (name: string) => string
  readonly encoding: 'url' | undefined
}

/** How names are to be written. Throws `InvalidArgument`. */
function encodingOf({ query }: S3Call): Pick<Listing, 'encoding' | 'text'> {
  const encoding = query.get('encoding-type')
  if (encoding === undefined) return { encoding, text: (name) => name }
  if (encoding === 'url') return { encoding, text: urlText }
  throw new S3Error('InvalidArgument', {
    message: 'Invalid Encoding Method specified in Request',
    fields: { ArgumentName: 'encoding-type', ArgumentValue: encoding },
  })
}

function listing(call: S3Call, after: string): Listing {
  const { bucket, query } = call
  const encoding = encodingOf(call)
  const most = queryInteger(call, 'max-keys', mostKeys, mostKeys)
  const prefix = query.get('prefix') ?? ''
  const delimiter = query.get('delimiter') || undefined
  const asked: ListQuery = { prefix, delimiter, after, limit: most }
  const { entries, truncated } = bucket.list(asked)
  return {
    entries,
    // Of no keys at all there is no rest.
    isTruncated: truncated && most > 0,
    prefix,
    delimiter,
    most,
    ...encoding,
  }
}

/** As S3 encodes names in listings: a space is a plus, a slash stays. */
function urlText(name: string): string {
  return encodeRfc3986(name).replaceAll('%2F', '/').replaceAll('%20', '+').replaceAll('%2A', '*')
}

function commonPrefixes({ entries, text }: Listing): XmlTree[] {
  return entries.flatMap(({ name, version }) => (version === undefined ? [{ Prefix: text(name) }] : []))
}

function contents({ entries, text }: Listing, showOwner: boolean): XmlTree[] {
  return entries.flatMap(({ name, version }) => {
    if (version === undefined) return []
    const algorithms = Object.keys(version.checksums)
    return [
      {
        Key: text(name),
        LastModified: new Date(version.lastModifiedMs),
        ETag: version.etag,
        ...(algorithms.length === 0
          ? {}
          : { ChecksumAlgorithm: algorithms, ChecksumType: version.checksumType }),
        Size: version.content.size,
        ...(showOwner ? { Owner: owner } : {}),
        StorageClass: storageClassOf(version),
      },
    ]
  })
}

/** What all listings say first and last. */
function common({ prefix, delimiter, most, isTruncated, encoding, text }: Listing): {
  readonly first: XmlTree
  readonly last: XmlTree
} {
  return {
    first: { Prefix: text(prefix) },
    last: {
      MaxKeys: most,
      Delimiter: delimiter === undefined ? undefined : text(delimiter),
      EncodingType: encoding,
      IsTruncated: isTruncated,
    },
  }
}

const listObjects: Operation = (call) => {
  const marker = call.query.get('marker') ?? ''
  const page = listing(call, marker)
  const { first, last } = common(page)
  // Without a delimiter the last key is the marker, and S3 does not say it twice.
  const isMarked = page.isTruncated && page.delimiter !== undefined
  return xmlReply('ListBucketResult', {
    Name: call.bucketName,
    ...first,
    Marker: page.text(marker),
    NextMarker: isMarked ? page.text(page.entries.at(-1)?.name ?? '') : undefined,
    ...last,
    Contents: contents(page, true),
    CommonPrefixes: commonPrefixes(page),
  })
}

const listObjectsV2: Operation = (call) => {
  const { query } = call
  const token = query.get('continuation-token')
  const startAfter = query.get('start-after')
  const after = token === undefined ? (startAfter ?? '') : openToken(token)
  const page = listing(call, after)
  const { first, last } = common(page)
  return xmlReply('ListBucketResult', {
    Name: call.bucketName,
    ...first,
    ContinuationToken: token,
    NextContinuationToken: page.isTruncated ? sealToken(page.entries.at(-1)?.name ?? '') : undefined,
    StartAfter: startAfter === undefined ? undefined : page.text(startAfter),
    KeyCount: page.entries.length,
    ...last,
    Contents: contents(page, query.get('fetch-owner') === 'true'),
    CommonPrefixes: commonPrefixes(page),
  })
}

const tokenMark = 'after:'

function sealToken(name: string): string {
  return Buffer.from(tokenMark + name).toString('base64')
}

function openToken(token: string): string {
  const text = Buffer.from(token, 'base64').toString()
  if (text.startsWith(tokenMark) && Buffer.from(text).toString('base64') === token)
    return text.slice(tokenMark.length)
  throw new S3Error('InvalidArgument', {
    message: 'The continuation token provided is incorrect',
    fields: { ArgumentName: 'continuation-token' },
  })
}

/** Of a bucket that never had versions: each object has one, which is called `null`. */
const listObjectVersions: Operation = (call) => {
  const { query } = call
  const marker = query.get('key-marker') ?? ''
  const versionMarker = query.get('version-id-marker')
  if (versionMarker !== undefined && marker === '') {
    throw new S3Error('InvalidArgument', {
      message: 'A version-id marker cannot be specified without a key marker.',
      fields: { ArgumentName: 'version-id-marker', ArgumentValue: versionMarker },
    })
  }
  const page = listing(call, marker)
  const { first, last } = common(page)
  const next = page.isTruncated ? page.entries.at(-1) : undefined
  return xmlReply('ListVersionsResult', {
    Name: call.bucketName,
    ...first,
    KeyMarker: page.text(marker),
    VersionIdMarker: versionMarker ?? '',
    NextKeyMarker: next && page.text(next.name),
    NextVersionIdMarker: next?.version && 'null',
    ...last,
    Version: contents(page, true).map(({ Key, ...rest }) => ({
      Key,
      VersionId: 'null',
      IsLatest: true,
      ...rest,
    })),
    CommonPrefixes: commonPrefixes(page),
  })
}

const listMultipartUploads: Operation = (call) => {
  const { bucket, query } = call
  const marker = query.get('key-marker') ?? ''
  // Without a key it says nothing.
  const idMarker = marker === '' ? '' : (query.get('upload-id-marker') ?? '')
  const prefix = query.get('prefix') ?? ''
  const delimiter = query.get('delimiter') || undefined
  const { encoding, text } = encodingOf(call)
  const most = queryInteger(call, 'max-uploads', 1_000, 1_000)
  const found = pageOfUploads([...bucket.uploads.values()], { prefix, delimiter, marker, idMarker, most })
  const isTruncated = found.more && most > 0
  return xmlReply('ListMultipartUploadsResult', {
    Bucket: call.bucketName,
    KeyMarker: text(marker),
    UploadIdMarker: idMarker,
    NextKeyMarker: isTruncated ? text(found.lastName) : undefined,
    NextUploadIdMarker: isTruncated ? found.lastId : undefined,
    Prefix: text(prefix),
    Delimiter: delimiter === undefined ? undefined : text(delimiter),
    EncodingType: encoding,
    MaxUploads: most,
    IsTruncated: isTruncated,
    Upload: found.uploads.map((upload) => ({
      Key: text(upload.key),
      UploadId: upload.id,
      Initiator: owner,
      Owner: owner,
      StorageClass: upload.description.headers?.['x-amz-storage-class'] ?? 'STANDARD',
      Initiated: new Date(upload.initiatedMs),
      ChecksumAlgorithm: upload.checksumAlgorithm,
      ChecksumType: upload.checksumType,
    })),
    CommonPrefixes: found.prefixes.map((each) => ({ Prefix: text(each) })),
  })
}

interface UploadQuery {
  readonly prefix: string
  readonly delimiter: string | undefined
  readonly marker: string
  readonly idMarker: string
  readonly most: number
}

interface UploadPage {
  readonly uploads: readonly Upload[]
  readonly prefixes: readonly string[]
  readonly more: boolean
  readonly lastName: string
  readonly lastId: string
}

/** By key, and of one key in the order in which they began, which is the order of the map they come from. */
function pageOfUploads(all: readonly Upload[], query: UploadQuery): UploadPage {
  const { prefix, delimiter, marker, idMarker, most } = query
  const sorted = all.toSorted((a, b) => compareUtf8(a.key, b.key))
  const markerAt = sorted.findIndex(({ id, key }) => id === idMarker && key === marker)
  const uploads: Upload[] = []
  const prefixes: string[] = []
  let [lastName, lastId] = ['', '']
  for (const [index, upload] of sorted.entries()) {
    if (!upload.key.startsWith(prefix)) continue
    const end = delimiter === undefined ? -1 : upload.key.indexOf(delimiter, prefix.length)
    const shared =
      delimiter === undefined || end < 0 ? undefined : upload.key.slice(0, end + delimiter.length)
    const order = compareUtf8(shared ?? upload.key, marker)
    // Of the marker's own key those come that follow the marker's upload; without one of them, none.
    const isAfter = order > 0 || (order === 0 && shared === undefined && markerAt >= 0 && index > markerAt)
    if (!isAfter && marker !== '') continue
    if (shared !== undefined && shared === prefixes.at(-1)) continue
    if (uploads.length + prefixes.length === most) return { uploads, prefixes, more: true, lastName, lastId }
    lastName = shared ?? upload.key
    lastId = shared === undefined ? upload.id : ''
    if (shared === undefined) uploads.push(upload)
    else prefixes.push(shared)
  }
  return { uploads, prefixes, more: false, lastName, lastId }
}

export const listOperations: OperationTable = {
  ListObjects: listObjects,
  ListObjectsV2: listObjectsV2,
  ListObjectVersions: listObjectVersions,
  ListMultipartUploads: listMultipartUploads,
}
