/** Pieces of bytes that never change, in order: shared, held and read. */
import { closeSync, openSync, readSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { PortError } from '../../src/errors.ts'
import type { ContentStore } from './contents.ts'

/** How much is read or written at once. */
export const chunkBytes: number = 256 * 1024

/** Bytes that were written once, wherever they are. */
export interface Piece {
  /** Unlike any other's, also in another process. */
  readonly id: string
  readonly size: number
  readonly bytes: Uint8Array | undefined
  readonly path: string | undefined
  readonly store: ContentStore
  holders: number
}

/** A stretch of a piece. */
export interface Stretch {
  readonly piece: Piece
  readonly start: number
  readonly length: number
}

/** Bytes in order. Whoever was given one releases it once; until then its pieces stay. */
export class Content {
  readonly size: number
  readonly stretches: readonly Stretch[]
  #released = false

  constructor(stretches: readonly Stretch[]) {
    this.stretches = stretches
    this.size = stretches.reduce((size, { length }) => size + length, 0)
  }

  /** One after the other, sharing their pieces. Those that went in stay their holders' own. */
  static join(contents: readonly Content[]): Content {
    return new Content(contents.flatMap((content) => content.share().stretches))
  }

  /** The same bytes for another holder; of `end` the last one is before it. */
  share(start: number = 0, end: number = this.size): Content {
    if (this.#released) throw new PortError({ code: 'internal', message: 'this content was released' })
    const shared: Stretch[] = []
    let offset = 0
    for (const { piece, start: from, length } of this.stretches) {
      const first = Math.max(start - offset, 0)
      const last = Math.min(end - offset, length)
      offset += length
      if (first >= last) continue
      piece.holders += 1
      shared.push({ piece, start: from + first, length: last - first })
    }
    return new Content(shared)
  }

  /** Lets go of it. Twice is as once. */
  release(): void {
    if (this.#released) return
    this.#released = true
    for (const { piece } of this.stretches) piece.store.drop(piece)
  }

  /**
   * The bytes from `start` to before `end` as chunks of their own. It holds what it reads until it was read to its end,
   * left or never begun and told to return.
   */
  read(start: number = 0, end: number = this.size): AsyncIterableIterator<Uint8Array> {
    return new Reader(this.share(start, end))
  }

  /** All bytes, as a copy. Reads files while nothing else happens: for looking at small things. */
  bytes(): Uint8Array {
    const all = new Uint8Array(this.size)
    let offset = 0
    for (const { piece, start, length } of this.stretches) {
      if (piece.bytes !== undefined) all.set(piece.bytes.subarray(start, start + length), offset)
      else readWhole(piece.path ?? '', all.subarray(offset, offset + length), start)
      offset += length
    }
    return all
  }
}

/** No generator: one that was never begun runs no `finally`, and would hold its pieces for ever. */
class Reader implements AsyncIterableIterator<Uint8Array> {
  readonly #content: Content
  #index = 0
  #offset = 0
  #open: { readonly piece: Piece; readonly handle: FileHandle } | undefined
  #over = false

  constructor(content: Content) {
    this.#content = content
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    try {
      const chunk = this.#over ? undefined : await this.#chunk()
      if (chunk !== undefined) return { done: false, value: chunk }
    } catch (error) {
      await this.return()
      throw error
    }
    return this.return()
  }

  async return(): Promise<IteratorReturnResult<undefined>> {
    this.#over = true
    this.#content.release()
    const opened = this.#open
    this.#open = undefined
    await opened?.handle.close()
    return { done: true, value: undefined }
  }

  async #chunk(): Promise<Uint8Array | undefined> {
    for (;;) {
      const stretch = this.#content.stretches[this.#index]
      if (stretch === undefined) return undefined
      const left = stretch.length - this.#offset
      if (left === 0) {
        this.#index += 1
        this.#offset = 0
        continue
      }
      const length = Math.min(left, chunkBytes)
      const position = stretch.start + this.#offset
      this.#offset += length
      const { bytes } = stretch.piece
      return bytes === undefined
        ? this.#fromFile(stretch.piece, position, length)
        : new Uint8Array(bytes.subarray(position, position + length))
    }
  }

  async #fromFile(piece: Piece, position: number, length: number): Promise<Uint8Array> {
    if (this.#open?.piece !== piece) {
      await this.#open?.handle.close()
      this.#open = undefined
      const handle = await open(piece.path ?? '', 'r')
      if (this.#over) {
        await handle.close()
        throw new PortError({ code: 'cancelled', message: 'the reader left' })
      }
      this.#open = { piece, handle }
    }
    const { handle } = this.#open
    const chunk = new Uint8Array(length)
    for (let read = 0; read < length; ) {
      const { bytesRead } = await handle.read(chunk, read, length - read, position + read)
      if (bytesRead === 0) throw new PortError({ code: 'corrupt', message: 'a stored file is cut off' })
      read += bytesRead
    }
    return chunk
  }
}

function readWhole(path: string, into: Uint8Array, position: number): void {
  const file = openSync(path, 'r')
  try {
    for (let read = 0; read < into.length; ) {
      const count = readSync(file, into, read, into.length - read, position + read)
      if (count === 0) throw new PortError({ code: 'corrupt', message: 'a stored file is cut off' })
      read += count
    }
  } finally {
    closeSync(file)
  }
}
