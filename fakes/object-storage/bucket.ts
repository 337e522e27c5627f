/**
 * What a bucket holds: objects, uploads in parts, tags, rules. The one state machine under the fake's port and the S3
 * emulator; each of them checks its own conditions and then changes the bucket without waiting in between, so that
 * of racing writers each sees the other whole or not at all.
 */
import { randomUUID } from 'node:crypto'
import { compareUtf8 } from '../../src/calls/arguments.ts'
import type { Clock } from '../../src/calls/clock.ts'
import type { ObjectAttributes } from '../../src/ports/object-storage.ts'
import type { CorsRule } from '../emulators/s3/cors.ts'
import { ContentStore, type ContentStoreOptions } from './contents.ts'
import type { Content } from './pieces.ts'

/** Base64 by algorithm, as S3 names it; of several parts' checksums with `-N`. */
export type Checksums = Readonly<Record<string, string>>

export type ChecksumType = 'FULL_OBJECT' | 'COMPOSITE'

export type Tags = readonly (readonly [name: string, value: string])[]

/** What a writer says of an object besides its bytes. */
export interface ObjectDescription {
  readonly attributes: ObjectAttributes & { readonly contentType: string }
  /** Headers that are given back as they came, and that the port does not know. @default none */
  readonly headers?: Readonly<Record<string, string>>
  /** @default none */
  readonly tags?: Tags
}

/** Bytes that were written, and what is known of them. */
export interface WrittenBytes {
  /** Passes to the bucket. */
  readonly content: Content
  readonly etag: string
  readonly checksums?: Checksums
  readonly checksumType?: ChecksumType
  /** Of an object made of parts. */
  readonly parts?: readonly PartInfo[]
}

export interface PartInfo {
  readonly number: number
  readonly size: number
  readonly checksums: Checksums
}

/** One stored version. Never changed: a write puts another in its place, so readers keep the one they began. */
export interface ObjectVersion extends Required<ObjectDescription> {
  readonly content: Content
  readonly etag: string
  readonly checksums: Checksums
  readonly checksumType: ChecksumType
  readonly parts: readonly PartInfo[] | undefined
  readonly lastModifiedMs: number
}

/** A part of an upload that is under way. */
export interface UploadedPart extends PartInfo {
  readonly content: Content
  /** Quoted. */
  readonly etag: string
  readonly md5: Uint8Array
  readonly lastModifiedMs: number
}

/** An upload in parts that is under way. */
export interface Upload {
  readonly id: string
  readonly key: string
  readonly initiatedMs: number
  readonly description: ObjectDescription
  readonly checksumAlgorithm: string | undefined
  readonly checksumType: ChecksumType | undefined
  readonly parts: Map<number, UploadedPart>
  /** What happened to its key since it began. */
  written: boolean
  deleted: boolean
}

export interface ListQuery {
  readonly prefix: string
  readonly delimiter: string | undefined
  /** Only names after this one. */
  readonly after: string
  readonly limit: number
}

export type ListEntry =
  | { readonly name: string; readonly version: ObjectVersion }
  | { readonly name: string; readonly version: undefined }

export interface ListedEntries {
  /** Keys and common prefixes, in UTF-8 order. */
  readonly entries: readonly ListEntry[]
  readonly truncated: boolean
}

export class Bucket {
  readonly contents: ContentStore
  createdMs: number
  readonly uploads: Map<string, Upload> = new Map()
  tags: Tags = []
  /** Where it was made to be; `undefined` is the emulator's own region. */
  region: string | undefined
  /** Its cross-origin rules; `undefined` where there are none. */
  cors: readonly CorsRule[] | undefined
  readonly #clock: Clock
  readonly #versions = new Map<string, ObjectVersion>()
  // All keys in UTF-8 order, until one comes or goes.
  #sorted: readonly string[] | undefined

  constructor(clock: Clock, options: ContentStoreOptions = {}) {
    this.#clock = clock
    this.contents = new ContentStore(options)
    this.createdMs = clock.now()
  }

