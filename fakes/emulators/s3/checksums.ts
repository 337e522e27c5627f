/**
 * The checksums of S3's `x-amz-checksum-*`, running over streams, and put together from those of parts: composite
 * (`HASH-N`, the hash of the parts' hashes) or of the full object, which CRCs can tell from the CRCs of the parts.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
 */
import { createHash, type Hash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { S3Error } from './errors.ts'

const bytesOf = { CRC32: 4, CRC32C: 4, CRC64NVME: 8, SHA1: 20, SHA256: 32 } as const

export type ChecksumAlgorithm = keyof typeof bytesOf

/** The algorithms there are. XXHASH, SHA512 and MD5, which S3 learnt in 2026, are not among them. */
export const checksumAlgorithms: readonly ChecksumAlgorithm[] = Object.keys(
  bytesOf,
) as readonly ChecksumAlgorithm[]

/** S3's newer algorithms, which the emulator refuses by name with 501. */
const notImplemented: ReadonlySet<string> = new Set(['MD5', 'SHA512', 'XXHASH3', 'XXHASH64', 'XXHASH128'])

/** A checksum of what came so far. */
export interface RunningChecksum {
  update(bytes: Uint8Array): void
  /** To be asked once, at the end. */
  digest(): Buffer
}

/** The header and trailer that carries it, such as `x-amz-checksum-crc32`. */
export function checksumHeader(algorithm: ChecksumAlgorithm): string {
  return `x-amz-checksum-${algorithm.toLowerCase()}`
}

/** The element that carries it in XML, such as `ChecksumCRC32`. */
export function checksumElement(algorithm: ChecksumAlgorithm): string {
  return `Checksum${algorithm}`
}

/**
 * The algorithm that a client names, in any case.
 * @throws S3Error `NotImplemented` for those that S3 has and this has not, `InvalidRequest` for others
 */
export function checksumAlgorithm(name: string): ChecksumAlgorithm {
  const upper = name.toUpperCase()
  const known = checksumAlgorithms.find((algorithm) => algorithm === upper)
  if (known !== undefined) return known
  if (notImplemented.has(upper)) {
    throw new S3Error('NotImplemented', { message: `The emulator does not implement the checksum ${upper}` })
  }
  throw new S3Error('InvalidRequest', {
    message:
      'Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]',
  })
}

/** Whether `value` is base64 of as many bytes as the algorithm has. */
export function isChecksum(algorithm: ChecksumAlgorithm, value: string): boolean {
  const bytes = Buffer.from(value, 'base64')
  return bytes.length === bytesOf[algorithm] && bytes.toString('base64') === value
}

export function createChecksum(algorithm: ChecksumAlgorithm): RunningChecksum {
  switch (algorithm) {
    case 'CRC32':
      return new Crc32()
    case 'CRC32C':
      return new Crc32c()
    case 'CRC64NVME':
      return new Crc64Nvme()
    case 'SHA1':
    case 'SHA256':
      return createHash(algorithm) satisfies Hash
  }
}

/** The checksum of bytes that are all there, in base64. */
export function checksumOf(algorithm: ChecksumAlgorithm, bytes: Uint8Array): string {
  const checksum = createChecksum(algorithm)
  checksum.update(bytes)
  return checksum.digest().toString('base64')
}

/** `HASH-N` of the parts' checksums (base64, in order). */
export function compositeChecksum(algorithm: ChecksumAlgorithm, parts: readonly string[]): string {
  const whole = Buffer.concat(parts.map((part) => Buffer.from(part, 'base64')))
  return `${checksumOf(algorithm, whole)}-${parts.length}`
}

/** Whether the checksum of the whole can be told from those of parts. */
export function isCombinable(algorithm: ChecksumAlgorithm): algorithm is keyof typeof polynomials {
  return Object.hasOwn(polynomials, algorithm)
}

/** A checksum in base64, and of how many bytes it is. */
export interface PartChecksum {
  readonly value: string
  readonly size: number
}

/** The checksum of the parts' bytes one after another, which are not needed for it. */
export function combineChecksums(
  algorithm: keyof typeof polynomials,
  parts: readonly PartChecksum[],
): string {
  const field = fieldOf(algorithm)
  const whole = parts.reduce(
    (sum, { value, size }) =>
      field.shift(sum, size) ^ BigInt(`0x0${Buffer.from(value, 'base64').toString('hex')}`),
    0n,
  )
  return Buffer.from(whole.toString(16).padStart(bytesOf[algorithm] * 2, '0'), 'hex').toString('base64')
}

class Crc32 implements RunningChecksum {
  #sum = 0

  update(bytes: Uint8Array): void {
    this.#sum = crc32(bytes, this.#sum)
  }

  digest(): Buffer {
    return bytesOfWords(this.#sum)
  }
}

/** Reflected, that is with the lowest power in the highest bit. */
const polynomials = {
  CRC32: 0xed_b8_83_20n,
  CRC32C: 0x82_f6_3b_78n,
  CRC64NVME: 0x9a_6c_93_29_ac_4b_c9_b5n,
} as const

/**
 * The remainders of each byte followed by 0 … 7 zero bytes, 256 after 256, so that eight bytes are looked up at once
 * rather than one after another. In halves of 32 bits: there is no faster integer of 64.
 */
interface Tables {
  readonly high: Uint32Array
  readonly low: Uint32Array
}

function tablesOf(polynomial: bigint): Tables {
  const first = Array.from({ length: 256 }, (_, byte) => {
    let rest = BigInt(byte)
    for (let bit = 0; bit < 8; bit++) rest = (rest & 1n) === 1n ? (rest >> 1n) ^ polynomial : rest >> 1n
    return rest
  })
  const high = new Uint32Array(8 * 256)
  const low = new Uint32Array(8 * 256)
  for (const [byte, remainder] of first.entries()) {
    let rest = remainder
    for (let zeros = 0; zeros < 8; zeros++) {
      high[zeros * 256 + byte] = Number(rest >> 32n)
      low[zeros * 256 + byte] = Number(rest & 0xff_ff_ff_ffn)
      rest = (rest >> 8n) ^ (first[Number(rest & 0xffn)] ?? 0n)
    }
  }
  return { high, low }
}

let crc32cTables: Tables | undefined
let crc64Tables: Tables | undefined

// What is looked up in the loops below is surely there; to say so with a function of its own would cost a third of
// their speed wherever it is not inlined. The bytes are read in words where they lie so that they can be.

class Crc32c implements RunningChecksum {
  #sum = -1

  update(bytes: Uint8Array): void {
    crc32cTables ??= tablesOf(polynomials.CRC32C)
    const t = crc32cTables.low
    const { head, words, tail } = wordsOf(bytes)
    let sum = bytewise32(t, this.#sum, bytes, 0, head)
    for (let at = 0; at < words.length; at += 2) {
      const a = sum ^ (words[at] as number)
      const b = words[at + 1] as number
      sum =
        (t[1792 + (a & 255)] as number) ^
        (t[1536 + ((a >>> 8) & 255)] as number) ^
        (t[1280 + ((a >>> 16) & 255)] as number) ^
        (t[1024 + (a >>> 24)] as number) ^
        (t[768 + (b & 255)] as number) ^
        (t[512 + ((b >>> 8) & 255)] as number) ^
        (t[256 + ((b >>> 16) & 255)] as number) ^
        (t[b >>> 24] as number)
    }
    this.#sum = bytewise32(t, sum, bytes, tail, bytes.length)
  }

  digest(): Buffer {
    return bytesOfWords(~this.#sum)
  }
}

function bytewise32(t: Uint32Array, start: number, bytes: Uint8Array, from: number, to: number): number {
  let sum = start
  for (let at = from; at < to; at++) {
    sum = (t[(sum ^ (bytes[at] as number)) & 255] as number) ^ (sum >>> 8)
  }
  return sum
}

class Crc64Nvme implements RunningChecksum {
  #high = -1
  #low = -1

  update(bytes: Uint8Array): void {
    crc64Tables ??= tablesOf(polynomials.CRC64NVME)
    const { head, words, tail } = wordsOf(bytes)
    this.#bytewise(crc64Tables, bytes, 0, head)
    this.#wordwise(crc64Tables, words)
    this.#bytewise(crc64Tables, bytes, tail, bytes.length)
  }

  digest(): Buffer {
    return bytesOfWords(~this.#high, ~this.#low)
  }

  #wordwise({ high: h, low: l }: Tables, words: Uint32Array): void {
    let high = this.#high
    let low = this.#low
    for (let at = 0; at < words.length; at += 2) {
      const a = low ^ (words[at] as number)
      const b = high ^ (words[at + 1] as number)
      const a0 = 1792 + (a & 255)
      const a1 = 1536 + ((a >>> 8) & 255)
      const a2 = 1280 + ((a >>> 16) & 255)
      const a3 = 1024 + (a >>> 24)
      const b0 = 768 + (b & 255)
      const b1 = 512 + ((b >>> 8) & 255)
      const b2 = 256 + ((b >>> 16) & 255)
      const b3 = b >>> 24
      high =
        (h[a0] as number) ^
        (h[a1] as number) ^
        (h[a2] as number) ^
        (h[a3] as number) ^
        (h[b0] as number) ^
        (h[b1] as number) ^
        (h[b2] as number) ^
        (h[b3] as number)
      low =
        (l[a0] as number) ^
        (l[a1] as number) ^
        (l[a2] as number) ^
        (l[a3] as number) ^
        (l[b0] as number) ^
        (l[b1] as number) ^
        (l[b2] as number) ^
        (l[b3] as number)
    }
    this.#high = high
    this.#low = low
  }

  #bytewise({ high: h, low: l }: Tables, bytes: Uint8Array, from: number, to: number): void {
    let high = this.#high
    let low = this.#low
    for (let at = from; at < to; at++) {
      const index = (low ^ (bytes[at] as number)) & 255
      low = ((low >>> 8) | (high << 24)) ^ (l[index] as number)
      high = (high >>> 8) ^ (h[index] as number)
    }
    this.#high = high
    this.#low = low
  }
}

const isLittleEndian = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1

/** The middle of `bytes` as an even number of words where it can be read so, and where it begins and ends. */
function wordsOf(bytes: Uint8Array): {
  readonly head: number
  readonly words: Uint32Array
  readonly tail: number
} {
  const head = Math.min(-bytes.byteOffset & 3, bytes.length)
  const pairs = isLittleEndian ? Math.floor((bytes.length - head) / 8) : 0
  const words = new Uint32Array(bytes.buffer, pairs === 0 ? 0 : bytes.byteOffset + head, pairs * 2)
  return { head, words, tail: head + pairs * 8 }
}

/** Numbers of 32 bits as bytes, the highest first. */
function bytesOfWords(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4)
  for (const [index, value] of values.entries()) bytes.writeUInt32BE(value >>> 0, index * 4)
  return bytes
}

/**
 * Polynomials over two elements, modulo one. A CRC is such a remainder, and to append n bytes multiplies what it is
 * the remainder of by x to the 8n.
 */
class Field {
  readonly #polynomial: bigint
  readonly #one: bigint
  // x to the 8 · 2^index.
  readonly #powers: bigint[]
  // Parts are mostly of one size.
  readonly #bySize = new Map<number, bigint>()

  constructor(polynomial: bigint, bits: number) {
    this.#polynomial = polynomial
    this.#one = 1n << BigInt(bits - 1)
    this.#powers = [this.#one >> 8n]
  }

  /** `sum` followed by `size` bytes that are zero. */
  shift(sum: bigint, size: number): bigint {
    if (sum === 0n) return 0n
    let factor = this.#bySize.get(size)
    if (factor === undefined) {
      factor = this.#power(size)
      if (this.#bySize.size < 64) this.#bySize.set(size, factor)
    }
    return this.#multiply(sum, factor)
  }

  #power(size: number): bigint {
    let product = this.#one
    let rest = size
    for (let index = 0; rest > 0; index++, rest = Math.floor(rest / 2)) {
      const last = this.#powers.at(-1) ?? this.#one
      if (index === this.#powers.length) this.#powers.push(this.#multiply(last, last))
      if (rest % 2 === 1) product = this.#multiply(product, this.#powers[index] ?? this.#one)
    }
    return product
  }

  #multiply(a: bigint, b: bigint): bigint {
    let product = 0n
    let times = b
    for (let bit = this.#one; bit > 0n; bit >>= 1n) {
      if ((a & bit) !== 0n) product ^= times
      times = (times & 1n) === 1n ? (times >> 1n) ^ this.#polynomial : times >> 1n
    }
    return product
  }
}

const fields = new Map<keyof typeof polynomials, Field>()

function fieldOf(algorithm: keyof typeof polynomials): Field {
  const known = fields.get(algorithm)
  if (known !== undefined) return known
  const made = new Field(polynomials[algorithm], bytesOf[algorithm] * 8)
  fields.set(algorithm, made)
  return made
}
