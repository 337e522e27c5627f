/**
 * Who sent a request, told by AWS Signature Version 4: in the Authorization header or in the query (presigned URLs).
 * What is wrong is refused in S3's words. Not there: Version 4A, Version 2, forms (POST policies).
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
 */
import { timingSafeEqual } from 'node:crypto'
import { parseQuery, type QueryEntry, splitTarget } from './address.ts'
import { S3Error } from './errors.ts'
import {
  algorithm,
  amzDate,
  canonicalPath,
  canonicalRequest,
  hmac,
  type Scope,
  type SignedRequest,
  type Signing,
  signingKey,
  stringToSign,
} from './signing.ts'

export interface SignatureContext {
  /** The secret of an access key, or `undefined` where it does not exist. */
  secretOf(accessKeyId: string): string | undefined
  /** The session token that goes with an access key. @default none does */
  tokenOf?(accessKeyId: string): string | undefined
  /** The emulator's time. */
  readonly nowMs: number
  /** The region that requests must be signed for. @default any */
  readonly region?: string | undefined
}

/** A request whose signature is right, or one that has none. */
export type Authentication = Anonymous | Signed

export interface Anonymous {
  readonly kind: 'anonymous'
  /** What the `x-amz-content-sha256` header says. */
  readonly payload: string | undefined
}

export interface Signed {
  /** Signed in the Authorization header, or in the query. */
  readonly kind: 'header' | 'query'
  readonly accessKeyId: string
  readonly scope: Scope
  /** As in `x-amz-date`. */
  readonly date: string
  /** In hexadecimal: what the first chunk of a signed stream follows. */
  readonly signature: string
  /** What chunks are signed with. Never to be shown. */
  readonly signingKey: Buffer
  /** What was signed of the body: its SHA-256 in hexadecimal, or one of AWS's words for none or for a stream. */
  readonly payload: string
}

const maxSkewMs = 15 * 60_000
const longestExpirySeconds = 604_800

/** What the header may say in place of a SHA-256. */
const payloadWords: readonly string[] = [
  'UNSIGNED-PAYLOAD',
  'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
  'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
  'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER',
  'STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD',
  'STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER',
]

/**
 * Who sent `request`. Its body is not looked at: `decodePayload` holds it to what was signed of it.
 * @throws S3Error what S3 answers to a signature that is missing a part, wrong, too old or by nobody it knows
 */
export function authenticate(request: SignedRequest, context: SignatureContext): Authentication {
  const { headers } = request
  const query = parseQuery(splitTarget(request.target).query)
  const header = headers.authorization
  const inQuery = query.some(([name]) => name === 'X-Amz-Algorithm')
  const isVersion2 = query.some(([name]) => name === 'AWSAccessKeyId') || /^AWS /.test(header ?? '')
  if (header !== undefined && (inQuery || query.some(([name]) => name === 'Signature'))) {
    throw new S3Error('InvalidArgument', {
      message:
        'Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified',
      fields: { ArgumentName: 'Authorization', ArgumentValue: header },
    })
  }
  if (isVersion2) {
    throw new S3Error('InvalidRequest', {
      message: 'The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.',
    })
  }
  if (header !== undefined) return byHeader(request, query, header, context)
  if (inQuery) return byQuery(request, query, context)
  const payload = headers['x-amz-content-sha256']
  if (payload !== undefined) checkPayload(payload)
  return { kind: 'anonymous', payload }
}

function byHeader(
  request: SignedRequest,
  query: readonly QueryEntry[],
  header: string,
  context: SignatureContext,
): Signed {
  const { headers } = request
  if (!header.startsWith(`${algorithm} `) && header !== algorithm) {
    throw new S3Error('InvalidArgument', {
      message: 'Unsupported Authorization Type',
      fields: { ArgumentName: 'Authorization', ArgumentValue: header },
    })
  }
  const malformed: Malformed = (what, fields) =>
    new S3Error('AuthorizationHeaderMalformed', {
      message: `The authorization header is malformed; ${what}`,
      ...(fields && { fields }),
    })
  const parts = new Map(
    header
      .slice(algorithm.length)
      .split(',')
      .map((part) => part.trim())
      .map((part) => [part.slice(0, part.indexOf('=')), part.slice(part.indexOf('=') + 1)]),
  )
  const [credential, signedHeaders, signature] = ['Credential', 'SignedHeaders', 'Signature'].map((name) => {
    const value = parts.get(name) ?? ''
    if (value === '') throw malformed(`missing ${name}.`)
    return value
  }) as [string, string, string]
  const { accessKeyId, scope } = credentialOf(credential, malformed)
  const date = dateOf(headers)
  if (date === undefined) {
    throw new S3Error('AccessDenied', {
      message: 'AWS authentication requires a valid Date or x-amz-date header',
    })
  }
  if (date.slice(0, 8) !== scope.day) {
    throw malformed(
      `Invalid credential date "${scope.day}". This date is not the same as X-Amz-Date: "${date.slice(0, 8)}".`,
    )
  }
  checkRegion(scope, context, malformed)
  const payload = headers['x-amz-content-sha256']
  if (payload === undefined) {
    throw new S3Error('InvalidRequest', {
      message: 'Missing required header for this request: x-amz-content-sha256',
    })
  }
  checkPayload(payload)
  const secret = secretFor(accessKeyId, headers['x-amz-security-token'], context)
  checkSkew(date, context.nowMs)
  const signed: Signing = { request, query, signedHeaders, payload, date, scope, accessKeyId }
  return { kind: 'header', ...verified(signed, secret, signature) }
}

