/**
 * The body of a request as it was before it was packed for the way: out of AWS's chunks where it is in them, and held
 * to everything that was said of it — length, SHA-256, MD5, checksums in headers and trailers, the signature of each
 * chunk. It streams: nothing but a line between two chunks is ever kept.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html and …/sigv4-streaming-trailers.html
 */
import { createHash } from 'node:crypto'
import {
  type ChecksumAlgorithm,
  checksumAlgorithm,
  checksumHeader,
  createChecksum,
  isChecksum,
} from './checksums.ts'
import { ChunkReader } from './chunks.ts'
import { S3Error } from './errors.ts'
import type { Authentication } from './signature.ts'

export interface PayloadRequest {
  readonly headers: Readonly<Record<string, string>>
  readonly body: AsyncIterable<Uint8Array>
}

export interface PayloadOptions {
  /** Whether the length must be told beforehand, as for objects and parts. @default false */
  readonly lengthRequired?: boolean
  /** Checksums to make beside the one that was sent. @default CRC64NVME, where none was sent, as S3 does */
  readonly checksums?: readonly ChecksumAlgorithm[]
}

/** A checksum in base64. */
export interface NamedChecksum {
  readonly algorithm: ChecksumAlgorithm
  readonly value: string
}

/** What a body that was read to its end has come out to. */
export interface PayloadSummary {
  readonly size: number
  /** In hexadecimal, as in an ETag. */
  readonly md5: string
  /** In base64. */
  readonly checksums: ReadonlyMap<ChecksumAlgorithm, string>
  /** The one that the client sent, in a header or a trailer. */
  readonly sent: NamedChecksum | undefined
}

export interface Payload {
  /** Of the object, as far as it is told beforehand. */
  readonly declaredSize: number | undefined
  /**
   * To be read once. Whether it is what it was said to be is known at its end only: what throws before or at the end
   * must not be stored. Rejects with `S3Error`: `BadDigest`, `XAmzContentSHA256Mismatch`, `SignatureDoesNotMatch`,
   * `IncompleteBody`, `InvalidChunkSizeError`, `MalformedTrailerError`.
   */
  readonly bytes: AsyncIterable<Uint8Array>
  /** To be asked when `bytes` has come to its end. */
  done(): PayloadSummary
}

/**
 * @throws S3Error before anything is read: `MissingContentLength`, `InvalidDigest`, and `InvalidRequest` for checksums
 * that are malformed, too many, or announced and not there
 */
export function decodePayload(
  request: PayloadRequest,
  authentication: Authentication,
  options: PayloadOptions = {},
): Payload {
  const { headers } = request
  const { payload = 'UNSIGNED-PAYLOAD' } = authentication
  if (payload.includes('ECDSA')) {
    throw new S3Error('NotImplemented', { message: 'The emulator does not implement Signature Version 4A' })
  }
  const isStreaming = payload.startsWith('STREAMING-')
  const length = lengthOf(headers, 'content-length')
  const declaredSize = isStreaming ? lengthOf(headers, 'x-amz-decoded-content-length') : length
  const mustTell =
    isStreaming || options.lengthRequired === true || headers['transfer-encoding'] !== undefined
  if (mustTell && declaredSize === undefined) throw new S3Error('MissingContentLength')
  const trailer = isStreaming && payload.endsWith('-TRAILER') ? trailerOf(headers) : undefined
  const sent = checksumOfHeaders(headers, trailer)
  const verifier = new Verifier({
    sent,
    trailer,
    size: declaredSize,
    md5: md5Of(headers),
    sha256: /^[0-9a-f]{64}$/.test(payload) ? payload : undefined,
    checksums: options.checksums ?? (sent === undefined ? ['CRC64NVME'] : []),
  })
  const chunks = isStreaming
    ? new ChunkReader({
        trailer: trailer && checksumHeader(trailer),
        signed: payload.includes('HMAC') && authentication.kind !== 'anonymous' ? authentication : undefined,
      })
    : undefined
  return {
    declaredSize,
    bytes: read(request.body, chunks, verifier),
    done: () => verifier.summary(),
  }
}

/** `Content-Encoding` as it is stored: without the packing of the way. */
export function storedContentEncoding(header: string | undefined): string | undefined {
  if (header === undefined || !/aws-chunked/i.test(header)) return header === '' ? undefined : header
  const kept = header
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '' && part.toLowerCase() !== 'aws-chunked')
  return kept.length === 0 ? undefined : kept.join(',')
}

async function* read(
  body: AsyncIterable<Uint8Array>,
  chunks: ChunkReader | undefined,
  verifier: Verifier,
): AsyncGenerator<Uint8Array> {
  for await (const bytes of body) {
    if (chunks === undefined) {
      verifier.take(bytes)
      yield bytes
    } else {
      for (const data of chunks.take(bytes)) {
        verifier.take(data)
        yield data
      }
    }
  }
  verifier.end(chunks?.end())
}

interface Expected {
  readonly sent: SentChecksum | undefined
  readonly trailer: ChecksumAlgorithm | undefined
  readonly size: number | undefined
  readonly md5: string | undefined
  readonly sha256: string | undefined
  readonly checksums: readonly ChecksumAlgorithm[]
}

interface SentChecksum {
  readonly algorithm: ChecksumAlgorithm
  /** `undefined` where it comes in the trailer. */
  readonly value: string | undefined
}

/** Counts and hashes what passes, and holds it to what was said of it. */
class Verifier {
  readonly #expected: Expected
  readonly #md5 = createHash('md5')
  readonly #sha256: ReturnType<typeof createHash> | undefined
  readonly #running: ReadonlyMap<ChecksumAlgorithm, ReturnType<typeof createChecksum>>
  #size = 0
  #summary: PayloadSummary | undefined

