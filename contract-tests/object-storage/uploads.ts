/** What holds for bodies longer than a part: their conditions, their checks, and what stays behind of them. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { PortError } from '../../src/errors.ts'
import type { ObjectBody, ObjectStorage, PutOptions } from '../../src/ports/object-storage.ts'
import { overNetwork } from '../common/network.ts'
import { expectPortError } from '../expect.ts'
import {
  bytesOf,
  insideOf,
  type ObjectBehaviour,
  overOnePartBytes,
  pattern,
  sameBytes,
  severalPartsBytes,
  streamOf,
  textAt,
  until,
} from './samples.ts'

const missed = { outcome: 'not-applied', retryable: false } as const
const undeclaredStream = ({ port }: { readonly port: ObjectStorage }): Promise<unknown> =>
  port.put('key', streamOf(pattern(1)), { ifAbsent: true })

/** A condition that no longer holds when the upload is completed; S3 may also name the write that came between. */
async function expectOvertaken(put: Promise<unknown>): Promise<void> {
  const error = await put.then(
    () => assert.fail('the condition was not looked at when the upload was completed'),
    (reason: unknown) => reason,
  )
  if (!PortError.is(error)) throw error
  assert.ok(['precondition-failed', 'conflict'].includes(error.code), error.message)
  assert.equal(error.outcome, 'not-applied', error.message)
}

/** The stream of `bytes`, which does `act` after its last byte is read and before it ends. */
async function* overtakenBy(bytes: Uint8Array, act: () => Promise<unknown>): AsyncGenerator<Uint8Array> {
  yield* streamOf(bytes, 1_000_000)
  await act()
}

