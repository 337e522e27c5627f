/**
 * What an error of `@aws-sdk/client-s3` means. Pure: `errors.test.ts` holds the table.
 * Codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
 */
import type { Classification, CodeTable } from '../../src/adapter.ts'

/** S3's error codes that are answers to the request, so that nothing was done. */
const answered: CodeTable = {
  NoSuchKey: 'not-found',
  NoSuchBucket: 'not-found',
  NoSuchUpload: 'not-found',
  NotFound: 'not-found',
  PreconditionFailed: 'precondition-failed',
  NotModified: 'precondition-failed',
  ConditionalRequestConflict: 'conflict',
  OperationAborted: 'conflict',
  AccessDenied: 'permission-denied',
  AllAccessDisabled: 'permission-denied',
  AccountProblem: 'permission-denied',
  InvalidObjectState: 'permission-denied',
  Forbidden: 'permission-denied',
  MethodNotAllowed: 'permission-denied',
  InvalidAccessKeyId: 'unauthenticated',
  SignatureDoesNotMatch: 'unauthenticated',
  ExpiredToken: 'unauthenticated',
  InvalidToken: 'unauthenticated',
  TokenRefreshRequired: 'unauthenticated',
  RequestExpired: 'unauthenticated',
  RequestTimeTooSkewed: 'unauthenticated',
  AuthorizationHeaderMalformed: 'rejected',
  PermanentRedirect: 'rejected',
  TemporaryRedirect: 'rejected',
  IllegalLocationConstraintException: 'rejected',
  InvalidArgument: 'invalid-argument',
  InvalidRequest: 'invalid-argument',
  InvalidRange: 'invalid-argument',
  InvalidDigest: 'invalid-argument',
  InvalidURI: 'invalid-argument',
  InvalidObjectName: 'invalid-argument',
  InvalidPart: 'invalid-argument',
  InvalidPartOrder: 'invalid-argument',
  KeyTooLongError: 'invalid-argument',
  MetadataTooLarge: 'invalid-argument',
  RequestHeaderSectionTooLarge: 'invalid-argument',
  EntityTooLarge: 'invalid-argument',
  EntityTooSmall: 'invalid-argument',
  IncompleteBody: 'invalid-argument',
  MissingContentLength: 'invalid-argument',
  MalformedXML: 'invalid-argument',
  BadDigest: 'corrupt',
  XAmzContentSHA256Mismatch: 'corrupt',
  QuotaExceeded: 'quota-exceeded',
  ServiceQuotaExceededException: 'quota-exceeded',
  SlowDown: 'rate-limited',
  Throttling: 'rate-limited',
  ThrottlingException: 'rate-limited',
  TooManyRequests: 'rate-limited',
  TooManyRequestsException: 'rate-limited',
  RequestLimitExceeded: 'rate-limited',
  BandwidthLimitExceeded: 'rate-limited',
  ServiceUnavailable: 'unavailable',
  RequestTimeout: 'unavailable',
  NotImplemented: 'unsupported',
}

/** Codes of Node's sockets that come before anything could be sent. */
const neverSent: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EHOSTDOWN',
  'ENETDOWN',
  'EADDRNOTAVAIL',
])

/** Codes of Node's sockets after which the request may have been carried out. */
const maybeSent: ReadonlySet<string> = new Set([
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'ERR_STREAM_PREMATURE_CLOSE',
])

/** HEAD answers have no body, so its errors are known by their status alone. */
const byStatus: Readonly<Record<number, string>> = {
  301: 'PermanentRedirect',
  304: 'NotModified',
  307: 'TemporaryRedirect',
  403: 'Forbidden',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  409: 'ConditionalRequestConflict',
  412: 'PreconditionFailed',
  416: 'InvalidRange',
  429: 'TooManyRequests',
  501: 'NotImplemented',
}

const advice: Readonly<Record<string, string>> = {
  NoSuchBucket: 'the bucket does not exist; create it, or correct the bucket in the URL',
  Forbidden: 'access denied; the credentials lack a permission, or the key or signature is wrong',
  AccessDenied:
    'access denied; the credentials lack a permission (without s3:ListBucket that is the answer for absent keys too)',
  InvalidAccessKeyId: 'the access key is unknown to the service',
  SignatureDoesNotMatch: 'the secret key does not belong to the access key',
  ExpiredToken: 'the session token has expired; get new credentials',
  RequestTimeTooSkewed: "the machine's clock differs too much from the service's; set it right",
  PermanentRedirect: 'the bucket is in another region; correct "region" or "endpoint" in the URL',
  AuthorizationHeaderMalformed: 'the bucket is in another region; correct "region" in the URL',
  InvalidRange: 'the range holds no byte of the object',
  NotModified: 'the object is not modified',
  PreconditionFailed: 'a condition of the call does not hold',
  ConditionalRequestConflict: 'another write to the same key was under way; read again, then repeat',
  EntityTooLarge: 'the body is larger than the service takes in one request',
  NotImplemented: 'the service does not implement this; name what it lacks in "lacks" in the URL',
}

