/**
 * Where the bytes of objects and parts are kept. Never changed once written and never copied: a copy and an object made
 * of parts hold the same pieces, which are counted and go with their last holder. Small pieces are in memory; large
 * ones, and all where memory is full, are files in a folder of their own.
 */
import { randomUUID } from 'node:crypto'
import { copyFileSync, linkSync, mkdtempSync, rmSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PortError } from '../../src/errors.ts'
import { Content, chunkBytes, type Piece } from './pieces.ts'

export interface ContentStoreOptions {
  /** A piece longer than this is a file. @default 1 MiB */
  readonly largestInMemoryBytes?: number
  /** With more than this in memory every further piece is a file. @default 64 MiB */
  readonly memoryBytes?: number
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

/** Gives `from` a second name, or copies it where that is impossible, as between two disks. */
export function linkOrCopy(from: string, to: string): void {
  try {
    linkSync(from, to)
  } catch {
    copyFileSync(from, to)
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