function byQuery(request: SignedRequest, query: readonly QueryEntry[], context: SignatureContext): Signed {
  const given = new Map(query)
  const malformed: Malformed = (what, fields) =>
    new S3Error('AuthorizationQueryParametersError', { message: what, ...(fields && { fields }) })
  const needed = ['Algorithm', 'Credential', 'Signature', 'Date', 'SignedHeaders', 'Expires'] as const
  if (needed.some((name) => !given.has(`X-Amz-${name}`))) {
    throw new S3Error('AuthorizationQueryParametersError')
  }
  const parameter = (name: (typeof needed)[number]): string => given.get(`X-Amz-${name}`) ?? ''
  if (parameter('Algorithm') !== algorithm) {
    throw malformed('X-Amz-Algorithm only supports "AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256"')
  }
  const inCredential: Malformed = (what, fields) =>
    malformed(`Error parsing the X-Amz-Credential parameter; ${what}`, fields)
  const { accessKeyId, scope } = credentialOf(parameter('Credential'), inCredential)
  const date = parameter('Date')
  if (momentOf(date) === undefined) {
    throw malformed("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
  }
  const expiresSeconds = expiryOf(parameter('Expires'), malformed)
  if (date.slice(0, 8) !== scope.day) {
    throw inCredential(
      `Invalid credential date "${scope.day}". This date is not the same as X-Amz-Date: "${date.slice(0, 8)}".`,
    )
  }
  checkRegion(scope, context, inCredential)
  const secret = secretFor(accessKeyId, given.get('X-Amz-Security-Token'), context)
  checkExpiry(date, expiresSeconds, context.nowMs)
  const payload =
    request.headers['x-amz-content-sha256'] ?? given.get('X-Amz-Content-Sha256') ?? 'UNSIGNED-PAYLOAD'
  checkPayload(payload)
  const signed: Signing = {
    request,
    query: query.filter(([name]) => name !== 'X-Amz-Signature'),
    signedHeaders: parameter('SignedHeaders'),
    payload,
    date,
    scope,
    accessKeyId,
  }
  return { kind: 'query', ...verified(signed, secret, parameter('Signature')) }
}

type Malformed = (what: string, fields?: Readonly<Record<string, string>>) => S3Error

function credentialOf(credential: string, malformed: Malformed): { accessKeyId: string; scope: Scope } {
  // An access key may hold slashes; what follows it may not.
  const [, accessKeyId = '', day = '', region = '', service = '', end = ''] =
    /^(.+)\/([^/]*)\/([^/]*)\/([^/]*)\/([^/]*)$/s.exec(credential) ?? []
  if (accessKeyId === '') {
    throw malformed(
      'the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".',
    )
  }
  if (!/^\d{8}$/.test(day)) {
    throw malformed(
      `incorrect date format "${day}". This date in the credential must be in the format "yyyyMMdd".`,
    )
  }
  if (service !== 's3') throw malformed(`incorrect service "${service}". This endpoint belongs to "s3".`)
  if (end !== 'aws4_request') {
    throw malformed(`incorrect terminal "${end}". This endpoint uses "aws4_request".`)
  }
  return { accessKeyId, scope: { day, region } }
}

function checkRegion(scope: Scope, { region }: SignatureContext, malformed: Malformed): void {
  if (region === undefined || scope.region === region) return
  throw malformed(`the region '${scope.region}' is wrong; expecting '${region}'`, { Region: region })
}

function secretFor(accessKeyId: string, token: string | undefined, context: SignatureContext): string {
  const secret = context.secretOf(accessKeyId)
  const expected = context.tokenOf?.(accessKeyId)
  if (secret === undefined || (expected !== undefined && token === undefined)) {
    throw new S3Error('InvalidAccessKeyId', { fields: { AWSAccessKeyId: accessKeyId } })
  }
  if (token !== undefined && (expected === undefined || !sameText(token, expected))) {
    throw new S3Error('InvalidToken')
  }
  return secret
}

function checkPayload(payload: string): void {
  if (payloadWords.includes(payload) || /^[0-9a-f]{64}$/.test(payload)) return
  throw new S3Error('InvalidArgument', {
    message: `x-amz-content-sha256 must be ${payloadWords.join(', ')} or a valid sha256 value.`,
    fields: { ArgumentName: 'x-amz-content-sha256', ArgumentValue: payload },
  })
}

/** `x-amz-date`, else the Date header in the same form. */
function dateOf(headers: Readonly<Record<string, string>>): string | undefined {
  const given = headers['x-amz-date']
  if (given !== undefined && momentOf(given) !== undefined) return given
  const http = Date.parse(given ?? headers.date ?? '')
  return Number.isNaN(http) ? undefined : amzDate(http)
}

/** Milliseconds of a date as `20130524T000000Z`. */
function momentOf(date: string): number | undefined {
  const [, year, month, day, hour, minute, second] =
    /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(date) ?? []
  const moment = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
  return Number.isNaN(moment) ? undefined : moment
}

/** A time as S3's errors have it: to the second. */
function errorDate(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d{3}/, '')
}

