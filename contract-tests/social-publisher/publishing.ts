/** What holds for publishing. */
import assert from 'node:assert/strict'
import { PortError } from '../../src/errors.ts'
import { weightedLength } from '../../src/ports/social-publisher.ts'
import { lent } from '../common/kit.ts'
import { expectPortError } from '../expect.ts'
import { freshText, inside, type PostBehaviour, texts } from './samples.ts'

export const publishing: readonly PostBehaviour[] = [
  {
    id: 'publish/can-be-got',
    sentence: 'A published post can be got under its id, with its text.',
    async check({ port }) {
      const text = freshText()
      const published = await port.publish({ text })
      assert.equal(published.text, text)
      assert.match(published.id, /^[0-9]{1,19}$/)
      assert.deepEqual(await port.get(published.id), published)
    },
  },
  {
    id: 'publish/ids-grow',
    sentence: 'Of two posts the later has the greater id, and no id is given twice.',
    async check({ port }) {
      const ids: bigint[] = []
      for (let count = 0; count < 5; count += 1)
        ids.push(BigInt((await port.publish({ text: freshText() })).id))
      assert.deepEqual(
        ids,
        ids.toSorted((a, b) => (a < b ? -1 : 1)),
      )
      assert.equal(new Set(ids).size, ids.length)
    },
  },
  {
    id: 'publish/text-is-unchanged',
    sentence:
      'Text in any script, with emoji, quotes, line breaks and what looks like markup is kept as it is.',
    async check({ port }) {
      for (const about of [
        'Grüße, 日本語 العربية',
        '👩‍👩‍👧‍👦 👍🏽 ❤️',
        'a\nb\tc',
        '"\\{}',
        'e\u0301',
        ' padded ',
      ]) {
        const text = freshText(about)
        const { id } = await port.publish({ text })
        assert.equal((await port.get(id))?.text, text)
      }
    },
  },
  {
    id: 'publish/up-to-280-weighted-characters',
    sentence:
      'A text of 280 weighted characters is published, and one more is invalid-argument before any I/O.',
    async check({ port }) {
      const unit = freshText().slice(0, 20).padEnd(20, 'x')
      for (const [fill, weight] of [
        ['a', 1],
        ['日', 2],
        ['👩‍👩‍👧‍👦', 2],
      ] as const) {
        const text = unit + fill.repeat((280 - 20) / weight)
        assert.equal(weightedLength(text), 280)
        assert.equal((await port.publish({ text })).text, text)
        await expectPortError(port.publish({ text: `${text}a` }), 'invalid-argument', {
          outcome: 'not-applied',
        })
      }
      const long = `${freshText()} https://example.org/${'path/'.repeat(100)}`
      await port.publish({ text: long })
    },
  },
  {
    id: 'publish/duplicate-is-rejected',
    sentence:
      'The same text again is rejected with reason duplicate, not applied, and the first post stands.',
    async check(context) {
      const { port } = context
      const text = freshText()
      const first = await port.publish({ text })
      const expected = { reason: 'duplicate', outcome: 'not-applied', retryable: false } as const
      await expectPortError(port.publish({ text }), 'rejected', expected)
      assert.deepEqual(await port.get(first.id), first)
      await port.publish({ text: freshText() })
    },
  },
  {
    id: 'publish/racers-publish-once',
    sentence: 'Of several calls with one text at the same time exactly one is published.',
    async check({ port }) {
      const text = freshText()
      const results = await Promise.allSettled(Array.from({ length: 8 }, () => port.publish({ text })))
      assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1)
      for (const result of results) {
        if (result.status === 'fulfilled') continue
        assert.ok(PortError.is(result.reason) && result.reason.reason === 'duplicate', String(result.reason))
      }
    },
  },
  {
    id: 'publish/many-at-once',
    sentence: 'Posts published at the same time all stand, each with its own id and text.',
    async check({ port }) {
      const texts = Array.from({ length: 20 }, () => freshText())
      const published = await Promise.all(texts.map((text) => port.publish({ text })))
      assert.deepEqual(
        published.map(({ text }) => text),
        texts,
      )
      const got = await Promise.all(published.map(({ id }) => port.get(id)))
      assert.deepEqual(got, published)
    },
  },
  {
    id: 'publish/copies-the-post',
    sentence:
      'What the caller changes in the post after the call is not published, nor what it changes in an answer.',
    async check({ port }) {
      const text = freshText()
      const post = { text }
      const pending = port.publish(post)
      post.text = 'changed'
      const published = await pending
      assert.equal(published.text, text)
      Object.assign(published, { text: 'changed' })
      assert.equal((await port.get(published.id))?.text, text)
    },
  },
  {
    id: 'publish/links-weigh-the-same',
    sentence:
      'A link counts 23 however long it is, with https:// or without, so that 280 are published and one more is refused.',
    async check({ port }) {
      const page = `page-${freshText().replace(/[^a-z0-9]+/g, '-')}`
      for (const link of [
        `https://example.org/${'long/'.repeat(60)}${page}`,
        `example.org/${page}/${'long/'.repeat(60)}${page}`,
        `shop.example.co.uk/${page}?with=a&long=query`,
      ]) {
        const text = `${link} ${'a'.repeat(280 - 24)}`
        assert.equal(weightedLength(text), 280)
        const { id } = await port.publish({ text })
        assert.ok(await port.get(id))
        await expectPortError(port.publish({ text: `${text}a` }), 'invalid-argument')
      }
    },
  },
  {
    id: 'publish/ids-are-exact',
    sentence:
      'An id is text of digits that no number could hold, and its neighbours are other posts or none.',
    async check({ port }) {
      const { id, text } = await port.publish({ text: freshText() })
      assert.equal(typeof id, 'string')
      assert.ok(BigInt(id) > BigInt(Number.MAX_SAFE_INTEGER), `${id} would fit a number`)
      for (const other of [BigInt(id) + 1n, BigInt(id) - 1n]) {
        const neighbour = await port.get(String(other))
        assert.ok(neighbour === undefined || neighbour.id !== id, `${other} answers with ${id}`)
      }
      assert.deepEqual(await port.get(id), { id, text })
    },
  },
  {
    id: 'publish/answers-nothing-else',
    sentence: 'What is answered is the id and the text, and nothing of the service beyond them.',
    async check({ port }) {
      const published = await port.publish({ text: freshText() })
      assert.deepEqual(Object.keys(published).toSorted(), ['id', 'text'])
      assert.deepEqual(Object.keys((await port.get(published.id)) ?? {}).toSorted(), ['id', 'text'])
    },
  },
  {
    id: 'publish/seen-by-another-client',
    sentence: 'What one client publishes another one of the account gets, finds a duplicate, and may delete.',
    needs: ['openAnother'],
    check: ({ port, openAnother }) =>
      lent(openAnother, async ({ port: other }) => {
        const published = await port.publish({ text: freshText() })
        assert.deepEqual(await other.get(published.id), published)
        await expectPortError(other.publish({ text: published.text }), 'rejected', { reason: 'duplicate' })
        await other.delete(published.id)
        assert.equal(await port.get(published.id), undefined)
      }),
  },
  {
    id: 'publish/racing-clients-publish-once',
    sentence: 'Of several clients with one text at the same time exactly one publishes it.',
    needs: ['openAnother', 'inside'],
    check: (context) =>
      lent(context.openAnother, async ({ port: other }) => {
        for (let round = 0; round < 5; round += 1) {
          const text = freshText()
          const ports = [context.port, other, context.port, other, other, context.port]
          const results = await Promise.allSettled(ports.map((port) => port.publish({ text })))
          assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1)
          assert.equal(texts(context).filter((each) => each === text).length, 1)
        }
      }),
  },
  {
    id: 'publish/duplicate-tells-no-id',
    sentence:
      'That a text is a duplicate tells nothing of the post it repeats, which the service does not say.',
    async check({ port }) {
      const { id, text } = await port.publish({ text: freshText() })
      const error = await expectPortError(port.publish({ text }), 'rejected', { reason: 'duplicate' })
      assert.ok(!JSON.stringify(error).includes(id))
    },
  },
  {
    id: 'publish/another-text-is-no-duplicate',
    sentence: 'Texts that differ in case, in one character, or in an emoji are different posts.',
    async check({ port }) {
      const text = freshText('Doors open')
      for (const other of [text, text.toUpperCase(), `${text}!`, `${text} 👍`, `${text} 👍🏽`]) {
        assert.equal((await port.publish({ text: other })).text, other)
      }
    },
  },
  {
    id: 'publish/one-cashtag',
    sentence:
      'A post takes one cashtag; with more it is rejected with reason too-many-cashtags, and not applied.',
    async check(context) {
      const { port } = context
      await port.publish({ text: freshText('$ACME') })
      const before = context.inside === undefined ? undefined : texts(context)
      await expectPortError(port.publish({ text: freshText('$ACME $BETA') }), 'rejected', {
        reason: 'too-many-cashtags',
        outcome: 'not-applied',
        retryable: false,
      })
      if (before !== undefined) assert.deepEqual(texts(context), before)
    },
  },
  {
    id: 'publish/what-is-a-cashtag',
    sentence:
      'A cashtag is one to six letters after a dollar sign, in any case, with a suffix or without, on its own; prices and names are none.',
    async check({ port }) {
      const one = 'ACME'
      for (const tag of ['$A', '$letter', '$BrK.A', '$BRK_A', '$BRK_AB', '$Bf.b']) {
        await expectPortError(port.publish({ text: freshText(`$${one} ${tag}`) }), 'rejected', {
          reason: 'too-many-cashtags',
        })
        await expectPortError(port.publish({ text: `${freshText(`${tag}, $${one}`)} $B` }), 'rejected', {
          reason: 'too-many-cashtags',
        })
      }
      for (const other of ['$5', '$letters', 'a$B', '$B1', '$Bé', '$BRK_1', '$BRK_ABC', '$$B', '$', '$B$C']) {
        const text = freshText(`$${one} ${other} at`)
        assert.equal((await port.publish({ text })).text, text, other)
      }
    },
  },
  {
    id: 'publish/padding-makes-no-other-text',
    sentence:
      'White space around a text makes it no other one: with it or without, the second is a duplicate.',
    async check({ port }) {
      for (const [first, second] of [
        ['', ' '],
        ['\n', ''],
      ] as const) {
        const text = freshText()
        await port.publish({ text: `${first}${text}` })
        await expectPortError(port.publish({ text: `${text}${second}` }), 'rejected', { reason: 'duplicate' })
      }
    },
  },
  {
    id: 'publish/duplicates-are-forgotten',
    sentence:
      'A text is a duplicate until the window for duplicates has passed, deleted or not, and can then be published again.',
    needs: ['inside', 'passTime'],
    async check(context) {
      const { port, passTime } = context
      const { duplicateWindowMs } = inside(context)
      const text = freshText()
      const { id } = await port.publish({ text })
      await port.delete(id)
      await passTime?.(duplicateWindowMs - 1)
      await expectPortError(port.publish({ text }), 'rejected', { reason: 'duplicate' })
      await passTime?.(1)
      const again = await port.publish({ text })
      assert.ok(BigInt(again.id) > BigInt(id))
      await expectPortError(port.publish({ text }), 'rejected', { reason: 'duplicate' })
    },
  },
]
