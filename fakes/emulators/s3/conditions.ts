/**
 * S3's conditional requests: which answer each header brings about. Where S3 differs from RFC 9110 it is S3 that
 * counts; its answers were recorded from the real service.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html
 */
import type { ObjectVersion, Upload } from '../../object-storage/bucket.ts'
import { S3Error } from './errors.ts'

type Headers = Readonly<Record<string, string>>

/** Conditions on a read. Throws `PreconditionFailed` or `NotModified` where one does not hold. */
export function checkRead(headers: Headers, version: ObjectVersion): void {
  const ifMatch = headers['if-match']
  const ifNoneMatch = headers['if-none-match']
  const unmodifiedSince = dateOf(headers['if-unmodified-since'])
  const modifiedSince = dateOf(headers['if-modified-since'])
  if (ifMatch !== undefined) {
    if (!matches(ifMatch, version.etag)) throw failed('If-Match')
  } else if (unmodifiedSince !== undefined && version.lastModifiedMs > unmodifiedSince) {
    throw failed('If-Unmodified-Since')
  }
  const known =
    ifNoneMatch === undefined
      ? modifiedSince !== undefined && version.lastModifiedMs <= modifiedSince
      : matches(ifNoneMatch, version.etag)
  if (!known) return
  const lastModified = new Date(version.lastModifiedMs).toUTCString()
  throw new S3Error('NotModified', { headers: { etag: version.etag, 'last-modified': lastModified } })
}

/** Conditions on the source of a copy: whichever does not hold, the answer is 412. */
export function checkCopySource(headers: Headers, version: ObjectVersion): void {
  const name = 'x-amz-copy-source-if-'
  const ifMatch = headers[`${name}match`]
  const ifNoneMatch = headers[`${name}none-match`]
  const unmodifiedSince = dateOf(headers[`${name}unmodified-since`])
  const modifiedSince = dateOf(headers[`${name}modified-since`])
  if (ifMatch !== undefined) {
    if (!matches(ifMatch, version.etag)) throw failed(`${name}match`)
  } else if (unmodifiedSince !== undefined && version.lastModifiedMs > unmodifiedSince) {
    throw failed(`${name}unmodified-since`)
  }
  if (ifNoneMatch !== undefined) {
    if (matches(ifNoneMatch, version.etag)) throw failed(`${name}none-match`)
  } else if (modifiedSince !== undefined && version.lastModifiedMs <= modifiedSince) {
    throw failed(`${name}modified-since`)
  }
}

/** What a writer demands of the object that is there. */
export interface WriteCondition {
  readonly ifAbsent: boolean
  readonly ifMatch: string | undefined
}

/**
 * The condition of a write, which S3 takes in two forms only.
 * @throws S3Error `NotImplemented` for the others
 */
export function writeCondition(headers: Headers): WriteCondition {
  const ifNoneMatch = headers['if-none-match']
  const ifMatch = headers['if-match']
  if (ifNoneMatch !== undefined && ifMatch !== undefined) {
    const message = 'A header you provided implies functionality that is not implemented'
    throw new S3Error('NotImplemented', {
      message,
      fields: {
        Header: 'If-Match,If-None-Match',
        additionalMessage: 'Multiple conditional request headers present in the request',
      },
    })
  }
  if (ifNoneMatch !== undefined && ifNoneMatch !== '*') throw notAccepted('If-None-Match')
  if (ifMatch === '*') throw notAccepted('If-Match')
  for (const name of ['if-modified-since', 'if-unmodified-since']) {
    if (headers[name] !== undefined) throw notAccepted(name)
  }
  return { ifAbsent: ifNoneMatch === '*', ifMatch }
}

/**
 * Throws where the object that is there is not what the writer demands.
 * @param upload where an upload is completed: what happened to the key since it began is a conflict
 */
export function checkWrite(
  { ifAbsent, ifMatch }: WriteCondition,
  key: string,
  present: ObjectVersion | undefined,
  upload?: Upload,
): void {
  if (ifAbsent) {
    if (present !== undefined) throw failed('If-None-Match')
    if (upload?.deleted === true) throw conflict('If-None-Match', key)
  }
  if (ifMatch === undefined) return
  if (upload?.written === true || upload?.deleted === true) throw conflict('If-Match', key)
  if (present === undefined) throw new S3Error('NoSuchKey', { fields: { Key: key } })
  if (!matches(ifMatch, present.etag)) throw failed('If-Match')
}

/** Throws where a conditional delete finds another object than the one it means. */
export function checkDelete(
  ifMatch: string | undefined,
  key: string,
  present: ObjectVersion | undefined,
): void {
  if (ifMatch === undefined) return
  if (present === undefined) throw new S3Error('NoSuchKey', { fields: { Key: key } })
  if (!matches(ifMatch, present.etag)) throw failed('If-Match')
}

/** Whether a header's etags, with or without their quotes, name this one. */
function matches(header: string, etag: string): boolean {
  return header.split(',').some((each) => {
    const text = each.trim()
    return text === '*' || text === etag || `"${text}"` === etag
  })
}

function failed(condition: string): S3Error {
  return new S3Error('PreconditionFailed', { fields: { Condition: condition } })
}

function conflict(condition: string, key: string): S3Error {
  return new S3Error('ConditionalRequestConflict', { fields: { Condition: condition, Key: key } })
}

function notAccepted(header: string): S3Error {
  return new S3Error('NotImplemented', {
    fields: {
      Header: header,
      additionalMessage: `We don't accept the provided value of ${header} header for this API`,
    },
  })
}

/** What is no date is not looked at, as RFC 9110 has it. */
function dateOf(header: string | undefined): number | undefined {
  if (header === undefined) return undefined
  const ms = Date.parse(header)
  return Number.isNaN(ms) ? undefined : Math.floor(ms / 1_000) * 1_000
}
