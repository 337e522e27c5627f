/** What holds for getting and deleting. */
import assert from 'node:assert/strict'
import { PortError } from '../../src/errors.ts'
import { absentId, freshText, type PostBehaviour } from './samples.ts'

export const readsAndDeletes: readonly PostBehaviour[] = [
  {
    id: 'get/absent-is-undefined',
    sentence: 'Getting a post that was never there is undefined.',
    async check({ port }) {
      assert.equal(await port.get(absentId), undefined)
      assert.equal(await port.get('9999999999999999999'), undefined)
    },
  },
  {
    id: 'delete/then-absent',
    sentence: 'A deleted post is absent, and others are not.',
    async check({ port }) {
      const gone = await port.publish({ text: freshText() })
      const stays = await port.publish({ text: freshText() })
      assert.equal(await port.delete(gone.id), undefined)
      assert.equal(await port.get(gone.id), undefined)
      assert.deepEqual(await port.get(stays.id), stays)
    },
  },
  {
    id: 'delete/absent-resolves',
    sentence: 'Deleting what is absent, or deleting twice, resolves.',
    async check({ port }) {
      await port.delete(absentId)
      const { id } = await port.publish({ text: freshText() })
      await port.delete(id)
      await port.delete(id)
    },
  },
  {
    id: 'get/many-at-once',
    sentence: 'Posts got at the same time, some of them absent, are each the one that was asked for.',
    async check({ port }) {
      const published = await Promise.all(
        Array.from({ length: 6 }, () => port.publish({ text: freshText() })),
      )
      const got = await Promise.all(
        published.flatMap(({ id }, index) => [port.get(id), port.get(String(index + 1))]),
      )
      assert.deepEqual(
        got,
        published.flatMap((post) => [post, undefined]),
      )
    },
  },
  {
    id: 'delete/racers-all-resolve',
    sentence: 'Several deletions of one post at the same time all resolve, and it is gone.',
    async check({ port }) {
      const { id } = await port.publish({ text: freshText() })
      assert.deepEqual(
        await Promise.all(Array.from({ length: 6 }, () => port.delete(id))),
        Array(6).fill(undefined),
      )
      assert.equal(await port.get(id), undefined)
    },
  },
  {
    id: 'delete/of-a-reply-keeps-its-post',
    sentence: 'Deleting a reply leaves the post that it answers.',
    async check({ port }) {
      const post = await port.publish({ text: freshText() })
      const reply = await port.publish({ text: freshText(), inReplyTo: post.id })
      await port.delete(reply.id)
      assert.deepEqual(await port.get(post.id), post)
      assert.equal(await port.get(reply.id), undefined)
    },
  },
  {
    id: 'delete/text-again',
    sentence: 'The text of a deleted post is published again or rejected as a duplicate, and nothing else.',
    async check({ port }) {
      const { id, text } = await port.publish({ text: freshText() })
      await port.delete(id)
      try {
        assert.notEqual((await port.publish({ text })).id, id)
      } catch (error) {
        if (!PortError.is(error)) throw error
        assert.deepEqual([error.code, error.reason], ['rejected', 'duplicate'])
      }
      assert.equal(await port.get(id), undefined)
    },
  },
]
