/** The `s3` adapter on the S3 emulator, as a subject of the contract and for the tests beside it. */
import assert from 'node:assert/strict'
import { s3 } from '../adapters/s3/index.ts'
import { type DialectName, type S3Server, startS3Emulator } from '../fakes/emulators/s3.ts'
import { bucketOf } from '../fakes/object-storage/bucket.ts'
import { FakeObjectStorage } from '../fakes/object-storage.ts'
import { type Clock, systemClock, VirtualClock } from '../src/calls/clock.ts'
import { type Guarded, type GuardOptions, guard } from '../src/calls/guard.ts'
import type { ObjectStorage } from '../src/ports/object-storage.ts'
import { ServiceUrl } from '../src/services/url.ts'
import type { OpenSubject, Subject } from './contract.ts'
import { networkTo } from './network.ts'
import type { ObjectStorageInside } from './object-storage.ts'

const bucket = 'contract'
export const secret = 'canary/of+the/emulator+secret'
const wrongSecret = 'canary/of+a/wrong+secret'

/** What the URL of a client says beside the emulator's own. */
export interface ClientPlace {
  readonly port: number
  readonly secret?: string
  /** Further parameters of the URL. */
  readonly parameters?: Readonly<Record<string, string>>
}

/** A client of the emulator on that port. */
export async function connectS3(
  { port, secret: own = secret, parameters = {} }: ClientPlace,
  options: GuardOptions = {},
): Promise<Guarded<ObjectStorage>> {
  const url = new URL(`s3://contract:${encodeURIComponent(own)}@${bucket}`)
  url.searchParams.set('endpoint', `http://127.0.0.1:${port}`)
  url.searchParams.set('pathStyle', 'true')
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
  const parsed = ServiceUrl.parse(url.toString(), s3.parameters)
  if (!('url' in parsed)) assert.fail(parsed.problems.join('; '))
  assert.deepEqual(s3.validate?.(parsed.url), [])
  const driver = await s3.open(parsed.url, { service: 'objects', clock: systemClock })
  return guard(s3.port, driver, { secrets: parsed.url.secrets, ...options })
}

/** An emulator with one bucket. */
export async function startBucket(
  dialect: DialectName = 'aws',
  clock: Clock = systemClock,
  place: { readonly storage?: FakeObjectStorage; readonly port?: number } = {},
): Promise<{ readonly storage: FakeObjectStorage; readonly server: S3Server }> {
  const { storage = new FakeObjectStorage({ clock }), port = 0 } = place
  const credentials = [{ accessKeyId: 'contract', secretAccessKey: secret }]
  const server = await startS3Emulator({ buckets: { [bucket]: storage }, credentials, dialect, port })
  return { storage, server }
}

/** The adapter on an emulator of its own. */
export function emulated(
  name: string,
  dialect: DialectName = 'aws',
  parameters: Readonly<Record<string, string>> = {},
): Subject<ObjectStorage> {
  const open = async (): Promise<OpenSubject<ObjectStorage>> => {
    // A wait that is forced, and the deadline that it runs into, take no time; only a wire that is silent does.
    const clock = new VirtualClock()
    const { storage, server: first } = await startBucket(dialect, clock)
    let server = first
    const { port } = server
    const at = (port: number, own = secret): ClientPlace => ({ port, secret: own, parameters })
    const network = networkTo(port, (own) => connectS3(at(own)))
    const inside: ObjectStorageInside = { openUploads: async () => bucketOf(storage)?.uploads.size ?? 0 }
    // Signing asks no server, so nothing but the guard around the adapter can make it slow.
    let signingMs = 0
    const guarded = await connectS3(at(port), {
      clock,
      async intercept({ operation, signal }, proceed) {
        if (operation === 'signUrl' && signingMs > 0) await clock.sleep(signingMs, signal)
        return proceed()
      },
    })
    return {
      guarded,
      inside,
      network,
      openAnother: () => connectS3(at(port)),
      openObserved: (observe) => connectS3(at(port), { observe }),
      openRefused: () => connectS3(at(port, wrongSecret)),
      delayNext: (operation, latencyMs) => {
        if (operation === 'signUrl') signingMs = latencyMs
        else storage.faults.next(operation as 'put', { latencyMs })
      },
      force: (operation, { reason, ...failure }) => {
        const own = failure.error === 'rejected' && reason !== undefined ? { ...failure, reason } : failure
        storage.faults.next(operation as 'put', own)
      },
      passTime: async (ms) => clock.advance(ms),
      server: {
        kill: () => server.close(),
        restart: async () => {
          ;({ server } = await startBucket(dialect, clock, { storage, port }))
        },
      },
      canaries: [secret, wrongSecret],
      async dispose() {
        await network.close()
        await server.close()
        await storage.guarded.close()
      },
    }
  }
  return {
    name,
    // Its other dialects are variants.
    id: dialect === 'aws' ? 's3-on-emulator' : undefined,
    kind: 'emulator',
    adapter: 's3',
    open,
    openUnreachable: async () => ({
      guarded: await connectS3({ port: 1, parameters }),
      canaries: [secret],
    }),
  }
}
