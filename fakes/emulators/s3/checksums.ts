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
    return words(this.#sum)
  }
}

/** Reflected, that is with the lowest power in the highest bit. */
const polynomials = {
  CRC32: 0xed_b8_83_20n,
  CRC32C: 0x82_f6_3b_78n,
  CRC64NVME: 0x9a_6c_93_29_ac_4b_c9_b5n,
} as const

/**
 * The remainders of each byte followed by 0 … 7 zero bytes, so that eight bytes are looked up at once rather than one
 * after another. In halves of 32 bits: there is no faster integer of 64.
 */
interface Tables {
  readonly high: readonly Uint32Array[]
  readonly low: readonly Uint32Array[]
}

function tablesOf(polynomial: bigint): Tables {
  const high = Array.from({ length: 8 }, () => new Uint32Array(256))
  const low = Array.from({ length: 8 }, () => new Uint32Array(256))
  const first: bigint[] = []
  for (let byte = 0; byte < 256; byte++) {
    let rest = BigInt(byte)
    for (let bit = 0; bit < 8; bit++) rest = (rest & 1n) === 1n ? (rest >> 1n) ^ polynomial : rest >> 1n
    first.push(rest)
  }
  for (let byte = 0; byte < 256; byte++) {
    let rest = first[byte] ?? 0n
    for (let zeros = 0; zeros < 8; zeros++) {
      ;(high[zeros] as Uint32Array)[byte] = Number(rest >> 32n)
      ;(low[zeros] as Uint32Array)[byte] = Number(rest & 0xff_ff_ff_ffn)
      rest = (rest >> 8n) ^ (first[Number(rest & 0xffn)] ?? 0n)
    }
  }
  return { high, low }
}

let crc32cTables: Tables | undefined
let crc64Tables: Tables | undefined

class Crc32c implements RunningChecksum {
  #sum = -1

  update(bytes: Uint8Array): void {
    crc32cTables ??= tablesOf(polynomials.CRC32C)
    const [t0, t1, t2, t3, t4, t5, t6, t7] = crc32cTables.low as EightTables
    let sum = this.#sum
    let at = 0
    for (const end = bytes.length - 7; at < end; at += 8) {
      sum ^= word(bytes, at)
      const next = word(bytes, at + 4)
      sum =
        at32(t7, sum & 255) ^
        at32(t6, (sum >>> 8) & 255) ^
        at32(t5, (sum >>> 16) & 255) ^
        at32(t4, sum >>> 24) ^
        at32(t3, next & 255) ^
        at32(t2, (next >>> 8) & 255) ^
        at32(t1, (next >>> 16) & 255) ^
        at32(t0, next >>> 24)
    }
    for (; at < bytes.length; at++) sum = at32(t0, (sum ^ at32(bytes, at)) & 255) ^ (sum >>> 8)
    this.#sum = sum
  }

  digest(): Buffer {
    return words(~this.#sum)
  }
}

class Crc64Nvme implements RunningChecksum {
  #high = -1
  #low = -1

  update(bytes: Uint8Array): void {
    crc64Tables ??= tablesOf(polynomials.CRC64NVME)
    const [h0, h1, h2, h3, h4, h5, h6, h7] = crc64Tables.high as EightTables
    const [l0, l1, l2, l3, l4, l5, l6, l7] = crc64Tables.low as EightTables
    let high = this.#high
    let low = this.#low
    let at = 0
    for (const end = bytes.length - 7; at < end; at += 8) {
      low ^= word(bytes, at)
      high ^= word(bytes, at + 4)
      const [a, b, c, d] = [low & 255, (low >>> 8) & 255, (low >>> 16) & 255, low >>> 24]
      const [e, f, g, h] = [high & 255, (high >>> 8) & 255, (high >>> 16) & 255, high >>> 24]
      high =
        at32(h7, a) ^
        at32(h6, b) ^
        at32(h5, c) ^
        at32(h4, d) ^
        at32(h3, e) ^
        at32(h2, f) ^
        at32(h1, g) ^
        at32(h0, h)
      low =
        at32(l7, a) ^
        at32(l6, b) ^
        at32(l5, c) ^
        at32(l4, d) ^
        at32(l3, e) ^
        at32(l2, f) ^
        at32(l1, g) ^
        at32(l0, h)
    }
    for (; at < bytes.length; at++) {
      const index = (low ^ at32(bytes, at)) & 255
      low = ((low >>> 8) | (high << 24)) ^ at32(l0, index)
      high = (high >>> 8) ^ at32(h0, index)
    }
    this.#high = high
    this.#low = low
  }

  digest(): Buffer {
    return words(~this.#high, ~this.#low)
  }
}

type EightTables = readonly [
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
]

/** An entry that is surely there. */
function at32(table: Uint32Array | Uint8Array, index: number): number {
  return table[index] as number
}

function word(bytes: Uint8Array, at: number): number {
  return (
    at32(bytes, at) | (at32(bytes, at + 1) << 8) | (at32(bytes, at + 2) << 16) | (at32(bytes, at + 3) << 24)
  )
}

/** Numbers of 32 bits as bytes, the highest first. */
function words(...values: readonly number[]): Buffer {
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