function checkSkew(date: string, nowMs: number): void {
  if (Math.abs((momentOf(date) ?? 0) - nowMs) <= maxSkewMs) return
  throw new S3Error('RequestTimeTooSkewed', {
    fields: {
      RequestTime: date,
      ServerTime: errorDate(nowMs),
      MaxAllowedSkewMilliseconds: maxSkewMs,
    },
  })
}

function expiryOf(text: string, malformed: Malformed): number {
  if (!/^-?\d{1,15}$/.test(text)) throw malformed('X-Amz-Expires should be a number')
  const seconds = Number(text)
  if (seconds < 0) throw malformed('X-Amz-Expires must be non-negative')
  if (seconds > longestExpirySeconds) {
    throw malformed(
      `X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than ${longestExpirySeconds} seconds`,
    )
  }
  return seconds
}

function checkExpiry(date: string, expiresSeconds: number, nowMs: number): void {
  const signedMs = momentOf(date) ?? 0
  const expiresMs = signedMs + expiresSeconds * 1_000
  if (nowMs < signedMs - maxSkewMs) {
    throw new S3Error('AccessDenied', {
      message: 'Request is not yet valid',
      fields: {
        'X-Amz-Expires': expiresSeconds,
        Expires: errorDate(expiresMs),
        ServerTime: errorDate(nowMs),
      },
    })
  }
  if (nowMs < expiresMs) return
  throw new S3Error('AccessDenied', {
    message: 'Request has expired',
    fields: { 'X-Amz-Expires': expiresSeconds, Expires: errorDate(expiresMs), ServerTime: errorDate(nowMs) },
  })
}

function verified(signing: Signing, secret: string, signature: string): Omit<Signed, 'kind'> {
  const { payload, date, scope, accessKeyId } = signing
  checkHeadersSigned(signing)
  const key = signingKey(secret, scope)
  const { path } = splitTarget(signing.request.target)
  // S3 signs the key encoded once. Clients differ in what they leave unencoded, and sign what they send.
  const candidates = [canonicalRequest(signing, canonicalPath(path)), canonicalRequest(signing, path)]
  for (const canonical of candidates) {
    const expected = hmac(key, stringToSign(signing, canonical)).toString('hex')
    if (sameText(expected, signature)) {
      return { accessKeyId, scope, date, signature, signingKey: key, payload }
    }
  }
  const canonical = candidates[0] ?? ''
  throw mismatch(accessKeyId, stringToSign(signing, canonical), signature, canonical)
}

/** S3 says what it has signed itself, so that one can see where the client has signed something else. */
export function mismatch(accessKeyId: string, text: string, signature: string, canonical?: string): S3Error {
  return new S3Error('SignatureDoesNotMatch', {
    fields: {
      AWSAccessKeyId: accessKeyId,
      StringToSign: text,
      SignatureProvided: signature,
      StringToSignBytes: hexBytes(text),
      ...(canonical !== undefined && {
        CanonicalRequest: canonical,
        CanonicalRequestBytes: hexBytes(canonical),
      }),
    },
  })
}

function hexBytes(text: string): string {
  return Buffer.from(text, 'latin1')
    .toString('hex')
    .replaceAll(/..(?=.)/g, '$& ')
}

/** A header that means something to S3 and is not signed could be put in by anyone on the way. */
function checkHeadersSigned({ request, signedHeaders }: Signing): void {
  const signed = new Set(signedHeaders.split(';'))
  const missing = [
    'host',
    ...Object.keys(request.headers).filter((name) => name.startsWith('x-amz-')),
  ].filter((name) => !signed.has(name))
  if (missing.length === 0) return
  throw new S3Error('AccessDenied', {
    message: 'There were headers present in the request which were not signed',
    fields: { HeadersNotSigned: missing.join(', ') },
  })
}

/** In a time that does not tell how much of it is the same. */
export function sameText(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}