export const uploads: readonly ObjectBehaviour[] = [
  {
    id: 'upload/if-match',
    sentence: 'ifMatch holds on bytes longer than a part: the right etag stores, any other does not.',
    capability: 'put-if-match',
    undeclared: ({ port }) => port.put('key', 'x', { ifMatch: '"etag"' }),
    async check({ port }) {
      const [first, second] = [pattern(overOnePartBytes, 1), pattern(overOnePartBytes, 2)]
      const old = await port.put('long', 'short before')
      const { etag } = await port.put('long', first, { ifMatch: old.etag })
      await expectPortError(port.put('long', second, { ifMatch: old.etag }), 'precondition-failed', missed)
      const kept = await port.get('long')
      assert.equal(kept?.info.etag, etag)
      assert.ok(sameBytes(await bytesOf(kept), first))
      await expectPortError(port.put('absent', second, { ifMatch: etag }), 'precondition-failed', missed)
      assert.equal(await port.head('absent'), undefined)
    },
  },
  {
    id: 'upload/if-match-on-a-stream',
    sentence:
      'ifMatch holds on streams, short and longer than a part, also for what came or went during the upload.',
    capability: 'conditional-stream',
    undeclared: undeclaredStream,
    async check({ port, capabilities }) {
      if (!capabilities.has('put-if-match')) {
        const call = port.put('key', streamOf(pattern(1)), { ifMatch: '"etag"' })
        await expectPortError(call, 'unsupported', { outcome: 'not-applied' })
        return
      }
      for (const length of [10, overOnePartBytes]) {
        const key = `stream-${length}`
        const [first, second] = [pattern(length, 1), pattern(length, 2)]
        const old = await port.put(key, 'before')
        const { etag } = await port.put(key, streamOf(first), { ifMatch: old.etag })
        await expectPortError(
          port.put(key, streamOf(second), { ifMatch: old.etag }),
          'precondition-failed',
          missed,
        )
        assert.ok(sameBytes(await bytesOf(await port.get(key)), first))
        await expectOvertaken(
          port.put(
            key,
            overtakenBy(second, () => port.put(key, 'sooner')),
            { ifMatch: etag },
          ),
        )
        assert.equal(await textAt(port, key), 'sooner')
        const sooner = (await port.head(key)) ?? assert.fail()
        const deleted = overtakenBy(second, () => port.delete(key))
        await expectOvertaken(port.put(key, deleted, { ifMatch: sooner.etag }))
        assert.equal(await port.head(key), undefined)
      }
    },
  },
  {
    id: 'upload/refused-condition-stops-the-source',
    sentence: 'Where the condition of a long stream does not hold, its source is told to stop.',
    capability: 'conditional-stream',
    undeclared: undeclaredStream,
    async check({ port }) {
      await port.put('taken', 'content')
      let stopped = false
      const source = async function* (): AsyncGenerator<Uint8Array> {
        try {
          yield* streamOf(pattern(overOnePartBytes), 1_000_000)
        } finally {
          stopped = true
        }
      }
      await expectPortError(port.put('taken', source(), { ifAbsent: true }), 'precondition-failed', missed)
      assert.ok(stopped)
      assert.equal(await textAt(port, 'taken'), 'content')
    },
  },
  {
    id: 'upload/wrong-size-or-checksum',
    sentence: 'A long body that is not as it was said to be stores nothing, however late that shows.',
    async check({ port }) {
      const bytes = pattern(overOnePartBytes)
      const sha256 = createHash('sha256').update(bytes).digest('base64')
      const wrong: readonly PutOptions[] = [
        { size: bytes.length - 1 },
        { size: bytes.length + 1 },
        { sha256: createHash('sha256').update('other').digest('base64') },
        { size: bytes.length + 1, sha256 },
      ]
      await port.put('old', 'old content')
      for (const [index, options] of wrong.entries()) {
        const call = port.put(index % 2 === 0 ? 'old' : 'new', streamOf(bytes, 1_000_000), options)
        await expectPortError(call, 'invalid-argument', missed)
      }
      assert.equal(await textAt(port, 'old'), 'old content')
      assert.equal(await port.head('new'), undefined)
      await port.put('new', streamOf(bytes, 1_000_000), { size: bytes.length, sha256 })
      assert.equal((await port.head('new'))?.size, bytes.length)
    },
  },
  {
    id: 'upload/lengths-around-parts',
    sentence: 'A body that is as long as a part, or a byte more or less, is stored whole.',
    async check({ port }) {
      const mebibyte = 1024 * 1024
      // The parts of the s3 adapter have 8 MiB by default, and 5 MiB at least.
      for (const parts of [5, 8]) {
        for (const more of [-1, 0, 1]) {
          const bytes = pattern(parts * mebibyte + more, parts)
          const body: ObjectBody = more === 0 ? bytes : streamOf(bytes, mebibyte)
          const { size, etag } = await port.put('long', body)
          const object = await port.get('long')
          assert.deepEqual([object?.info.size, object?.info.etag, size], [bytes.length, etag, bytes.length])
          assert.ok(sameBytes(await bytesOf(object), bytes), `${parts} MiB and ${more}`)
        }
      }
    },
  },
  {
    id: 'upload/chunks-of-any-length',
    sentence: 'Chunks of any length, one byte and several parts, make the same object.',
    async check({ port }) {
      const bytes = pattern(severalPartsBytes)
      const uneven = async function* (): AsyncGenerator<Uint8Array> {
        yield bytes.subarray(0, 1)
        yield new Uint8Array(0)
        yield bytes.subarray(1, 12_000_001)
        yield bytes.subarray(12_000_001, 12_000_002)
        yield bytes.subarray(12_000_002)
        yield new Uint8Array(0)
      }
      await port.put('whole', bytes)
      await port.put('uneven', uneven())
      assert.ok(sameBytes(await bytesOf(await port.get('uneven')), bytes))
      assert.equal((await port.head('uneven'))?.etag, (await port.head('whole'))?.etag)
    },
  },
  {
    id: 'upload/streams-of-the-platform',
    sentence: "A web stream, a blob's stream and a stream that gives Buffers are stored like any other.",
    async check({ port }) {
      const bytes = pattern(300_000)
      const pieces = [bytes.subarray(0, 100_000), bytes.subarray(100_000)]
      const web = new ReadableStream<Uint8Array>({
        start(controller) {
          for (const piece of pieces) controller.enqueue(piece)
          controller.close()
        },
      })
      const buffers = async function* (): AsyncGenerator<Uint8Array> {
        for (const piece of pieces) yield Buffer.from(piece)
      }
      const blob = new Blob([new Uint8Array(bytes)])
      const bodies = { web, buffers: buffers(), blob: blob.stream() }
      for (const [key, body] of Object.entries(bodies)) {
        await port.put(key, body)
        assert.ok(sameBytes(await bytesOf(await port.get(key)), bytes), key)
      }
    },
  },
  {
    id: 'upload/failed-leaves-no-parts',
    sentence: 'An upload whose stream fails, at its beginning, in between or at its end, leaves no parts.',
    needs: ['inside'],
    async check(context) {
      const { port, guarded } = context
      const { openUploads } = insideOf(context)
      let during = 0
      for (const before of [0, 1_000, overOnePartBytes, severalPartsBytes]) {
        const failing = async function* (): AsyncGenerator<Uint8Array> {
          yield* streamOf(pattern(before), 1_000_000)
          during = Math.max(during, await openUploads())
          throw new Error('the source failed')
        }
        await assert.rejects(port.put('failed', failing()), /the source failed/)
        assert.equal(await openUploads(), 0, `after ${before} bytes`)
      }
      assert.equal(await port.head('failed'), undefined)
      await guarded.close()
      assert.equal(await openUploads(), 0)
      // A subject that uploads nothing in parts has none to leave: that is no failure, and shows here as 0.
      assert.ok(during <= 1, `${during} uploads were under way at once`)
    },
  },
  {
    id: 'upload/cancelled-leaves-no-parts',
    sentence: 'An upload that is cancelled, at whatever byte, leaves no parts and stores nothing.',
    needs: ['inside'],
    async check(context) {
      const { port, guarded } = context
      const { openUploads } = insideOf(context)
      for (const afterBytes of [0, 4_000_000, 6_000_000, 9_000_000, 12_000_000, severalPartsBytes]) {
        const controller = new AbortController()
        const aborted = async function* (): AsyncGenerator<Uint8Array> {
          let sent = 0
          for await (const chunk of streamOf(pattern(severalPartsBytes), 1_000_000)) {
            if (sent >= afterBytes) controller.abort()
            yield chunk
            sent += chunk.length
            await new Promise((resolve) => setImmediate(resolve))
          }
          controller.abort()
        }
        const put = port.put('aborted', aborted(), { signal: controller.signal })
        await expectPortError(put, 'cancelled', { outcome: 'not-applied' })
        assert.equal(await port.head('aborted'), undefined, `after ${afterBytes} bytes`)
      }
      // Closing waits for what is still being cleaned up.
      await guarded.close()
      assert.equal(await openUploads(), 0)
    },
  },
  {
    id: 'upload/cancelled-as-it-begins-leaves-no-parts',
    sentence:
      'An upload that is cancelled while the service begins it ends at once, and closing leaves no trace of it.',
    needs: ['inside', 'network'],
    check: (context) =>
      overNetwork(context, async (guarded, network) => {
        const { openUploads } = insideOf(context)
        for (const afterMs of [20, 60, 120]) {
          network.delay(100)
          const controller = new AbortController()
          const { signal } = controller
          const put = guarded.port.put('aborted', pattern(overOnePartBytes), { signal })
          setTimeout(() => controller.abort(), afterMs)
          await expectPortError(put, 'cancelled', { outcome: 'not-applied' })
          network.mend()
          assert.equal(await guarded.port.head('aborted'), undefined)
        }
        await guarded.close()
        assert.equal(await openUploads(), 0)
      }),
  },
  {
    id: 'upload/refused-leaves-no-parts',
    sentence: 'An upload whose condition, size or checksum does not hold at its end leaves no parts.',
    needs: ['inside'],
    async check(context) {
      const { port, guarded, capabilities } = context
      const { openUploads } = insideOf(context)
      const bytes = pattern(overOnePartBytes)
      const size = bytes.length + 1
      await expectPortError(port.put('key', streamOf(bytes), { size }), 'invalid-argument', missed)
      if (capabilities.has('conditional-stream')) {
        await port.put('taken', 'x')
        const call = port.put('taken', streamOf(bytes), { ifAbsent: true })
        await expectPortError(call, 'precondition-failed', missed)
      }
      await guarded.close()
      assert.equal(await openUploads(), 0)
    },
  },
  {
    id: 'upload/of-parts-that-fail-for-good',
    sentence:
      'An upload that the service refuses half-way fails with its code, stores nothing and leaves no parts.',
    needs: ['force', 'inside'],
    async check(context) {
      const { port, force, guarded } = context
      const { openUploads } = insideOf(context)
      await port.put('old', 'old content')
      const halfWay = async function* (): AsyncGenerator<Uint8Array> {
        const bytes = pattern(severalPartsBytes)
        yield bytes.subarray(0, overOnePartBytes)
        // Parts of the first half are on their way: what comes next is refused.
        force?.('put', { error: 'permission-denied' })
        yield bytes.subarray(overOnePartBytes)
      }
      const expected = { outcome: 'not-applied', subject: 'old' } as const
      // A service that counts a put as one call may have begun it before: then the fault hits the next one.
      const first = await port.put('old', halfWay()).catch((error: unknown) => error)
      if (!PortError.is(first)) {
        await expectPortError(port.put('old', 'after'), 'permission-denied', expected)
      } else {
        assert.deepEqual([first.code, first.outcome], ['permission-denied', 'not-applied'])
        assert.equal(await textAt(port, 'old'), 'old content')
      }
      await until(async () => (await openUploads()) === 0, 'parts stayed behind')
      await guarded.close()
    },
  },
]
