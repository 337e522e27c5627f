/**
 * Object storage after Amazon S3: strong consistency, UTF-8 order, MD5 etags (with `-N` where the adapter would upload in
 * parts), times in whole seconds, signed URLs that the S3 emulator answers on loopback. Bodies are in memory, large ones
 * in a temporary folder that goes with the fake. Not modelled: object versions, permissions, lifecycle rules.
 */
import { checkFields, checkInteger } from '../src/calls/arguments.ts'
import { copyBytes, isByteStream, untilAbortedBytes } from '../src/calls/bytes.ts'
import { VirtualClock } from '../src/calls/clock.ts'
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
import type { SignedUrls } from './emulators/s3/urls.ts'
import { Fake } from './fake.ts'
import { Bucket, connectBucket, type ObjectVersion } from './object-storage/bucket.ts'
import { EtagHash, wholeEtag } from './object-storage/etags.ts'
import { loadBucket, saveBucket } from './object-storage/saved.ts'

export interface FakeObjectStorageOptions extends FakeContext {
  /** Bodies longer than this get the etag of an upload in parts of it. @default 8 MiB, as the `s3` adapter */
  readonly partSizeBytes?: number
  /** Capabilities it does not have, to stand in for a server that lacks them. @default none, as Amazon S3 */
  readonly lacks?: readonly string[]
}

/**
 * An object as {@link FakeObjectStorage.objects} shows it: a copy. Content above 8 MiB is read when it is asked for, so
 * that must be before the object is overwritten or the fake closed.
 */
export interface FakeObject {
  readonly info: ObjectInfo
  readonly bytes: Uint8Array
  /** The bytes read as UTF-8. */
  readonly text: string
}

/** What {@link FakeObjectStorage.seed} takes for each key. */
export type ObjectSeed = Uint8Array | string | (ObjectAttributes & { readonly body: Uint8Array | string })

export class FakeObjectStorage extends Fake<ObjectStorage> implements ObjectStorage {
  readonly #bucket: Bucket
  readonly #partSizeBytes: number
  #urls: Promise<SignedUrls> | undefined

