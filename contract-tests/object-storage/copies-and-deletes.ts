/** What holds for copying and deleting. */
import assert from 'node:assert/strict'
import { compareUtf8 } from '../../src/calls/arguments.ts'
import { PortError } from '../../src/errors.ts'
import type { BulkResult } from '../../src/ports/bulk.ts'
import { expectPortError } from '../expect.ts'
import { type ObjectBehaviour, oddKeys, pattern, severalPartsBytes, textAt } from './samples.ts'

const attributes = { contentType: 'text/plain', cacheControl: 'no-store', metadata: { origin: 'source' } }

export const copiesAndDeletes: readonly ObjectBehaviour[] = [
  {
    id: 'copy/content-and-attributes',
    sentence: 'A copy has the content, attributes and metadata of its source and lives on its own.',
    async check({ port }) {
      await port.put('source/é +%', 'content', attributes)
      const { key, etag } = await port.copy('source/é +%', 'copy')
      const info = await port.head('copy')
      assert.deepEqual([key, etag], ['copy', info?.etag])
      assert.deepEqual(info, { ...info, ...attributes, key: 'copy', size: 7 })
      await port.put('source/é +%', 'changed')
      await port.delete('source/é +%')
      assert.equal(await textAt(port, 'copy'), 'content')
    },
  },
  {
    id: 'copy/overwrites',
    sentence: 'A copy replaces what is at its destination altogether.',
    async check({ port }) {
      await port.put('source', 'new')
      await port.put('destination', 'old, longer', attributes)
      await port.copy('source', 'destination')
      const info = await port.head('destination')
      assert.deepEqual([info?.size, info?.metadata, info?.cacheControl], [3, {}, undefined])
      assert.equal(await textAt(port, 'source'), 'new')
    },
  },
  {
    id: 'copy/replaces-attributes',
    sentence: 'Given attributes replace all of the source; those not given fall to their defaults.',
    async check({ port }) {
      await port.put('source', 'content', attributes)
      await port.copy('source', 'copy', { attributes: { metadata: { only: 'this' } } })
      const info = await port.head('copy')
      assert.deepEqual(info?.metadata, { only: 'this' })
      assert.deepEqual([info?.contentType, info?.cacheControl], ['application/octet-stream', undefined])
      assert.deepEqual((await port.head('source'))?.metadata, attributes.metadata)
    },
  },
  {
    id: 'copy/onto-itself',
    sentence:
      'Onto itself a copy changes the attributes and keeps the content; without attributes it is refused.',
    async check({ port }) {
      await port.put('self', 'content', attributes)
      await expectPortError(port.copy('self', 'self'), 'invalid-argument')
      await port.copy('self', 'self', { attributes: { contentType: 'text/html' } })
      assert.equal(await textAt(port, 'self'), 'content')
      const info = await port.head('self')
      assert.deepEqual([info?.contentType, info?.metadata], ['text/html', {}])
    },
  },
  {
    id: 'copy/missing-source',
    sentence: 'A missing source is not-found, names it, and leaves the destination.',
    async check({ port }) {
      await port.put('destination', 'kept')
      const expected = { subject: 'missing', outcome: 'not-applied' } as const
      await expectPortError(port.copy('missing', 'destination'), 'not-found', expected)
      assert.equal(await textAt(port, 'destination'), 'kept')
    },
  },
  {
    id: 'copy/several-parts',
    sentence: 'What was uploaded in parts is copied whole.',
    async check({ port }) {
      await port.put('large', pattern(severalPartsBytes))
      const { etag } = await port.copy('large', 'copy')
      const info = await port.head('copy')
      assert.deepEqual([info?.size, info?.etag], [severalPartsBytes, etag])
    },
  },
  {
    id: 'copy/odd-keys',
    sentence: 'Every odd key can be copied from and to, and the source stays as it was.',
    async check({ port }) {
      for (const [index, key] of oddKeys.entries()) {
        const target = oddKeys[(index + 1) % oddKeys.length] ?? ''
        await port.put(key, `content of ${key}`)
        const copied = await port.copy(key, target)
        assert.equal(copied.key, target)
        assert.equal(await textAt(port, target), `content of ${key}`, JSON.stringify([key, target]))
        assert.equal(await textAt(port, key), `content of ${key}`)
        await port.deleteMany([key, target])
      }
      assert.deepEqual((await port.list()).objects, [])
    },
  },
  {
    id: 'copy/empty-and-nested',
    sentence: 'An empty object is copied; a copy below or above its source is an object of its own.',
    async check({ port }) {
      await port.put('a', '')
      await port.copy('a', 'a/b')
      await port.put('a/b', 'below')
      await port.copy('a/b', 'a/b/c')
      await port.copy('a/b/c', 'a')
      await port.delete('a/b')
      assert.deepEqual([await textAt(port, 'a'), await textAt(port, 'a/b/c')], ['below', 'below'])
      assert.equal(await port.head('a/b'), undefined)
    },
  },
  {
    id: 'copy/condition-on-a-missing-source',
    sentence: 'A missing source is not-found, also where an etag of it was named.',
    capability: 'copy-if-match',
    undeclared: ({ port }) => port.copy('a', 'b', { ifSourceMatch: '"etag"' }),
    async check({ port }) {
      const call = port.copy('missing', 'b', { ifSourceMatch: '"0123456789abcdef0123456789abcdef"' })
      await expectPortError(call, 'not-found', { outcome: 'not-applied', subject: 'missing' })
      assert.equal(await port.head('b'), undefined)
    },
  },
  {
    id: 'copy/if-source-match',
    sentence: 'ifSourceMatch copies the version with that etag; else it is precondition-failed.',
    capability: 'copy-if-match',
    undeclared: ({ port }) => port.copy('a', 'b', { ifSourceMatch: '"etag"' }),
    async check({ port }) {
      const old = await port.put('source', 'old')
      const { etag } = await port.put('source', 'new')
      const missed = { outcome: 'not-applied' } as const
      await expectPortError(
        port.copy('source', 'copy', { ifSourceMatch: old.etag }),
        'precondition-failed',
        missed,
      )
      assert.equal(await port.head('copy'), undefined)
      await port.copy('source', 'copy', { ifSourceMatch: etag })
      assert.equal(await textAt(port, 'copy'), 'new')
    },
  },
  {
    id: 'copy/bad-attributes-are-refused',
    sentence: 'The attributes of a copy are held to the same rules as those of a put.',
    async check({ port }) {
      await port.put('source', 'x')
      for (const bad of [{ metadata: { Upper: 'x' } }, { contentType: 'a\r\nb' }, { size: 5 }, 7, null]) {
        await expectPortError(port.copy('source', 'copy', { attributes: bad as never }), 'invalid-argument')
      }
      assert.equal(await port.head('copy'), undefined)
    },
  },
  {
    id: 'delete/then-absent',
    sentence: 'A deleted object is absent; deleting what is absent resolves.',
    async check({ port }) {
      await port.put('gone', 'x')
      await port.delete('gone')
      assert.equal(await port.get('gone'), undefined)
      assert.equal(await port.head('gone'), undefined)
      await port.delete('gone')
      await port.delete('never there')
    },
  },
  {
    id: 'delete/only-that-key',
    sentence: 'Deleting a key leaves those below it and those it begins with.',
    async check({ port }) {
      const keys = ['a', 'a/', 'a/b', 'a/b/c', 'ab']
      for (const key of keys) await port.put(key, key)
      await port.delete('a/b')
      await port.delete('a/')
      const left = (await port.list()).objects.map(({ key }) => key)
      assert.deepEqual(left, ['a', 'a/b/c', 'ab'])
    },
  },
  {
    id: 'delete-many/per-key',
    sentence: 'deleteMany answers one item a key in the order asked, also for absent and repeated ones.',
    async check({ port }) {
      await port.put('a', 'x')
      await port.put('b', 'x')
      await port.put('kept', 'x')
      const keys = ['b', 'absent', 'a', 'b']
      const { items, ok } = await port.deleteMany(keys)
      assert.ok(ok)
      assert.deepEqual(
        items,
        keys.map((key) => ({ key, error: undefined })),
      )
      assert.deepEqual(
        (await port.list()).objects.map(({ key }) => key),
        ['kept'],
      )
    },
  },
  {
    id: 'delete-many/part-of-them-fails',
    sentence:
      'Where a part of many keys cannot be deleted, the call rejects only if nothing was; else each key says which it is.',
    needs: ['force'],
    async check({ port, force }) {
      // More than any service takes in one request; the first and the last are there.
      const keys = Array.from({ length: 1_500 }, (_, index) => `k${String(index).padStart(4, '0')}`)
      const there = ['k0000', 'k1499']
      for (const key of there) await port.put(key, 'x')
      force?.('deleteMany', { error: 'unavailable' })
      const result = await port.deleteMany(keys).catch((error: unknown) => error)
      const left = (await port.list()).objects.map(({ key }) => key)
      if (PortError.is(result)) {
        assert.equal(result.code, 'unavailable')
        assert.deepEqual(left, there, 'it rejects, and yet something was deleted')
        return
      }
      const { items, ok } = result as BulkResult
      assert.equal(ok, false)
      assert.deepEqual(
        items.map(({ key }) => key),
        keys,
      )
      for (const { key, error } of items) {
        if (error === undefined) assert.ok(!left.includes(key), `${key} is there`)
        else {
          assert.deepEqual([error.code, error.subject, error.retryable], ['unavailable', key, true])
          if (there.includes(key)) assert.ok(left.includes(key), `${key} is gone`)
        }
      }
      assert.ok((await port.deleteMany(keys)).ok)
      assert.deepEqual((await port.list()).objects, [])
    },
  },
  {
    id: 'delete-many/none',
    sentence: 'deleteMany of no keys does nothing and is ok.',
    async check({ port }) {
      assert.deepEqual(await port.deleteMany([]), { items: [], ok: true })
    },
  },
  {
    id: 'delete/then-put-again',
    sentence: 'What is put under a deleted key is a new object, with nothing of the old one.',
    async check({ port }) {
      await port.put('key', 'old content', attributes)
      await port.delete('key')
      await port.put('key', 'new')
      const info = await port.head('key')
      assert.deepEqual([info?.size, info?.metadata, info?.cacheControl], [3, {}, undefined])
    },
  },
  {
    id: 'delete-many/odd-and-absent-beside-each-other',
    sentence: 'deleteMany deletes what is there of odd, absent and ordinary keys, and nothing beside them.',
    async check({ port }) {
      const kept = ['kept', 'a', 'per%cent', 'plain.tx', 'tab', '<tag']
      for (const key of [...oddKeys, ...kept]) await port.put(key, '')
      const asked = oddKeys.flatMap((key) => [key, `${key.slice(0, 200)} absent`])
      const { items, ok } = await port.deleteMany(asked)
      assert.ok(ok)
      assert.deepEqual(
        items,
        asked.map((key) => ({ key, error: undefined })),
      )
      const left = (await port.list()).objects.map(({ key }) => key)
      assert.deepEqual(left, kept.toSorted(compareUtf8))
    },
  },
]
