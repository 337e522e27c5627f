/** Objects under keys in one bucket: bytes with metadata, written whole. */
import { checkDate, checkFields, checkInteger, typeName } from '../calls/arguments.ts'
import { type ByteSource, checkByteSource, copyBytes, isByteStream, ownStream } from '../calls/bytes.ts'
import { openPageToken, type PageQuery } from '../calls/page-token.ts'
import { invalidArgument } from '../errors.ts'
import { type CallOptions, definePort, type Port } from '../port.ts'
import { type BulkResult, brandedBulk } from './bulk.ts'
import {
  attributeFields,
  checkAttributes,
  checkEtag,
  checkHeader,
  checkObjectKey,
  checkQuery,
  checkRange,
  checkSha256,
} from './object-storage-checks.ts'

/**
 * What an object is made from: bytes, text that is stored as its UTF-8 bytes, or a stream of bytes. A stream is
 * read once, so a call with one is never repeated; what it throws reaches the caller as it is.
 */
export type ObjectBody = ByteSource

/** Beside `metadata` all of them together are at most 2 048 bytes, with the names of their headers, as Amazon S3 counts. */
export interface ObjectAttributes {
  /** @default 'application/octet-stream' */
  readonly contentType?: string
  readonly cacheControl?: string
  readonly contentDisposition?: string
  /** Stored and given back, never acted on: bytes come back as they were put. */
  readonly contentEncoding?: string
  readonly contentLanguage?: string
  /**
   * Names in lower case, of the characters of HTTP header names and beginning with a letter or digit; values of
   * printable ASCII without space at either end, not empty; names and values together at most 2 048 bytes. Amazon S3
   * keeps an underscore in a name; proxies and other servers may not, so a hyphen travels better.
   */
  readonly metadata?: Readonly<Record<string, string>>
}

export interface ObjectInfo extends ObjectAttributes {
  readonly key: string
  /** In bytes. */
  readonly size: number
  /** Opaque, quoted; changes with the content. */
  readonly etag: string
  /** In whole seconds. */
  readonly lastModified: Date
  readonly contentType: string
  readonly metadata: Readonly<Record<string, string>>
}

/** What is known of an object that was just put, without asking for it again. */
export interface WrittenObject {
  readonly key: string
  /** In bytes. */
  readonly size: number
  /** As a later `head` gives it, unless the object is overwritten first. */
  readonly etag: string
}

/** What is known of a copy that was just made. */
export interface CopiedObject {
  readonly key: string
  readonly etag: string
}

export interface StoredObject {
  readonly info: ObjectInfo
  /**
   * The bytes asked for; the whole object where no range was. Read once; leaving the loop early frees the
   * connection, so read it or do not ask for it: `head` tells the rest. They are of one version, also where the object is overwritten meanwhile.
   */
  readonly body: AsyncIterable<Uint8Array>
  /** The first and last byte of the answer, where a range was asked for. */
  readonly range: { readonly start: number; readonly end: number } | undefined
}

/**
 * `{ start: 0, end: 9 }` are the first ten bytes, `{ start: 10 }` all from the eleventh, `{ suffix: 10 }` the last
 * ten. An `end` or `suffix` beyond the object is cut to it; a range without a byte in the object is
 * `invalid-argument` with the reason `range-not-satisfiable`.
 */
export type ByteRange = { readonly start: number; readonly end?: number } | { readonly suffix: number }

export interface PutOptions extends CallOptions, ObjectAttributes {
  /** Only where the key is absent; else `precondition-failed`, or `conflict` where another write was under way. */
  readonly ifAbsent?: boolean
  /**
   * Only where the stored object has this etag; else, and where it is absent, `precondition-failed`, or `conflict`
   * where another write was under way.
   */
  readonly ifMatch?: string
  /** The length the body must have, in bytes; another is `invalid-argument` and stores nothing. */
  readonly size?: number
  /** Base64 SHA-256 the body must have; another is `invalid-argument` and stores nothing. */
  readonly sha256?: string
}