  constructor(options: FakeObjectStorageOptions = {}) {
    const { lacks = [] } = options
    const known = Object.keys(ObjectStorage.capabilities)
    if (lacks.some((name) => !known.includes(name))) {
      throw invalidArgument(`"lacks" may name ${known.join(', ')}`)
    }
    super(ObjectStorage, options, { capabilities: known.filter((name) => !lacks.includes(name)) })
    this.#partSizeBytes = options.partSizeBytes ?? 8 * 1024 * 1024
    checkInteger('partSizeBytes', this.#partSizeBytes, { min: 1 })
    this.#bucket = new Bucket(this.clock)
    connectBucket(this, this.#bucket)
  }

  /** What is stored now, by key in UTF-8 order. Copies: changing them changes nothing here. */
  get objects(): ReadonlyMap<string, FakeObject> {
    return new Map(
      this.#bucket.keys().flatMap((key) => {
        const version = this.#bucket.get(key)
        return version === undefined ? [] : [[key, shown(key, version)] as const]
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
    for (const { key, body, attributes } of seeds) {
      const etag = new EtagHash(this.#partSizeBytes)
      etag.take(body)
      const content = this.#bucket.contents.keep(body)
      this.#bucket.put(key, { content, etag: etag.end() }, { attributes: attributesOf(attributes) })
    }
  }

  async put(key: string, body: ObjectBody, options: PutOptions = {}): Promise<WrittenObject> {
    const attributes = attributesOf(options)
    const signal = options.signal ?? new AbortController().signal
    const hash = new EtagHash(this.#partSizeBytes)
    const content = await this.#bucket.contents.write(sourceOf(body, signal), (chunk) => hash.take(chunk))
    const etag = hash.end()
    // From here to the end nothing waits, so that of racing writers each sees the other whole or not at all.
    try {
      signal.throwIfAborted()
      const present = this.#bucket.get(key)
      if (options.ifAbsent === true && present !== undefined) throw conditionFailed('the key is taken')
      if (options.ifMatch !== undefined && present?.etag !== options.ifMatch) {
        throw conditionFailed(present === undefined ? 'there is no such object' : 'the etag is another')
      }
    } catch (error) {
      content.release()
      throw error
    }
    this.#bucket.put(key, { content, etag }, { attributes })
    this.journal.effect(`stored ${key} (${content.size} bytes)`)
    return { key, size: content.size, etag }
  }

  async get(key: string, options: GetOptions = {}): Promise<StoredObject | undefined> {
    const version = this.#bucket.get(key)
    if (version === undefined) return undefined
    checkConditions(version, options)
    const info = infoOf(key, version)
    if (options.range === undefined) return { info, body: version.content.read(), range: undefined }
    const range = resolveRange(options.range, info.size)
    return { info, body: version.content.read(range.start, range.end + 1), range }
  }

  async head(key: string, _options: CallOptions = {}): Promise<ObjectInfo | undefined> {
    const version = this.#bucket.get(key)
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
    const version = this.#bucket.get(source)
    if (version === undefined) throw new PortError({ code: 'not-found', message: 'there is no such object' })
    if (options.ifSourceMatch !== undefined && options.ifSourceMatch !== version.etag) {
      throw conditionFailed('the etag is another')
    }
    const { attributes, headers, tags } = version
    const description =
      options.attributes === undefined
        ? { attributes, headers, tags }
        : { attributes: attributesOf(options.attributes), tags }
    const content = version.content.share()
    const { checksums, checksumType } = version
    // A copy is one piece, also of what was uploaded in parts.
    const whole = checksumType === 'FULL_OBJECT' ? { checksums } : {}
    let etag: string
    try {
      etag = await wholeEtag(version.etag, content)
      options.signal?.throwIfAborted()
    } catch (error) {
      content.release()
      throw error
    }
    this.#bucket.put(destination, { content, etag, ...whole }, description)
    this.journal.effect(`copied ${source} to ${destination} (${content.size} bytes)`)
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
    // Most fakes sign nothing, so most load no emulator.
    this.#urls ??= import('./emulators/s3/urls.ts').then(({ openSignedUrls }) => openSignedUrls(this))
    return (await this.#urls).sign(key, options)
  }

  /** Also uploads in parts that are under way. Long bodies are files beside the state, written once each. */
  override async save(folder: string): Promise<void> {
    await saveBucket(this.#bucket, folder, this.clock.now())
  }

  override async load(folder: string): Promise<void> {
    const behindMs = (await loadBucket(this.#bucket, folder)) - this.clock.now()
    if (behindMs > 0 && this.clock instanceof VirtualClock) this.clock.advance(behindMs)
  }

  protected override clear(): void {
    this.#bucket.clear()
  }

  protected override async release(): Promise<void> {
    const urls = await this.#urls?.catch(() => undefined)
    await urls?.close()
    this.#bucket.contents.close()
  }

  #page(options: ListPageOptions): ObjectPage {
    const { prefix = '', delimiter, startAfter = '', pageSize = 1_000, pageToken } = options
    const query = pageQuery(options)
    const after = pageToken === undefined ? startAfter : openPageToken(query, pageToken)
    const { entries, truncated } = this.#bucket.list({ prefix, delimiter, after, limit: pageSize })
    const last = entries.at(-1)?.name ?? ''
    return {
      objects: entries.flatMap(({ name, version }) => (version === undefined ? [] : [listed(name, version)])),
      prefixes: entries.flatMap(({ name, version }) => (version === undefined ? [name] : [])),
      nextPageToken: truncated ? sealPageToken(query, last) : undefined,
    }
  }

  #remove(key: string): void {
    if (this.#bucket.remove(key)) this.journal.effect(`deleted ${key}`)
  }
}

const shownAtOnceBytes = 8 * 1024 * 1024

/** Stands in for the `s3` adapter. */
export const fake: FakeFactory<ObjectStorage, FakeObjectStorage> = {
  port: ObjectStorage,
  create: (options) => new FakeObjectStorage(options),
}

/** What the fake shows of a version. Small content at once; large content when it is asked for. */
function shown(key: string, version: ObjectVersion): FakeObject {
  const info = infoOf(key, version)
  const { content } = version
  const bytes = content.size > shownAtOnceBytes ? undefined : content.bytes()
  const text = bytes && Buffer.from(bytes).toString()
  return {
    info,
    get bytes() {
      return bytes ?? content.bytes()
    },
    get text() {
      return text ?? Buffer.from(content.bytes()).toString()
    },
  }
}

function sourceOf(body: ObjectBody, signal: AbortSignal): AsyncIterable<Uint8Array> {
  return isByteStream(body) ? untilAbortedBytes(body, signal) : one(copyBytes(body))
}

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

function listed(key: string, version: ObjectVersion): ListedObject {
  const { size, etag, lastModified } = infoOf(key, version)
  return { key, size, etag, lastModified }
}

function attributesOf(attributes: ObjectAttributes): ObjectAttributes & { readonly contentType: string } {
  const { cacheControl, contentDisposition, contentEncoding, contentLanguage } = attributes
  const given = { cacheControl, contentDisposition, contentEncoding, contentLanguage }
  const own: ObjectAttributes = Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined),
  )
  const { contentType = 'application/octet-stream', metadata } = attributes
  return { ...own, contentType, metadata: { ...metadata } }
}

function infoOf(key: string, { content, etag, lastModifiedMs, attributes }: ObjectVersion): ObjectInfo {
  const metadata = { ...attributes.metadata }
  return { ...attributes, key, size: content.size, etag, lastModified: new Date(lastModifiedMs), metadata }
}

function conditionFailed(what: string, reason?: string): PortError {
  return new PortError({
    code: 'precondition-failed',
    message: `a condition of the call does not hold: ${what}`,
    reason,
  })
}

/** In the order of RFC 9110, section 13.2.2. */
function checkConditions(version: ObjectVersion, options: GetOptions): void {
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
