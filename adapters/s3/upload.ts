/**
 * Multipart upload with bounded memory. Own code rather than `@aws-sdk/lib-storage`: that one cancels no request that
 * is under way and settles before it has cleaned up, so a cancelled upload leaves parts that are paid for.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  type CompleteMultipartUploadCommandInput,
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandInput,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { PortError } from '../../src/errors.ts'
import { classifyS3Error, codeOf } from './errors.ts'
import { mostParts } from './limits.ts'

/** How many parts are sent at once; as many again times the part size is the memory it takes. */
const partsAtOnce = 4
const attemptsPerPart = 3
const removalAttempts = 3
/** For requests that go on when the call is over. */
const requestMs = 10_000

/** One piece of a body; all but the last have the part size. */
export interface Part {
  readonly bytes: Uint8Array
  readonly last: boolean
}

/** Cuts a body into parts of `partSizeBytes`. There is always a last one, empty where the body is. */
export async function* cutIntoParts(
  body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  partSizeBytes: number,
): AsyncGenerator<Part, void> {
  let held: Uint8Array[] = []
  let heldBytes = 0
  for await (const chunk of body) {
    let rest = chunk
    // More than a part, not as much as one: so that the last part is known to be it.
    while (heldBytes + rest.length > partSizeBytes) {
      const fitting = rest.subarray(0, partSizeBytes - heldBytes)
      yield { bytes: Buffer.concat([...held, fitting]), last: false }
      rest = rest.subarray(fitting.length)
      held = []
      heldBytes = 0
    }
    if (rest.length === 0) continue
    held.push(rest)
    heldBytes += rest.length
  }
  yield { bytes: Buffer.concat(held), last: true }
}

export interface UploadRequest {
  readonly client: S3Client
  readonly create: CreateMultipartUploadCommandInput
  /** Conditions, which S3 looks at when the upload is completed. */
  readonly condition: Pick<CompleteMultipartUploadCommandInput, 'IfMatch' | 'IfNoneMatch'>
  /** The first part is not the last. */
  readonly parts: AsyncIterable<Part>
  readonly signal: AbortSignal
  /** Told of cleaning up that may go on after the call has ended. */
  readonly background: (work: Promise<unknown>) => void
}

/**
 * Uploads all parts, then makes them one object. Until that last step nothing is visible, so a failure before is
 * `not-applied`; after any failure the parts are removed.
 * @returns the object's size, and its etag where the service told it
 */
export async function uploadInParts(
  request: UploadRequest,
): Promise<{ size: number; etag: string | undefined }> {
  const { client, create, condition, signal } = request
  const uploadId = await begin(request)
  const target = { Bucket: create.Bucket, Key: create.Key, UploadId: uploadId }
  try {
    const { size, parts } = await sendParts(request, target)
    const complete = { ...target, ...condition, MultipartUpload: { Parts: parts } }
    const { ETag } = await client.send(new CompleteMultipartUploadCommand(complete), { abortSignal: signal })
    return { size, etag: ETag === '' || ETag === '""' ? undefined : ETag }
  } catch (error) {
    const cleaned = removeParts(client, target)
    request.background(cleaned)
    // Whoever cancelled is told at once; closing waits for the rest.
    if (!signal.aborted) await cleaned
    throw error
  }
}

type Target = Readonly<{ Bucket: string | undefined; Key: string | undefined; UploadId: string }>

