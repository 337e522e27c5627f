/** The behaviours that every port has in common, made from one sample call an operation. */
import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { PortError } from '../src/errors.ts'
import type { CallOptions, Port } from '../src/port.ts'
import { type CommonOptions, Kit, type SampleCalls } from './common/kit.ts'
import { lifecycleBehaviours } from './common/lifecycle.ts'
import { tellingBehaviours } from './common/telling.ts'
import type { Behaviour } from './contract.ts'
import { expectPortError } from './expect.ts'

export type { CommonOptions, SampleCall, SampleCalls } from './common/kit.ts'

/**
 * The common behaviours of `port`.
 * @param samples a valid call of each operation, possible on an empty subject or failing there with a `PortError`
 */
export function commonBehaviours<T extends object>(
  port: Port<T>,
  samples: SampleCalls<T>,
  options: CommonOptions<T> = {},
): readonly Behaviour<T>[] {
  const kit = new Kit(port, samples, options)
  return [
    {
      id: 'common/unknown-option-is-refused',
      sentence: 'An option that an operation does not know is invalid-argument, on every operation.',
      check: kit.each(async (context, name) => {
        const options = { noSuchOption: true } as CallOptions
        await expectPortError(kit.call(context.port, name, options), 'invalid-argument', { operation: name })
      }),
    },
    {
      id: 'common/bad-timeout-is-refused',
      sentence: 'A timeoutMs that is zero, negative, fractional or not finite is invalid-argument.',
      check: kit.each(async (context, name) => {
        for (const timeoutMs of [0, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
          await expectPortError(kit.call(context.port, name, { timeoutMs }), 'invalid-argument')
        }
      }),
    },
    {
      id: 'common/aborted-signal-ends-before-io',
      sentence: 'A signal that is aborted already ends the call with cancelled and without effect.',
      check: kit.each(async (context, name) => {
        const signal = AbortSignal.abort()
        const expected = { outcome: 'not-applied', operation: name } as const
        await expectPortError(kit.call(context.port, name, { signal }), 'cancelled', expected)
      }),
    },
    {
      id: 'common/signal-keeps-no-listener',
      sentence: 'A call that has ended leaves no listener on the signal it was given.',
      check: kit.each(async (context, name) => {
        const { signal } = new AbortController()
        await kit
          .call(context.port, name, { signal })
          .catch((error: unknown) => assert.ok(PortError.is(error)))
        const listeners = getEventListeners(signal, 'abort').length
        assert.equal(listeners, 0, `${name} left ${listeners} listeners on the signal`)
      }),
    },
    {
      id: 'common/closed-after-close',
      sentence: 'After close every operation is closed, and closing twice resolves.',
      check: async (context) => {
        await context.guarded.close()
        await context.guarded.close()
        for (const name of kit.names) {
          await expectPortError(kit.call(context.port, name, {}), 'closed', {
            operation: name,
            outcome: 'not-applied',
          })
        }
        await expectPortError(context.guarded.ping(), 'closed')
      },
    },
    {
      id: 'common/ping-tells-it-is-up',
      sentence: 'A subject that is up answers a ping.',
      check: async ({ guarded }) => guarded.ping(),
    },
    {
      id: 'common/deadline-is-timeout',
      sentence: 'A call that takes longer than its timeoutMs fails with timeout, which is not cancelled.',
      needs: ['delayNext'],
      check: kit.each(async (context, name) => {
        context.delayNext?.(name, 60_000)
        await expectPortError(kit.call(context.port, name, { timeoutMs: 1_000 }), 'timeout', {
          operation: name,
        })
      }),
    },
    ...lifecycleBehaviours(kit),
    ...tellingBehaviours(port, kit),
  ]
}
