/**
 * AWS Signature Version 4 of S3: what of a request is signed, and with what.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 */
import { createHash, createHmac } from 'node:crypto'
import { encodeRfc3986, parseQuery, type QueryEntry } from './address.ts'

export const algorithm = 'AWS4-HMAC-SHA256'

/** A request, as far as it is signed. */
export interface SignedRequest {
  readonly method: string
  /** As it was sent. */
  readonly target: string
  readonly headers: Readonly<Record<string, string>>
}

/** The day, region and service that a key is good for, as `20130524/us-east-1/s3/aws4_request`. */
export interface Scope {
  readonly day: string
  readonly region: string
}

/** All that goes into a signature but the secret. */
export interface Signing {
  readonly request: SignedRequest
  readonly query: readonly QueryEntry[]
  readonly signedHeaders: string
  readonly payload: string
  readonly date: string
  readonly scope: Scope
  readonly accessKeyId: string
}

export function canonicalRequest({ request, query, signedHeaders, payload }: Signing, path: string): string {
  const headers = signedHeaders.split(';').map((name) => `${name}:${canonicalValue(request.headers[name])}\n`)
  return [request.method, path, canonicalQuery(query), headers.join(''), signedHeaders, payload].join('\n')
}

function canonicalValue(value = ''): string {
  return value.trim().replaceAll(/\s+/g, ' ')
}

export function canonicalPath(path: string): string {
  let decoded: string
  try {
    decoded = decodeURIComponent(path)
  } catch {
    return path
  }
  return encodeRfc3986(decoded).replaceAll('%2F', '/')
}

function canonicalQuery(query: readonly QueryEntry[]): string {
  return query
    .map(([name, value]) => [encodeRfc3986(name), encodeRfc3986(value)] as const)
    .sort(([a, x], [b, y]) => (a === b ? order(x, y) : order(a, b)))
    .map(([name, value]) => `${name}=${value}`)
    .join('&')
}

const order = (a: string, b: string): number => Number(a > b) - Number(a < b)

export function stringToSign({ date, scope }: Pick<Signing, 'date' | 'scope'>, canonical: string): string {
  // The bytes of the headers as they came: Node gives each as the character of that number.
  return [algorithm, date, scopeText(scope), sha256(Buffer.from(canonical, 'latin1'))].join('\n')
}

/** A scope as it is signed. */
export function scopeText({ day, region }: Scope): string {
  return `${day}/${region}/s3/aws4_request`
}

/** What requests of that scope are signed with. */
export function signingKey(secret: string, { day, region }: Scope): Buffer {
  return [day, region, 's3', 'aws4_request'].reduce(hmac, Buffer.from(`AWS4${secret}`))
}

export function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text, 'latin1').digest()
}

export function sha256(bytes: string | Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** The SHA-256 of nothing. */
export const emptySha256: string = sha256('')

/** A time as `x-amz-date` has it. */
export function amzDate(ms: number): string {
  return new Date(ms).toISOString().replaceAll(/[-:]|\.\d{3}/g, '')
}

export interface PresignOptions {
  readonly method: string
  /** Where the bucket or object is, percent-encoded, with what the query shall say besides the signature. */
  readonly url: string
  readonly accessKeyId: string
  readonly secret: string
  /** @default none */
  readonly token?: string
  readonly region: string
  /** The time of signing. */
  readonly nowMs: number
  /** 0 to 604,800. */
  readonly expiresSeconds: number
  /** Headers that the request must then be sent with, by lower-case name. @default none */
  readonly headers?: Readonly<Record<string, string>>
}

/** A URL that is good for the one request it was made for until it expires. */
export function presign(options: PresignOptions): string {
  const { method, accessKeyId, secret, region, nowMs, expiresSeconds, headers = {} } = options
  // Not read as a URL: that would resolve the dots of a key.
  const [, origin = '', host = '', pathname = '', search = ''] =
    /^(https?:\/\/([^/?#]+))([^?#]*)\??([^#]*)/.exec(options.url) ?? []
  const date = amzDate(nowMs)
  const scope = { day: date.slice(0, 8), region }
  const signed: Readonly<Record<string, string>> = { ...headers, host }
  const signedHeaders = Object.keys(signed).sort(order).join(';')
  const query: readonly QueryEntry[] = [
    ...parseQuery(search),
    ['X-Amz-Algorithm', algorithm],
    ['X-Amz-Credential', `${accessKeyId}/${scopeText(scope)}`],
    ['X-Amz-Date', date],
    ['X-Amz-Expires', String(expiresSeconds)],
    ...(options.token === undefined ? [] : [['X-Amz-Security-Token', options.token] as const]),
    ['X-Amz-SignedHeaders', signedHeaders],
  ]
  const path = canonicalPath(pathname === '' ? '/' : pathname)
  const request = { method, target: path, headers: signed }
  const payload = signed['x-amz-content-sha256'] ?? 'UNSIGNED-PAYLOAD'
  const canonical = canonicalRequest(
    { request, query, signedHeaders, payload, date, scope, accessKeyId },
    path,
  )
  const signature = hmac(signingKey(secret, scope), stringToSign({ date, scope }, canonical)).toString('hex')
  return `${origin}${path}?${canonicalQuery(query)}&X-Amz-Signature=${signature}`
}