/** Conditions that do not hold are `precondition-failed`; with the reason `not-modified` where nothing is new. */
export interface GetOptions extends CallOptions {
  readonly range?: ByteRange
  /** Only where the object has this etag. */
  readonly ifMatch?: string
  /** Only where the object has another etag; else the reason is `not-modified`. */
  readonly ifNoneMatch?: string
  /** Only where it was written after; else the reason is `not-modified`. Not looked at beside `ifNoneMatch`. */
  readonly ifModifiedSince?: Date
  /** Only where it was not written after. Not looked at beside `ifMatch`. */
  readonly ifUnmodifiedSince?: Date
}

export interface CopyOptions extends CallOptions {
  /** Replaces all attributes and metadata of the copy. @default the source's */
  readonly attributes?: ObjectAttributes
  /** Only where the source has this etag; else `precondition-failed`. */
  readonly ifSourceMatch?: string
}

export interface ListOptions extends CallOptions {
  /** @default '' */
  readonly prefix?: string
  /** Keys that share what stands between prefix and delimiter come as one prefix. @default none */
  readonly delimiter?: string
  /** Only keys, and common prefixes, after this one in UTF-8 order. */
  readonly startAfter?: string
}

export interface ListPageOptions extends ListOptions {
  /** How many objects and prefixes a page may hold, 1 to 1 000. A page may hold fewer. @default 1 000 */
  readonly pageSize?: number
  /** From an earlier page with the same prefix, delimiter and startAfter; any other is `invalid-argument`. */
  readonly pageToken?: string
}

export interface ListedObject {
  readonly key: string
  readonly size: number
  readonly etag: string
  /** In whole seconds. */
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
  /** 1 second to 7 days, in milliseconds; cut to whole seconds. */
  readonly expiresInMs: number
  /** @default 'GET' */
  readonly method?: 'GET' | 'PUT' | 'HEAD' | 'DELETE'
  /** With `PUT`: the content type the client must send. @default any */
  readonly contentType?: string
}

/**
 * One bucket of an object store. Keys are 1 to 1 024 bytes of UTF-8 without NUL, taken exactly: no slash, dot or
 * Unicode form is ever changed, and `a/./b`, `/a` and `a//b` are keys of their own. Only a key that, read from the
 * left, has more `..` segments than others is `invalid-argument`: S3 refuses it. Reads see every write that was
 * answered before. A missing bucket is `not-found`.
 */
export interface ObjectStorage {
  /**
   * Stores an object whole: readers see the old one or the new one, never a part. After a failure or a cancellation
   * the old one stays, unless the error's outcome is `unknown`. Of concurrent puts one is the last.
   */
  put(key: string, body: ObjectBody, options?: PutOptions): Promise<WrittenObject>
  /** `undefined` where absent, whatever conditions were given. */
  get(key: string, options?: GetOptions): Promise<StoredObject | undefined>
  /** `undefined` where absent. */
  head(key: string, options?: CallOptions): Promise<ObjectInfo | undefined>
  /** Absent is no error. */
  delete(key: string, options?: CallOptions): Promise<void>
  /** Any number of keys; each has its own result, one that stands there twice too. Absent is no error. */
  deleteMany(keys: readonly string[], options?: CallOptions): Promise<BulkResult>
  /**
   * Copies content, attributes and metadata within the bucket. A missing source is `not-found`; an existing
   * destination is overwritten; onto itself it must have `attributes`, else it is `invalid-argument`. The copy's
   * etag may differ from the source's.
   */
  copy(source: string, destination: string, options?: CopyOptions): Promise<CopiedObject>
  /** One page in UTF-8 order. What is written or deleted between pages does not disturb the rest. */
  list(options?: ListPageOptions): Promise<ObjectPage>
  /** Every object, page after page, as asked for. With a delimiter, those directly below the prefix. */
  listAll(options?: ListOptions): AsyncIterable<ListedObject>
  /**
   * A URL with which anyone may do one thing with one key until it expires. Signing a missing key is possible. A
   * key with a `.` or `..` segment is `invalid-argument`: no URL can carry it.
   */
  signUrl(key: string, options: SignUrlOptions): Promise<URL>
}

