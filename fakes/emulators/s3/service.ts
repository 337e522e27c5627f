/**
 * The S3 emulator without a socket: takes a request to the operation it is, past signature, forced answers and the
 * faults of the bucket's fake, and answers in S3's words.
 */
import { randomBytes } from 'node:crypto'
import { type Clock, systemClock } from '../../../src/calls/clock.ts'
import { PortError } from '../../../src/errors.ts'
import { type Bucket, bucketOf } from '../../object-storage/bucket.ts'
import type { FakeObjectStorage } from '../../object-storage.ts'
import type { HttpReply, HttpRequest, HttpService } from '../http.ts'
import { addressOf, type S3Address, splitTarget } from './address.ts'
import { type BucketRegistry, bucketOperations, createBucket, deleteBucket, listBuckets } from './buckets.ts'
import type { Operation, S3Call } from './call.ts'
import { corsHeaders, preflight } from './cors.ts'
import type { Dialect } from './dialects.ts'
import { errorReply, idHeaders, type RequestIds, S3Error } from './errors.ts'
import { type PortOperation, portErrorOf, portOperations, s3ErrorOf, subjectOf } from './faults.ts'
import { answerForced, discard, ForcedAnswers } from './forced.ts'
import { checkHeaderSize, checkHeaders, withoutChecksums } from './headers.ts'
import { listOperations } from './lists.ts'
import { objectOperations } from './objects.ts'
import type { S3OperationName } from './operations.ts'
import { decodePayload } from './payload.ts'
import { type Authentication, authenticate } from './signature.ts'
import { uploadOperations } from './uploads.ts'

/** Access to the emulator, as the AWS SDKs write it. */
export interface S3Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** Of temporary credentials: requests must then carry it. */
  readonly sessionToken?: string
}

/** What a request was and what was answered. */
export interface S3Request {
  /** From 1, in the order in which they came. */
  readonly sequence: number
  readonly at: Date
  /** By S3's name; `undefined` where it was none. */
  readonly operation: string | undefined
  readonly bucket: string | undefined
  readonly key: string | undefined
  readonly method: string
  /** Path and query without signature. */
  readonly target: string
  /** `pending` while it runs; `lost` where there was no answer but the end of the connection. */
  readonly answer: 'pending' | 'lost' | { readonly status: number; readonly code?: string }
}

export interface S3ServiceOptions {
  readonly storages: Map<string, FakeObjectStorage>
  /** Makes the fake of a bucket that is created over the wire. */
  readonly createStorage: (name: string) => FakeObjectStorage
  /** Told of a bucket that was deleted over the wire. */
  readonly onRemoved: (storage: FakeObjectStorage) => Promise<void>
  readonly credentials: readonly S3Credentials[]
  readonly dialect: Dialect
  /** Where it is. */
  readonly region: string
  /** Whether requests must be signed for that region. */
  readonly isRegionChecked: boolean
  readonly hosts: readonly string[] | undefined
  readonly clock: Clock
  /** Whether signatures are judged by `clock` also where that is virtual: where they were made by it. */
  readonly isSignedByClock?: boolean
}

type Entry = { -readonly [K in keyof S3Request]: S3Request[K] }

const operations: Readonly<Partial<Record<S3OperationName, Operation>>> = {
  ...objectOperations,
  ...listOperations,
  ...uploadOperations,
  ...bucketOperations,
}

/** All that is implemented, by S3's names. */
export const implementedOperations: readonly string[] = [
  ...Object.keys(operations),
  'CreateBucket',
  'DeleteBucket',
  'ListBuckets',
  'Preflight',
].sort()

/** Of requests that were answered, how many are remembered. */
const mostRequests = 10_000

export class S3Service implements HttpService {
  readonly forced: ForcedAnswers = new ForcedAnswers(implementedOperations)
  readonly #options: S3ServiceOptions
  readonly #registry: BucketRegistry
  readonly #startMs: number
  #requests: Entry[] = []
  #sequence = 0

