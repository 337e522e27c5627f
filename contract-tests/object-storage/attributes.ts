/** What holds for content type, headers and metadata. */
import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import { PortError } from '../../src/errors.ts'
import type { ObjectAttributes } from '../../src/ports/object-storage.ts'
import { expectPortError } from '../expect.ts'
import { bytesOf, type ObjectBehaviour, pattern, severalPartsBytes } from './samples.ts'

/** One of each attribute. */
export const attributes: Required<ObjectAttributes> = {
  contentType: 'text/plain; charset=utf-8',
  cacheControl: 'max-age=60, public',
  contentDisposition: 'attachment; filename="receipt 7.txt"',
  contentEncoding: 'gzip',
  contentLanguage: 'de, en',
  metadata: { 'order-id': '7', 'with.dot': 'a b  c', x: '!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~' },
}

export const attributeBehaviours: readonly ObjectBehaviour[] = [
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
        for (const value of ['a\r\nb: c', 'a\nb', '', ' a', 'ü', 'a\0', 'a'.repeat(2_049), 7, null]) {
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
    id: 'attributes/each-alone',
    sentence:
      'Each attribute comes back alone, from head, from get and from a copy, and brings no other with it.',
    async check({ port }) {
      for (const [name, value] of Object.entries(attributes)) {
        await port.put('one', 'x', { [name]: value })
        await port.copy('one', 'copy')
        const defaults = { contentType: 'application/octet-stream', metadata: {} }
        for (const key of ['one', 'copy']) {
          const { key: _k, size: _s, etag: _e, lastModified: _l, ...kept } = (await port.head(key)) ?? {}
          assert.deepEqual(kept, { ...defaults, [name]: value }, `${name} of ${key}`)
          const object = (await port.get(key)) ?? assert.fail()
          assert.deepEqual(object.info, await port.head(key))
          await bytesOf(object)
        }
      }
    },
  },
  {
    id: 'attributes/any-come-back',
    sentence:
      'Whatever attributes and metadata are not refused come back exactly, or the call is invalid-argument.',
    async check({ port }) {
      const name = fc.string({
        unit: fc.constantFrom(..."abcz019!#$%&'*+-.^`|~"),
        minLength: 1,
        maxLength: 8,
      })
      const value = fc.oneof(
        fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 30 }).map((text) => text.trim() || '-'),
        fc.constantFrom('a  b', '"', '\\', '%', '=?UTF-8?Q?a?=', 'a,b;c', 'ä', 'a\tb'),
      )
      const given = fc.record(
        {
          contentType: fc.constantFrom('text/html; charset="utf-8"', 'a/b', 'multipart/x; boundary=a b'),
          cacheControl: value,
          contentDisposition: value,
          contentLanguage: fc.constantFrom('de', 'de-CH, en;q=0.5'),
          contentEncoding: fc.constantFrom('br', 'gzip, identity'),
          metadata: fc.dictionary(name, value, { maxKeys: 4, noNullPrototype: true }),
        },
        { requiredKeys: [] },
      )
      await fc.assert(
        fc.asyncProperty(given, async (options) => {
          await port.delete('any')
          const refused = await port.put('any', 'x', options).then(
            () => undefined,
            (error: unknown) => error,
          )
          const info = await port.head('any')
          if (refused !== undefined) {
            assert.ok(PortError.is(refused) && refused.code === 'invalid-argument', String(refused))
            assert.equal(info, undefined)
            return
          }
          const { key: _k, size: _s, etag: _e, lastModified: _l, ...kept } = info ?? assert.fail()
          const defaults = { contentType: 'application/octet-stream', metadata: {} }
          assert.deepEqual(kept, { ...defaults, ...options })
        }),
        { numRuns: 60 },
      )
    },
  },
  {
    id: 'attributes/underscore-in-a-name',
    sentence: 'A metadata name with an underscore comes back with it, beside the same name with a hyphen.',
    async check({ port }) {
      const metadata = { order_id: 'underscore', 'order-id': 'hyphen' }
      await port.put('named', 'x', { metadata })
      assert.deepEqual((await port.head('named'))?.metadata, metadata)
    },
  },
  {
    id: 'attributes/size-limits',
    sentence:
      'Metadata and other attributes of just 2 048 bytes each come back together; a byte more of either is refused.',
    async check({ port }) {
      const metadata = Object.fromEntries(
        Array.from({ length: 16 }, (_, index) => [
          `name-of-16-b-${String(index).padStart(3, '0')}`,
          'v'.repeat(112),
        ]),
      )
      const most = {
        contentType: 'text/plain',
        cacheControl: 'c'.repeat(1_000),
        // The names of the headers count as well.
        contentDisposition: 'd'.repeat(1_038 - 'content-typecache-controlcontent-disposition'.length),
        metadata,
      }
      await port.put('most', 'x', most)
      const {
        key: _k,
        size: _s,
        etag: _e,
        lastModified: _l,
        ...kept
      } = (await port.head('most')) ?? assert.fail()
      assert.deepEqual(kept, most)
      for (const more of [
        { ...most, contentLanguage: 'd' },
        { ...most, metadata: { ...metadata, a: 'b' } },
        { metadata: { 'name-of-one': 'v'.repeat(2_038) } },
      ]) {
        await expectPortError(port.put('more', 'x', more), 'invalid-argument', { outcome: 'not-applied' })
        await expectPortError(port.copy('most', 'more', { attributes: more }), 'invalid-argument')
      }
      assert.equal(await port.head('more'), undefined)
    },
  },
]
