/** What holds for calls that are aborted, closed upon, too slow, or cut off: what is said of their outcome is true. */
import assert from 'node:assert/strict'
import type { Guarded } from '../../src/calls/guard.ts'
import { PortError } from '../../src/errors.ts'
import type { SocialPublisher } from '../../src/ports/social-publisher.ts'
import { lent } from '../common/kit.ts'
import { expectPortError } from '../expect.ts'
import { absentId, type Context, freshText, inside, type PostBehaviour, texts } from './samples.ts'

/** Holds what was told of each text against what stands. */
function holds(context: Context, told: ReadonlyMap<string, string>): void {
  const stands = texts(context)
  for (const [text, outcome] of told) {
    const times = stands.filter((one) => one === text).length
    if (outcome === 'not-applied') assert.equal(times, 0, text)
    else if (outcome === 'applied') assert.equal(times, 1, text)
    else assert.ok(times <= 1, text)
  }
}

/** What a call says of its outcome: of its own, or by failing with this code. */
async function toldOf(call: Promise<unknown>, code: string): Promise<string> {
  try {
    await call
    return 'applied'
  } catch (error) {
    assert.ok(PortError.is(error) && error.code === code, String(error))
    return error.outcome
  }
}

/** Runs `work` with a client over a wire that can be cut. */
function overWire(
  { network }: Context,
  work: (guarded: Guarded<SocialPublisher>) => Promise<void>,
): Promise<void> {
  return lent(network && (() => network.open()), work)
}