const reasons: Readonly<Record<string, string>> = {
  NotModified: 'not-modified',
  InvalidRange: 'range-not-satisfiable',
  NoSuchBucket: 'no-such-bucket',
  AuthorizationHeaderMalformed: 'wrong-region',
  PermanentRedirect: 'wrong-region',
  TemporaryRedirect: 'wrong-region',
  IllegalLocationConstraintException: 'wrong-region',
}

/** The fields of SDK and socket errors that say what happened. */
interface S3Failure {
  readonly name?: unknown
  readonly code?: unknown
  readonly message?: unknown
  readonly $metadata?: { readonly httpStatusCode?: number; readonly requestId?: string }
  readonly $retryable?: unknown
  readonly ActualObjectSize?: unknown
}

/** Says what `error` means, or `undefined` for what is none of S3's, the SDK's or a socket's. */
export function classifyS3Error(error: unknown): Classification | undefined {
  if (typeof error !== 'object' || error === null) return undefined
  const failure: S3Failure = error
  const status = failure.$metadata?.httpStatusCode
  const name = typeof failure.name === 'string' ? failure.name : ''
  if (status !== undefined && status >= 300) return fromAnswer(failure, name, status)
  return fromClient(failure, name)
}

/** Whether `error` says that the object is absent: not the bucket, and not a lack of permission. */
export function isMissingObject(error: unknown): boolean {
  const code = codeOf(error)
  return code === 'NoSuchKey' || code === 'NotFound'
}

/** S3's own code for `error`; for the answer of a HEAD the one that its status stands for. */
export function codeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined
  const { name, $metadata }: S3Failure = error
  const status = $metadata?.httpStatusCode
  if (status === undefined || status < 300) return undefined
  return typeof name === 'string' && name in answered ? name : byStatus[status]
}

function fromAnswer(failure: S3Failure, name: string, status: number): Classification {
  const code = name in answered ? name : (byStatus[status] ?? name)
  const details: Record<string, string> = { status: String(status) }
  // Some answers without a body leave the SDK without a name of its own.
  if (/^[A-Za-z]{3,64}$/.test(name)) details.code = name
  const requestId = failure.$metadata?.requestId
  if (requestId !== undefined) details.requestId = requestId
  if (typeof failure.ActualObjectSize === 'string') details.size = failure.ActualObjectSize
  const portCode = answered[code]
  if (portCode !== undefined) {
    return {
      code: portCode,
      message: advice[code] ?? `the service answered ${code} (${status})`,
      reason: reasons[code],
      // The SDK has learnt the service's time from the answer, so the next call may go through.
      retryable: code === 'RequestTimeTooSkewed' ? true : undefined,
      outcome: 'not-applied',
      details,
    }
  }
  if (status >= 500) {
    return { code: 'unavailable', message: `the service failed (${status})`, outcome: 'unknown', details }
  }
  return {
    code: status === 401 ? 'unauthenticated' : 'rejected',
    message: `the service refused the request (${status})`,
    outcome: 'not-applied',
    details,
  }
}

function fromClient(failure: S3Failure, name: string): Classification | undefined {
  const code = typeof failure.code === 'string' ? failure.code : ''
  const message = typeof failure.message === 'string' ? failure.message : ''
  if (neverSent.has(code)) {
    return { code: 'unavailable', message: `no connection to the service (${code})`, outcome: 'not-applied' }
  }
  if (name === 'TimeoutError' && message.includes('did not establish a connection')) {
    return { code: 'unavailable', message: 'no connection to the service in time', outcome: 'not-applied' }
  }
  if (/CERT|SELF_SIGNED|ERR_TLS/.test(code)) {
    const advised = `the service's certificate is not trusted (${code})`
    return { code: 'unavailable', message: advised, outcome: 'not-applied', retryable: false }
  }
  if (name === 'TimeoutError' || maybeSent.has(code) || /socket hang up|Connection lost/.test(message)) {
    return { code: 'unavailable', message: 'the connection was lost', outcome: 'unknown' }
  }
  if (message.startsWith('Checksum mismatch')) {
    return { code: 'corrupt', message: 'what was read does not have the checksum it was stored with' }
  }
  if (name === 'CredentialsProviderError' || name === 'TokenProviderError') {
    const advised = 'no credentials were found; put them in the URL or where the AWS SDK looks for them'
    return { code: 'unauthenticated', message: advised, outcome: 'not-applied' }
  }
  // The answer was no S3 answer at all: a proxy's page, another service on the port.
  if (failure.$metadata !== undefined) {
    return { code: 'unavailable', message: 'the answer was not understood', outcome: 'unknown' }
  }
  return undefined
}
