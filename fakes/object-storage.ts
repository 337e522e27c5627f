/**
 * Object storage in memory, after Amazon S3: strong consistency, UTF-8 order, MD5 etags (with `-N` where the adapter
 * would upload in parts), times in whole seconds, signed URLs that work over HTTP on loopback. Not modelled: object
 * versions, permissions, lifecycle rules.
 */
import { createHash } from 'node:crypto'
import { checkFields, checkInteger, compareUtf8 } from '../src/calls/arguments.ts'
import { isByteStream, readBytes, untilAbortedBytes } from '../src/calls/bytes.ts'
import { openPageToken, sealPageToken } from '../src/calls/page-token.ts'
import { invalidArgument, PortError } from '../src/errors.ts'
import type { CallOptions } from '../src/port.ts'
import type { BulkResult } from '../src/ports/bulk.ts'
import {
  type ByteRange,
  type CopiedObject,
  type CopyOptions,
  type GetOptions,
  type ListedObject,
  type ListOptions,
  type ListPageOptions,
  type ObjectAttributes,
  type ObjectBody,
  type ObjectInfo,
  type ObjectPage,
  ObjectStorage,
  type PutOptions,
  pageQuery,
  type SignUrlOptions,
  type StoredObject,
  type WrittenObject,
} from '../src/ports/object-storage.ts'
import { attributeFields } from '../src/ports/object-storage-checks.ts'
import type { FakeContext, FakeFactory } from '../src/services/declare.ts'
import { Fake } from './fake.ts'
import { SignedUrlServer } from './object-storage-urls.ts'

export interface FakeObjectStorageOptions extends FakeContext {
  /** Bodies longer than this get the etag of an upload in parts of it. @default 8 MiB, as the `s3` adapter */
  readonly partSizeBytes?: number
  /** Capabilities it does not have, to stand in for a server that lacks them. @default none, as Amazon S3 */
  readonly lacks?: readonly string[]
}

/** An object as {@link FakeObjectStorage.objects} shows it: a copy. */
export interface FakeObject {
  readonly info: ObjectInfo
  readonly bytes: Uint8Array
  /** The bytes read as UTF-8. */
  readonly text: string
}

/** What {@link FakeObjectStorage.seed} takes for each key. */
export type ObjectSeed = Uint8Array | string | (ObjectAttributes & { readonly body: Uint8Array | string })

/** One stored version. Never changed: a write puts another in its place, so readers keep the one they began. */
interface Version {
  readonly bytes: Uint8Array
  readonly etag: string
  readonly lastModifiedMs: number
  readonly attributes: ObjectAttributes & { readonly contentType: string }
}

const readChunkBytes = 64 * 1024

export class FakeObjectStorage extends Fake<ObjectStorage> implements ObjectStorage {
  readonly #versions = new Map<string, Version>()
  readonly #partSizeBytes: number
  readonly #urls: SignedUrlServer
  // All keys in UTF-8 order, until one comes or goes.
  #sorted: readonly string[] | undefined