const shortestExpiryMs = 1_000
const longestExpiryMs = 7 * 24 * 3_600_000
const queryFields = ['prefix', 'delimiter', 'startAfter']

/** The token of the port. */
export const ObjectStorage: Port<ObjectStorage> = definePort<ObjectStorage>({
  name: 'object-storage',
  capabilities: {
    'put-if-match': 'put with ifMatch',
    'conditional-stream': 'put of a stream with ifAbsent or ifMatch',
    'copy-if-match': 'copy with ifSourceMatch',
    'signed-urls': 'URLs that work without credentials',
  },
  operations: {
    put: {
      kind: 'call',
      effect: 'write',
      // A repeated conditional put would be refused because of the first one's own success.
      idempotent: (_key, body, { ifAbsent, ifMatch }) =>
        !isByteStream(body) && ifAbsent !== true && ifMatch === undefined,
      arity: 2,
      options: [...attributeFields, 'ifAbsent', 'ifMatch', 'size', 'sha256'],
      timeoutMs: 300_000,
      check(key, body, options) {
        checkObjectKey('key', key)
        checkAttributes(options)
        const { ifAbsent, ifMatch, size, sha256 } = options
        if (ifAbsent !== undefined && typeof ifAbsent !== 'boolean') {
          throw invalidArgument(`ifAbsent must be true or false; got ${typeName(ifAbsent)}`)
        }
        if (ifMatch !== undefined) checkEtag('ifMatch', ifMatch)
        if (ifAbsent === true && ifMatch !== undefined) {
          throw invalidArgument('ifAbsent and ifMatch contradict each other; give one')
        }
        if (size !== undefined) checkInteger('size', size, { min: 0 })
        if (sha256 !== undefined) checkSha256(sha256)
        checkByteSource('body', body, { size, sha256 })
      },
      needs: (_key, body, { ifAbsent, ifMatch }) => [
        ...(ifMatch === undefined ? [] : ['put-if-match']),
        ...(isByteStream(body) && (ifAbsent === true || ifMatch !== undefined) ? ['conditional-stream'] : []),
      ],
      subject: (key) => key,
      copy: ([key, body]) => [key, isByteStream(body) ? body : copyBytes(body)],
      input: ([key, body], scope, { size, sha256 }) => [
        key,
        isByteStream(body)
          ? ownStream('body', body, { size: size as number, sha256: sha256 as string }, scope)
          : body,
      ],
    },
    get: {
      kind: 'call',
      effect: 'read',
      idempotent: true,
      arity: 1,
      options: ['range', 'ifMatch', 'ifNoneMatch', 'ifModifiedSince', 'ifUnmodifiedSince'],
      check(key, { range, ifMatch, ifNoneMatch, ifModifiedSince, ifUnmodifiedSince }) {
        checkObjectKey('key', key)
        if (range !== undefined) checkRange(range)
        if (ifMatch !== undefined) checkEtag('ifMatch', ifMatch)
        if (ifNoneMatch !== undefined) checkEtag('ifNoneMatch', ifNoneMatch)
        if (ifModifiedSince !== undefined) checkDate('ifModifiedSince', ifModifiedSince)
        if (ifUnmodifiedSince !== undefined) checkDate('ifUnmodifiedSince', ifUnmodifiedSince)
      },
      subject: (key) => key,
      output: (object, scope) => object && { ...object, body: scope.stream(object.body) },
    },
    head: {
      kind: 'call',
      effect: 'read',
      idempotent: true,
      arity: 1,
      check: (key) => checkObjectKey('key', key),
      subject: (key) => key,
    },
    delete: {
      kind: 'call',
      effect: 'write',
      idempotent: true,
      arity: 1,
      check: (key) => checkObjectKey('key', key),
      subject: (key) => key,
    },
    deleteMany: {
      kind: 'call',
      effect: 'write',
      idempotent: true,
      arity: 1,
      timeoutMs: 120_000,
      check(keys) {
        if (!Array.isArray(keys)) throw invalidArgument(`keys must be an array; got ${typeName(keys)}`)
        for (const [index, key] of keys.entries()) checkObjectKey(`keys[${index}]`, key)
      },
      subject: (keys: readonly string[]) => (keys.length === 1 ? keys[0] : `${keys.length} keys`),
      copy: ([keys]) => [[...keys]],
      output: brandedBulk,
    },
    copy: {
      kind: 'call',
      effect: 'write',
      // Repeated onto itself under a condition, the source would no longer have the etag.
      idempotent: (_source, _destination, { ifSourceMatch }) => ifSourceMatch === undefined,
      arity: 2,
      options: ['attributes', 'ifSourceMatch'],
      timeoutMs: 120_000,
      check(source, destination, { attributes, ifSourceMatch }) {
        checkObjectKey('source', source)
        checkObjectKey('destination', destination)
        if (ifSourceMatch !== undefined) checkEtag('ifSourceMatch', ifSourceMatch)
        if (attributes !== undefined) {
          checkFields('attributes', attributes, attributeFields)
          checkAttributes(attributes as Readonly<Record<string, unknown>>)
        } else if (source === destination) {
          throw invalidArgument('a copy onto itself changes nothing; give the attributes it should have')
        }
      },
      needs: (_source, _destination, { ifSourceMatch }) =>
        ifSourceMatch === undefined ? [] : ['copy-if-match'],
      subject: (source) => source,
    },
    list: {
      kind: 'call',
      effect: 'read',
      idempotent: true,
      arity: 0,
      options: [...queryFields, 'pageSize', 'pageToken'],
      check(options) {
        checkQuery(options)
        const { pageSize, pageToken } = options
        if (pageSize !== undefined) checkInteger('pageSize', pageSize, { min: 1, max: 1_000 })
        if (pageToken !== undefined) openPageToken(pageQuery(options as ListOptions), pageToken)
      },
    },
    listAll: {
      kind: 'stream',
      effect: 'read',
      idempotent: true,
      arity: 0,
      options: queryFields,
      check: checkQuery,
    },
    signUrl: {
      kind: 'call',
      effect: 'read',
      idempotent: true,
      arity: 1,
      options: ['expiresInMs', 'method', 'contentType'],
      check(key, { expiresInMs, method, contentType }) {
        checkObjectKey('key', key)
        if (key.split('/').some((segment) => segment === '.' || segment === '..')) {
          throw invalidArgument('key has a "." or ".." segment, which no URL can carry')
        }
        if (expiresInMs === undefined) throw invalidArgument('expiresInMs must be given')
        checkInteger('expiresInMs', expiresInMs, { min: shortestExpiryMs, max: longestExpiryMs })
        if (method !== undefined && !['GET', 'PUT', 'HEAD', 'DELETE'].includes(method as string)) {
          throw invalidArgument('method must be GET, PUT, HEAD or DELETE')
        }
        if (contentType === undefined) return
        checkHeader('contentType', contentType)
        if (method !== 'PUT') throw invalidArgument('contentType is possible with the method PUT only')
      },
      needs: () => ['signed-urls'],
      subject: (key) => key,
    },
  },
})

/** What a page token is bound to. For adapters and fakes, which seal and open tokens with it. */
export function pageQuery({ prefix, delimiter, startAfter }: ListOptions): PageQuery {
  return [prefix === '' ? undefined : prefix, delimiter, startAfter]
}
