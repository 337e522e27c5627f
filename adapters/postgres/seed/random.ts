/**
 * Chance that can be asked again: a number depends on nothing but the seed and what it is for, never on what was
 * drawn before. So any value of any row can be made alone, in any order, and a table more changes no other.
 */

/** A stream of numbers in [0, 1). */
export class Random {
  #state: number

  constructor(state: number) {
    this.#state = state >>> 0
  }

  /** Starts the stream anew, at the place that these numbers name. */
  restart(...parts: readonly number[]): this {
    this.#state = mix(parts)
    return this
  }

  /** 32 bits. https://dl.acm.org/doi/10.1145/2660193.2660195 */
  bits(): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0
    return finish(this.#state)
  }

  next(): number {
    return this.bits() / 2 ** 32
  }

  /** An integer from 0 to `size - 1`, for sizes up to 2^53. */
  below(size: number): number {
    if (size <= 2 ** 32) return Math.floor(this.next() * size)
    // 53 bits, as many as a number holds.
    return Math.floor(((this.bits() * 2 ** 21 + (this.bits() >>> 11)) / 2 ** 53) * size)
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)] as T
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }
}

/** The number that stands for a name. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193)
  return finish(hash)
}

function mix(parts: readonly number[]): number {
  let hash = 0
  for (const part of parts) {
    hash = finish((Math.imul(hash, 31) + part) >>> 0)
    // Row numbers and seeds may be larger than 32 bits.
    hash = finish((hash + Math.floor(part / 2 ** 32)) >>> 0)
  }
  return hash
}

function finish(value: number): number {
  let hash = value
  hash = Math.imul(hash ^ (hash >>> 16), 0x21f0aaad)
  hash = Math.imul(hash ^ (hash >>> 15), 0x735a2d97)
  return (hash ^ (hash >>> 15)) >>> 0
}
