/**
 * How S3 servers differ where a client can tell, as data. The emulator's own ways are those of Amazon S3; each entry
 * of another dialect was measured on a server of that kind.
 */

/** Every switch has Amazon S3's value where a dialect does not name it. */
export interface Dialect {
  readonly name: string
  /** Where each of its differences comes from. */
  readonly sources: Readonly<Record<string, string>>
  /** Whether conditions on CompleteMultipartUpload, DeleteObject and CopyObject, also on its source, are looked at. */
  readonly conditionsBeyondPut: boolean
  /** `always-fails`: PutObject with If-Match and a quoted etag answers 412 whatever is stored. */
  readonly putIfMatch: 'works' | 'always-fails'
  /** Whether the answer to CompleteMultipartUpload has the etag. */
  readonly etagOfCompletedUpload: boolean
  /** Whether the etag in the answer to CopyObject is quoted. */
  readonly quotedEtagOfCopy: boolean
  /** Whether a copy keeps an etag with the number of parts. */
  readonly copyKeepsEtag: boolean
  /** `ignored`: `x-amz-checksum-*` is neither checked nor kept. */
  readonly checksums: 'checked' | 'ignored'
  /** Whether a checksum may come after the body; else such a body has no length (411). */
  readonly trailers: boolean
  /** Operations of the emulator that this server answers with 501, by S3's names. */
  readonly lacks: readonly string[]
  /** Whether `partNumber` is looked at in GET and HEAD. */
  readonly readsByPart: boolean
  readonly firstPartNumber: number
  readonly lastPartNumber: number
  /** Whether the parts in CompleteMultipartUpload must stand in ascending order. */
  readonly orderedParts: boolean
  /** The most that user metadata may have, and what S3 itself defines; `undefined` where there is no limit. */
  readonly metadataBytes: number | undefined
  /** The most that the headers of a PUT may have; `undefined` where there is no limit. */
  readonly headerBytes: number | undefined
  readonly keyTooLong: 'KeyTooLongError' | 'InvalidObjectName'
  /** Whether errors have a sentence beside their code. */
  readonly messages: boolean
  /** What GetBucketLocation answers; `undefined` is the region, or nothing in us-east-1. */
  readonly location: string | undefined
}

const aws: Dialect = {
  name: 'aws',
  sources: {},
  conditionsBeyondPut: true,
  putIfMatch: 'works',
  etagOfCompletedUpload: true,
  quotedEtagOfCopy: true,
  copyKeepsEtag: false,
  checksums: 'checked',
  trailers: true,
  lacks: [],
  readsByPart: true,
  firstPartNumber: 1,
  lastPartNumber: 10_000,
  orderedParts: true,
  metadataBytes: 2_048,
  headerBytes: 8_192,
  keyTooLong: 'KeyTooLongError',
  messages: true,
  location: undefined,
}

const measured = 'measured on Ceph RGW 16.2.15 (Debian 12)'

const ceph: Dialect = {
  ...aws,
  name: 'ceph',
  conditionsBeyondPut: false,
  putIfMatch: 'always-fails',
  etagOfCompletedUpload: false,
  quotedEtagOfCopy: false,
  copyKeepsEtag: true,
  checksums: 'ignored',
  trailers: false,
  lacks: ['GetObjectAttributes'],
  readsByPart: false,
  firstPartNumber: 0,
  lastPartNumber: 10_001,
  orderedParts: false,
  metadataBytes: undefined,
  // It takes 15,000 bytes; of more than 16,384 its HTTP server cuts the connection, which is no answer of S3's.
  headerBytes: undefined,
  keyTooLong: 'InvalidObjectName',
  messages: false,
  location: 'default',
  sources: Object.fromEntries(
    [
      'conditionsBeyondPut',
      'putIfMatch',
      'etagOfCompletedUpload',
      'quotedEtagOfCopy',
      'copyKeepsEtag',
      'checksums',
      'trailers',
      'lacks',
      'readsByPart',
      'firstPartNumber',
      'lastPartNumber',
      'orderedParts',
      'metadataBytes',
      'headerBytes',
      'keyTooLong',
      'messages',
      'location',
    ].map((name) => [name, measured]),
  ),
}

/** By name. */
export const dialects: Readonly<Record<'aws' | 'ceph', Dialect>> = { aws, ceph }

export type DialectName = keyof typeof dialects
