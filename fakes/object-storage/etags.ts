/** Etags as S3 makes them: the MD5 of the bytes, or of the MD5s of the parts with their number. */
import { createHash, type Hash } from 'node:crypto'
import type { Content } from './pieces.ts'

/** The etag of bytes as they pass that are uploaded in parts of one size where there are more than that. */
export class EtagHash {
  readonly #partSizeBytes: number
  #part: Hash = createHash('md5')
  #partBytes = 0
  #size = 0
  readonly #md5s: Uint8Array[] = []

  constructor(partSizeBytes: number) {
    this.#partSizeBytes = partSizeBytes
  }

  take(chunk: Uint8Array): void {
    this.#size += chunk.length
    for (let rest = chunk; rest.length > 0; ) {
      if (this.#partBytes === this.#partSizeBytes) this.#endPart()
      const fitting = rest.subarray(0, this.#partSizeBytes - this.#partBytes)
      this.#part.update(fitting)
      this.#partBytes += fitting.length
      rest = rest.subarray(fitting.length)
    }
  }

  /** To be called once. */
  end(): string {
    if (this.#size <= this.#partSizeBytes) return `"${this.#part.digest('hex')}"`
    this.#endPart()
    return partsEtag(this.#md5s)
  }

  #endPart(): void {
    this.#md5s.push(this.#part.digest())
    this.#part = createHash('md5')
    this.#partBytes = 0
  }
}

/** The etag of an object that was made of parts with these MD5s. */
export function partsEtag(md5s: readonly Uint8Array[]): string {
  const hash = createHash('md5')
  for (const md5 of md5s) hash.update(md5)
  return `"${hash.digest('hex')}-${md5s.length}"`
}

/** The etag that the content of an object with `etag` has in one piece. */
export async function wholeEtag(etag: string, content: Content): Promise<string> {
  if (!etag.includes('-')) return etag
  const hash = createHash('md5')
  for await (const chunk of content.read()) hash.update(chunk)
  return `"${hash.digest('hex')}"`
}
