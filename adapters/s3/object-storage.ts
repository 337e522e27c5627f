/**
 * Object storage in one S3 bucket, by `@aws-sdk/client-s3`: PutObject or a multipart upload, GetObject, HeadObject,
 * DeleteObject(s), CopyObject, ListObjectsV2, signed URLs. Not supported: copies above 5 GiB, versions, encryption
 * keys, storage classes; for those `native()` gives the `S3Client`.
 */
import {
  CopyObjectCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import type { Driver } from '../../src/adapter.ts'
import { isByteStream, untilAbortedBytes } from '../../src/calls/bytes.ts'
import { openPageToken, sealPageToken } from '../../src/calls/page-token.ts'
import { invalidArgument, PortError } from '../../src/errors.ts'
import type { BulkItem, BulkResult } from '../../src/ports/bulk.ts'
import {
  type ByteRange,
  type CopiedObject,
  type CopyOptions,
  type GetOptions,
  type ListedObject,
  type ListOptions,
  type ListPageOptions,
  type ObjectAttributes,
  type ObjectInfo,
  type ObjectPage,
  ObjectStorage,
  type PutOptions,
  pageQuery,
  type SignUrlOptions,
  type StoredObject,
  type WrittenObject,
} from '../../src/ports/object-storage.ts'
import { decodeListed, discard, etagFrom, objectInfo, quoted, storedObject, wholeSeconds } from './answers.ts'
import { classifyS3Error, codeOf, isMissingObject } from './errors.ts'
import { largestPartBytes, mostParts, smallestPartBytes } from './limits.ts'
import { cutIntoParts, type Part, uploadInParts } from './upload.ts'

export interface S3ObjectStorageOptions {
  readonly bucket: string
  /**
   * Bodies longer than this are uploaded in parts of it; a stream takes about five times as much memory. At least
   * 5 MiB.
   * @default 8 MiB
   */
  readonly partSizeBytes?: number
  /** Capabilities of the port that this server does not have; AWS has all. @default none */
  readonly lacks?: readonly string[]
}

const defaultPartBytes = 8 * 1024 * 1024

/**
 * The driver on a client that the app already has; the app destroys it. Make the client with
 * `maxAttempts: 1`: the guard around this repeats what may be repeated.
 * @throws PortError `invalid-argument` for a part size or a capability that cannot be
 */
export function s3ObjectStorage(client: S3Client, options: S3ObjectStorageOptions): Driver<ObjectStorage> {
  const { partSizeBytes = defaultPartBytes, lacks = [] } = options
  if (
    !Number.isSafeInteger(partSizeBytes) ||
    partSizeBytes < smallestPartBytes ||
    partSizeBytes > largestPartBytes
  ) {
    throw invalidArgument(`partSizeBytes must be from ${smallestPartBytes} to ${largestPartBytes}`)
  }
  const known = Object.keys(ObjectStorage.capabilities)
  const unknown = lacks.filter((name) => !known.includes(name))
  if (unknown.length > 0) throw invalidArgument(`"lacks" names none of ${known.join(', ')}`)
  const calls = new S3ObjectStorage(client, { ...options, partSizeBytes, lacks })
  return {
    calls,
    capabilities: known.filter((name) => !lacks.includes(name)),
    native: client,
    classify: classifyS3Error,
    ping: ({ signal }) => calls.ping(signal),
    close: () => calls.settled(),
  }
}

interface CallSignal {
  readonly signal?: AbortSignal | undefined
}

class S3ObjectStorage implements ObjectStorage {
  readonly #client: S3Client
  readonly #bucket: string
  readonly #partSizeBytes: number
  readonly #conditionalParts: boolean
  readonly #background = new Set<Promise<unknown>>()
  // Whether the bucket has ever answered: until then a 404 without a body may be the bucket's.
  #bucketSeen = false

  constructor(client: S3Client, options: Required<S3ObjectStorageOptions>) {
    this.#client = client
    this.#bucket = options.bucket
    this.#partSizeBytes = options.partSizeBytes
    this.#conditionalParts = !options.lacks.includes('conditional-stream')
  }

  async put(
    key: string,
    body: Uint8Array | string | AsyncIterable<Uint8Array>,
    options: PutOptions = {},
  ): Promise<WrittenObject> {
    const signal = signalOf(options)
    const headers = headersOf(options)
    const condition = conditionOf(options)
    const target = { Bucket: this.#bucket, Key: key, ...headers }
    try {
      if (!isByteStream(body)) {
        const bytes = typeof body === 'string' ? Buffer.from(body) : body
        // A condition that the server would not look at when parts are put together must go with one request.
        const whole = Object.keys(condition).length > 0 && !this.#conditionalParts
        if (whole || bytes.length <= this.#partSizeBytes) {
          return await this.#putWhole({ ...target, ...condition }, bytes, signal)
        }
        const parts = cutIntoParts([bytes], this.#partSizeFor(bytes.length))
        return await this.#putInParts(target, condition, parts, signal)
      }
      return await this.#putStream(target, condition, body, options, signal)
    } catch (error) {
      // With If-Match on an absent key S3 says so instead of naming the condition.
      if (options.ifMatch !== undefined && codeOf(causeOf(error)) === 'NoSuchKey') {
        const message = 'a condition of the call does not hold: there is no such object'
        throw new PortError({ code: 'precondition-failed', message, cause: causeOf(error) })
      }
      throw error
    }
  }

  async get(key: string, options: GetOptions = {}): Promise<StoredObject | undefined> {
    const { range } = options
    const input = {
      Bucket: this.#bucket,
      Key: key,
      Range: range && rangeHeader(range),
      IfMatch: options.ifMatch,
      IfNoneMatch: options.ifNoneMatch,
      // By RFC 9110 the etag decides where both are given; not every server keeps to that.
      IfModifiedSince: options.ifNoneMatch === undefined ? options.ifModifiedSince : undefined,
      IfUnmodifiedSince: options.ifMatch === undefined ? options.ifUnmodifiedSince : undefined,
    }
    const answer = await this.#unlessAbsent(
      this.#client.send(new GetObjectCommand(input), { abortSignal: signalOf(options) }),
    )
    return answer && storedObject(key, answer, range)
  }

  async head(key: string, options: CallSignal = {}): Promise<ObjectInfo | undefined> {
    const input = { Bucket: this.#bucket, Key: key }
    const abortSignal = signalOf(options)
    const asked = this.#client.send(new HeadObjectCommand(input), { abortSignal })
    const answer = await this.#unlessAbsent(asked.catch((error) => this.#explained(error, key, abortSignal)))
    if (answer !== undefined) return objectInfo(key, answer, answer.ContentLength ?? 0)
    // A HEAD has no body that would tell a missing key from a missing bucket.
    if (!this.#bucketSeen)
      await this.#client.send(new ListObjectsV2Command({ Bucket: this.#bucket, MaxKeys: 1 }), { abortSignal })
    this.#bucketSeen = true
    return undefined
  }

  async delete(key: string, options: CallSignal = {}): Promise<void> {
    const input = { Bucket: this.#bucket, Key: key }
    await this.#unlessAbsent(
      this.#client.send(new DeleteObjectCommand(input), { abortSignal: signalOf(options) }),
    )
  }

  async deleteMany(keys: readonly string[], options: CallSignal = {}): Promise<BulkResult> {
    const signal = signalOf(options)
    const distinct = [...new Set(keys)]
    const failed = new Map<string, PortError>()
    const batches = batchesOf(distinct)
    let first: unknown
    let answered = 0
    for (const batch of batches) {
      signal.throwIfAborted()
      try {
        await this.#deleteBatch(batch, failed, signal)
        answered += 1
      } catch (error) {
        if (signal.aborted) throw error
        first ??= error
        for (const key of batch) failed.set(key, itemError(key, error))
      }
    }
    // Where no request went through there is nothing to tell apart by key.
    if (first !== undefined && answered === 0) throw first
    const items = keys.map((key): BulkItem => ({ key, error: failed.get(key) }))
    return { items, ok: failed.size === 0 }
  }

  async copy(source: string, destination: string, options: CopyOptions = {}): Promise<CopiedObject> {
    const { attributes, ifSourceMatch } = options
    const input = {
      Bucket: this.#bucket,
      Key: destination,
      CopySource: `${this.#bucket}/${source.split('/').map(encodeURIComponent).join('/')}`,
      CopySourceIfMatch: ifSourceMatch,
      MetadataDirective: attributes === undefined ? ('COPY' as const) : ('REPLACE' as const),
      ...(attributes === undefined ? {} : headersOf(attributes)),
    }
    const abortSignal = signalOf(options)
    const { CopyObjectResult } = await this.#client.send(new CopyObjectCommand(input), { abortSignal })
    const etag = etagFrom(CopyObjectResult?.ETag)
    this.#bucketSeen = true
    return { key: destination, etag }
  }

  async list(options: ListPageOptions = {}): Promise<ObjectPage> {
    const { prefix, delimiter, startAfter, pageSize = 1_000, pageToken } = options
    const query = pageQuery(options)
    const input = {
      Bucket: this.#bucket,
      Prefix: prefix === '' ? undefined : prefix,
      Delimiter: delimiter,
      StartAfter: startAfter,
      MaxKeys: pageSize,
      ContinuationToken: pageToken === undefined ? undefined : openPageToken(query, pageToken),
      // Keys may hold characters that XML cannot.
      EncodingType: 'url' as const,
    }
    const page = await this.#client.send(new ListObjectsV2Command(input), { abortSignal: signalOf(options) })
    this.#bucketSeen = true
    const { NextContinuationToken, IsTruncated } = page
    const more = IsTruncated === true && NextContinuationToken !== undefined
    return {
      objects: (page.Contents ?? []).map((object) => ({
        key: decodeListed(object.Key ?? ''),
        size: object.Size ?? 0,
        etag: quoted(object.ETag),
        lastModified: wholeSeconds(object.LastModified),
      })),
      prefixes: (page.CommonPrefixes ?? []).map(({ Prefix = '' }) => decodeListed(Prefix)),
      nextPageToken: more ? sealPageToken(query, NextContinuationToken) : undefined,
    }
  }

  async *listAll(options: ListOptions = {}): AsyncGenerator<ListedObject> {
    let pageToken: string | undefined
    do {
      const page = await this.list(pageToken === undefined ? options : { ...options, pageToken })
      yield* page.objects
      pageToken = page.nextPageToken
    } while (pageToken !== undefined)
  }

  async signUrl(key: string, { expiresInMs, method = 'GET', contentType }: SignUrlOptions): Promise<URL> {
    const target = { Bucket: this.#bucket, Key: key }
    const options = { expiresIn: Math.floor(expiresInMs / 1_000) }
    const client = signingClient(this.#client)
    switch (method) {
      case 'GET':
        return new URL(await getSignedUrl(client, new GetObjectCommand(target), options))
      case 'HEAD':
        return new URL(await getSignedUrl(client, new HeadObjectCommand(target), options))
      case 'DELETE':
        return new URL(await getSignedUrl(client, new DeleteObjectCommand(target), options))
      case 'PUT': {
        const command = new PutObjectCommand({ ...target, ContentType: contentType })
        // Only a header that is signed must be sent.
        const signed = contentType === undefined ? {} : { signableHeaders: new Set(['content-type']) }
        return new URL(await getSignedUrl(client, command, { ...options, ...signed }))
      }
    }
  }

  /** A listing rather than HeadBucket: its errors have a body that says what is wrong. */
  async ping(signal: AbortSignal): Promise<void> {
    const input = { Bucket: this.#bucket, MaxKeys: 1 }
    await this.#client.send(new ListObjectsV2Command(input), { abortSignal: signal })
    this.#bucketSeen = true
  }

  /** Resolves when nothing is being cleaned up any more. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#background)
  }

  #partSizeFor(size: number | undefined): number {
    return Math.max(this.#partSizeBytes, Math.ceil((size ?? 0) / mostParts))
  }

  async #putStream(
    target: Target,
    condition: Condition,
    body: AsyncIterable<Uint8Array>,
    { size }: PutOptions,
    signal: AbortSignal,
  ): Promise<WrittenObject> {
    const parts = cutIntoParts(untilAbortedBytes(body, signal), this.#partSizeFor(size))
    try {
      const first = await parts.next()
      if (first.done || first.value.last) {
        return await this.#putWhole(
          { ...target, ...condition },
          first.value?.bytes ?? new Uint8Array(),
          signal,
        )
      }
      return await this.#putInParts(target, condition, withFirst(first.value, parts), signal)
    } finally {
      // Where the upload failed the body's source is told to stop.
      await parts.return()
    }
  }

  async #putWhole(target: Target, bytes: Uint8Array, signal: AbortSignal): Promise<WrittenObject> {
    const input = { ...target, Body: bytes, ContentLength: bytes.length }
    const { ETag } = await this.#client.send(new PutObjectCommand(input), { abortSignal: signal })
    const etag = etagFrom(ETag)
    this.#bucketSeen = true
    return { key: target.Key, size: bytes.length, etag }
  }

  async #putInParts(
    create: Target,
    condition: Condition,
    parts: AsyncIterable<Part>,
    signal: AbortSignal,
  ): Promise<WrittenObject> {
    const background = (work: Promise<unknown>): void => {
      const tracked = work.finally(() => this.#background.delete(tracked))
      // Nobody waits for it before close does: a failure must not end the process meanwhile.
      tracked.catch(() => {})
      this.#background.add(tracked)
    }
    const { size, etag } = await uploadInParts({
      client: this.#client,
      create,
      condition,
      parts,
      signal,
      background,
    })
    this.#bucketSeen = true
    return { key: create.Key, size, etag: etag ?? (await this.#etagOf(create.Key, signal)) }
  }

  /** For servers whose answer to a completed upload has no etag. */
  async #etagOf(key: string, signal: AbortSignal): Promise<string> {
    const input = { Bucket: this.#bucket, Key: key }
    try {
      const { ETag } = await this.#client.send(new HeadObjectCommand(input), { abortSignal: signal })
      return quoted(ETag)
    } catch (error) {
      const message = 'the object was stored, but its etag could not be read'
      throw new PortError({
        code: 'unavailable',
        message,
        outcome: 'applied',
        retryable: false,
        cause: error,
      })
    }
  }

  /** Why a HEAD was refused: its answer has no body, so wrong credentials look like a missing permission. */
  async #explained(error: unknown, key: string, abortSignal: AbortSignal): Promise<never> {
    const { $metadata: answer } = error as { readonly $metadata?: { readonly httpStatusCode?: number } }
    if (answer?.httpStatusCode !== 400 && answer?.httpStatusCode !== 403) throw error
    // It needs the same permission as the HEAD.
    const input = { Bucket: this.#bucket, Key: key, Range: 'bytes=0-0' }
    const { Body } = await this.#client.send(new GetObjectCommand(input), { abortSignal })
    discard(Body)
    throw error
  }

  async #unlessAbsent<Answer>(answer: Promise<Answer>): Promise<Answer | undefined> {
    try {
      const present = await answer
      this.#bucketSeen = true
      return present
    } catch (error) {
      if (!isMissingObject(error)) throw error
      if (codeOf(error) === 'NoSuchKey') this.#bucketSeen = true
      return undefined
    }
  }

  async #deleteBatch(
    keys: readonly string[],
    failed: Map<string, PortError>,
    signal: AbortSignal,
  ): Promise<void> {
    const only = keys[0]
    if (keys.length === 1 && only !== undefined) return this.delete(only, { signal })
    const input = { Bucket: this.#bucket, Delete: { Objects: keys.map((Key) => ({ Key })), Quiet: true } }
    const { Errors = [] } = await this.#client.send(new DeleteObjectsCommand(input), { abortSignal: signal })
    this.#bucketSeen = true
    for (const { Key = '', Code = '' } of Errors) {
      if (Code !== 'NoSuchKey')
        failed.set(Key, itemError(Key, { name: Code, $metadata: { httpStatusCode: statusOf(Code) } }))
    }
  }
}

interface Target {
  readonly Bucket: string
  readonly Key: string
}

type Condition = { readonly IfNoneMatch?: string; readonly IfMatch?: string }

function signalOf({ signal }: CallSignal): AbortSignal {
  return signal ?? new AbortController().signal
}

function conditionOf({ ifAbsent, ifMatch }: PutOptions): Condition {
  if (ifAbsent === true) return { IfNoneMatch: '*' }
  return ifMatch === undefined ? {} : { IfMatch: ifMatch }
}

function headersOf(attributes: ObjectAttributes) {
  return {
    ContentType: attributes.contentType ?? 'application/octet-stream',
    CacheControl: attributes.cacheControl,
    ContentDisposition: attributes.contentDisposition,
    ContentEncoding: attributes.contentEncoding,
    ContentLanguage: attributes.contentLanguage,
    Metadata: { ...attributes.metadata },
  }
}

function rangeHeader(range: ByteRange): string {
  if ('suffix' in range) return `bytes=-${range.suffix}`
  return `bytes=${range.start}-${range.end ?? ''}`
}

async function* withFirst(first: Part, rest: AsyncIterable<Part>): AsyncGenerator<Part> {
  yield first
  yield* rest
}

/** At most 1 000 keys a request, and alone those that XML has no way to write. */
function batchesOf(keys: readonly string[]): string[][] {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters that XML 1.0 leaves out
  const outsideXml = /[\x01-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/
  const plain = keys.filter((key) => !outsideXml.test(key))
  const batches = keys.filter((key) => outsideXml.test(key)).map((key) => [key])
  for (let start = 0; start < plain.length; start += 1_000) batches.push(plain.slice(start, start + 1_000))
  return batches
}

function itemError(key: string, error: unknown): PortError {
  const known = classifyS3Error(error) ?? { code: 'internal' as const, message: 'the key was not deleted' }
  return new PortError({ ...known, subject: key, cause: error })
}

/** The errors in the answer to DeleteObjects have codes but no status. */
function statusOf(code: string): number {
  return code === 'InternalError' || code === 'SlowDown' || code === 'ServiceUnavailable' ? 503 : 400
}

function causeOf(error: unknown): unknown {
  return PortError.is(error) ? error.cause : error
}

/**
 * The client with its default checksums off: the SDK would sign the checksum of an empty body into a URL for PUT,
 * and servers that check it then refuse every other body.
 */
function signingClient(client: S3Client): S3Client {
  const config = { ...client.config, requestChecksumCalculation: async () => 'WHEN_REQUIRED' as const }
  return Object.create(client, { config: { value: config } }) as S3Client
}
