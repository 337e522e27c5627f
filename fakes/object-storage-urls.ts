/**
 * The signed URLs of the object storage fake: a server on loopback, started with the first URL. It checks method,
 * key, expiry and content type by an HMAC, and answers errors in S3's XML. What it does goes through the fake's own
 * port, so faults and journal see it.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Clock } from '../src/calls/clock.ts'
import { PortError, type PortErrorCode } from '../src/errors.ts'
import type { ByteRange, ObjectInfo, ObjectStorage, SignUrlOptions } from '../src/ports/object-storage.ts'

/** What a URL allows. */
interface Permit {
  readonly method: string
  readonly key: string
  /** Milliseconds since the epoch, on the fake's clock. */
  readonly expires: string
  /** Empty where any content type is possible. */
  readonly contentType: string
}

const bucket = 'fake-bucket'

/** S3's code and status for what the port says. */
const statuses: Readonly<Partial<Record<PortErrorCode, readonly [status: number, code: string]>>> = {
  'invalid-argument': [400, 'InvalidArgument'],
  'precondition-failed': [412, 'PreconditionFailed'],
  'permission-denied': [403, 'AccessDenied'],
  unauthenticated: [403, 'SignatureDoesNotMatch'],
  conflict: [409, 'OperationAborted'],
  'rate-limited': [503, 'SlowDown'],
  unavailable: [503, 'ServiceUnavailable'],
  closed: [503, 'ServiceUnavailable'],
}

/** Says no in S3's words. */
class Refusal extends Error {
  readonly status: number
  readonly code: string

  constructor(status: number, code: string, message: string) {
    super(message)
    this.status = status
    this.code = code
  }
}

export class SignedUrlServer {
  readonly #port: ObjectStorage
  readonly #clock: Clock
  readonly #secret = randomBytes(32)
  #server: Promise<Server> | undefined
  #closed = false

  constructor(port: ObjectStorage, clock: Clock) {
    this.#port = port
    this.#clock = clock
  }

  async sign(key: string, { method = 'GET', expiresInMs, contentType = '' }: SignUrlOptions): Promise<URL> {
    this.#server ??= this.#listen()
    const { port } = (await this.#server).address() as AddressInfo
    const expires = String(this.#clock.now() + Math.floor(expiresInMs / 1_000) * 1_000)
    const permit = { method, key, expires, contentType }
    const path = key.split('/').map(encodeURIComponent).join('/')
    const url = new URL(`http://127.0.0.1:${port}/${bucket}/${path}`)
    const signature = this.#signature(permit)
    const typed = contentType === '' ? {} : { contentType }
    url.search = new URLSearchParams({ expires, ...typed, signature }).toString()
    return url
  }

  async close(): Promise<void> {
    this.#closed = true
    const server = await this.#server
    if (server === undefined) return
    server.closeAllConnections()
    await new Promise<void>((resolve) => server.close(() => resolve()))
  }

  async #listen(): Promise<Server> {
    const server = createServer((request, response) => void this.#serve(request, response))
    // Neither the server nor a client's idle connection keeps the process alive.
    server.on('connection', (socket) => socket.unref())
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(0, '127.0.0.1', resolve)
    })
    server.unref()
    return server
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      if (this.#closed) throw new Refusal(503, 'ServiceUnavailable', 'the fake is closed')
      const key = this.#permitted(request)
      refuseUnmodelled(request)
      if (request.method === 'PUT') await this.#put(key, request, response)
      else if (request.method === 'DELETE') await this.#delete(key, response)
      else await this.#read(key, request, response)
    } catch (error) {
      refuse(request, response, error)
    }
  }

  /** The key of a request whose URL is one of ours, unaltered, and still good. */
  #permitted(request: IncomingMessage): string {
    // Not parsed as a URL: that would resolve dots in what someone altered.
    const [path = '', search = ''] = (request.url ?? '').split('?', 2)
    const query = new URLSearchParams(search)
    const signature = query.get('signature')
    if (signature === null) throw new Refusal(403, 'AccessDenied', 'Access Denied')
    const permit: Permit = {
      method: request.method ?? '',
      key: keyOf(path),
      expires: query.get('expires') ?? '',
      contentType: query.get('contentType') ?? '',
    }
    if (!sameText(signature, this.#signature(permit))) {
      throw new Refusal(403, 'SignatureDoesNotMatch', 'the method or the URL is not the one that was signed')
    }
    if (this.#clock.now() >= Number(permit.expires)) {
      throw new Refusal(403, 'AccessDenied', 'Request has expired')
    }
    if (permit.contentType !== '' && request.headers['content-type'] !== permit.contentType) {
      throw new Refusal(403, 'SignatureDoesNotMatch', 'the content type is not the one that was signed')
    }
    return permit.key
  }