  constructor(expected: Expected) {
    this.#expected = expected
    this.#sha256 = expected.sha256 === undefined ? undefined : createHash('sha256')
    const algorithms = new Set([...expected.checksums, ...(expected.sent ? [expected.sent.algorithm] : [])])
    this.#running = new Map([...algorithms].map((algorithm) => [algorithm, createChecksum(algorithm)]))
  }

  take(bytes: Uint8Array): void {
    this.#size += bytes.length
    const { size } = this.#expected
    if (size !== undefined && this.#size > size) throw this.#incomplete(size)
    this.#md5.update(bytes)
    this.#sha256?.update(bytes)
    for (const checksum of this.#running.values()) checksum.update(bytes)
  }

  end(trailers?: ReadonlyMap<string, string>): void {
    const { size, md5, sha256, sent, trailer } = this.#expected
    if (size !== undefined && this.#size !== size) throw this.#incomplete(size)
    const ownSha256 = this.#sha256?.digest('hex')
    if (ownSha256 !== undefined && sha256 !== undefined && ownSha256 !== sha256) {
      throw new S3Error('XAmzContentSHA256Mismatch', {
        fields: { ClientComputedContentSHA256: sha256, S3ComputedContentSHA256: ownSha256 },
      })
    }
    const ownMd5 = this.#md5.digest()
    if (md5 !== undefined && md5 !== ownMd5.toString('base64')) {
      throw new S3Error('BadDigest', {
        fields: { ExpectedDigest: md5, CalculatedDigest: ownMd5.toString('base64') },
      })
    }
    const checksums = new Map(
      [...this.#running].map(([algorithm, running]) => [algorithm, running.digest().toString('base64')]),
    )
    const value = trailer === undefined ? sent?.value : trailers?.get(checksumHeader(trailer))
    if (sent !== undefined) checkSent(sent.algorithm, value, checksums.get(sent.algorithm))
    this.#summary = {
      size: this.#size,
      md5: ownMd5.toString('hex'),
      checksums,
      sent: sent && { algorithm: sent.algorithm, value: value ?? '' },
    }
  }

  summary(): PayloadSummary {
    if (this.#summary === undefined) throw new Error('the body was not read to its end')
    return this.#summary
  }

  #incomplete(expected: number): S3Error {
    return new S3Error('IncompleteBody', {
      fields: { NumberBytesExpected: expected, NumberBytesProvided: this.#size },
    })
  }
}

function checkSent(algorithm: ChecksumAlgorithm, value: string | undefined, own: string | undefined): void {
  if (value === undefined) throw new S3Error('MalformedTrailerError')
  if (!isChecksum(algorithm, value)) throw invalidChecksum(algorithm)
  if (value === own) return
  throw new S3Error('BadDigest', {
    message: `The ${algorithm} you specified did not match the calculated checksum.`,
  })
}

function lengthOf(headers: Readonly<Record<string, string>>, name: string): number | undefined {
  const text = headers[name]
  if (text === undefined) return undefined
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw new S3Error('InvalidArgument', {
    message: `${name} must be a whole number`,
    fields: { ArgumentName: name, ArgumentValue: text },
  })
}

function md5Of(headers: Readonly<Record<string, string>>): string | undefined {
  const text = headers['content-md5']
  if (text === undefined) return undefined
  const bytes = Buffer.from(text, 'base64')
  if (bytes.length === 16 && bytes.toString('base64') === text) return text
  throw new S3Error('InvalidDigest', { fields: { 'Content-MD5': text } })
}

const prefix = 'x-amz-checksum-'
/** Headers of that prefix which are no checksums. */
const others: readonly string[] = ['x-amz-checksum-algorithm', 'x-amz-checksum-mode', 'x-amz-checksum-type']

function checksumOfHeaders(
  headers: Readonly<Record<string, string>>,
  trailer: ChecksumAlgorithm | undefined,
): SentChecksum | undefined {
  const names = Object.keys(headers).filter((name) => name.startsWith(prefix) && !others.includes(name))
  const [name] = names
  if (names.length > 1 || (name !== undefined && trailer !== undefined)) {
    throw new S3Error('InvalidRequest', {
      message: 'Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.',
    })
  }
  const announced = headers['x-amz-sdk-checksum-algorithm']
  const algorithm = name === undefined ? trailer : checksumAlgorithm(name.slice(prefix.length))
  if (announced !== undefined) {
    const expected = checksumAlgorithm(announced)
    if (algorithm === undefined) {
      throw new S3Error('InvalidRequest', {
        message:
          'x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.',
      })
    }
    if (expected !== algorithm) {
      throw new S3Error('InvalidRequest', {
        message: 'Value for x-amz-sdk-checksum-algorithm header is invalid.',
      })
    }
  }
  if (algorithm === undefined) return undefined
  const value = name === undefined ? undefined : headers[name]
  if (value !== undefined && !isChecksum(algorithm, value)) throw invalidChecksum(algorithm)
  return { algorithm, value }
}

function invalidChecksum(algorithm: ChecksumAlgorithm): S3Error {
  return new S3Error('InvalidRequest', {
    message: `Value for ${checksumHeader(algorithm)} header is invalid.`,
  })
}

function trailerOf(headers: Readonly<Record<string, string>>): ChecksumAlgorithm | undefined {
  const text = headers['x-amz-trailer']?.trim().toLowerCase()
  if (text === undefined || text === '') return undefined
  if (text.startsWith(prefix) && !others.includes(text) && !text.includes(',')) {
    return checksumAlgorithm(text.slice(prefix.length))
  }
  throw new S3Error('InvalidRequest', {
    message: 'The value specified in the x-amz-trailer header is not supported',
  })
}
