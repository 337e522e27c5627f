/** What holds at the service's limits. */
import assert from 'node:assert/strict'
import { lent } from '../common/kit.ts'
import { expectPortError } from '../expect.ts'
import { absentId, freshText, inside, type PostBehaviour } from './samples.ts'

export const limits: readonly PostBehaviour[] = [
  {
    id: 'rate-limit/publish',
    sentence: 'Beyond the limit publishing is rate-limited with the time to wait, and works again after it.',
    needs: ['inside', 'passTime'],
    async check(context) {
      const { port, passTime } = context
      const { publishLimit, limitWindowMs } = inside(context)
      for (let count = 0; count < publishLimit; count += 1) await port.publish({ text: freshText() })
      const text = freshText()
      const error = await expectPortError(port.publish({ text }), 'rate-limited', {
        outcome: 'not-applied',
        retryable: true,
      })
      const { retryAfterMs = 0 } = error
      assert.ok(retryAfterMs > 0 && retryAfterMs <= limitWindowMs + 1_000, `retryAfterMs is ${retryAfterMs}`)
      assert.equal(inside(context).posts().length, publishLimit)
      await passTime?.(retryAfterMs)
      await port.publish({ text })
    },
  },
  {
    id: 'rate-limit/delete',
    sentence: 'Deletions have a limit of their own.',
    needs: ['inside', 'passTime'],
    async check(context) {
      const { port, passTime } = context
      const { id } = await port.publish({ text: freshText() })
      for (let count = 0; count < inside(context).deleteLimit; count += 1) await port.delete(absentId)
      const { retryAfterMs = 0 } = await expectPortError(port.delete(id), 'rate-limited', {
        outcome: 'not-applied',
      })
      assert.ok(await port.get(id), 'the post stands')
      await port.publish({ text: freshText() })
      await passTime?.(retryAfterMs)
      await port.delete(id)
      assert.equal(await port.get(id), undefined)
    },
  },
  {
    id: 'rate-limit/ends-with-its-window',
    sentence: 'A limit holds until the time it named has passed, and for every client of the account.',
    needs: ['inside', 'passTime', 'openAnother'],
    check: (context) =>
      lent(context.openAnother, async ({ port: other }) => {
        const { port, passTime } = context
        const { publishLimit } = inside(context)
        for (let count = 0; count < publishLimit; count += 1) {
          await (count % 2 === 0 ? port : other).publish({ text: freshText() })
        }
        const { retryAfterMs = 0 } = await expectPortError(
          other.publish({ text: freshText() }),
          'rate-limited',
        )
        // To the second: what X says has no fractions.
        await passTime?.(retryAfterMs - 1_000)
        await expectPortError(port.publish({ text: freshText() }), 'rate-limited')
        await passTime?.(1_000)
        await other.publish({ text: freshText() })
        await port.publish({ text: freshText() })
      }),
  },
  {
    id: 'rate-limit/reading-has-none-of-these',
    sentence: 'While publishing and deleting are limited, posts can be got.',
    needs: ['inside'],
    async check(context) {
      const { port } = context
      const { publishLimit, deleteLimit } = inside(context)
      let id = absentId
      for (let count = 0; count < publishLimit; count += 1)
        ({ id } = await port.publish({ text: freshText() }))
      for (let count = 0; count < deleteLimit; count += 1) await port.delete(absentId)
      await expectPortError(port.publish({ text: freshText() }), 'rate-limited')
      await expectPortError(port.delete(id), 'rate-limited')
      assert.equal((await port.get(id))?.id, id)
    },
  },
  {
    id: 'rate-limit/of-a-day',
    sentence: 'Beyond the limit of a day the time to wait is the rest of that day, not that of a window.',
    needs: ['inside', 'passTime'],
    async check(context) {
      const { port, passTime } = context
      const { publishLimit, publishLimitPerDay, limitWindowMs } = inside(context)
      for (let count = 0; count < publishLimitPerDay; count += 1) {
        if (count > 0 && count % publishLimit === 0) await passTime?.(limitWindowMs + 1_000)
        await port.publish({ text: freshText() })
      }
      const text = freshText()
      const { retryAfterMs = 0 } = await expectPortError(port.publish({ text }), 'rate-limited', {
        outcome: 'not-applied',
      })
      assert.ok(retryAfterMs > limitWindowMs && retryAfterMs <= 86_401_000, `retryAfterMs is ${retryAfterMs}`)
      await passTime?.(limitWindowMs + 1_000)
      await expectPortError(port.publish({ text }), 'rate-limited')
      await passTime?.(retryAfterMs)
      await port.publish({ text })
    },
  },
  {
    id: 'rate-limit/both-at-once',
    sentence:
      'Where the limits of a window and of a day are reached by one post, the time to wait is the longer.',
    needs: ['inside', 'passTime'],
    async check(context) {
      const { port, passTime } = context
      const { publishLimit, publishLimitPerDay, limitWindowMs } = inside(context)
      const before = publishLimitPerDay % publishLimit
      for (let count = 0; count < publishLimitPerDay; count += 1) {
        // So that the last window ends full, together with the day.
        if (count % publishLimit === before) await passTime?.(limitWindowMs + 1_000)
        await port.publish({ text: freshText() })
      }
      const text = freshText()
      const { retryAfterMs = 0 } = await expectPortError(port.publish({ text }), 'rate-limited')
      assert.ok(retryAfterMs > limitWindowMs + 1_000, `retryAfterMs is ${retryAfterMs}`)
      await passTime?.(retryAfterMs)
      await port.publish({ text })
    },
  },
]
