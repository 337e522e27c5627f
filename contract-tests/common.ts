/** The behaviours that every port has in common, made from one sample call an operation. */
import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { inspect } from 'node:util'
import { PortError } from '../src/errors.ts'
import { type CallOptions, operationsOf, type Port } from '../src/port.ts'
import type { Behaviour, BehaviourContext } from './contract.ts'
import { collect, expectPortError } from './expect.ts'

/** A valid call of one operation, with the options handed on as they are. */
export type SampleCall<T extends object> = (
  port: T,
  options: CallOptions,
) => Promise<unknown> | AsyncIterable<unknown>

/** One sample a operation, so that none is forgotten. */
export type SampleCalls<T extends object> = { readonly [K in keyof T]: SampleCall<T> }

export interface CommonOptions<T extends object> {
  /** The operations that need no service to answer, such as signing. @default none */
  readonly local?: readonly Extract<keyof T, string>[]
  /** The capability that an operation needs whatever it is asked; without it that operation is left out. @default none */
  readonly capabilities?: { readonly [K in keyof T]?: string }
}

/**
 * The common behaviours of `port`.
 * @param samples a valid call of each operation, possible on an empty subject or failing there with a `PortError`
 */
export function commonBehaviours<T extends object>(
  port: Port<T>,
  samples: SampleCalls<T>,
  { local = [], capabilities = {} }: CommonOptions<T> = {},
): readonly Behaviour<T>[] {
  const names = operationsOf(port).map(([name]) => name as Extract<keyof T, string>)
  const possible = (context: BehaviourContext<T>): typeof names =>
    names.filter((name) => {
      const capability = capabilities[name]
      return capability === undefined || context.capabilities.has(capability)
    })
  const remote = names.filter((name) => !local.includes(name))
  const call = async (
    context: BehaviourContext<T>,
    name: keyof T,
    options: CallOptions,
  ): Promise<unknown> => {
    const answer = samples[name](context.port, options)
    return Symbol.asyncIterator in answer ? collect(answer) : answer
  }
  const each = (check: (context: BehaviourContext<T>, name: keyof T & string) => Promise<void>) => {
    return async (context: BehaviourContext<T>): Promise<void> => {
      for (const name of possible(context)) await check(context, name)
    }
  }
  return [
    {
      id: 'common/unknown-option-is-refused',
      sentence: 'An option that an operation does not know is invalid-argument, on every operation.',
      check: each(async (context, name) => {
        const options = { noSuchOption: true } as CallOptions
        await expectPortError(call(context, name, options), 'invalid-argument', { operation: name })
      }),
    },
    {
      id: 'common/bad-timeout-is-refused',
      sentence: 'A timeoutMs that is zero, negative, fractional or not finite is invalid-argument.',
      check: each(async (context, name) => {
        for (const timeoutMs of [0, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
          await expectPortError(call(context, name, { timeoutMs }), 'invalid-argument')
        }
      }),
    },
    {
      id: 'common/aborted-signal-ends-before-io',
      sentence: 'A signal that is aborted already ends the call with cancelled and without effect.',
      check: each(async (context, name) => {
        const signal = AbortSignal.abort()
        const expected = { outcome: 'not-applied', operation: name } as const
        await expectPortError(call(context, name, { signal }), 'cancelled', expected)
      }),
    },
    {
      id: 'common/signal-keeps-no-listener',
      sentence: 'A call that has ended leaves no listener on the signal it was given.',
      check: each(async (context, name) => {
        const { signal } = new AbortController()
        await call(context, name, { signal }).catch((error: unknown) => assert.ok(PortError.is(error)))
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
        for (const name of names) {
          await expectPortError(call(context, name, {}), 'closed', {
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
      check: each(async (context, name) => {
        context.delayNext?.(name, 60_000)
        await expectPortError(call(context, name, { timeoutMs: 1_000 }), 'timeout', { operation: name })
      }),
    },
    {
      id: 'common/unreachable-is-unavailable',
      sentence: 'Where nothing listens, every call fails with unavailable, retryable, and not applied.',
      needs: ['openUnreachable'],
      check: async (context) => {
        const open = await context.subject.openUnreachable?.()
        assert.ok(open)
        try {
          const unreachable = { ...context, ...open, port: open.guarded.port }
          const expected = { retryable: true, outcome: 'not-applied' } as const
          // All at once: a client may wait before it tries to connect again.
          await Promise.all(
            remote.map((name) =>
              expectPortError(call(unreachable, name, { timeoutMs: 5_000 }), 'unavailable', expected),
            ),
          )
          await expectPortError(open.guarded.ping({ timeoutMs: 5_000 }), 'unavailable')
        } finally {
          await open.guarded.close()
          await open.dispose?.()
        }
      },
    },
    {
      id: 'common/secrets-stay-secret',
      sentence: 'No error shows a secret of the configuration, however it is printed.',
      needs: ['canaries', 'openUnreachable'],
      check: async (context) => {
        const open = await context.subject.openUnreachable?.()
        assert.ok(open)
        try {
          const unreachable = { ...context, ...open, port: open.guarded.port }
          const checkOf = async (name: (typeof remote)[number]): Promise<void> => {
            const failed = await call(unreachable, name, { timeoutMs: 5_000 }).catch(
              (error: unknown) => error,
            )
            assert.ok(failed instanceof Error)
            const shown = [
              String(failed),
              failed.stack,
              JSON.stringify(failed),
              inspect(failed, { depth: 12, showHidden: true }),
            ].join('\n')
            for (const canary of [...(context.canaries ?? []), ...(open.canaries ?? [])]) {
              assert.ok(!shown.includes(canary), `the error of ${name} shows a secret`)
            }
          }
          await Promise.all(remote.map(checkOf))
        } finally {
          await open.guarded.close()
          await open.dispose?.()
        }
      },
    },
  ]
}
