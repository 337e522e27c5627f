/** What holds for writing: bodies, attributes, failures half-way, races. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import type { ObjectAttributes } from '../../src/ports/object-storage.ts'
import { expectPortError } from '../expect.ts'
import {
  bytesOf,
  type ObjectBehaviour,
  oddKeys,
  pattern,
  sameBytes,
  severalPartsBytes,
  streamOf,
  textAt,
} from './samples.ts'

const attributes: Required<ObjectAttributes> = {
  contentType: 'text/plain; charset=utf-8',
  cacheControl: 'max-age=60, public',
  contentDisposition: 'attachment; filename="receipt 7.txt"',
  contentEncoding: 'gzip',
  contentLanguage: 'de, en',
  metadata: { 'order-id': '7', 'with.dot': 'a b  c', x: '!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~' },
}

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
    id: 'put/several-parts-keep-attributes',
    sentence: 'Attributes are kept also on a body of several parts.',
    async check({ port }) {
      const { etag } = await port.put('large', pattern(severalPartsBytes), attributes)
      const {
        key: _k,
        size,
        etag: headEtag,
        lastModified: _m,
        ...kept
      } = (await port.head('large')) ?? assert.fail()
      assert.deepEqual(kept, attributes)
      assert.equal(size, severalPartsBytes)
      assert.equal(headEtag, etag)
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
    id: 'put/content-type-default',
    sentence: 'A content type is kept as given; without one it is application/octet-stream.',
    async check({ port }) {
      await port.put('given.txt', 'x', { contentType: 'text/markdown' })
      await port.put('default.txt', 'x')
      assert.equal((await port.head('given.txt'))?.contentType, 'text/markdown')
      assert.equal((await port.head('default.txt'))?.contentType, 'application/octet-stream')
    },
  },
  {
    id: 'put/attributes-round-trip',
    sentence: 'Cache control, disposition, encoding, language and metadata come back, also on an empty body.',
    async check({ port }) {
      for (const body of ['x', '']) {
        await port.put('attributed', body, attributes)
        const info = await port.head('attributed')
        assert.deepEqual(info, { ...info, ...attributes })
        const object = await port.get('attributed')
        assert.deepEqual(object?.info, info)
        assert.equal(Buffer.from(await bytesOf(object)).toString(), body)
      }
    },
  },
  {
    id: 'put/metadata-limits',
    sentence:
      'Metadata of 2 048 bytes is kept; more, and names or values that would not come back, are refused.',
    async check({ port }) {
      const metadata = { a: 'v'.repeat(1_000), b: 'v'.repeat(1_046) }
      await port.put('most', 'x', { metadata })
      assert.deepEqual((await port.head('most'))?.metadata, metadata)
      const refused: Record<string, string>[] = [
        { ...metadata, c: 'v' },
        { Upper: 'v' },
        { '': 'v' },
        { 'a b': 'v' },
        { 'a:b': 'v' },
        { é: 'v' },
        { a: '' },
        { a: 'é' },
        { a: ' v' },
        { a: 'v\r\nx-amz-acl: public-read' },
        { a: 'v\0' },
        { a: '\ud800' },
        { a: 7 as never },
        JSON.parse('{"__proto__":"v"}'),
      ]
      for (const bad of refused) {
        const call = port.put('refused', 'x', { metadata: bad })
        await expectPortError(call, 'invalid-argument', { outcome: 'not-applied' })
      }
      assert.equal(await port.head('refused'), undefined)
    },
  },
  {
    id: 'put/header-injection-is-refused',
    sentence: 'An attribute that would break out of its header, or not come back, is invalid-argument.',
    async check({ port }) {
      const names = [
        'contentType',
        'cacheControl',
        'contentDisposition',
        'contentEncoding',
        'contentLanguage',
      ]
      for (const name of names) {
        for (const value of ['a\r\nb: c', 'a\nb', '', ' a', 'ü', 'a\0', 'a'.repeat(2_049), 7]) {
          await expectPortError(port.put('injected', 'x', { [name]: value }), 'invalid-argument')
        }
      }
      await expectPortError(
        port.put('injected', 'x', { contentEncoding: 'gzip, aws-chunked' }),
        'invalid-argument',
      )
      assert.equal(await port.head('injected'), undefined)
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
        for (let turn = 0; turn < 100 && !stopped; turn += 1) await new Promise((r) => setTimeout(r, 5))
        assert.ok(stopped, 'the source was not told to stop')
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
      assert.equal(seen[1], undefined)
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
  {
    id: 'keys/odd-keys-are-exact',
    sentence: 'Every odd key is a key of its own that put, head, get, list, copy and delete take exactly.',
    async check({ port }) {
      await Promise.all(oddKeys.map((key) => port.put(key, `content of ${key}`)))
      for (const key of oddKeys) {
        assert.equal(await textAt(port, key), `content of ${key}`, JSON.stringify(key))
        assert.equal((await port.head(key))?.key, key)
      }
      const listed = (await port.list()).objects.map(({ key }) => key)
      assert.deepEqual(new Set(listed), new Set(oddKeys))
      for (const key of oddKeys) {
        assert.deepEqual(
          (await port.list({ prefix: key, pageSize: 1 })).objects[0]?.key,
          key,
          JSON.stringify(key),
        )
        await port.copy(key, 'copy')
        assert.equal(await textAt(port, 'copy'), `content of ${key}`, JSON.stringify(key))
      }
      await port.delete('copy')
      await port.delete('/leading-slash')
      const deleted = await port.deleteMany(oddKeys.filter((key) => key !== '/leading-slash'))
      assert.deepEqual(
        deleted.items.filter(({ error }) => error),
        [],
      )
      assert.deepEqual((await port.list()).objects, [])
    },
  },
  {
    id: 'keys/bad-keys-are-refused',
    sentence:
      'A key that is empty, too long, not UTF-8, with NUL or above its own beginning is invalid-argument.',
    async check({ port }) {
      const bad = [
        '',
        'k'.repeat(1_025),
        '😀'.repeat(257),
        '\ud800',
        'a\udc00b',
        'a\0b',
        '..',
        '../a',
        'a/../../b',
        '/..',
        7,
        undefined,
        null,
      ]
      for (const key of bad as string[]) {
        for (const call of [
          () => port.put(key, 'x'),
          () => port.get(key),
          () => port.head(key),
          () => port.delete(key),
          () => port.deleteMany(['fine', key]),
          () => port.copy(key, 'b'),
          () => port.copy('a', key),
        ]) {
          await expectPortError(call(), 'invalid-argument', { outcome: 'not-applied' })
        }
      }
      await expectPortError(port.deleteMany('key' as never), 'invalid-argument')
    },
  },
]