export const interruptions: readonly PostBehaviour[] = [
  {
    id: 'errors/abort-tells-the-truth',
    sentence:
      'A publish that is aborted at any moment says cancelled or its post, and what it says of its outcome holds.',
    needs: ['inside'],
    async check(context) {
      const told = new Map<string, string>()
      // As long as one call takes here: the aborts are spread over that time, and a little beyond.
      const started = performance.now()
      await context.port.publish({ text: freshText() })
      const callMs = performance.now() - started
      const rounds = 16
      for (let round = 0; round < rounds; round += 1) {
        const text = freshText()
        const controller = new AbortController()
        const pending = context.port.publish({ text }, { signal: controller.signal }).then(
          () => 'applied',
          (error: unknown) => {
            assert.ok(PortError.is(error) && error.code === 'cancelled', String(error))
            return error.outcome
          },
        )
        await new Promise((resolve) => setTimeout(resolve, (callMs * 1.2 * round) / rounds))
        controller.abort()
        told.set(text, await pending)
      }
      await context.port.publish({ text: freshText() })
      const stands = inside(context)
        .posts()
        .map(({ text }) => text)
      for (const [text, outcome] of told) {
        const times = stands.filter((one) => one === text).length
        if (outcome === 'not-applied') assert.equal(times, 0, text)
        else if (outcome === 'applied') assert.equal(times, 1, text)
        else assert.ok(times <= 1, text)
      }
    },
  },
  {
    id: 'errors/abort-of-delete-tells-the-truth',
    sentence:
      'A deletion that is aborted at any moment leaves the post or not, and what it says of that holds.',
    needs: ['inside'],
    async check(context) {
      const { port } = context
      for (let turns = 0; turns < 8; turns += 1) {
        const { id } = await port.publish({ text: freshText() })
        const controller = new AbortController()
        const pending = toldOf(port.delete(id, { signal: controller.signal }), 'cancelled')
        for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve))
        controller.abort()
        const outcome = await pending
        const stands = inside(context)
          .posts()
          .some((post) => post.id === id)
        if (outcome === 'applied') assert.ok(!stands, 'it said that it deleted')
        if (outcome === 'not-applied') assert.ok(stands, 'it said that it had not deleted')
      }
    },
  },
  {
    id: 'errors/close-tells-the-truth',
    sentence:
      'A publish that closing cuts off says closed or its post, and what it says of its outcome holds.',
    needs: ['inside', 'openAnother'],
    async check(context) {
      const told = new Map<string, string>()
      for (let turns = 0; turns < 6; turns += 1) {
        await lent(context.openAnother, async (other) => {
          const text = freshText()
          const pending = toldOf(other.port.publish({ text }), 'closed')
          for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve))
          await other.close({ drainMs: 0 })
          told.set(text, await pending)
        })
      }
      holds(context, told)
    },
  },
  {
    id: 'errors/timeout-tells-the-truth',
    sentence: 'A publish that runs out of time is timeout, retryable, and what it says of its outcome holds.',
    needs: ['inside', 'delayNext'],
    async check(context) {
      const { port, delayNext } = context
      const text = freshText()
      delayNext?.('publish', 60_000)
      const error = await expectPortError(port.publish({ text }, { timeoutMs: 1_000 }), 'timeout', {
        retryable: true,
      })
      holds(context, new Map([[text, error.outcome]]))
      await port.publish({ text: freshText() })
    },
  },
  {
    id: 'network/lost-answer',
    sentence: 'Where the wire loses the answer to a publish, it is unavailable and unknown, and stands once.',
    needs: ['network', 'inside'],
    check: (context) =>
      overWire(context, async ({ port }) => {
        await port.publish({ text: freshText() })
        const text = freshText()
        context.network?.loseNextAnswer()
        await expectPortError(port.publish({ text }), 'unavailable', { outcome: 'unknown', retryable: true })
        await expectPortError(port.publish({ text }), 'rejected', { reason: 'duplicate' })
        assert.equal(texts(context).filter((each) => each === text).length, 1)
      }),
  },
  {
    id: 'network/cut-and-mended',
    sentence:
      'While the wire is cut every call is unavailable, and through the mended one the same client goes on.',
    needs: ['network', 'inside'],
    check: (context) =>
      overWire(context, async ({ port }) => {
        const { id } = await port.publish({ text: freshText() })
        const before = texts(context)
        context.network?.cut()
        const text = freshText()
        const told = await expectPortError(port.publish({ text }), 'unavailable', { retryable: true })
        assert.notEqual(told.outcome, 'applied')
        await expectPortError(port.get(id), 'unavailable', { outcome: 'not-applied' })
        await expectPortError(port.delete(id), 'unavailable')
        assert.deepEqual(texts(context), before)
        context.network?.mend()
        await port.publish({ text })
        assert.equal((await port.get(id))?.id, id)
      }),
  },
  {
    id: 'network/frozen-is-timeout',
    sentence:
      'On a wire that carries nothing a publish is timeout and unknown, and the client goes on afterwards.',
    needs: ['network', 'inside'],
    check: (context) =>
      overWire(context, async ({ port }) => {
        await port.publish({ text: freshText() })
        context.network?.freeze()
        const text = freshText()
        // On the wire time cannot be forced.
        const told = await expectPortError(port.publish({ text }, { timeoutMs: 150 }), 'timeout')
        assert.equal(told.outcome, 'unknown')
        context.network?.mend()
        await port.publish({ text: freshText() })
        assert.ok(texts(context).filter((each) => each === text).length <= 1)
      }),
  },
  {
    id: 'network/aborted-lets-go',
    sentence:
      'Calls that are aborted or time out while the wire carries nothing, and a ping, let go of their connections at once.',
    needs: ['network'],
    check: (context) =>
      overWire(context, async (guarded) => {
        const { network } = context
        assert.ok(network)
        const { port } = guarded
        await port.get(absentId)
        network.freeze()
        const count = 5
        const { signal, abort } = aborting()
        const calls = [
          ...Array.from({ length: count }, () => port.publish({ text: freshText() }, { signal })),
          ...Array.from({ length: count }, () => port.get(absentId, { signal })),
          ...Array.from({ length: count }, () => guarded.ping({ signal })),
        ].map((call) => expectPortError(call, 'cancelled'))
        await until(() => network.connections() >= calls.length, 'each call has a connection')
        abort()
        await Promise.all(calls)
        await until(() => network.connections() === 0, 'no connection is left')
        await expectPortError(port.get(absentId, { timeoutMs: 150 }), 'timeout')
        await until(() => network.connections() === 0, 'no connection is left by the timeout')
        network.mend()
        assert.equal(await port.get(absentId), undefined)
      }),
  },
]

function aborting(): { readonly signal: AbortSignal; readonly abort: () => void } {
  const controller = new AbortController()
  return { signal: controller.signal, abort: () => controller.abort() }
}

/** Waits until it holds. The bound only tells what comes late from what never does. */
async function until(holds: () => boolean, what: string): Promise<void> {
  for (let tries = 0; !holds(); tries += 1) {
    if (tries === 500) assert.fail(`it does not come to be that ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
