/** What is stored comes back, under the very key and to the last byte. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { PortError } from '../../src/errors.ts'
import { type KeyValueStore, keyValueLimits } from '../../src/ports/key-value-store.ts'
import type { Behaviour } from '../contract.ts'
import { expectPortError } from '../expect.ts'

/** Keys that some store or other would alter, merge or take for something else. */
export const weirdKeys: readonly string[] = [
  ...[' ', '  two  ', ' leading', 'trailing ', '\ttab', 'line\nbreak', '\r\n', 'a\u00a0b'],
  ...['.', '..', '../up', '/', '/leading', 'trailing/', 'a//b', 'a/./b', 'a\\b', 'C:\\x', '~', '%2F', '%00'],
  ...[
    '*',
    '?',
    '[a]',
    '[^a]',
    '\\*',
    '{tag}',
    '{tag}x',
    '{}',
    '{',
    '}',
    '$key',
    '#',
    'a&b=c',
    "'; --",
    '"quoted"',
  ],
  ...[
    'true',
    'null',
    'undefined',
    '0',
    '-1',
    'NaN',
    '__proto__',
    'constructor',
    'hasOwnProperty',
    'toString',
  ],
  ...[
    'é',
    'e\u0301',
    'İ',
    'ß',
    'SS',
    'ﬁ',
    '日本語',
    'العربية',
    '\u202eabc',
    '👩‍👩‍👧',
    '\u{1F600}',
    '\uFF21',
    '\uFFFD',
    '\uFEFF',
  ],
  ...['Case', 'case', 'CASE', '\u0001', '\u007f', 'GET x\r\nDEL y\r\n', 'x'.repeat(900), 'é'.repeat(450)],
]

const encoder = new TextEncoder()