  constructor(options: S3ServiceOptions) {
    this.#options = options
    this.#startMs = options.clock.now()
    const { storages } = options
    this.#registry = {
      get names() {
        return [...storages.keys()]
      },
      bucket: (name) => this.#bucket(name),
      create: (name, region) => {
        const storage = options.createStorage(name)
        const bucket = bucketOf(storage)
        if (bucket !== undefined) bucket.region = region
        storages.set(name, storage)
      },
      remove: async (name) => {
        const storage = storages.get(name)
        storages.delete(name)
        if (storage !== undefined) await options.onRemoved(storage)
      },
    }
  }

  /** The latest requests, oldest first, as copies. */
  get requests(): readonly S3Request[] {
    return this.#requests.map((request) => ({ ...request, at: new Date(request.at) }))
  }

  clear(): void {
    this.forced.clear()
    this.#requests = []
    this.#sequence = 0
  }

  async handle(request: HttpRequest): Promise<HttpReply | undefined> {
    const ids = {
      requestId: randomBytes(8).toString('hex').toUpperCase(),
      hostId: randomBytes(24).toString('base64'),
    }
    const entry = this.#begin(request)
    try {
      const reply = await this.#answered(request, ids, entry)
      entry.answer = reply === undefined ? 'lost' : { status: reply.status }
      return reply && { ...reply, headers: { ...idHeaders(ids), ...reply.headers } }
    } catch (error) {
      const refusal = this.#refusalOf(error)
      if (refusal === undefined) {
        entry.answer = 'lost'
        return undefined
      }
      const reply = errorReply(refusal, request, ids)
      entry.answer = { status: reply.status, code: refusal.code }
      return { ...reply, headers: { ...reply.headers, ...this.#corsHeaders(request, entry.bucket) } }
    }
  }

  #begin(request: HttpRequest): Entry {
    this.#sequence += 1
    const entry: Entry = {
      sequence: this.#sequence,
      at: new Date(this.#options.clock.now()),
      operation: undefined,
      bucket: undefined,
      key: undefined,
      method: request.method,
      target: request.target.replaceAll(/([?&]X-Amz-(?:Signature|Security-Token|Credential)=)[^&]*/gi, '$1…'),
      answer: 'pending',
    }
    this.#requests.push(entry)
    if (this.#requests.length > mostRequests) this.#requests.shift()
    return entry
  }

  async #answered(request: HttpRequest, ids: RequestIds, entry: Entry): Promise<HttpReply | undefined> {
    const { hosts } = this.#options
    const address = addressOf(request, hosts === undefined ? {} : { hosts })
    const { operation, bucket, key } = address
    Object.assign(entry, { operation, bucket, key })
    const forced = this.forced.take(operation, key ?? '')
    const proceed = (): Promise<HttpReply | undefined> => this.#judged(request, address, ids)
    if (forced === undefined) return proceed()
    return answerForced(forced, request, ids, this.#options.clock, proceed)
  }

  /** Who asks, whether they may, and then the operation. */
  async #judged(request: HttpRequest, address: S3Address, ids: RequestIds): Promise<HttpReply | undefined> {
    const { operation, bucket: name } = address
    const rules = name === undefined ? undefined : this.#bucket(name)?.cors
    if (operation === 'Preflight') return preflight(request, rules)
    const { headerBytes } = this.#options.dialect
    if (request.method === 'PUT' && headerBytes !== undefined) checkHeaderSize(request.headers, headerBytes)
    const authentication = this.#authenticated(request)
    if (!implementedOperations.includes(operation) || this.#options.dialect.lacks.includes(operation)) {
      throw notImplemented(operation)
    }
    if (authentication.kind === 'anonymous') throw new S3Error('AccessDenied')
    checkHeaders(request.headers)
    const call = this.#call(request, address, ids, authentication)
    const reply = await this.#operated(call)
    return reply && { ...reply, headers: { ...reply.headers, ...corsHeaders(request, rules) } }
  }

  async #operated(call: S3Call): Promise<HttpReply | undefined> {
    const { operation, bucketName } = call
    if (operation === 'ListBuckets') return listBuckets(call, this.#registry)
    if (operation === 'CreateBucket') return createBucket(call, this.#registry)
    if (operation === 'DeleteBucket') return deleteBucket(call, this.#registry)
    const run = operations[operation]
    if (run === undefined) throw notImplemented(operation)
    // A bucket that is not there is told before its key is looked at.
    const { bucket: _ } = call
    const storage = this.#options.storages.get(bucketName)
    const named = portOperations[operation]
    if (storage === undefined || named === undefined) return run(call)
    return this.#withFaults(storage, named, call, async () => run(call))
  }

  /** An operation of the port's goes into the fake's journal, and its faults hit it. */
  async #withFaults(
    storage: FakeObjectStorage,
    named: PortOperation,
    call: S3Call,
    run: () => Promise<HttpReply>,
  ): Promise<HttpReply> {
    const { faults, journal } = storage
    // Either of the port's ways to list asks for pages like this one.
    const pending = faults.pending.find((rule) => rule.operation === 'list' || rule.operation === 'listAll')
    const operation = named === 'list' ? ((pending?.operation ?? 'list') as PortOperation) : named
    const effect = ['get', 'head', 'list', 'listAll'].includes(operation) ? 'read' : 'write'
    const { signal } = call.request
    const intercepted = { operation, args: [], subject: subjectOf(call), effect, signal } as const
    // What is absent is an error of S3's and an answer of the port's, which a fault may lose like any other.
    const isAnswer = (error: S3Error): boolean => error.code === 'NoSuchKey' && effect === 'read'
    let made: HttpReply | S3Error | undefined
    try {
      const answer = await journal.record(intercepted, () =>
        faults.apply(intercepted, async () => {
          try {
            made = await run()
          } catch (error) {
            if (!(error instanceof S3Error)) throw error
            if (!isAnswer(error)) throw portErrorOf(error)
            made = error
          }
          return made
        }),
      )
      if (answer instanceof S3Error) throw answer
      return answer as HttpReply
    } catch (error) {
      // It was done, but the answer is lost: so nobody reads it.
      if (made !== undefined && !(made instanceof S3Error)) await discard(made)
      throw PortError.is(error) && error.cause instanceof S3Error ? error.cause : error
    }
  }

  #authenticated(request: HttpRequest): Authentication {
    const { credentials, isRegionChecked, region } = this.#options
    const find = (id: string): S3Credentials | undefined =>
      credentials.find((each) => each.accessKeyId === id)
    return authenticate(request, {
      secretOf: (id) => find(id)?.secretAccessKey,
      tokenOf: (id) => find(id)?.sessionToken,
      nowMs: this.#nowMs(request),
      region: isRegionChecked ? region : undefined,
    })
  }

  /**
   * The time by which a signature is judged. Clients sign with the machine's time, so of a virtual clock only what it
   * was moved counts, and only for URLs: a client would else have to be wrong about the time after each move.
   */
  #nowMs({ headers, target }: HttpRequest): number {
    const { clock, isSignedByClock = false } = this.#options
    if (clock === systemClock || isSignedByClock) return clock.now()
    const isPresigned = /[?&]X-Amz-Algorithm=/.test(splitTarget(target).query === '' ? '' : target)
    const moved = isPresigned ? clock.now() - this.#startMs : 0
    const given = isPresigned ? undefined : headers['x-amz-date']
    const [, year, month, day, hour, minute, second] =
      /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(given ?? '') ?? []
    const signedMs = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
    return Number.isNaN(signedMs) ? Date.now() + moved : signedMs
  }

  #call(request: HttpRequest, address: S3Address, ids: RequestIds, authentication: Authentication): S3Call {
    const { dialect, region } = this.#options
    const { operation, bucket: bucketName = '', key = '', query } = address
    const find = (name: string): Bucket => {
      const bucket = this.#bucket(name)
      if (bucket === undefined) throw new S3Error('NoSuchBucket', { fields: { BucketName: name } })
      return bucket
    }
    const storage = this.#options.storages.get(bucketName)
    return {
      operation,
      request,
      headers: request.headers,
      query,
      dialect,
      region,
      ids,
      isSigned: authentication.kind !== 'anonymous',
      bucketName,
      key,
      get bucket() {
        return find(bucketName)
      },
      bucketNamed: find,
      payload(options) {
        const isTrailing = authentication.payload?.endsWith('-TRAILER') ?? false
        if (isTrailing && !dialect.trailers) throw new S3Error('MissingContentLength')
        // What CompleteMultipartUpload says there is the checksum of the object, not of its own body.
        const isBodys = dialect.checksums === 'checked' && operation !== 'CompleteMultipartUpload'
        const headers = isBodys ? request.headers : withoutChecksums(request.headers)
        return decodePayload({ headers, body: request.body }, authentication, options)
      },
      effect: (text) => storage?.journal.effect(text),
    }
  }

  #bucket(name: string): Bucket | undefined {
    const storage = this.#options.storages.get(name)
    return storage && bucketOf(storage)
  }

  #corsHeaders(request: HttpRequest, name: string | undefined): Readonly<Record<string, string>> {
    return corsHeaders(request, name === undefined ? undefined : this.#bucket(name)?.cors)
  }

  /** `undefined` where there is no answer but the end of the connection. */
  #refusalOf(error: unknown): S3Error | undefined {
    const found = PortError.is(error) ? s3ErrorOf(error) : error
    if (found === undefined) return undefined
    if (!(found instanceof S3Error)) throw error
    const { dialect } = this.#options
    const { status, fields, headers } = found
    const code = found.code === 'KeyTooLongError' ? dialect.keyTooLong : found.code
    const message = dialect.messages ? found.message : ''
    return code === found.code && dialect.messages
      ? found
      : new S3Error(code, { message, status, fields: dialect.messages ? fields : {}, headers })
  }
}

function notImplemented(operation: string): S3Error {
  return new S3Error('NotImplemented', {
    message: `The emulator does not implement ${operation}`,
    fields: { Operation: operation },
  })
}
