/** S3 among the emulations: one service of many buckets, which share their faults and their journal. */
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { invalidArgument } from '../../../src/errors.ts'
import { type ObjectAttributes, ObjectStorage } from '../../../src/ports/object-storage.ts'
import { bucketOf } from '../../object-storage/bucket.ts'
import { FakeObjectStorage, fake } from '../../object-storage.ts'
import { corruptState, readStateFile, stateFileName, writeStateFile } from '../../state-file.ts'
import { array, integer, object, type Schema, text } from '../control/schema.ts'
import { type HttpListener, type HttpReply, type HttpRequest, listen } from '../http.ts'
import { developmentCredentials, type ForcedAnswer, type S3Emulator, s3Emulator } from '../s3.ts'
import { fakeOf, forceAll } from './common.ts'
import type { Emulation, EmulationOptions, Place, Protocol } from './protocol.ts'
import { bytesOf, checkEntry, type SeedBody, seedBody } from './seed.ts'

interface SeededObject extends ObjectAttributes {
  readonly bucket?: string
  readonly key: string
  readonly body: SeedBody
}

interface S3Seed {
  readonly buckets?: readonly string[]
  readonly objects?: readonly SeededObject[]
}

const strings: Schema = { type: 'object', additionalProperties: text() }

const seedSchema: Schema = object({
  'buckets?': array(text(), 'made where absent'),
  'objects?': array(
    object({
      'bucket?': text('the first one where absent; made where there is none such'),
      key: text(),
      body: seedBody,
      'contentType?': text(),
      'cacheControl?': text(),
      'contentDisposition?': text(),
      'contentEncoding?': text(),
      'contentLanguage?': text(),
      'metadata?': strings,
    }),
    'as ObjectStorage.put takes them',
  ),
})

const forcedSchema: Schema = object({
  operation: text("S3's own name, such as UploadPart; * for any"),
  'key?': text(),
  'times?': integer(1, Number.MAX_SAFE_INTEGER),
  'skip?': integer(0, Number.MAX_SAFE_INTEGER),
  'delayMs?': integer(0, Number.MAX_SAFE_INTEGER),
  'code?': text("S3's, such as SlowDown"),
  'status?': integer(200, 599),
  'headers?': strings,
  'body?': text(),
  'drop?': text(undefined, { enum: ['before', 'after', 'body'] }),
  'lateCode?': text('status 200, then this code in the body'),
})

export const s3Protocol: Protocol = {
  port: 'object-storage',
  usualPort: 9000,
  create: async (options) => new S3Emulation(options),
}

class S3Emulation implements Emulation {
  readonly service: string
  readonly protocol = 's3'
  readonly seedSchema = seedSchema
  readonly forcedSchema = forcedSchema
  readonly #options: EmulationOptions
  readonly #credentials: { readonly accessKeyId: string; readonly secretAccessKey: string }
  readonly #emulator: S3Emulator
  /** Holds faults and journal for all buckets, and no objects. */
  readonly #leader: FakeObjectStorage
  readonly #known = new Map<string, FakeObjectStorage>()
  readonly #listeners = new Set<() => void>()
  #listener: HttpListener | undefined

  constructor(options: EmulationOptions) {
    const { accessKeyId, secretAccessKey } = options.credentials
    if ((accessKeyId === undefined) !== (secretAccessKey === undefined))
      throw invalidArgument('s3 needs an access key and a secret access key, or neither')
    this.service = options.service
    this.#options = options
    this.#credentials =
      accessKeyId === undefined || secretAccessKey === undefined
        ? developmentCredentials
        : { accessKeyId, secretAccessKey }
    this.#leader = this.#storage()
    this.#emulator = s3Emulator({ credentials: [this.#credentials], clock: options.clock })
    this.#makeBuckets(options.buckets)
  }

  get faults(): FakeObjectStorage['faults'] {
    return this.#leader.faults
  }

  get journal(): FakeObjectStorage['journal'] {
    return this.#leader.journal
  }

  onChange(listener: () => void): void {
    this.#listeners.add(listener)
  }