  constructor(options: FakeObjectStorageOptions = {}) {
    const { lacks = [] } = options
    const known = Object.keys(ObjectStorage.capabilities)
    if (lacks.some((name) => !known.includes(name))) {
      throw invalidArgument(`"lacks" may name ${known.join(', ')}`)
    }
    super(ObjectStorage, options, { capabilities: known.filter((name) => !lacks.includes(name)) })
    this.#partSizeBytes = options.partSizeBytes ?? 8 * 1024 * 1024
    checkInteger('partSizeBytes', this.#partSizeBytes, { min: 1 })
    this.#urls = new SignedUrlServer(this.guarded.port, this.clock)
  }

  /** What is stored now, by key in UTF-8 order. Copies: changing them changes nothing here. */
  get objects(): ReadonlyMap<string, FakeObject> {
    return new Map(
      this.#keys().map((key) => {
        const version = this.#version(key)
        const bytes = new Uint8Array(version.bytes)
        return [key, { info: infoOf(key, version), bytes, text: Buffer.from(bytes).toString() }]
      }),
    )
  }

  /**
   * Stores objects as `put` would, without a journal entry and past every fault.
   * @throws PortError `invalid-argument` for what `put` would refuse; then nothing is stored
   */
  seed(objects: Readonly<Record<string, ObjectSeed>>): void {
    const { check } = ObjectStorage.operations.put
    const seeds = Object.entries(objects).map(([key, seed]) => {
      const given = typeof seed === 'string' || seed instanceof Uint8Array ? { body: seed } : seed
      const { body, ...attributes } = given
      checkFields(`the seed of "${key}"`, attributes, attributeFields)
      check?.(key, body, attributes as Readonly<Record<string, unknown>>)
      return { key, body: new Uint8Array(Buffer.from(body as Uint8Array)), attributes }
    })
    for (const { key, body, attributes } of seeds) this.#store(key, body, attributes, this.#etagOf(body))
  }

  async put(key: string, body: ObjectBody, options: PutOptions = {}): Promise<WrittenObject> {
    const attributes = attributesOf(options)
    const signal = options.signal ?? new AbortController().signal
    const bytes = await bytesOf(body, signal)
    // From here to the end nothing waits, so that of racing writers each sees the other whole or not at all.
    signal.throwIfAborted()
    const present = this.#versions.get(key)
    if (options.ifAbsent === true && present !== undefined) throw conditionFailed('the key is taken')
    if (options.ifMatch !== undefined && present?.etag !== options.ifMatch) {
      throw conditionFailed(present === undefined ? 'there is no such object' : 'the etag is another')
    }
    const { etag } = this.#store(key, bytes, attributes, this.#etagOf(bytes))
    this.journal.effect(`stored ${key} (${bytes.length} bytes)`)
    return { key, size: bytes.length, etag }
  }

  async get(key: string, options: GetOptions = {}): Promise<StoredObject | undefined> {
    const version = this.#versions.get(key)
    if (version === undefined) return undefined
    checkConditions(version, options)
    const info = infoOf(key, version)
    if (options.range === undefined) return { info, body: chunksOf(version.bytes), range: undefined }
    const range = resolveRange(options.range, info.size)
    return { info, body: chunksOf(version.bytes.subarray(range.start, range.end + 1)), range }
  }

  async head(key: string, _options: CallOptions = {}): Promise<ObjectInfo | undefined> {
    const version = this.#versions.get(key)
    return version && infoOf(key, version)
  }

  async delete(key: string, _options: CallOptions = {}): Promise<void> {
    this.#remove(key)
  }

  async deleteMany(keys: readonly string[], _options: CallOptions = {}): Promise<BulkResult> {
    for (const key of keys) this.#remove(key)
    return { items: keys.map((key) => ({ key, error: undefined })), ok: true }
  }

  async copy(source: string, destination: string, options: CopyOptions = {}): Promise<CopiedObject> {
    const version = this.#versions.get(source)
    if (version === undefined) throw new PortError({ code: 'not-found', message: 'there is no such object' })
    if (options.ifSourceMatch !== undefined && options.ifSourceMatch !== version.etag) {
      throw conditionFailed('the etag is another')
    }
    const attributes =
      options.attributes === undefined ? version.attributes : attributesOf(options.attributes)
    // A copy is one piece, also of what was uploaded in parts.
    const { etag } = this.#store(destination, version.bytes, attributes, quotedMd5([version.bytes]))
    this.journal.effect(`copied ${source} to ${destination} (${version.bytes.length} bytes)`)
    return { key: destination, etag }
  }

  async list(options: ListPageOptions = {}): Promise<ObjectPage> {
    return this.#page(options)
  }

  async *listAll(options: ListOptions = {}): AsyncGenerator<ListedObject> {
    let pageToken: string | undefined
    do {
      const page = this.#page(pageToken === undefined ? options : { ...options, pageToken })
      yield* page.objects
      pageToken = page.nextPageToken
    } while (pageToken !== undefined)
  }

  async signUrl(key: string, options: SignUrlOptions): Promise<URL> {
    return this.#urls.sign(key, options)
  }

  protected override clear(): void {
    this.#versions.clear()
    this.#sorted = undefined
  }

  protected override async release(): Promise<void> {
    await this.#urls.close()
  }

  #page(options: ListPageOptions): ObjectPage {
    const { prefix = '', delimiter, startAfter = '', pageSize = 1_000, pageToken } = options
    const query = pageQuery(options)
    const cursor = pageToken === undefined ? startAfter : openPageToken(query, pageToken)
    const objects: ListedObject[] = []
    const prefixes: string[] = []
    let last = ''
    for (const key of this.#keys()) {
      if (!key.startsWith(prefix)) continue
      const shared = commonPrefix(key, prefix, delimiter)
      const name = shared ?? key
      if (name === last || compareUtf8(name, cursor) <= 0) continue
      // A prefix counts as one entry, like an object.
      if (objects.length + prefixes.length === pageSize) {
        return { objects, prefixes, nextPageToken: sealPageToken(query, last) }
      }
      last = name
      if (shared === undefined) {
        const { size, etag, lastModified } = infoOf(key, this.#version(key))
        objects.push({ key, size, etag, lastModified })
      } else prefixes.push(shared)
    }
    return { objects, prefixes, nextPageToken: undefined }
  }

  #keys(): readonly string[] {
    this.#sorted ??= [...this.#versions.keys()].sort(compareUtf8)
    return this.#sorted
  }

  #version(key: string): Version {
    const version = this.#versions.get(key)
    if (version === undefined)
      throw new PortError({ code: 'internal', message: 'a listed key is not stored' })
    return version
  }

  #store(key: string, bytes: Uint8Array, attributes: ObjectAttributes, etag: string): Version {
    const { contentType = 'application/octet-stream', metadata = {}, ...rest } = attributes
    const lastModifiedMs = Math.floor(this.clock.now() / 1_000) * 1_000
    const version = {
      bytes,
      etag,
      lastModifiedMs,
      attributes: { ...rest, contentType, metadata: { ...metadata } },
    }
    if (!this.#versions.has(key)) this.#sorted = undefined
    this.#versions.set(key, version)
    return version
  }

  #remove(key: string): void {
    if (!this.#versions.delete(key)) return
    this.#sorted = undefined
    this.journal.effect(`deleted ${key}`)
  }

  #etagOf(bytes: Uint8Array): string {
    if (bytes.length <= this.#partSizeBytes) return quotedMd5([bytes])
    const parts: Uint8Array[] = []
    for (let start = 0; start < bytes.length; start += this.#partSizeBytes) {
      const part = bytes.subarray(start, start + this.#partSizeBytes)
      parts.push(createHash('md5').update(part).digest())
    }
    return quotedMd5(parts, `-${parts.length}`)
  }
}

