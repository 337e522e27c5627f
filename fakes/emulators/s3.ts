/**
 * Amazon S3 in front of {@link FakeObjectStorage}: each bucket is one, and what is done over HTTP is done to it. Requests
 * must be signed (Signature Version 4, in headers, queries and chunks); bodies are streamed. Buckets that are created
 * over the wire are fakes of their own. What is not implemented answers 501 with its name: among it versions, access
 * control lists, policies, lifecycle rules, encryption keys, object locks, forms.
 *
 * A fake's faults hit the request that its operation stands for (`put` is PutObject or CompleteMultipartUpload), and
 * its journal shows it; what no port call can bring about is forced by the name of S3's own operation.
 *
 * With a virtual clock, times of objects are its own. Clients sign by the machine's time, so then the time of a signature
 * is not looked at, but URLs expire when the machine's time and what the clock was moved come to it.
 */
import { checkFields, checkText } from '../../src/calls/arguments.ts'
import { type Clock, systemClock } from '../../src/calls/clock.ts'
import { invalidArgument } from '../../src/errors.ts'
import { FakeObjectStorage } from '../object-storage.ts'
import { type HttpListener, type HttpReply, type HttpRequest, type HttpService, listen } from './http.ts'
import { isBucketName } from './s3/buckets.ts'
import { type DialectName, dialects } from './s3/dialects.ts'
import type { ForcedAnswer } from './s3/forced.ts'
import { type S3Credentials, type S3Request, S3Service } from './s3/service.ts'

export type { Dialect, DialectName } from './s3/dialects.ts'
export { dialects } from './s3/dialects.ts'
export type { ForcedAnswer } from './s3/forced.ts'
export type { S3Credentials, S3Request } from './s3/service.ts'
export { implementedOperations } from './s3/service.ts'

/** What lets clients in where no credentials were given: for development, and no secret. */
export const developmentCredentials: S3Credentials = {
  accessKeyId: 'portside',
  secretAccessKey: 'portside-development',
}

export interface S3EmulatorOptions {
  /** The buckets there are at first, by name. @default none; they can be created over the wire */
  readonly buckets?: Readonly<Record<string, FakeObjectStorage>>
  /** Who may do everything. @default {@link developmentCredentials} */
  readonly credentials?: readonly S3Credentials[]
  /** Whose ways it has. @default 'aws' */
  readonly dialect?: DialectName
  /** Where it is; given, requests must be signed for it. @default us-east-1, and any is taken */
  readonly region?: string
  /** Names below which a label is a bucket, as `my-bucket.localhost`. Amazon's are known besides. @default localhost */
  readonly hosts?: readonly string[]
  /** The clock of the buckets that are created. @default that of the first bucket, else the machine's */
  readonly clock?: Clock
}

export interface StartS3EmulatorOptions extends S3EmulatorOptions {
  /** @default 0, which is a free one */
  readonly port?: number
  /** The address to listen on. Any but this machine's own lets other machines in. @default '127.0.0.1' */
  readonly host?: string
}

/** The emulator as a service without a socket, for msw and for other servers, and its controls. */
export interface S3Emulator extends HttpService, AsyncDisposable {
  /** The buckets there are now, by name. */
  readonly buckets: ReadonlyMap<string, FakeObjectStorage>
  /** The latest 10,000 requests, oldest first, as copies. */
  readonly requests: readonly S3Request[]
  /** The forced answers still to come. */
  readonly forced: readonly (ForcedAnswer & { readonly left: number })[]
  /**
   * Forces the answer to requests to come.
   * @throws PortError `invalid-argument` for what cannot be forced
   */
  force(answer: ForcedAnswer): void
  /** Takes back every {@link force}. */
  clearForced(): void
  /** Adds a bucket. Throws `invalid-argument` for a name that is taken or that no bucket can have. */
  addBucket(name: string, storage?: FakeObjectStorage): FakeObjectStorage
  /** Takes a bucket away with all that is in it. Absent is no error. One that was given is its owner's to close. */
  removeBucket(name: string): void
  /** Forgets requests and forced answers, and empties every bucket with its faults and journal; created ones go. */
  reset(): void
  /** Closes the buckets that were created here; those that were given are their owner's to close. */
  close(): Promise<void>
}

/** An emulator that is served on loopback. */
export interface S3Server extends S3Emulator {
  readonly port: number
  /** `http://127.0.0.1:PORT`: what SDKs call the endpoint. */
  readonly origin: string
}

/** @throws PortError `invalid-argument` for options that cannot be */
export function s3Emulator(options: S3EmulatorOptions = {}): S3Emulator {
  checkFields('options', options, ['buckets', 'credentials', 'dialect', 'region', 'hosts', 'clock'])
  return new Emulator(options)
}

/**
 * Starts the emulator on loopback and answers once it listens.
 * @throws PortError `invalid-argument` for options that cannot be; `unavailable` where the port is taken
 */
export async function startS3Emulator(options: StartS3EmulatorOptions = {}): Promise<S3Server> {
  const { port, host, ...rest } = options
  const emulator = s3Emulator(rest)
  const listener = await listen(emulator, {
    ...(port === undefined ? {} : { port }),
    ...(host === undefined ? {} : { host }),
  })
  return new ServedEmulator(emulator, listener)
}

