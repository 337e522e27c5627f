/**
 * AWS's packing of a body in chunks, each perhaps signed, perhaps with trailers after the last:
 * `SIZE[;chunk-signature=SIGNATURE]\r\n BYTES \r\n … 0[;…]\r\n [NAME:VALUE\r\n …] \r\n`.
 * It takes the bytes as they come, however they are cut, and gives those of the body without copying them.
 */
import { createHash, type Hash } from 'node:crypto'
import { S3Error } from './errors.ts'
import { mismatch, type Signed, sameText } from './signature.ts'
import { emptySha256, hmac, scopeText, sha256 } from './signing.ts'

export interface ChunkReaderOptions {
  /** The lower-case name of the trailer that must come. */
  readonly trailer: string | undefined
  /** What the first chunk's signature follows; `undefined` where chunks are not signed. */
  readonly signed: Signed | undefined
}

/** S3 takes no smaller chunk but the last. */
const smallestChunkBytes = 8_192
const longestLineBytes = 4_096
const mostTrailers = 16

type State = 'size' | 'data' | 'after-data' | 'trailers' | 'end'

export class ChunkReader {
  readonly #options: ChunkReaderOptions
  readonly #trailers = new Map<string, string>()
  #state: State = 'size'
  #line: Buffer[] = []
  #lineBytes = 0
  #left = 0
  #count = 0
  #lastSize: number | undefined
  #hash: Hash | undefined
  #chunkSignature = ''
  #previousSignature: string

  constructor(options: ChunkReaderOptions) {
    this.#options = options
    this.#previousSignature = options.signed?.signature ?? ''
  }

  /** The bytes of the body in `bytes`, which may begin and end anywhere. */
  *take(bytes: Uint8Array): Generator<Uint8Array> {
    for (let at = 0; at < bytes.length; ) {
      if (this.#state === 'data') {
        const data = bytes.subarray(at, at + this.#left)
        at += data.length
        this.#left -= data.length
        this.#hash?.update(data)
        if (this.#left === 0) this.#state = 'after-data'
        yield data
      } else {
        at = this.#takeLine(bytes, at)
      }
    }
  }

  /**
   * The trailers, by lower-case name.
   * @throws S3Error `IncompleteBody` where the last chunk has not come
   */
  end(): ReadonlyMap<string, string> {
    if (this.#state !== 'end') throw new S3Error('IncompleteBody')
    return this.#trailers
  }

  #takeLine(bytes: Uint8Array, at: number): number {
    if (this.#state === 'end')
      throw new S3Error('IncompleteBody', { message: 'There are bytes after the last chunk' })
    const feed = bytes.indexOf(0x0a, at)
    const end = feed < 0 ? bytes.length : feed + 1
    this.#lineBytes += end - at
    if (this.#lineBytes > longestLineBytes) throw malformed()
    // Copied, since the sender may reuse its buffer before the line is whole.
    this.#line.push(Buffer.from(bytes.subarray(at, end)))
    if (feed >= 0) {
      const line = Buffer.concat(this.#line).toString('latin1')
      this.#line = []
      this.#lineBytes = 0
      if (!line.endsWith('\r\n')) throw malformed()
      this.#onLine(line.slice(0, -2))
    }
    return end
  }

  #onLine(line: string): void {
    if (this.#state === 'size') this.#onSize(line)
    else if (this.#state === 'after-data') {
      if (line !== '') throw malformed()
      this.#endChunk()
      this.#state = 'size'
    } else this.#onTrailer(line)
  }

  #onSize(line: string): void {
    const [, hex, signature] = /^([0-9a-fA-F]{1,12})(?:;chunk-signature=([0-9a-f]{64}))?$/.exec(line) ?? []
    const isSigned = this.#options.signed !== undefined
    if (hex === undefined || (isSigned && signature === undefined)) throw malformed()
    const size = Number.parseInt(hex, 16)
    this.#count += 1
    if (size > 0 && this.#lastSize !== undefined && this.#lastSize < smallestChunkBytes) {
      throw new S3Error('InvalidChunkSizeError', {
        fields: { Chunk: this.#count, BadChunkSize: this.#lastSize },
      })
    }
    this.#lastSize = size
    this.#left = size
    this.#chunkSignature = signature ?? ''
    this.#hash = isSigned ? createHash('sha256') : undefined
    if (size > 0) this.#state = 'data'
    else {
      this.#endChunk()
      this.#state = 'trailers'
    }
  }

  #endChunk(): void {
    if (this.#hash === undefined) return
    this.#check('AWS4-HMAC-SHA256-PAYLOAD', [emptySha256, this.#hash.digest('hex')], this.#chunkSignature)
  }

  #onTrailer(line: string): void {
    if (line === '') {
      this.#endTrailers()
      return
    }
    const [, name, value] = /^([!-9;-~]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? []
    if (name === undefined || value === undefined || this.#trailers.size >= mostTrailers) {
      throw new S3Error('MalformedTrailerError')
    }
    const lower = name.toLowerCase()
    if (this.#trailers.has(lower)) throw new S3Error('MalformedTrailerError')
    this.#trailers.set(lower, value)
  }

  #endTrailers(): void {
    const { trailer, signed } = this.#options
    const signature = this.#trailers.get(trailerSignature)
    this.#trailers.delete(trailerSignature)
    const names = [...this.#trailers.keys()]
    if (names.some((name) => name !== trailer) || (trailer !== undefined && names.length === 0)) {
      throw new S3Error('MalformedTrailerError')
    }
    if (signed !== undefined && trailer !== undefined) {
      if (signature === undefined) throw new S3Error('MalformedTrailerError')
      const text = [...this.#trailers].map(([name, value]) => `${name}:${value}\n`).join('')
      this.#check('AWS4-HMAC-SHA256-TRAILER', [sha256(text)], signature)
    }
    this.#state = 'end'
  }

  /** Each signature follows the one before, so that chunks cannot change places. */
  #check(kind: string, hashes: readonly string[], signature: string): void {
    const { signed } = this.#options
    if (signed === undefined) return
    const { date, scope, signingKey, accessKeyId } = signed
    const text = [kind, date, scopeText(scope), this.#previousSignature, ...hashes].join('\n')
    const expected = hmac(signingKey, text).toString('hex')
    if (!sameText(expected, signature)) throw mismatch(accessKeyId, text, signature)
    this.#previousSignature = signature
  }
}

const trailerSignature = 'x-amz-trailer-signature'

function malformed(): S3Error {
  return new S3Error('IncompleteBody', { message: 'The body is not encoded in chunks as it was said to be' })
}