  async #put(key: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { headers } = request
    const length = headers['content-length']
    if (length === undefined) {
      throw new Refusal(411, 'MissingContentLength', 'You must provide the Content-Length HTTP header.')
    }
    const { etag } = await this.#port.put(key, request, {
      size: Number(length),
      contentType: headers['content-type'] ?? 'binary/octet-stream',
      ...optional('cacheControl', headers['cache-control']),
      ...optional('contentDisposition', headers['content-disposition']),
      ...optional('contentEncoding', headers['content-encoding']),
      ...optional('contentLanguage', headers['content-language']),
    })
    response.writeHead(200, { etag, 'content-length': 0 }).end()
  }

  async #delete(key: string, response: ServerResponse): Promise<void> {
    await this.#port.delete(key)
    response.writeHead(204).end()
  }

  async #read(key: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const noSuchKey = new Refusal(404, 'NoSuchKey', 'The specified key does not exist.')
    if (request.method === 'HEAD') {
      const info = await this.#port.head(key)
      if (info === undefined) throw noSuchKey
      response.writeHead(200, { ...headersOf(info), 'content-length': info.size }).end()
      return
    }
    const object = await this.#port.get(key, optional('range', rangeOf(request.headers.range)))
    if (object === undefined) throw noSuchKey
    const { info, range } = object
    if (range === undefined) response.writeHead(200, { ...headersOf(info), 'content-length': info.size })
    else {
      const contentRange = `bytes ${range.start}-${range.end}/${info.size}`
      const length = range.end - range.start + 1
      response.writeHead(206, {
        ...headersOf(info),
        'content-length': length,
        'content-range': contentRange,
      })
    }
    // One listener for all chunks, rather than one each time the reader is slow.
    const closed = new Promise<void>((resolve) => response.once('close', resolve))
    for await (const chunk of object.body) {
      if (response.destroyed) return
      if (!response.write(chunk)) {
        await Promise.race([closed, new Promise<void>((resolve) => response.once('drain', resolve))])
      }
    }
    response.end()
  }

  #signature({ method, key, expires, contentType }: Permit): string {
    const text = JSON.stringify([method, key, expires, contentType])
    return createHmac('sha256', this.#secret).update(text).digest('hex')
  }
}

/** Better refused than silently not done. */
function refuseUnmodelled({ headers }: IncomingMessage): void {
  const unsigned = Object.keys(headers).find((name) => name.startsWith('x-amz-'))
  if (unsigned !== undefined) {
    throw new Refusal(403, 'AccessDenied', 'There were headers present in the request which were not signed')
  }
  const condition = Object.keys(headers).find((name) => name.startsWith('if-'))
  if (condition !== undefined) {
    throw new Refusal(501, 'NotImplemented', `the fake does not model ${condition} on signed URLs`)
  }
}

function rangeOf(header: string | undefined): ByteRange | undefined {
  if (header === undefined) return undefined
  const [, start = '', end = ''] = /^bytes=(\d*)-(\d*)$/.exec(header) ?? []
  if (start === '' && end === '') {
    throw new Refusal(501, 'NotImplemented', 'the fake models a single range of bytes')
  }
  if (start === '') return { suffix: Number(end) }
  return { start: Number(start), ...optional('end', end === '' ? undefined : Number(end)) }
}

function keyOf(path: string): string {
  const prefix = `/${bucket}/`
  if (!path.startsWith(prefix)) throw new Refusal(404, 'NoSuchBucket', 'The specified bucket does not exist')
  try {
    return decodeURIComponent(path.slice(prefix.length))
  } catch {
    throw new Refusal(400, 'InvalidURI', "Couldn't parse the specified URI.")
  }
}

function headersOf(info: ObjectInfo): Record<string, string> {
  const metadata = Object.entries(info.metadata).map(([name, value]) => [`x-amz-meta-${name}`, value])
  return {
    'content-type': info.contentType,
    etag: info.etag,
    'last-modified': info.lastModified.toUTCString(),
    'accept-ranges': 'bytes',
    ...optional('cache-control', info.cacheControl),
    ...optional('content-disposition', info.contentDisposition),
    ...optional('content-encoding', info.contentEncoding),
    ...optional('content-language', info.contentLanguage),
    ...Object.fromEntries(metadata),
  }
}

function refuse(request: IncomingMessage, response: ServerResponse, error: unknown): void {
  // An answer that began cannot become another: breaking it off is all that tells the client.
  if (response.headersSent) {
    response.destroy()
    return
  }
  const [status, code, message] = described(error)
  const body = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${escapeXml(message)}</Message></Error>`
  request.resume()
  response.writeHead(status, {
    'content-type': 'application/xml',
    'content-length': Buffer.byteLength(body),
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}

function described(error: unknown): readonly [status: number, code: string, message: string] {
  if (error instanceof Refusal) return [error.status, error.code, error.message]
  if (!PortError.is(error)) return [500, 'InternalError', 'the fake failed']
  if (error.reason === 'range-not-satisfiable') return [416, 'InvalidRange', error.detail]
  const [status, code] = statuses[error.code] ?? [500, 'InternalError']
  return [status, code, error.detail]
}

function escapeXml(text: string): string {
  return text.replace(/[<>&]/g, (character) => `&#${character.charCodeAt(0)};`)
}

function sameText(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}

/** An object with the field, or without it where there is no value. */
function optional<Name extends string, Value>(
  name: Name,
  value: Value | undefined,
): { readonly [K in Name]?: Value } {
  return (value === undefined ? {} : { [name]: value }) as { readonly [K in Name]?: Value }
}
