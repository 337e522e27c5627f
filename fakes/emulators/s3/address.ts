/**
 * What a request is about: bucket, key and operation, from the target just as it was sent. Paths are not normalised:
 * `//`, `.` and `..` are parts of keys.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
 */
import { S3Error } from './errors.ts'
import { operationOf, type S3OperationName } from './operations.ts'

/** A name and a value, decoded. */
export type QueryEntry = readonly [name: string, value: string]

export interface S3Address {
  readonly operation: S3OperationName
  /** `undefined` for what is about all buckets. */
  readonly bucket: string | undefined
  /** `undefined` for what is about a bucket. Never empty. */
  readonly key: string | undefined
  /** Of what comes twice, the first. */
  readonly query: ReadonlyMap<string, string>
  /** The path as it was sent, which S3 calls the resource. */
  readonly path: string
  readonly isVirtualHost: boolean
}

export interface AddressOptions {
  /**
   * Names below which a further label is a bucket, as in `my-bucket.localhost`. Amazon's own are known besides.
   * @default `['localhost']`
   */
  readonly hosts?: readonly string[]
}

/** Path and query of a target, both as they were sent. */
export function splitTarget(target: string): { readonly path: string; readonly query: string } {
  // The form that proxies send.
  const own = target.replace(/^https?:\/\/[^/?]*/i, '')
  const mark = own.indexOf('?')
  const path = mark < 0 ? own : own.slice(0, mark)
  return { path: path === '' ? '/' : path, query: mark < 0 ? '' : own.slice(mark + 1) }
}

/**
 * The entries of a query, in order. `+` is a space.
 * @throws S3Error `InvalidURI` for what is no percent-encoded UTF-8
 */
export function parseQuery(query: string): readonly QueryEntry[] {
  return query
    .split('&')
    .filter((part) => part !== '')
    .map((part) => {
      const mark = part.indexOf('=')
      const [name, value] = mark < 0 ? [part, ''] : [part.slice(0, mark), part.slice(mark + 1)]
      return [decoded(name.replaceAll('+', ' ')), decoded(value.replaceAll('+', ' '))] as const
    })
}

/** Everything but letters, digits and `-._~`, as AWS signs and lists it. */
export function encodeRfc3986(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

/**
 * @throws S3Error `InvalidURI`, `InvalidBucketName`, `KeyTooLongError`; `MethodNotAllowed` for what is no operation
 */
export function addressOf(
  request: {
    readonly method: string
    readonly target: string
    readonly headers: Readonly<Record<string, string>>
  },
  { hosts = ['localhost'] }: AddressOptions = {},
): S3Address {
  const { path, query: search } = splitTarget(request.target)
  if (!path.startsWith('/')) throw new S3Error('InvalidURI', { fields: { URI: path } })
  const query = new Map(parseQuery(search).toReversed())
  const hostBucket = bucketOfHost(request.headers.host ?? '', hosts)
  const slash = path.indexOf('/', 1)
  const [bucketPart, keyPart] =
    hostBucket !== undefined
      ? [hostBucket, path.slice(1)]
      : slash < 0
        ? [path.slice(1), '']
        : [path.slice(1, slash), path.slice(slash + 1)]
  const bucket = hostBucket ?? decoded(bucketPart)
  const key = decoded(keyPart)
  // A key needs a bucket to be in.
  if (bucket === '' && key !== '') throw new S3Error('InvalidBucketName', { fields: { BucketName: '' } })
  checkKeyLength(key)
  const target = {
    bucket: bucket === '' ? undefined : bucket,
    key: key === '' ? undefined : key,
    query,
    path,
    isVirtualHost: hostBucket !== undefined,
  }
  return { ...target, operation: operationOf(request, target) }
}

const longestKeyBytes = 1_024

/** @throws S3Error `KeyTooLongError` */
export function checkKeyLength(key: string): void {
  const size = Buffer.byteLength(key)
  if (size <= longestKeyBytes) return
  throw new S3Error('KeyTooLongError', { fields: { Size: size, MaxSizeAllowed: longestKeyBytes } })
}

/** Amazon's endpoints, global and of regions, also dual-stack and the older form with a dash. */
const amazonHost = /^(?:(.+)\.)?s3(?:[.-](?:dualstack\.)?[a-z0-9-]+)?\.amazonaws\.com(?:\.cn)?$/

function bucketOfHost(host: string, hosts: readonly string[]): string | undefined {
  const name = host.toLowerCase().replace(/:\d+$/, '')
  const amazon = amazonHost.exec(name)
  if (amazon !== null) return amazon[1]
  // The longest first: one name may be below another.
  const base = hosts
    .filter((each) => name.endsWith(`.${each.toLowerCase()}`))
    .toSorted((a, b) => b.length - a.length)[0]
  return base === undefined || hosts.some((each) => each.toLowerCase() === name)
    ? undefined
    : name.slice(0, -base.length - 1)
}

/** What an `x-amz-copy-source` names. */
export interface CopySource {
  readonly bucket: string
  readonly key: string
  readonly versionId: string | undefined
}

/**
 * Reads `x-amz-copy-source`: `/bucket/key` or without the first slash, percent-encoded, perhaps with `?versionId=`.
 * @throws S3Error `InvalidArgument`; `NotImplemented` for access points
 */
export function parseCopySource(header: string): CopySource {
  if (/^\/?arn(:|%3A)/i.test(header)) {
    throw new S3Error('NotImplemented', { message: 'The emulator does not implement access points' })
  }
  const invalid = (message: string): S3Error =>
    new S3Error('InvalidArgument', {
      message,
      fields: { ArgumentName: 'x-amz-copy-source', ArgumentValue: header },
    })
  const [source = '', version] = header.split(/\?versionId=/, 2)
  const [path, versionId] = [source, version].map((part) => {
    try {
      // Unlike in a path a plus is a space here: clients that mean one send %2B.
      return part === undefined ? undefined : decodeURIComponent(part.replaceAll('+', ' '))
    } catch {
      throw invalid('Invalid copy source encoding.')
    }
  })
  const [, bucket = '', key = ''] = /^\/?([^/]*)\/(.+)$/s.exec(path ?? '') ?? []
  if (bucket === '' || key === '') {
    throw invalid('Copy Source must mention the source bucket and key: sourcebucket/sourcekey')
  }
  checkKeyLength(key)
  return { bucket, key, versionId }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new S3Error('InvalidURI', { fields: { URI: text } })
  }
}
