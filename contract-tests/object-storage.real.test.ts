/**
 * The contract of object storage on a real S3 server, through the `s3` adapter, and what only a real server can
 * show. Run by `contract-tests/real-s3/run.sh`, or on any server whose bucket is empty and named in
 * PORTSIDE_TEST_S3_URL (PORTSIDE_TEST_S3_SERVER says which it is: `ceph-rgw@16.2.15`); not part of `npm test`.
 *
 * Where Ceph's gateway 16.2, which `run.sh` starts, is no measure for Amazon S3 the URL says so with `lacks`; the
 * behaviours stay unverified there:
 * - `put-if-match`: it answers 412 to every If-Match on a PUT, also to the right etag
 * - `conditional-stream`: it does not look at conditions when an upload in parts is completed
 * - `copy-if-match`: it does not look at x-amz-copy-source-if-match
 * Its other ways are met by the adapter and need no exception: no etag in the answer to a completed upload, etags
 * without quotes in the answer to a copy, no checksums of the newer SDKs (`checksums=when-required`). It keeps the
 * etag with the number of parts on a copy, where Amazon S3 gives a new one; the port promises neither.
 */
import assert from 'node:assert/strict'
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  ListMultipartUploadsCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import * as fc from 'fast-check'
import { afterAll, describe, test } from 'vitest'
import { s3 } from '../adapters/s3/index.ts'
import { FakeObjectStorage } from '../fakes/object-storage.ts'
import { systemClock } from '../src/calls/clock.ts'
import { type Guarded, type GuardOptions, guard } from '../src/calls/guard.ts'
import type { PortErrorCode } from '../src/errors.ts'
import type { ObjectStorage } from '../src/ports/object-storage.ts'
import { ServiceUrl } from '../src/services/url.ts'
import type { OpenSubject, Subject } from './contract.ts'
import { collect, expectPortError } from './expect.ts'
import { networkTo } from './network.ts'
import { S3Gateway } from './object-storage/gateway.ts'
import type { ObjectStorageInside } from './object-storage/samples.ts'
import { objectStorageContract } from './object-storage.ts'
import { objectCommands, runObjectCommand } from './object-storage-model.ts'
import { describeContract } from './vitest.ts'

const given = process.env.PORTSIDE_TEST_S3_URL
assert.ok(given, 'PORTSIDE_TEST_S3_URL must name a real S3 server: run contract-tests/real-s3/run.sh')
const template: string = given
const endpoint = new URL(template).searchParams.get('endpoint')
// Everything goes through the gateway; what was not ordered of it passes unchanged.
const gateway = await S3Gateway.start(endpoint ?? assert.fail('the URL must have an endpoint'))
afterAll(() => gateway.close())

interface Place {
  readonly bucket?: string
  readonly endpoint?: string
  readonly secret?: string
}

const canary = 'canary/of+a/wrong+secret+key+00000000000'
const seen = new Set<PortErrorCode>()

/** A client of that server, or of another bucket, endpoint or secret. */
async function connect(place: Place, options: GuardOptions = {}): Promise<Guarded<ObjectStorage>> {
  const text = new URL(template)
  if (place.bucket !== undefined) text.hostname = place.bucket
  if (place.secret !== undefined) text.password = encodeURIComponent(place.secret)
  text.searchParams.set('endpoint', place.endpoint ?? gateway.url)
  const parsed = ServiceUrl.parse(text.toString(), s3.parameters)
  if (!('url' in parsed)) assert.fail(`PORTSIDE_TEST_S3_URL: ${parsed.problems.join('; ')}`)
  assert.deepEqual(s3.validate?.(parsed.url), [])
  const driver = await s3.open(parsed.url, { service: 'objects', clock: systemClock })
  return guard(s3.port, driver, {
    secrets: parsed.url.secrets,
    observe: ({ error }) => void (error && seen.add(error.code)),
    ...options,
  })
}

let buckets = 0