class Emulator implements S3Emulator {
  readonly buckets: ReadonlyMap<string, FakeObjectStorage>
  readonly #storages = new Map<string, FakeObjectStorage>()
  readonly #created = new Set<FakeObjectStorage>()
  readonly #clock: Clock
  readonly #service: S3Service

  constructor(options: S3EmulatorOptions) {
    const { buckets = {}, credentials = [developmentCredentials], dialect = 'aws', region, hosts } = options
    checkCredentials(credentials)
    if (!Object.hasOwn(dialects, dialect)) {
      throw invalidArgument(`dialect must be one of ${Object.keys(dialects).join(', ')}`)
    }
    if (region !== undefined) checkText('region', region)
    this.buckets = this.#storages
    this.#clock = options.clock ?? Object.values(buckets)[0]?.clock ?? systemClock
    for (const [name, storage] of Object.entries(buckets)) this.addBucket(name, storage)
    this.#service = new S3Service({
      storages: this.#storages,
      createStorage: () => this.#create(),
      onRemoved: async (storage) => {
        if (this.#created.delete(storage)) await storage.guarded.close()
      },
      credentials: credentials.map((each) => ({ ...each })),
      dialect: dialects[dialect],
      region: region ?? 'us-east-1',
      isRegionChecked: region !== undefined,
      hosts,
      clock: this.#clock,
    })
  }

  get requests(): readonly S3Request[] {
    return this.#service.requests
  }

  get forced(): readonly (ForcedAnswer & { readonly left: number })[] {
    return this.#service.forced.pending
  }

  handle(request: HttpRequest): Promise<HttpReply | undefined> {
    return this.#service.handle(request)
  }

  force(answer: ForcedAnswer): void {
    this.#service.forced.add(answer)
  }

  clearForced(): void {
    this.#service.forced.clear()
  }

  addBucket(name: string, storage: FakeObjectStorage = this.#create()): FakeObjectStorage {
    if (!isBucketName(name)) {
      throw invalidArgument(
        'a bucket has a name of 3 to 63 lower-case letters, digits, dots and hyphens, as Amazon S3 takes it',
      )
    }
    if (this.#storages.has(name)) throw invalidArgument(`there is a bucket "${name}" already`)
    this.#storages.set(name, storage)
    return storage
  }

  removeBucket(name: string): void {
    const storage = this.#storages.get(name)
    this.#storages.delete(name)
    if (storage !== undefined && this.#created.delete(storage)) void storage.guarded.close()
  }

  reset(): void {
    this.#service.clear()
    for (const [name, storage] of this.#storages) {
      storage.reset()
      if (!this.#created.delete(storage)) continue
      this.#storages.delete(name)
      void storage.guarded.close()
    }
  }

  async close(): Promise<void> {
    const created = [...this.#created]
    this.#created.clear()
    await Promise.all(created.map((storage) => storage.guarded.close()))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #create(): FakeObjectStorage {
    const storage = new FakeObjectStorage({ clock: this.#clock })
    this.#created.add(storage)
    return storage
  }
}

class ServedEmulator implements S3Server {
  readonly port: number
  readonly origin: string
  readonly #emulator: S3Emulator
  readonly #listener: HttpListener

  constructor(emulator: S3Emulator, listener: HttpListener) {
    this.#emulator = emulator
    this.#listener = listener
    this.port = listener.port
    this.origin = listener.origin
  }

  get buckets(): ReadonlyMap<string, FakeObjectStorage> {
    return this.#emulator.buckets
  }

  get requests(): readonly S3Request[] {
    return this.#emulator.requests
  }

  get forced(): readonly (ForcedAnswer & { readonly left: number })[] {
    return this.#emulator.forced
  }

  handle(request: HttpRequest): Promise<HttpReply | undefined> {
    return this.#emulator.handle(request)
  }

  force(answer: ForcedAnswer): void {
    this.#emulator.force(answer)
  }

  addBucket(name: string, storage?: FakeObjectStorage): FakeObjectStorage {
    return this.#emulator.addBucket(name, storage)
  }

  removeBucket(name: string): void {
    this.#emulator.removeBucket(name)
  }

  clearForced(): void {
    this.#emulator.clearForced()
  }

  reset(): void {
    this.#emulator.reset()
  }

  async close(): Promise<void> {
    await this.#listener.close()
    await this.#emulator.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

function checkCredentials(credentials: readonly S3Credentials[]): void {
  const ids = new Set<string>()
  for (const each of credentials) {
    checkFields('credentials', each, ['accessKeyId', 'secretAccessKey', 'sessionToken'])
    checkText('accessKeyId', each.accessKeyId)
    checkText('secretAccessKey', each.secretAccessKey)
    if (each.sessionToken !== undefined) checkText('sessionToken', each.sessionToken)
    if (each.accessKeyId === '' || each.secretAccessKey === '') {
      throw invalidArgument('neither access key nor secret may be empty')
    }
    if (ids.has(each.accessKeyId)) throw invalidArgument('two credentials have the same access key')
    ids.add(each.accessKeyId)
  }
}
