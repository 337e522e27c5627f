/** Objects under keys in one bucket: bytes with metadata, written whole. */
import type { CallOptions } from '../port.ts'
import type { BulkResult } from './bulk.ts'

/** What an object is made from. A stream is read once, so a call with one is never repeated. */
export type ObjectBody = Uint8Array | string | AsyncIterable<Uint8Array>

export interface ObjectAttributes {
  /** @default 'application/octet-stream' */
  readonly contentType?: string
  readonly cacheControl?: string
  readonly contentDisposition?: string
  readonly contentEncoding?: string
  readonly contentLanguage?: string
  /** Names in lower case, values of printable text; 2 048 bytes in all. */
  readonly metadata?: Readonly<Record<string, string>>
}

export interface ObjectInfo extends ObjectAttributes {
  readonly key: string
  readonly size: number
  /** Opaque, quoted; changes with the content. */
  readonly etag: string
  readonly lastModified: Date
  readonly contentType: string
  readonly metadata: Readonly<Record<string, string>>
}

export interface StoredObject {
  readonly info: ObjectInfo
  /** The bytes asked for; the whole object where no range was. Read once; leaving the loop early frees the connection. */
  readonly body: AsyncIterable<Uint8Array>
  /** The first and last byte of the answer, where a range was asked for. */
  readonly range: { readonly start: number; readonly end: number } | undefined
}

/** `{ start: 0, end: 9 }` are the first ten bytes; `{ suffix: 10 }` the last ten. */
export type ByteRange = { readonly start: number; readonly end?: number } | { readonly suffix: number }

export interface PutOptions extends CallOptions, ObjectAttributes {
  /** Only where the key is absent; else `precondition-failed`. */
  readonly ifAbsent?: boolean
  /** Only where the stored object has this etag; else `precondition-failed`. */
  readonly ifMatch?: string
  /** The length the body must have; another is `invalid-argument` and stores nothing. */
  readonly size?: number
  /** Base64 SHA-256 the body must have; another is `invalid-argument` and stores nothing. */
  readonly sha256?: string
}

export interface GetOptions extends CallOptions {
  readonly range?: ByteRange
  readonly ifMatch?: string
  readonly ifNoneMatch?: string
  readonly ifModifiedSince?: Date
  readonly ifUnmodifiedSince?: Date
}

export interface CopyOptions extends CallOptions {
  /** Replaces attributes and metadata of the copy. @default the source's */
  readonly attributes?: ObjectAttributes
  /** Only where the source has this etag. */
  readonly ifSourceMatch?: string
}

export interface ListOptions extends CallOptions {
  /** @default '' */
  readonly prefix?: string
  /** Keys that share what stands between prefix and delimiter come as one prefix. @default none */
  readonly delimiter?: string
  /** Only keys after this one in UTF-8 order. */
  readonly startAfter?: string
}

export interface ListPageOptions extends ListOptions {
  /** 1 to 1 000. @default 1 000 */
  readonly pageSize?: number
  /** From an earlier page with the same prefix, delimiter and startAfter. */
  readonly pageToken?: string
}

export interface ListedObject {
  readonly key: string
  readonly size: number
  readonly etag: string
  readonly lastModified: Date
}

export interface ObjectPage {
  readonly objects: readonly ListedObject[]
  /** With a delimiter: the common prefixes, each ending in it. */
  readonly prefixes: readonly string[]
  /** `undefined` on the last page. */
  readonly nextPageToken: string | undefined
}

export interface SignUrlOptions extends CallOptions {
  /** 1 second to 7 days, in milliseconds. */
  readonly expiresInMs: number
  /** @default 'GET' */
  readonly method?: 'GET' | 'PUT' | 'HEAD' | 'DELETE'
  /** With `PUT`: the content type the client must send. */
  readonly contentType?: string
}

export interface ObjectStorage {
  /** Stores an object whole: readers see the old one or the new one, never a part. */
  put(key: string, body: ObjectBody, options?: PutOptions): Promise<ObjectInfo>
  /** `undefined` where absent. */
  get(key: string, options?: GetOptions): Promise<StoredObject | undefined>
  /** `undefined` where absent. */
  head(key: string, options?: CallOptions): Promise<ObjectInfo | undefined>
  /** Absent is no error. */
  delete(key: string, options?: CallOptions): Promise<void>
  /** Any number of keys; each has its own result. */
  deleteMany(keys: readonly string[], options?: CallOptions): Promise<BulkResult>
  /** A missing source is `not-found`. */
  copy(source: string, destination: string, options?: CopyOptions): Promise<ObjectInfo>
  list(options?: ListPageOptions): Promise<ObjectPage>
  /** Every object, page after page, as asked for. */
  listAll(options?: ListOptions): AsyncIterable<ListedObject>
  /** A URL with which anyone may do one thing with one key until it expires. Signing a missing key is possible. */
  signUrl(key: string, options: SignUrlOptions): Promise<URL>
}