/** A bucket of its own, removed with all that is in it. */
async function openBucket(): Promise<OpenSubject<ObjectStorage>> {
  buckets += 1
  const bucket = `portside-${process.pid}-${buckets}`
  const admin = await connect({ bucket })
  const client = admin.native as S3Client
  await client.send(new CreateBucketCommand({ Bucket: bucket }))
  const inside: ObjectStorageInside = {
    async openUploads() {
      const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }))
      return Uploads.length
    },
  }
  const network = networkTo(Number(new URL(gateway.url).port), (port) =>
    connect({ bucket, endpoint: `http://127.0.0.1:${port}` }),
  )
  // Signing asks no server, so nothing but the guard around the adapter can make it slow.
  let signingMs = 0
  const guarded = await connect(
    { bucket },
    {
      async intercept({ operation, signal }, proceed) {
        if (operation === 'signUrl' && signingMs > 0) await systemClock.sleep(signingMs, signal)
        return proceed()
      },
    },
  )
  return {
    guarded,
    inside,
    network,
    openAnother: () => connect({ bucket }),
    openObserved: (observe) => connect({ bucket }, { observe }),
    openRefused: () => connect({ bucket, secret: canary }),
    delayNext: (operation, ms) => {
      if (operation === 'signUrl') signingMs = ms
      else gateway.delayNext(operation, ms)
    },
    force: (operation, failure) => gateway.force(operation, failure),
    passTime: (ms) => systemClock.sleep(ms),
    canaries: [decodeURIComponent(new URL(template).password), canary],
    async dispose() {
      gateway.forget()
      await network.close()
      const keys = (await collect(admin.port.listAll())).map(({ key }) => key)
      await admin.port.deleteMany(keys)
      await client.send(new DeleteBucketCommand({ Bucket: bucket }))
      await admin.close()
    },
  }
}

const [product, version = 'unknown'] = process.env.PORTSIDE_TEST_S3_SERVER?.split('@') ?? []

const subject: Subject<ObjectStorage> = {
  name: 's3 on a real server',
  // Only run.sh knows which server it is.
  id: product === undefined ? undefined : `s3-on-${product}`,
  kind: 'real',
  adapter: 's3',
  server: async () => (product === undefined ? undefined : { product, version }),
  open: openBucket,
  openUnreachable: async () => ({
    guarded: await connect({ endpoint: 'http://127.0.0.1:1' }),
    canaries: [decodeURIComponent(new URL(template).password)],
  }),
}

describeContract(objectStorageContract, subject)

describe('s3 on a real server', () => {
  test('a wrong secret, an unknown key and a missing bucket have their own codes, and no error shows a secret', async () => {
    const wrong = new URL(template)
    wrong.password = 'canary-of-a-wrong-secret'
    const unknown = new URL(template)
    unknown.username = 'NOSUCHKEY'
    const missing = new URL(template)
    missing.hostname = 'no-such-bucket-anywhere'
    for (const [url, code] of [
      [wrong, 'unauthenticated'],
      [unknown, 'unauthenticated'],
      [missing, 'not-found'],
    ] as const) {
      const parsed = ServiceUrl.parse(url.toString(), s3.parameters)
      assert.ok('url' in parsed)
      const driver = await s3.open(parsed.url, { service: 'objects', clock: systemClock })
      const opened = guard(s3.port, driver)
      const { port } = opened
      const calls = [() => port.get('a'), () => port.put('a', 'x'), () => port.list(), () => port.delete('a')]
      for (const call of calls) {
        const error = await expectPortError(call(), code, { outcome: 'not-applied', retryable: false })
        const shown = JSON.stringify(error) + String(error.stack) + JSON.stringify(error.cause)
        assert.ok(!shown.includes('canary'), 'the secret is shown')
      }
      if (code === 'not-found') await expectPortError(port.head('a'), 'not-found')
      await expectPortError(opened.ping(), code)
      await opened.close()
    }
  })

  test('random commands answer on the fake what they answer here', async () => {
    const { guarded, dispose } = await openBucket()
    const real = guarded.port
    try {
      await fc.assert(
        fc.asyncProperty(objectCommands, async (commands) => {
          const fake = new FakeObjectStorage()
          await real.deleteMany((await real.list()).objects.map(({ key }) => key))
          for (const command of commands) {
            const [onFake, onReal] = [
              await runObjectCommand(fake, command),
              await runObjectCommand(real, command),
            ]
            assert.deepEqual(onReal, onFake, JSON.stringify(command))
          }
        }),
        { numRuns: 150 },
      )
    } finally {
      await guarded.close()
      await dispose?.()
    }
  })

  test('every code that a service can give was seen', () => {
    const possible: readonly PortErrorCode[] = [
      'not-found',
      'precondition-failed',
      'conflict',
      'invalid-argument',
      'unauthenticated',
      'permission-denied',
      'rejected',
      'rate-limited',
      'quota-exceeded',
      'unavailable',
      'timeout',
      'cancelled',
    ]
    assert.deepEqual(
      possible.filter((code) => !seen.has(code)),
      [],
    )
  })
})