  state(): unknown {
    const buckets = [...this.#emulator.buckets].map(([name, storage]) => {
      const bucket = bucketOf(storage)
      const objects = (bucket?.keys() ?? []).flatMap((key) => {
        const version = bucket?.get(key)
        if (version === undefined) return []
        const { attributes, content, etag, lastModifiedMs, tags } = version
        const lastModified = new Date(lastModifiedMs).toISOString()
        return [
          { key, size: content.size, etag, lastModified, ...attributes, tags: Object.fromEntries(tags) },
        ]
      })
      const uploads = [...(bucket?.uploads.values() ?? [])].map(({ id, key, initiatedMs, parts }) => ({
        id,
        key,
        initiated: new Date(initiatedMs).toISOString(),
        parts: [...parts.values()].map(({ number, size, etag }) => ({ number, size, etag })),
      }))
      return [name, { objects, uploads, tags: Object.fromEntries(bucket?.tags ?? []) }] as const
    })
    return { buckets: Object.fromEntries(buckets) }
  }

  async seed(name: string, data: unknown, folder: string | undefined): Promise<number> {
    const { buckets = [], objects = [] } = data as S3Seed
    const [first] = this.#options.buckets
    const seeds: { bucket: string; key: string; seed: Parameters<FakeObjectStorage['seed']>[0][string] }[] =
      []
    const { check } = ObjectStorage.operations.put
    for (const [index, { bucket = first ?? '', key, body: given, ...attributes }] of objects.entries()) {
      const entry = `${name}.objects[${index}]`
      const body = await bytesOf(`${entry}.body`, given, folder)
      checkEntry(entry, () => check?.(key, body, attributes as Readonly<Record<string, unknown>>))
      seeds.push({ bucket, key, seed: { ...attributes, body } })
    }
    const names = new Set([...buckets, ...seeds.map(({ bucket }) => bucket)])
    checkEntry(name, () => this.#makeBuckets([...names]))
    for (const { bucket, key, seed } of seeds) this.#emulator.buckets.get(bucket)?.seed({ [key]: seed })
    return names.size === 0 ? 0 : buckets.length + seeds.length
  }

  force(rules: readonly object[]): void {
    forceAll(this, rules, (rule) => this.#emulator.force(rule as ForcedAnswer))
  }

  forced(): readonly object[] {
    return this.#emulator.forced
  }

  clearForced(): void {
    this.#emulator.clearForced()
  }

  reset(): void {
    this.#emulator.reset()
    this.#leader.reset()
    for (const [name, storage] of this.#known)
      if (!this.#options.buckets.includes(name)) this.#drop(name, storage)
    this.#makeBuckets(this.#options.buckets)
  }

  /** Each bucket in a folder of its own, and then the list of them. */
  async save(folder: string): Promise<void> {
    const buckets = [...this.#emulator.buckets]
    for (const [name, storage] of buckets) await storage.save(join(folder, 'buckets', name))
    const names = buckets.map(([name]) => name)
    await writeStateFile(folder, 's3', { nowMs: this.#options.clock.now(), state: { buckets: names } })
    await mkdir(join(folder, 'buckets'), { recursive: true })
    for (const name of await readdir(join(folder, 'buckets'))) {
      if (!names.includes(name)) await rm(join(folder, 'buckets', name), { recursive: true, force: true })
    }
  }

  async load(folder: string): Promise<void> {
    const { state } = await readStateFile(folder, 's3')
    const { buckets: names } = (state ?? {}) as { readonly buckets?: unknown }
    const isNamed = (value: unknown): value is readonly string[] =>
      Array.isArray(value) && value.every((name) => typeof name === 'string')
    if (!isNamed(names)) throw corruptState(join(folder, stateFileName), 'it names no buckets')
    const loaded = new Map<string, FakeObjectStorage>()
    try {
      for (const name of names) {
        const storage = this.#storage()
        loaded.set(name, storage)
        await storage.load(join(folder, 'buckets', name))
      }
    } catch (error) {
      for (const storage of loaded.values()) await storage.guarded.close()
      throw error
    }
    // Nothing waits from here on, so no request sees half of it.
    for (const [name, storage] of this.#known) this.#drop(name, storage)
    for (const [name, storage] of loaded) this.#add(name, storage)
  }

  async start({ host, port }: Place): ReturnType<Emulation['start']> {
    this.#listener = await listen({ handle: (request) => this.#handle(request) }, { host, port })
    const { origin } = this.#listener
    const { accessKeyId, secretAccessKey } = this.#credentials
    const url = new URL(`s3://${this.#options.buckets[0] ?? 'bucket'}`)
    Object.assign(url, { username: accessKeyId, password: secretAccessKey })
    url.search = String(new URLSearchParams({ endpoint: origin, pathStyle: 'true' }))
    return {
      url: origin,
      port: this.#listener.port,
      serviceUrl: url.href,
      environment: {
        AWS_ENDPOINT_URL_S3: origin,
        AWS_ACCESS_KEY_ID: accessKeyId,
        AWS_SECRET_ACCESS_KEY: secretAccessKey,
        AWS_REGION: 'us-east-1',
      },
      notes: [`buckets ${[...this.#emulator.buckets.keys()].join(', ')}`, 'any region'],
    }
  }

  async stop(): Promise<void> {
    await this.#listener?.close()
  }

  async close(): Promise<void> {
    await this.#emulator.close()
    await this.#leader.guarded.close()
    for (const storage of this.#known.values()) await storage.guarded.close()
  }

  async #handle(request: HttpRequest): Promise<HttpReply | undefined> {
    try {
      return await this.#emulator.handle(request)
    } finally {
      this.#sync()
      // Not every change is one of the port's: parts, tags, buckets.
      if (request.method !== 'GET' && request.method !== 'HEAD')
        for (const listener of this.#listeners) listener()
    }
  }

  /** Buckets come and go over the wire. */
  #sync(): void {
    for (const [name, storage] of this.#emulator.buckets) {
      if (this.#known.get(name) === storage) continue
      storage.follow(this.#leader)
      this.#known.set(name, storage)
    }
    for (const [name, storage] of this.#known)
      if (this.#emulator.buckets.get(name) !== storage) this.#drop(name, storage)
  }

  /** @throws PortError `invalid-argument` for a name that no bucket can have; then none is made */
  #makeBuckets(names: readonly string[]): void {
    const made: string[] = []
    try {
      for (const name of names) {
        if (this.#emulator.buckets.has(name)) continue
        this.#add(name, this.#storage())
        made.push(name)
      }
    } catch (error) {
      for (const name of made) {
        const storage = this.#known.get(name)
        if (storage !== undefined) this.#drop(name, storage)
      }
      throw error
    }
  }

  #add(name: string, storage: FakeObjectStorage): void {
    this.#emulator.addBucket(name, storage)
    this.#known.set(name, storage)
  }

  #drop(name: string, storage: FakeObjectStorage): void {
    this.#known.delete(name)
    if (this.#emulator.buckets.get(name) === storage) this.#emulator.removeBucket(name)
    void storage.guarded.close()
  }

  #storage(): FakeObjectStorage {
    const { service, clock, seed, fake: factory = fake } = this.#options
    const storage = fakeOf(FakeObjectStorage, factory.create({ service, clock, seed }), service)
    if (this.#leader !== undefined) storage.follow(this.#leader)
    return storage
  }
}
