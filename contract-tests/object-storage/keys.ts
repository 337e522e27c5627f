/** What holds for keys: taken exactly, or refused. */
import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import { PortError } from '../../src/errors.ts'
import { expectPortError } from '../expect.ts'
import { type ObjectBehaviour, oddKeys, textAt } from './samples.ts'

export const keyBehaviours: readonly ObjectBehaviour[] = [
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
  {
    id: 'keys/any-key-is-exact-or-refused',
    sentence:
      'Any text at all is either a key of its own, taken exactly, or invalid-argument: no other key is touched.',
    async check({ port }) {
      const escapes = [
        '..',
        '.',
        '',
        'a',
        '%2e%2e',
        '%2F',
        '%',
        '\\',
        'é',
        ' ',
        '?',
        '#',
        '+',
        '&',
        '&amp;',
        '<',
        "'",
        '"',
        ';',
        '//',
      ]
      const paths = fc.array(fc.constantFrom(...escapes), { minLength: 1, maxLength: 6 })
      const text = fc.oneof(
        paths.map((segments) => segments.join('/')),
        paths.map((segments) => segments.join('')),
        fc.string({ unit: 'binary', maxLength: 12 }),
        fc.string({ unit: fc.nat(0xff_ff).map((unit) => String.fromCharCode(unit)), maxLength: 6 }),
      )
      await port.put('safe', 'untouched')
      await fc.assert(
        fc.asyncProperty(text, async (key) => {
          if (key === 'safe') return
          const refused = await port.put(key, 'content').then(
            () => undefined,
            (error: unknown) => error,
          )
          const listed = (await port.list()).objects.map((object) => object.key)
          if (refused === undefined) {
            assert.deepEqual(new Set(listed), new Set([key, 'safe']))
            assert.equal(await textAt(port, key), 'content')
            assert.equal((await port.head(key))?.key, key)
            const { ok } = await port.deleteMany([key, `${key}x`.slice(-300)])
            assert.ok(ok)
          } else {
            assert.ok(PortError.is(refused) && refused.code === 'invalid-argument', String(refused))
            assert.equal(refused.outcome, 'not-applied')
            assert.deepEqual(listed, ['safe'])
          }
          assert.deepEqual(
            (await port.list()).objects.map((object) => object.key),
            ['safe'],
          )
          assert.equal(await textAt(port, 'safe'), 'untouched')
        }),
        { numRuns: 40 },
      )
    },
  },
  {
    id: 'keys/length-in-bytes',
    sentence: 'A key may have 1 024 bytes of UTF-8, in characters of whatever length, and not one more.',
    async check({ port }) {
      for (const character of ['k', 'é', '日', '😀']) {
        const bytes = Buffer.byteLength(character)
        const longest = character.repeat(Math.floor(1_024 / bytes)) + 'k'.repeat(1_024 % bytes)
        await port.put(longest, character)
        assert.equal(await textAt(port, longest), character)
        await expectPortError(port.put(`${longest}k`, 'x'), 'invalid-argument', { outcome: 'not-applied' })
        assert.deepEqual(
          (await port.list({ prefix: longest })).objects.map(({ key }) => key),
          [longest],
        )
      }
    },
  },
]