/** Stands in for the `s3` adapter. */
export const fake: FakeFactory<ObjectStorage, FakeObjectStorage> = {
  port: ObjectStorage,
  create: (options) => new FakeObjectStorage(options),
}

function quotedMd5(pieces: readonly Uint8Array[], suffix = ''): string {
  const hash = createHash('md5')
  for (const piece of pieces) hash.update(piece)
  return `"${hash.digest('hex')}${suffix}"`
}

async function bytesOf(body: ObjectBody, signal: AbortSignal): Promise<Uint8Array> {
  if (isByteStream(body)) return readBytes(untilAbortedBytes(body, signal))
  return new Uint8Array(Buffer.from(body as Uint8Array))
}

async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += readChunkBytes) {
    yield bytes.slice(start, start + readChunkBytes)
  }
}

function attributesOf(attributes: ObjectAttributes): ObjectAttributes {
  const { contentType, cacheControl, contentDisposition, contentEncoding, contentLanguage, metadata } =
    attributes
  const given = { contentType, cacheControl, contentDisposition, contentEncoding, contentLanguage }
  const own: ObjectAttributes = Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined),
  )
  return { ...own, metadata: { ...metadata } }
}

function infoOf(key: string, { bytes, etag, lastModifiedMs, attributes }: Version): ObjectInfo {
  const metadata = { ...attributes.metadata }
  return { ...attributes, key, size: bytes.length, etag, lastModified: new Date(lastModifiedMs), metadata }
}

function conditionFailed(what: string, reason?: string): PortError {
  return new PortError({
    code: 'precondition-failed',
    message: `a condition of the call does not hold: ${what}`,
    reason,
  })
}

/** In the order of RFC 9110, section 13.2.2. */
function checkConditions(version: Version, options: GetOptions): void {
  const { ifMatch, ifNoneMatch, ifModifiedSince, ifUnmodifiedSince } = options
  if (ifMatch !== undefined) {
    if (ifMatch !== version.etag) throw conditionFailed('the etag is another')
  } else if (ifUnmodifiedSince !== undefined && version.lastModifiedMs > wholeSeconds(ifUnmodifiedSince)) {
    throw conditionFailed('the object was modified')
  }
  const notModified =
    ifNoneMatch === undefined
      ? ifModifiedSince !== undefined && version.lastModifiedMs <= wholeSeconds(ifModifiedSince)
      : ifNoneMatch === version.etag
  if (notModified) throw conditionFailed('the object is not modified', 'not-modified')
}

/** As far as an HTTP date goes. */
function wholeSeconds(date: Date): number {
  return Math.floor(date.getTime() / 1_000) * 1_000
}

function resolveRange(range: ByteRange, size: number): { readonly start: number; readonly end: number } {
  const start = 'suffix' in range ? Math.max(0, size - range.suffix) : range.start
  const end = 'suffix' in range ? size - 1 : Math.min(range.end ?? size - 1, size - 1)
  if (start < size) return { start, end }
  throw new PortError({
    code: 'invalid-argument',
    message: 'the range holds no byte of the object',
    reason: 'range-not-satisfiable',
    details: { size: String(size) },
  })
}

/** The prefix that `key` comes under, or `undefined` where it is listed itself. */
function commonPrefix(key: string, prefix: string, delimiter: string | undefined): string | undefined {
  if (delimiter === undefined) return undefined
  const end = key.indexOf(delimiter, prefix.length)
  return end === -1 ? undefined : key.slice(0, end + delimiter.length)
}
