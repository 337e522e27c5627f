/** What the answers of S3 and of servers like it mean, in the port's own terms. */
import type { Readable } from 'node:stream'
import type { GetObjectCommandOutput, HeadObjectCommandOutput } from '@aws-sdk/client-s3'
import { PortError } from '../../src/errors.ts'
import type { ByteRange, ObjectInfo, StoredObject } from '../../src/ports/object-storage.ts'

/**
 * The object in the answer to GetObject, whose body is read as the caller reads it.
 * @throws PortError `unsupported` where a range was asked for and all was sent; `corrupt` where it is no answer of S3
 */
export function storedObject(
  key: string,
  answer: GetObjectCommandOutput,
  asked: ByteRange | undefined,
): StoredObject {
  const length = answer.ContentLength ?? 0
  const body = answer.Body as Readable
  // A connection that breaks before anyone reads must not bring the process down; who reads later gets the error.
  body.on('error', () => {})
  const infoOf = (size: number): ObjectInfo => {
    try {
      return objectInfo(key, answer, size)
    } catch (error) {
      // Nobody will read it, and unread it would keep its connection.
      body.destroy()
      throw error
    }
  }
  if (asked === undefined) return { info: infoOf(length), body: bytesOf(body), range: undefined }
  const [, start, end, size] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(answer.ContentRange ?? '') ?? []
  if (start === undefined || end === undefined) {
    body.destroy()
    throw new PortError({ code: 'unsupported', message: 'the service does not answer ranges' })
  }
  return {
    info: infoOf(Number(size)),
    body: bytesOf(body),
    range: { start: Number(start), end: Number(end) },
  }
}

/** Leaving the loop destroys the stream, and with it the connection: S3 would send all the rest. */
async function* bytesOf(body: Readable): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    yield new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength)
  }
}

/** Closes the connection of a body that nobody will read. */
export function discard(body: GetObjectCommandOutput['Body']): void {
  const stream = body as Readable | undefined
  stream?.on('error', () => {})
  stream?.destroy()
}

/** What the headers tell of an object of `size` bytes. */
export function objectInfo(
  key: string,
  answer: HeadObjectCommandOutput | GetObjectCommandOutput,
  size: number,
): ObjectInfo {
  const { CacheControl, ContentDisposition, ContentEncoding, ContentLanguage } = answer
  return {
    key,
    size,
    etag: etagFrom(answer.ETag),
    lastModified: wholeSeconds(answer.LastModified),
    contentType: answer.ContentType ?? 'application/octet-stream',
    ...(CacheControl === undefined ? {} : { cacheControl: CacheControl }),
    ...(ContentDisposition === undefined ? {} : { contentDisposition: ContentDisposition }),
    ...(ContentEncoding === undefined ? {} : { contentEncoding: ContentEncoding }),
    ...(ContentLanguage === undefined ? {} : { contentLanguage: ContentLanguage }),
    metadata: { ...answer.Metadata },
  }
}

/** A page of a proxy or a sign-in portal comes with status 200, too: it must not pass for a stored object. */
export function etagFrom(etag: string | undefined): string {
  if (etag !== undefined && etag !== '') return quoted(etag)
  throw new PortError({
    code: 'corrupt',
    message:
      'the answer has no etag, so what answered may be no S3; check the endpoint and proxies before it',
  })
}

/** Some servers leave the quotes out where the etag stands in XML. */
export function quoted(etag = ''): string {
  return etag.startsWith('"') ? etag : `"${etag}"`
}

/** Listings of some servers have milliseconds, headers never: the same object must show the same time. */
export function wholeSeconds(date: Date | undefined): Date {
  return new Date(Math.floor((date?.getTime() ?? 0) / 1_000) * 1_000)
}

/** A key as it stands in a listing that was asked for with `EncodingType: 'url'`. */
export function decodeListed(text: string): string {
  return decodeURIComponent(text.replaceAll('+', ' '))
}
