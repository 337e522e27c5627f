/** A fake's faults as S3 shows them, and which of S3's operations is which of the port's. */
import { PortError, type PortErrorCode } from '../../../src/errors.ts'
import type { ObjectStorage } from '../../../src/ports/object-storage.ts'
import { parseCopySource } from './address.ts'
import type { S3Call } from './call.ts'
import { S3Error, type S3ErrorCode } from './errors.ts'
import type { S3OperationName } from './operations.ts'

export type PortOperation = Extract<keyof ObjectStorage, string>

/** The operation of the port that a request carries out, and on what. An upload in parts is the put that ends it. */
export const portOperations: Readonly<Partial<Record<S3OperationName, PortOperation>>> = {
  PutObject: 'put',
  CompleteMultipartUpload: 'put',
  GetObject: 'get',
  HeadObject: 'head',
  DeleteObject: 'delete',
  DeleteObjects: 'deleteMany',
  CopyObject: 'copy',
  ListObjects: 'list',
  ListObjectsV2: 'list',
}

/** What the journal shows the operation to be about, and what a fault's `match` is held to. */
export function subjectOf({
  operation,
  key,
  headers,
}: Pick<S3Call, 'operation' | 'key' | 'headers'>): string | undefined {
  if (operation === 'CopyObject') {
    try {
      return parseCopySource(headers['x-amz-copy-source'] ?? '').key
    } catch {
      return undefined
    }
  }
  return key === '' ? undefined : key
}

const codes: Readonly<Record<PortErrorCode, S3ErrorCode>> = {
  'not-found': 'NoSuchBucket',
  'already-exists': 'BucketAlreadyExists',
  'precondition-failed': 'PreconditionFailed',
  conflict: 'OperationAborted',
  'invalid-argument': 'InvalidArgument',
  unauthenticated: 'InvalidAccessKeyId',
  'permission-denied': 'AccessDenied',
  rejected: 'AuthorizationHeaderMalformed',
  'rate-limited': 'SlowDown',
  'quota-exceeded': 'QuotaExceeded',
  unavailable: 'ServiceUnavailable',
  timeout: 'RequestTimeout',
  cancelled: 'InternalError',
  unsupported: 'NotImplemented',
  closed: 'ServiceUnavailable',
  corrupt: 'BadDigest',
  internal: 'InternalError',
}

/** What S3 answers where a fault makes the port's operation fail; `undefined` where the answer is lost. */
export function s3ErrorOf({ code, outcome, retryAfterMs }: PortError): S3Error | undefined {
  if (outcome === 'unknown' || outcome === 'applied') return undefined
  const headers = retryAfterMs === undefined ? {} : { 'retry-after': String(Math.ceil(retryAfterMs / 1_000)) }
  return new S3Error(codes[code], { headers })
}

const portCodes: Readonly<Partial<Record<S3ErrorCode, PortErrorCode>>> = {
  NoSuchKey: 'not-found',
  NoSuchBucket: 'not-found',
  NoSuchUpload: 'not-found',
  PreconditionFailed: 'precondition-failed',
  NotModified: 'precondition-failed',
  ConditionalRequestConflict: 'conflict',
  NotImplemented: 'unsupported',
  BadDigest: 'corrupt',
  XAmzContentSHA256Mismatch: 'corrupt',
}

/** A refusal as the fake's journal has it. Its cause is what is answered. */
export function portErrorOf(refusal: S3Error): PortError {
  const code = portCodes[refusal.code] ?? (refusal.status < 500 ? 'invalid-argument' : 'internal')
  return new PortError({ code, message: refusal.message, outcome: 'not-applied', cause: refusal })
}