/** Not cancelled itself: an upload that began but whose id was not heard could never be removed. */
async function begin({ client, create, signal, background }: UploadRequest): Promise<string> {
  const begun = client.send(new CreateMultipartUploadCommand(create), {
    abortSignal: AbortSignal.timeout(requestMs),
  })
  const onAbort = Promise.withResolvers<never>()
  const abort = (): void => onAbort.reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  if (signal.aborted) abort()
  try {
    const { UploadId } = await Promise.race([begun, onAbort.promise])
    if (UploadId === undefined || UploadId === '') {
      throw new PortError({
        code: 'unavailable',
        message: 'the service gave no upload id',
        outcome: 'not-applied',
      })
    }
    return UploadId
  } catch (error) {
    if (signal.aborted) {
      const late = begun.then(
        ({ UploadId = '' }) => removeParts(client, { Bucket: create.Bucket, Key: create.Key, UploadId }),
        () => {},
      )
      background(late)
    }
    throw notApplied(error, signal)
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

async function sendParts(
  { client, parts, signal }: UploadRequest,
  target: Target,
): Promise<{ size: number; parts: CompletedPart[] }> {
  const stop = new AbortController()
  const onAbort = (): void => stop.abort(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  const done: CompletedPart[] = []
  const underWay = new Set<Promise<void>>()
  let failure: { readonly error: unknown } | undefined
  let size = 0
  let number = 0
  try {
    for await (const { bytes } of parts) {
      number += 1
      size += bytes.length
      if (number > mostParts) {
        throw new PortError({
          code: 'invalid-argument',
          message: `the body has more than ${mostParts} parts; give its size, or raise partSizeBytes`,
        })
      }
      const sent: Promise<void> = sendPart(client, { ...target, PartNumber: number }, bytes, stop.signal)
        .then((part) => {
          done.push(part)
        })
        .catch((error: unknown) => {
          failure ??= { error: notApplied(error, signal) }
          stop.abort(error)
        })
        .finally(() => underWay.delete(sent))
      underWay.add(sent)
      if (underWay.size >= partsAtOnce) await Promise.race(underWay)
      if (failure !== undefined) break
    }
    await Promise.all(underWay)
    if (failure !== undefined) throw failure.error
    return { size, parts: done.sort((a, b) => (a.PartNumber ?? 0) - (b.PartNumber ?? 0)) }
  } catch (error) {
    stop.abort(error)
    // A part that arrives after the upload was removed would stay.
    await Promise.all(underWay)
    throw error
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/** A part can be sent again, other than the stream it came from: so that is done here, not by the guard. */
async function sendPart(
  client: S3Client,
  target: Target & { readonly PartNumber: number },
  bytes: Uint8Array,
  signal: AbortSignal,
): Promise<CompletedPart> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const input = { ...target, Body: bytes, ContentLength: bytes.length }
      const { $metadata: _, ...sent } = await client.send(new UploadPartCommand(input), {
        abortSignal: signal,
      })
      const { ETag, ChecksumCRC32, ChecksumCRC32C, ChecksumCRC64NVME, ChecksumSHA1, ChecksumSHA256 } = sent
      const checksums = { ChecksumCRC32, ChecksumCRC32C, ChecksumCRC64NVME, ChecksumSHA1, ChecksumSHA256 }
      return { PartNumber: target.PartNumber, ETag, ...withoutUndefined(checksums) }
    } catch (error) {
      const code = classifyS3Error(error)?.code
      const again = code === 'unavailable' || code === 'rate-limited'
      if (!again || attempt >= attemptsPerPart || signal.aborted) throw error
      await sleep(100 * 2 ** attempt * (0.5 + Math.random() / 2), undefined, { signal })
    }
  }
}

/**
 * Removes an upload until the service says that there is none: a part that was cut off may still have arrived after
 * the first time. What cannot be removed is left to the bucket's lifecycle rule on incomplete uploads.
 */
async function removeParts(client: S3Client, target: Target): Promise<void> {
  for (let attempt = 1; attempt <= removalAttempts; attempt += 1) {
    try {
      const options = { abortSignal: AbortSignal.timeout(requestMs) }
      await client.send(new AbortMultipartUploadCommand(target), options)
    } catch (error) {
      if (codeOf(error) === 'NoSuchUpload') return
      const known = classifyS3Error(error)
      // The failure that led here is the one to tell; a mistake of our own is not to be hidden by it.
      if (known === undefined && (error as Partial<Error>).name !== 'TimeoutError') throw error
    }
  }
}

/** The failure of a request that by itself makes nothing visible. */
function notApplied(error: unknown, signal: AbortSignal): unknown {
  if (PortError.is(error)) return new PortError({ ...error, message: error.detail, outcome: 'not-applied' })
  if (signal.aborted && PortError.is(signal.reason)) {
    const { code, detail } = signal.reason
    return new PortError({ code, message: detail, outcome: 'not-applied', cause: error })
  }
  const known = classifyS3Error(error)
  return known === undefined ? error : new PortError({ ...known, outcome: 'not-applied', cause: error })
}

function withoutUndefined<T extends object>(fields: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never
}
