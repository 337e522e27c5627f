/** What holds for reading: absence, ranges, streams that end early or are overtaken, attributes. */
import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import { expectPortError } from '../expect.ts'
import {
  bytesOf,
  type ObjectBehaviour,
  overOnePartBytes,
  pattern,
  sameBytes,
  severalPartsBytes,
  textAt,
} from './samples.ts'

export const reads: readonly ObjectBehaviour[] = [
  {
    id: 'get/absent-is-undefined',
    sentence: 'get and head of an absent key are undefined, also where keys lie below it.',
    async check({ port }) {
      await port.put('folder/file', 'x')
      for (const key of ['absent', 'folder', 'folder/', 'folder/fil', 'folder/file/']) {
        assert.equal(await port.get(key), undefined)
        assert.equal(await port.head(key), undefined)
      }
    },
  },
  {
    id: 'get/keys-are-case-sensitive',
    sentence: 'Keys that differ in case or Unicode form are different keys.',
    async check({ port }) {
      await port.put('Key é', 'composed')
      for (const key of ['key é', 'KEY é', 'Key e\u0301', 'Key é '])
        assert.equal(await port.head(key), undefined)
    },
  },
  {
    id: 'get/ranges',
    sentence: 'A range answers the bytes asked for, cut to the object, and says which they are.',
    async check({ port }) {
      const bytes = pattern(1_000)
      await port.put('ranged', bytes)
      const cases = [
        [{ start: 0, end: 0 }, 0, 0],
        [{ start: 0, end: 9 }, 0, 9],
        [{ start: 500, end: 509 }, 500, 509],
        [{ start: 999 }, 999, 999],
        [{ start: 0 }, 0, 999],
        [{ start: 990, end: 5_000 }, 990, 999],
        [{ start: 990, end: Number.MAX_SAFE_INTEGER }, 990, 999],
        [{ suffix: 1 }, 999, 999],
        [{ suffix: 10 }, 990, 999],
        [{ suffix: 1_000 }, 0, 999],
        [{ suffix: 5_000 }, 0, 999],
      ] as const
      for (const [range, start, end] of cases) {
        const object = await port.get('ranged', { range })
        const shown = JSON.stringify(range)
        assert.deepEqual(object?.range, { start, end }, shown)
        assert.equal(object?.info.size, 1_000, shown)
        assert.ok(sameBytes(await bytesOf(object), bytes.subarray(start, end + 1)), shown)
      }
      assert.equal(
        (await port.get('ranged').then(async (o) => [await bytesOf(o), o?.range] as const))[1],
        undefined,
      )
    },
  },
  {
    id: 'get/range-outside',
    sentence:
      'A range without a byte in the object is invalid-argument with the reason range-not-satisfiable.',
    async check({ port }) {
      await port.put('short', 'ten bytes!')
      await port.put('empty', '')
      const reason = { reason: 'range-not-satisfiable' }
      await expectPortError(port.get('short', { range: { start: 10 } }), 'invalid-argument', reason)
      await expectPortError(port.get('short', { range: { start: 11, end: 20 } }), 'invalid-argument', reason)
      await expectPortError(port.get('empty', { range: { start: 0 } }), 'invalid-argument', reason)
    },
  },
  {
    id: 'get/range-under-conditions',
    sentence:
      'A range is answered where the conditions hold; where they do not, that is told before any range.',
    async check({ port }) {
      const { etag } = await port.put('ranged', '0123456789')
      const other = '"0123456789abcdef0123456789abcdef"'
      const range = { start: 2, end: 3 }
      for (const condition of [{ ifMatch: etag }, { ifNoneMatch: other }]) {
        const object = await port.get('ranged', { range, ...condition })
        assert.deepEqual(object?.range, range)
        assert.equal(Buffer.from(await bytesOf(object)).toString(), '23')
      }
      const outside = { start: 10 }
      for (const asked of [range, outside]) {
        await expectPortError(port.get('ranged', { range: asked, ifMatch: other }), 'precondition-failed')
        const same = port.get('ranged', { range: asked, ifNoneMatch: etag })
        await expectPortError(same, 'precondition-failed', { reason: 'not-modified' })
      }
      await expectPortError(port.get('ranged', { range: outside, ifMatch: etag }), 'invalid-argument', {
        reason: 'range-not-satisfiable',
      })
    },
  },
  {
    id: 'get/any-range',
    sentence: 'For an object of any length and any range the answer is what slicing its bytes gives.',
    async check({ port }) {
      const lengths = [0, 1, 2, 255, 70_000]
      const bodies = new Map(lengths.map((length) => [length, pattern(length, length + 1)]))
      for (const [length, body] of bodies) await port.put(`of-${length}`, body)
      const edge = fc.oneof(fc.nat(300), fc.nat(80_000), fc.constant(Number.MAX_SAFE_INTEGER))
      const anyRange = fc.oneof(
        fc.record({ start: edge }),
        fc.tuple(edge, edge).map(([a, b]) => ({ start: Math.min(a, b), end: Math.max(a, b) })),
        edge.map((suffix) => ({ suffix: Math.max(1, suffix) })),
      )
      await fc.assert(
        fc.asyncProperty(fc.constantFrom(...lengths), anyRange, async (length, range) => {
          const body = bodies.get(length) ?? assert.fail()
          const start = 'suffix' in range ? Math.max(0, length - range.suffix) : range.start
          const end = 'end' in range ? Math.min(range.end, length - 1) : length - 1
          const call = port.get(`of-${length}`, { range })
          if (start > end) {
            const reason = 'range-not-satisfiable'
            await expectPortError(call, 'invalid-argument', { reason, outcome: 'not-applied' })
            return
          }
          const object = await call
          assert.deepEqual([object?.range, object?.info.size], [{ start, end }, length])
          assert.ok(sameBytes(await bytesOf(object), body.subarray(start, end + 1)))
        }),
        { numRuns: 50 },
      )
    },
  },
  {
    id: 'get/range-of-several-parts',
    sentence: 'A range across the border of parts is in order.',
    async check({ port }) {
      const bytes = pattern(severalPartsBytes)
      await port.put('large', bytes)
      for (const border of [5, 8, 10, 16].map((mebibytes) => mebibytes * 1024 * 1024)) {
        const range = { start: border - 100, end: border + 99 }
        const object = await port.get('large', { range })
        assert.ok(
          sameBytes(await bytesOf(object), bytes.subarray(border - 100, border + 100)),
          String(border),
        )
      }
    },
  },
  {
    id: 'get/bad-ranges-are-refused',
    sentence:
      'A range that is negative, turned round, fractional, empty or contradictory is invalid-argument.',
    async check({ port }) {
      await port.put('ranged', 'content')
      const bad = [
        {},
        { start: -1 },
        { start: 1, end: 0 },
        { start: 0, end: -1 },
        { start: 0.5 },
        { start: Number.NaN },
        { start: 0, end: 2 ** 60 },
        { suffix: 0 },
        { suffix: -5 },
        { suffix: 1, start: 0 },
        { end: 5 },
        { start: '0' },
        { start: 0, length: 5 },
        'bytes=0-1',
        [0, 1],
      ]
      for (const range of bad) {
        const shown = JSON.stringify(range)
        const error = await port.get('ranged', { range: range as never }).catch((thrown: unknown) => thrown)
        assert.equal((error as { code?: string }).code, 'invalid-argument', shown)
      }
    },
  },
  {
    id: 'get/leaving-early',
    sentence: 'A body left early frees its connection: many in a row do not starve the next calls.',
    async check({ port }) {
      const bytes = pattern(severalPartsBytes)
      await port.put('large', bytes)
      for (let round = 0; round < 55; round += 1) {
        const object = await port.get('large')
        for await (const chunk of object?.body ?? []) {
          assert.ok(chunk.length < bytes.length)
          break
        }
      }
      const range = { start: 0, end: 9 }
      assert.ok(sameBytes(await bytesOf(await port.get('large', { range })), bytes.subarray(0, 10)))
    },
  },
  {
    id: 'get/aborting-a-body',
    sentence: 'A signal aborted while the body is read ends it with cancelled.',
    async check({ port }) {
      await port.put('large', pattern(severalPartsBytes))
      const controller = new AbortController()
      const object = await port.get('large', { signal: controller.signal })
      const read = async (): Promise<void> => {
        for await (const _ of object?.body ?? []) controller.abort()
      }
      await expectPortError(read(), 'cancelled', {
        operation: 'get',
        subject: 'large',
        outcome: 'not-applied',
      })
    },
  },
  {
    id: 'get/overwritten-while-read',
    sentence:
      'A body that is being read while its object is overwritten or deleted stays one version, or fails.',
    async check({ port }) {
      const old = pattern(overOnePartBytes, 1)
      for (const change of [
        () => port.put('changing', pattern(overOnePartBytes, 2)),
        () => port.delete('changing'),
      ]) {
        await port.put('changing', old)
        const object = await port.get('changing')
        const read: Uint8Array[] = []
        let failed = false
        try {
          for await (const chunk of object?.body ?? []) {
            if (read.length === 0) await change()
            read.push(chunk)
          }
        } catch {
          failed = true
        }
        const bytes = Buffer.concat(read)
        assert.ok(sameBytes(bytes, old.subarray(0, bytes.length)), 'two versions were mixed')
        assert.ok(failed || bytes.length === old.length, 'the body ended early without an error')
      }
    },
  },
  {
    id: 'get/answers-copies',
    sentence: 'Changing what was answered changes nothing stored.',
    async check({ port }) {
      await port.put('copied', 'content', { metadata: { a: 'b' } })
      const object = await port.get('copied')
      for await (const chunk of object?.body ?? []) chunk.fill(0)
      object?.info.lastModified.setTime(0)
      ;(object?.info.metadata as Record<string, string>).a = 'changed'
      assert.equal(await textAt(port, 'copied'), 'content')
      const info = await port.head('copied')
      assert.deepEqual(info?.metadata, { a: 'b' })
      assert.notEqual(info?.lastModified.getTime(), 0)
    },
  },
  {
    id: 'get/parallel',
    sentence: 'Many parallel calls on one client each get their own answer.',
    async check({ port }) {
      const keys = Array.from({ length: 64 }, (_, index) => `parallel/${index}`)
      await Promise.all(keys.map((key) => port.put(key, key)))
      assert.deepEqual(await Promise.all(keys.map((key) => textAt(port, key))), keys)
    },
  },
  {
    id: 'head/etag-and-time',
    sentence:
      'The etag is quoted and changes with the content; the time is in whole seconds and never goes back.',
    async check({ port }) {
      await port.put('changing', 'one')
      const first = (await port.head('changing')) ?? assert.fail()
      await port.put('changing', 'two')
      const second = (await port.head('changing')) ?? assert.fail()
      assert.match(first.etag, /^"[^"]+"$/)
      assert.notEqual(first.etag, second.etag)
      assert.ok(second.lastModified >= first.lastModified)
      assert.equal(second.lastModified.getTime() % 1_000, 0)
      const object = await port.get('changing')
      assert.deepEqual(object?.info, second)
      await bytesOf(object)
    },
  },
  {
    id: 'consistency/own-and-other-writes',
    sentence: 'Every write that was answered is seen at once, by the same client and by another.',
    needs: ['openAnother'],
    async check({ port, openAnother }) {
      const other = (await openAnother?.()) ?? assert.fail()
      try {
        for (let round = 0; round < 10; round += 1) {
          const { etag } = await port.put('seen', `round ${round}`)
          assert.equal((await other.port.head('seen'))?.etag, etag)
          assert.equal(await textAt(other.port, 'seen'), `round ${round}`)
          await other.port.delete('seen')
          assert.equal(await port.head('seen'), undefined)
          assert.deepEqual((await port.list()).objects, [])
        }
      } finally {
        await other.close()
      }
    },
  },
]