export const keysAndValues: readonly Behaviour<KeyValueStore>[] = [
  {
    id: 'value/absent-is-undefined',
    sentence: 'Reading an absent key is undefined, in every way of reading.',
    async check({ port }) {
      assert.equal(await port.get('absent'), undefined)
      assert.equal(await port.getText('absent'), undefined)
      assert.deepEqual(await port.getMany(['absent']), [undefined])
      assert.equal(await port.expiry('absent'), undefined)
    },
  },
  {
    id: 'value/overwrite-delete-and-again',
    sentence:
      'A value is read at once after it was written, overwritten or deleted, and deleting twice resolves.',
    async check({ port }) {
      await port.set('k', 'one')
      assert.equal(await port.getText('k'), 'one')
      await port.set('k', 'two')
      assert.equal(await port.getText('k'), 'two')
      assert.equal(await port.delete('k'), true)
      assert.equal(await port.get('k'), undefined)
      assert.equal(await port.delete('k'), false)
      await port.set('k', 'three')
      assert.equal(await port.getText('k'), 'three')
    },
  },
  {
    id: 'value/text-and-bytes-are-one',
    sentence: 'Text is stored as its UTF-8 bytes and read as either.',
    async check({ port }) {
      for (const text of [
        '',
        'null',
        '"quoted"',
        '{"a":1}',
        '0',
        'é\u0301 👩‍👩‍👧 \0 end',
        '\uFEFFwith a mark',
      ]) {
        await port.set('text', text)
        assert.equal(await port.getText('text'), text)
        assert.deepEqual(await port.get('text'), encoder.encode(text))
        await port.set('bytes', encoder.encode(text))
        assert.equal(await port.getText('bytes'), text)
      }
    },
  },
  {
    id: 'value/empty-is-not-absent',
    sentence: 'An empty value is a value.',
    async check({ port }) {
      await port.set('empty', '')
      assert.deepEqual(await port.get('empty'), new Uint8Array())
      assert.equal(await port.getText('empty'), '')
      assert.deepEqual(await port.getMany(['empty']), [new Uint8Array()])
      await expectPortError(port.set('empty', 'x', { ifAbsent: true }), 'precondition-failed')
      assert.equal(await port.delete('empty'), true)
    },
  },
  {
    id: 'value/every-byte-comes-back',
    sentence: 'Values of all 256 bytes, of one byte and of 1 MiB come back as they were.',
    async check({ port }) {
      const all = Uint8Array.from({ length: 256 }, (_, byte) => byte)
      const large = Uint8Array.from({ length: 1_048_576 }, (_, index) => (index * 31 + (index >> 8)) & 255)
      for (const value of [all, new Uint8Array([0]), new Uint8Array([255]), large]) {
        await port.set('bytes', value)
        assert.deepEqual(await port.get('bytes'), value)
        assert.deepEqual(await port.getMany(['bytes']), [value])
      }
    },
  },
  {
    id: 'value/limit-is-exact',
    sentence: 'A value of the documented limit is stored, and one byte more is invalid-argument.',
    async check({ port }) {
      const largest = new Uint8Array(keyValueLimits.valueBytes).fill(7)
      await port.set('largest', largest)
      const read = await port.get('largest')
      assert.equal(read?.byteLength, largest.byteLength)
      assert.ok(Buffer.compare(read, largest) === 0)
      await port.delete('largest')
      await expectPortError(port.set('largest', new Uint8Array(largest.byteLength + 1)), 'invalid-argument')
      assert.equal(await port.get('largest'), undefined)
    },
  },
  {
    id: 'value/not-utf8-is-corrupt-as-text',
    sentence: 'A value that is not UTF-8 is corrupt as text, and its bytes can still be read.',
    async check({ port }) {
      for (const bytes of [[0xff], [0xc3, 0x28], [0xed, 0xa0, 0x80], [0x61, 0xf0, 0x9f]]) {
        await port.set('binary', Uint8Array.from(bytes))
        const error = await expectPortError(port.getText('binary'), 'corrupt', { outcome: 'not-applied' })
        assert.ok(error.subject?.endsWith('binary'))
        assert.deepEqual(await port.get('binary'), Uint8Array.from(bytes))
      }
    },
  },
  {
    id: 'value/copied-in',
    sentence: 'Changing the array after the call has begun changes nothing stored.',
    async check({ port }) {
      const value = new Uint8Array([1, 2, 3])
      const setting = port.set('one', value)
      value.fill(9)
      await setting
      const other = new Uint8Array([1, 2, 3])
      const many: [string, Uint8Array][] = [['two', other]]
      const settingMany = port.setMany(many)
      other.fill(9)
      many[0] = ['three', other]
      await settingMany
      const kept = new Uint8Array([1, 2, 3])
      assert.deepEqual(await port.getMany(['one', 'two', 'three']), [kept, kept, undefined])
      const expected = new Uint8Array([1, 2, 3])
      const comparing = port.set('one', 'changed', { ifEquals: expected })
      expected.fill(9)
      await comparing
      assert.equal(await port.getText('one'), 'changed')
    },
  },
  {
    id: 'value/copied-out',
    sentence: 'Changing what was read changes nothing stored and nothing else that was read.',
    async check({ port }) {
      await port.set('k', new Uint8Array([1, 2, 3]))
      const [first, second] = await port.getMany(['k', 'k'])
      first?.fill(9)
      assert.deepEqual(second, new Uint8Array([1, 2, 3]))
      const read = await port.get('k')
      read?.fill(9)
      assert.deepEqual(await port.get('k'), new Uint8Array([1, 2, 3]))
      assert.equal(read?.buffer.byteLength, 3, 'what is read must not hold on to a larger buffer')
    },
  },
  {
    id: 'value/part-of-a-buffer',
    sentence: 'Of an array that is a window on a larger buffer only the window is stored.',
    async check({ port }) {
      const value = new Uint8Array([0, 1, 2, 3, 4]).subarray(1, 4)
      await port.set('k', value)
      assert.deepEqual(await port.get('k'), new Uint8Array([1, 2, 3]))
      await port.set('k', 'found', { ifEquals: value })
      assert.equal(await port.getText('k'), 'found')
    },
  },
  {
    id: 'key/never-altered',
    sentence: 'Every key of the weird ones is kept apart from all others and scanned back as it is.',
    async check({ port }) {
      for (const key of weirdKeys) await port.set(key, `of ${key}`)
      for (const key of weirdKeys) assert.equal(await port.getText(key), `of ${key}`, JSON.stringify(key))
      const scanned: string[] = []
      for await (const key of port.scan('')) scanned.push(key)
      assert.deepEqual(scanned.sort(), [...weirdKeys].sort())
      const { ok } = await port.deleteMany(weirdKeys)
      assert.ok(ok)
    },
  },
  {
    id: 'key/any-text-round-trips',
    sentence: 'Any well-formed key and any bytes go in and come out, or are refused.',
    async check({ port }) {
      const key = fc.string({ unit: 'binary', minLength: 1, maxLength: 60 })
      await fc.assert(
        fc.asyncProperty(key, fc.uint8Array({ maxLength: 200 }), async (name, value) => {
          const stored = await port.set(name, value).then(
            () => true,
            (error: unknown) => {
              assert.ok(PortError.is(error) && error.code === 'invalid-argument', String(error))
              return false
            },
          )
          assert.equal(stored, name.isWellFormed() && !name.includes('\0'))
          if (stored) assert.deepEqual(await port.get(name), new Uint8Array(value))
        }),
        { numRuns: 150 },
      )
    },
  },
  {
    id: 'value/many-at-once',
    sentence: 'Many operations at once on one client give each its own answer.',
    async check({ port }) {
      const numbers = Array.from({ length: 300 }, (_, index) => index)
      await Promise.all(numbers.map((number) => port.set(`k${number}`, `v${number}`)))
      const read = await Promise.all(numbers.map((number) => port.getText(`k${number}`)))
      assert.deepEqual(
        read,
        numbers.map((number) => `v${number}`),
      )
    },
  },
  {
    id: 'value/another-client-sees-it',
    sentence: 'What one client wrote another reads at once.',
    needs: ['openAnother'],
    async check({ port, openAnother }) {
      const other = await openAnother?.()
      assert.ok(other)
      try {
        await port.set('k', 'v')
        assert.equal(await other.port.getText('k'), 'v')
        assert.equal(await other.port.delete('k'), true)
        assert.equal(await port.get('k'), undefined)
      } finally {
        await other.close()
      }
    },
  },
]
