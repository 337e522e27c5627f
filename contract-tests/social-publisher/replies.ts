/** What holds for posts that answer others. */
import assert from 'node:assert/strict'
import type { SocialPost } from '../../src/ports/social-publisher.ts'
import { expectPortError } from '../expect.ts'
import { absentId, freshText, inside, type PostBehaviour } from './samples.ts'

export const replies: readonly PostBehaviour[] = [
  {
    id: 'reply/to-a-post',
    sentence: 'A reply to a post that stands is published as one.',
    needs: ['inside'],
    async check(context) {
      const { port } = context
      const { id } = await port.publish({ text: freshText() })
      const reply = await port.publish({ text: freshText('Thanks'), inReplyTo: id })
      assert.equal(
        inside(context)
          .posts()
          .find((post) => post.id === reply.id)?.inReplyTo,
        id,
      )
    },
  },
  {
    id: 'reply/to-a-missing-post',
    sentence:
      'A reply to a post that is absent or deleted is rejected with reason missing-post, and not applied.',
    async check({ port }) {
      const expected = { reason: 'missing-post', outcome: 'not-applied', retryable: false } as const
      await expectPortError(port.publish({ text: freshText(), inReplyTo: absentId }), 'rejected', expected)
      const { id } = await port.publish({ text: freshText() })
      await port.delete(id)
      await expectPortError(port.publish({ text: freshText(), inReplyTo: id }), 'rejected', {
        ...expected,
        subject: id,
      })
    },
  },
  {
    id: 'reply/stands-without-its-post',
    sentence: 'A reply stands when the post it answers is deleted, and may be answered itself.',
    async check({ port }) {
      const { id } = await port.publish({ text: freshText() })
      const reply = await port.publish({ text: freshText(), inReplyTo: id })
      await port.delete(id)
      assert.deepEqual(await port.get(reply.id), reply)
      const second = await port.publish({ text: freshText(), inReplyTo: reply.id })
      assert.deepEqual(await port.get(second.id), second)
    },
  },
  {
    id: 'reply/of-undefined-is-a-post',
    sentence: 'A post whose inReplyTo is undefined is no reply.',
    needs: ['inside'],
    async check(context) {
      const post = { text: freshText(), inReplyTo: undefined } as unknown as SocialPost
      const { id } = await context.port.publish(post)
      assert.equal(
        inside(context)
          .posts()
          .find((each) => each.id === id)?.inReplyTo,
        undefined,
      )
    },
  },
]
