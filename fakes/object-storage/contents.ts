/**
 * The bytes of objects and parts. Never changed once written and never copied: a copy and an object made of parts
 * hold the same pieces, which are counted and go with their last holder. Small pieces are in memory; large ones, and
 * all where memory is full, are files in a folder of their own.
 */
import { randomUUID } from 'node:crypto'
import { closeSync, copyFileSync, linkSync, mkdtempSync, openSync, readSync, rmSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PortError } from '../../src/errors.ts'

export interface ContentStoreOptions {
  /** A piece longer than this is a file. @default 1 MiB */
  readonly largestInMemoryBytes?: number
  /** With more than this in memory every further piece is a file. @default 64 MiB */
  readonly memoryBytes?: number
}

const chunkBytes = 256 * 1024

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

/** Keeps pieces for one fake. */
export class ContentStore {
  readonly #largestInMemoryBytes: number
  readonly #memoryBytes: number
  #folder: string | undefined
  #files = 0
  #held = 0
  #closed = false

  constructor({
    largestInMemoryBytes = 1024 * 1024,
    memoryBytes = 64 * 1024 * 1024,
  }: ContentStoreOptions = {}) {
    this.#largestInMemoryBytes = largestInMemoryBytes
    this.#memoryBytes = memoryBytes
  }

  /** How many bytes are in memory. */
  get memory(): number {
    return this.#held
  }

  /** Where the files are; `undefined` while there was none. */
  get folder(): string | undefined {
    return this.#folder
  }

  /** Writes all that `source` gives; where it throws nothing is kept. `each` sees the chunks on their way. */
  async write(source: AsyncIterable<Uint8Array>, each?: (chunk: Uint8Array) => void): Promise<Content> {
    let waiting: Uint8Array[] = []
    let waitingBytes = 0
    let size = 0
    let file: { readonly handle: FileHandle; readonly path: string } | undefined
    const flush = async (): Promise<void> => {
      file ??= await this.#create()
      // A write may be partial; writev of what is left would need to cut chunks, so they are joined first.
      const bytes = waiting.length === 1 && waiting[0] !== undefined ? waiting[0] : Buffer.concat(waiting)
      waiting = []
      this.#held -= waitingBytes
      waitingBytes = 0
      for (let sent = 0; sent < bytes.length; ) {
        sent += (await file.handle.write(bytes, sent)).bytesWritten
      }
    }
    try {
      for await (const chunk of source) {
        if (chunk.length === 0) continue
        each?.(chunk)
        waiting.push(chunk)
        waitingBytes += chunk.length
        this.#held += chunk.length
        size += chunk.length
        const isLarge = size > this.#largestInMemoryBytes || this.#held > this.#memoryBytes
        if (file !== undefined ? waitingBytes >= chunkBytes : isLarge) await flush()
      }
      if (file === undefined) return this.keep(Buffer.concat(waiting))
      if (waitingBytes > 0) await flush()
      await file.handle.close()
      this.#alive()
      return this.#content({ size, bytes: undefined, path: file.path })
    } catch (error) {
      if (file !== undefined) {
        await file.handle.close().catch(() => {})
        rmSync(file.path, { force: true })
      }
      throw error
    } finally {
      this.#held -= waitingBytes
    }
  }

  /** Keeps bytes that no one else changes, in memory, however large. */
  keep(bytes: Uint8Array): Content {
    this.#alive()
    this.#held += bytes.length
    return this.#content({ size: bytes.length, bytes, path: undefined })
  }

  /** Content of another store, as this one's own: the same bytes in memory, the same file under a second name. */
  adopt(content: Content): Content {
    const stretches = content.stretches.map(({ piece, start, length }) => {
      if (piece.store === this) {
        piece.holders += 1
        return { piece, start, length }
      }
      if (piece.path === undefined) this.#held += piece.size
      const path = piece.path === undefined ? undefined : this.#take(piece.path)
      const own = { id: piece.id, size: piece.size, bytes: piece.bytes, path, store: this, holders: 1 }
      return { piece: own, start, length }
    })
    return new Content(stretches)
  }

  /** A piece that was saved: its bytes, or a file that gets a second name in this store's folder. */
  restore(id: string, size: number, saved: Uint8Array | string): Content {
    this.#alive()
    if (typeof saved === 'string') {
      return this.#content({ size, bytes: undefined, path: this.#take(saved) }, id)
    }
    this.#held += size
    return this.#content({ size, bytes: saved, path: undefined }, id)
  }

  /** One fewer holds `piece`. Called by {@link Content}. */
  drop(piece: Piece): void {
    piece.holders -= 1
    if (piece.holders > 0) return
    if (piece.path === undefined) this.#held -= piece.size
    // A reader that has it open reads on.
    else if (!this.#closed) rmSync(piece.path, { force: true })
  }

  /** Removes every file. What is in memory can still be read. */
  close(): void {
    this.#closed = true
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true })
    forget(this)
  }

  #alive(): void {
    if (this.#closed) throw new PortError({ code: 'closed', message: 'the fake is closed' })
  }

  #content(written: Pick<Piece, 'size' | 'bytes' | 'path'>, id: string = randomUUID()): Content {
    const piece: Piece = { ...written, id, store: this, holders: 1 }
    return new Content([{ piece, start: 0, length: piece.size }])
  }

  async #create(): Promise<{ readonly handle: FileHandle; readonly path: string }> {
    const path = this.#path()
    return { path, handle: await open(path, 'wx') }
  }

  /** A file from elsewhere under a name in this store's folder, by a link where that is possible. */
  #take(from: string): string {
    const path = this.#path()
    linkOrCopy(from, path)
    return path
  }

  #path(): string {
    this.#alive()
    if (this.#folder === undefined) {
      this.#folder = mkdtempSync(join(tmpdir(), 'portside-objects-'))
      remember(this)
    }
    this.#files += 1
    return join(this.#folder, String(this.#files))
  }
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

/** Gives `from` a second name, or copies it where that is impossible, as between two disks. */
export function linkOrCopy(from: string, to: string): void {
  try {
    linkSync(from, to)
  } catch {
    copyFileSync(from, to)
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

// A fake that no one closed must not leave gigabytes behind.
const withFiles = new Set<ContentStore>()

function removeAll(): void {
  for (const store of [...withFiles]) store.close()
}

function remember(store: ContentStore): void {
  if (withFiles.size === 0) process.on('exit', removeAll)
  withFiles.add(store)
}

function forget(store: ContentStore): void {
  if (withFiles.delete(store) && withFiles.size === 0) process.off('exit', removeAll)
}