  /** Now, in whole seconds, as S3 keeps time. */
  get nowMs(): number {
    return Math.floor(this.#clock.now() / 1_000) * 1_000
  }

  get(key: string): ObjectVersion | undefined {
    return this.#versions.get(key)
  }

  /** All keys in UTF-8 order. */
  keys(): readonly string[] {
    this.#sorted ??= [...this.#versions.keys()].sort(compareUtf8)
    return this.#sorted
  }

  /** Stores an object in the place of the one that was there. */
  put(key: string, written: WrittenBytes, description: ObjectDescription): ObjectVersion {
    return this.restore(key, {
      checksums: {},
      checksumType: 'FULL_OBJECT',
      parts: undefined,
      headers: {},
      tags: [],
      ...written,
      ...description,
      lastModifiedMs: this.nowMs,
    })
  }

  /** Stores a version as it was elsewhere. */
  restore(key: string, version: ObjectVersion): ObjectVersion {
    const old = this.#versions.get(key)
    if (old === undefined) this.#sorted = undefined
    this.#versions.set(key, version)
    old?.content.release()
    for (const upload of this.#uploadsOf(key)) upload.written = true
    return version
  }

  /** Changes what is said of a version, not the version. */
  describe(key: string, version: ObjectVersion, change: Partial<Pick<ObjectVersion, 'tags'>>): void {
    if (this.#versions.get(key) === version) this.#versions.set(key, { ...version, ...change })
  }

  /** Whether there was something to remove. */
  remove(key: string): boolean {
    const old = this.#versions.get(key)
    if (old === undefined) return false
    this.#versions.delete(key)
    this.#sorted = undefined
    old.content.release()
    for (const upload of this.#uploadsOf(key)) upload.deleted = true
    return true
  }

  list({ prefix, delimiter, after, limit }: ListQuery): ListedEntries {
    const entries: ListEntry[] = []
    let last = ''
    for (const key of this.keys()) {
      if (!key.startsWith(prefix)) continue
      const shared = commonPrefix(key, prefix, delimiter)
      const name = shared ?? key
      if (name === last || compareUtf8(name, after) <= 0) continue
      // A prefix counts as one entry, like an object.
      if (entries.length === limit) return { entries, truncated: true }
      last = name
      entries.push({ name, version: shared === undefined ? this.#versions.get(key) : undefined })
    }
    return { entries, truncated: false }
  }

  begin(
    key: string,
    description: ObjectDescription,
    checksum: { readonly algorithm?: string | undefined; readonly type?: ChecksumType | undefined } = {},
  ): Upload {
    const upload: Upload = {
      id: randomUUID().replaceAll('-', ''),
      key,
      initiatedMs: this.nowMs,
      description,
      checksumAlgorithm: checksum.algorithm,
      checksumType: checksum.type,
      parts: new Map(),
      written: false,
      deleted: false,
    }
    this.uploads.set(upload.id, upload)
    return upload
  }

  /** Stores a part in the place of an earlier one with its number. */
  putPart(upload: Upload, part: Omit<UploadedPart, 'lastModifiedMs'>): UploadedPart {
    const stored = { ...part, lastModifiedMs: this.nowMs }
    upload.parts.get(part.number)?.content.release()
    upload.parts.set(part.number, stored)
    return stored
  }

  /** Ends an upload, whether it became an object or not. */
  end(upload: Upload): void {
    this.uploads.delete(upload.id)
    for (const { content } of upload.parts.values()) content.release()
    upload.parts.clear()
  }

  /** Takes up an upload as it was elsewhere. */
  resume(upload: Upload): void {
    this.uploads.set(upload.id, upload)
  }

  /** Forgets all that is in it. */
  clear(): void {
    for (const { content } of this.#versions.values()) content.release()
    this.#versions.clear()
    this.#sorted = undefined
    for (const upload of [...this.uploads.values()]) this.end(upload)
    this.tags = []
    this.cors = undefined
  }

  #uploadsOf(key: string): Upload[] {
    return this.uploads.size === 0 ? [] : [...this.uploads.values()].filter((upload) => upload.key === key)
  }
}

/** The prefix that `key` comes under, or `undefined` where it is listed itself. */
function commonPrefix(key: string, prefix: string, delimiter: string | undefined): string | undefined {
  if (delimiter === undefined) return undefined
  const end = key.indexOf(delimiter, prefix.length)
  return end === -1 ? undefined : key.slice(0, end + delimiter.length)
}

const buckets = new WeakMap<object, Bucket>()

/** Lets the emulator at the bucket of a fake, past its port. */
export function connectBucket(storage: object, bucket: Bucket): void {
  buckets.set(storage, bucket)
}

/** The bucket of a fake; `undefined` where it is none. */
export function bucketOf(storage: object): Bucket | undefined {
  return buckets.get(storage)
}
