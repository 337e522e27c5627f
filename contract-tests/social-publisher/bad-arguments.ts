/** What is refused before any I/O. */
import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { PortError } from '../../src/errors.ts'
import type { SocialPost } from '../../src/ports/social-publisher.ts'
import { expectPortError } from '../expect.ts'
import { freshText, inside, type PostBehaviour } from './samples.ts'

export const badArguments: readonly PostBehaviour[] = [
  {
    id: 'bad-input/posts',
    sentence: 'An empty, blank, too long or malformed post is invalid-argument, and nothing is published.',
    needs: ['inside'],
    async check(context) {
      const bad: readonly unknown[] = [
        undefined,
        null,
        'text',
        7,
        [],
        {},
        { text: 7 },
        { text: null },
        { text: '' },
        { text: ' \n\t' },
        { text: 'a'.repeat(281) },
        { text: '日'.repeat(141) },
        { text: 'a'.repeat(1_000_000) },
        { text: 'a\0b' },
        { text: '\ud800' },
        { text: 'a\ufeff' },
        { text: 'a\u001bb' },
        { text: 'a', media: [] },
        ...['', 'abc', '-1', '1.5', '1'.repeat(20), '１', '1/../2', 1].map((inReplyTo) => ({
          text: 'a',
          inReplyTo,
        })),
      ]
      for (const post of bad) {
        await expectPortError(context.port.publish(post as SocialPost), 'invalid-argument').catch(
          (error: unknown) => assert.fail(`${JSON.stringify(post)?.slice(0, 80)}: ${String(error)}`),
        )
      }
      assert.equal(inside(context).posts().length, 0)
    },
  },
  {
    id: 'bad-input/ids',
    sentence:
      'An id that is not 1 to 19 digits is invalid-argument, and reaches no other address of the service.',
    async check({ port }) {
      const bad = [
        '',
        'abc',
        '-1',
        '1.5',
        '1'.repeat(20),
        '１',
        '1/../2',
        '..',
        '1?a=b',
        '%31',
        '1\n',
        ' 1',
        1,
        null,
      ]
      for (const id of bad as string[]) {
        await expectPortError(port.get(id), 'invalid-argument', { operation: 'get' })
        await expectPortError(port.delete(id), 'invalid-argument', { operation: 'delete' })
      }
    },
  },
  {
    id: 'bad-input/any-text-is-refused-or-kept',
    sentence: 'Any text is either refused as invalid-argument or published as it is.',
    async check({ port }) {
      const text = fc.string({
        unit: fc.oneof(
          fc.constantFrom('\ud800', '\0', '\ufeff', 'https://a.co', '日'),
          fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }),
        ),
        maxLength: 160,
      })
      await fc.assert(
        fc.asyncProperty(text, async (any) => {
          try {
            const { id, text: kept } = await port.publish({ text: any })
            assert.equal(kept, any)
            assert.equal((await port.get(id))?.text, any)
          } catch (error) {
            if (!PortError.is(error)) throw error
            assert.ok(error.code === 'invalid-argument' || error.reason === 'duplicate', String(error))
          }
        }),
        { numRuns: 80 },
      )
    },
  },
  {
    id: 'bad-input/reaches-no-service',
    sentence: 'What is refused as invalid-argument has not reached the service, and counts against no limit.',
    needs: ['inside'],
    async check(context) {
      const { port } = context
      const operations = ['publish', 'get', 'delete'] as const
      const before = operations.map((operation) => inside(context).reached(operation))
      await expectPortError(port.publish({ text: 'a'.repeat(281) }), 'invalid-argument')
      await expectPortError(port.publish({ text: `${freshText()} \u202f\0` }), 'invalid-argument')
      await expectPortError(port.get('x'), 'invalid-argument')
      await expectPortError(port.delete('../users/me'), 'invalid-argument')
      assert.deepEqual(
        operations.map((operation) => inside(context).reached(operation)),
        before,
      )
    },
  },
  {
    id: 'bad-input/shows-no-text',
    sentence: 'The error about a bad post does not repeat its text.',
    async check({ port }) {
      const secret = `secret-${Math.random().toString(36).slice(2)}`
      for (const post of [
        { text: `${secret} `.repeat(60) },
        { text: `${secret}\0` },
        { text: secret, inReplyTo: 'none' },
        { text: secret, media: [] },
      ] as SocialPost[]) {
        const error = await expectPortError(port.publish(post), 'invalid-argument')
        assert.ok(!inspect(error, { depth: 8, showHidden: true }).includes(secret), String(error))
      }
    },
  },
  {
    id: 'bad-input/accessors-that-throw',
    sentence: 'A post whose fields cannot be read is invalid-argument, whatever reading them throws.',
    async check({ port }) {
      const trap = {
        get text(): string {
          throw new Error('not to be read')
        },
      }
      await expectPortError(port.publish(trap), 'invalid-argument')
      await expectPortError(
        port.publish(
          new (class {
            text = freshText()
          })(),
        ),
        'invalid-argument',
      )
    },
  },
]
