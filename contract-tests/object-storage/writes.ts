/** What holds for writing: bodies of every form, failures half-way, races. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { expectPortError } from '../expect.ts'
import { attributes } from './attributes.ts'
import {
  bytesOf,
  type ObjectBehaviour,
  pattern,
  sameBytes,
  severalPartsBytes,
  streamOf,
  textAt,
  until,
} from './samples.ts'

export const writes: readonly ObjectBehaviour[] = [
  {
    id: 'put/bytes-come-back',
    sentence: 'Bytes, all 256 values, none, one and many, come back as they were put.',
    async check({ port }) {
      const all = Uint8Array.from({ length: 256 }, (_, value) => value)
      for (const bytes of [all, new Uint8Array(0), Uint8Array.of(0), pattern(300_001)]) {
        await port.put('bytes', bytes)
        assert.ok(sameBytes(await bytesOf(await port.get('bytes')), bytes), `${bytes.length} bytes`)
      }
    },
  },
  {
    id: 'put/text-is-utf8',
    sentence: 'A string is stored as its UTF-8 bytes.',
    async check({ port }) {
      await port.put('text', 'naïve 👍')
      assert.deepEqual(await bytesOf(await port.get('text')), new Uint8Array(Buffer.from('naïve 👍')))
    },
  },
  {
    id: 'put/empty-object',
    sentence: 'An empty object is there, with size 0 and a body without bytes.',
    async check({ port }) {
      const written = await port.put('empty', '')
      assert.equal(written.size, 0)
      assert.equal((await port.head('empty'))?.size, 0)
      assert.equal((await bytesOf(await port.get('empty'))).length, 0)
    },
  },
  {
    id: 'put/stream',
    sentence: 'A stream of known or unknown length is stored whole, empty chunks and all.',
    async check({ port }) {
      const bytes = pattern(200_000)
      await port.put('known', streamOf(bytes, 7_001), { size: bytes.length })
      await port.put('unknown', streamOf(bytes, 7_001))
      await port.put('none', streamOf(new Uint8Array(0)))
      await port.put(
        'gaps',
        (async function* () {
          yield new Uint8Array(0)
          yield bytes
          yield new Uint8Array(0)
        })(),
      )
      for (const key of ['known', 'unknown', 'gaps']) {
        assert.ok(sameBytes(await bytesOf(await port.get(key)), bytes), key)
      }
      assert.equal((await port.head('none'))?.size, 0)
    },
  },
  {
    id: 'put/several-parts',
    sentence: 'A body longer than any part, as bytes or as a stream, comes back in order.',
    async check({ port }) {
      const bytes = pattern(severalPartsBytes)
      const streamed = await port.put('stream', streamOf(bytes, 1_000_003))
      assert.equal(streamed.size, bytes.length)
      await port.put('bytes', bytes)
      for (const key of ['stream', 'bytes']) {
        assert.ok(sameBytes(await bytesOf(await port.get(key)), bytes), key)
      }
    },
  },
  {
    id: 'put/reused-buffer-of-a-stream',
    sentence: 'A stream may reuse its buffer for each chunk.',
    async check({ port }) {
      const buffer = new Uint8Array(4)
      await port.put(
        'reused',
        (async function* () {
          for (let round = 1; round <= 3; round += 1) yield buffer.fill(round)
        })(),
      )
      assert.deepEqual([...(await bytesOf(await port.get('reused')))], [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3])
    },
  },
  {
    id: 'put/takes-a-copy',
    sentence: 'Changing the bytes or the metadata after the call changes nothing stored.',
    async check({ port }) {
      const bytes = Uint8Array.of(1, 2, 3)
      const metadata = { a: 'b' }
      const put = port.put('copied', bytes, { metadata })
      bytes.fill(9)
      await put
      metadata.a = 'changed'
      const object = await port.get('copied')
      assert.deepEqual([...(await bytesOf(object))], [1, 2, 3])
      assert.deepEqual(object?.info.metadata, { a: 'b' })
    },
  },
  {
    id: 'put/overwrites',
    sentence: 'A second put replaces content, attributes and metadata altogether.',
    async check({ port }) {
      const first = await port.put('twice', 'first, longer', attributes)
      const second = await port.put('twice', 'second')
      const info = await port.head('twice')
      assert.notEqual(first.etag, second.etag)
      assert.equal(await textAt(port, 'twice'), 'second')
      assert.deepEqual(info, { ...info, size: 6, contentType: 'application/octet-stream', metadata: {} })
      assert.equal(info?.cacheControl, undefined)
    },
  },
  {
    id: 'put/answers-what-head-shows',
    sentence: 'The size and etag that put answers are those that head shows.',
    async check({ port }) {
      const { key, size, etag } = await port.put('shown', 'content')
      const info = await port.head('shown')
      assert.deepEqual({ key, size, etag }, { key: info?.key, size: info?.size, etag: info?.etag })
      assert.match(etag, /^"[^"]+"$/)
    },
  },
  {
    id: 'put/checksum',
    sentence:
      'A body with the sha256 it was said to have is stored; another is refused and leaves the old object.',
    async check({ port }) {
      const bytes = pattern(70_000)
      const sha256 = createHash('sha256').update(bytes).digest('base64')
      await port.put('checked', bytes, { sha256 })
      await port.put('checked', streamOf(bytes), { sha256 })
      const other = bytes.with(0, (bytes[0] ?? 0) ^ 1)
      await expectPortError(port.put('checked', other, { sha256 }), 'invalid-argument', {
        outcome: 'not-applied',
      })
      const stream = port.put('checked', streamOf(other), { sha256 })
      await expectPortError(stream, 'invalid-argument', { outcome: 'not-applied' })
      for (const bad of ['', 'abc', sha256.slice(1), `${sha256}=`, sha256.replace('=', '!'), 7 as never]) {
        await expectPortError(port.put('checked', bytes, { sha256: bad }), 'invalid-argument')
      }
      assert.ok(sameBytes(await bytesOf(await port.get('checked')), bytes))
    },
  },
  {
    id: 'put/declared-size',
    sentence: 'A body of another size than it was said to have is refused and stores nothing.',
    async check({ port }) {
      const bytes = pattern(1_000)
      for (const size of [999, 1_001, 0]) {
        await expectPortError(port.put('sized', bytes, { size }), 'invalid-argument')
        const stream = port.put('sized', streamOf(bytes, 300), { size })
        await expectPortError(stream, 'invalid-argument', { outcome: 'not-applied' })
      }
      for (const size of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 60]) {
        await expectPortError(port.put('sized', bytes, { size }), 'invalid-argument')
      }
      assert.equal(await port.head('sized'), undefined)
    },
  },
  {
    id: 'put/bad-body-is-refused',
    sentence: 'A body that is no bytes, no well-formed text and no stream of bytes is refused.',
    async check({ port }) {
      for (const body of [undefined, null, 7, {}, [1, 2], '\ud800', new ArrayBuffer(2)]) {
        await expectPortError(port.put('bad', body as never), 'invalid-argument')
      }
      const stream = (async function* () {
        yield Uint8Array.of(1)
        yield 'text'
      })()
      await expectPortError(port.put('bad', stream as never), 'invalid-argument')
      assert.equal(await port.head('bad'), undefined)
    },
  },
  {
    id: 'put/failed-stream-changes-nothing',
    sentence:
      'A stream that throws leaves the old object, or none, and its error reaches the caller as it is.',
    async check({ port }) {
      await port.put('old', 'old content')
      const failure = new Error('the source failed')
      for (const before of [10, severalPartsBytes]) {
        const failing = async function* (): AsyncGenerator<Uint8Array> {
          yield* streamOf(pattern(before), 1_000_000)
          throw failure
        }
        for (const key of ['old', 'new']) {
          const thrown = await port.put(key, failing()).catch((error: unknown) => error)
          assert.equal(thrown, failure)
        }
      }
      assert.equal(await textAt(port, 'old'), 'old content')
      assert.equal(await port.head('new'), undefined)
    },
  },
  {
    id: 'put/aborted-stream-changes-nothing',
    sentence: 'A put that is cancelled before its stream ends leaves the old object and stops the source.',
    async check({ port }) {
      await port.put('old', 'old content')
      for (const before of [10, severalPartsBytes]) {
        const controller = new AbortController()
        let stopped = false
        const endless = async function* (): AsyncGenerator<Uint8Array> {
          try {
            yield* streamOf(pattern(before), 1_000_000)
            controller.abort()
            for (;;) {
              await new Promise((resolve) => setImmediate(resolve))
              yield Uint8Array.of(1)
            }
          } finally {
            stopped = true
          }
        }
        const call = port.put('old', endless(), { signal: controller.signal })
        await expectPortError(call, 'cancelled', { outcome: 'not-applied' })
        await until(() => stopped, 'the source was not told to stop')
      }
      assert.equal(await textAt(port, 'old'), 'old content')
    },
  },
  {
    id: 'put/not-visible-before-complete',
    sentence: 'Until a stream has ended, readers see the old object, and lists do not show a new one.',
    async check({ port }) {
      await port.put('old', 'old content')
      const seen: unknown[] = []
      const watched = async function* (): AsyncGenerator<Uint8Array> {
        yield* streamOf(pattern(severalPartsBytes), 1_000_000)
        seen.push(await textAt(port, 'old'), await port.head('new'))
        seen.push((await port.list()).objects.map(({ key }) => key))
      }
      await port.put('old', watched())
      assert.deepEqual(seen.splice(0), ['old content', undefined, ['old']])
      await port.put('new', watched())
      assert.deepEqual(seen.slice(1), [undefined, ['old']])
      assert.equal((await port.head('new'))?.size, severalPartsBytes)
    },
  },
  {
    id: 'put/parallel-writers-do-not-mix',
    sentence: 'Of parallel writers on one key the object is exactly one, with its own metadata.',
    async check({ port }) {
      const bodies = Array.from({ length: 8 }, (_, index) => pattern(100_000 + index, index + 1))
      await Promise.all(
        bodies.map((body, index) => port.put('raced', body, { metadata: { writer: String(index) } })),
      )
      const object = await port.get('raced')
      const winner = Number(object?.info.metadata.writer)
      assert.ok(sameBytes(await bytesOf(object), bodies[winner] ?? new Uint8Array()))
    },
  },
]
