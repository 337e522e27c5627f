/** What errors and events tell, and what they never do. */
import assert from 'node:assert/strict'
import type { CallEvent } from '../../src/calls/guard.ts'
import { PortError } from '../../src/errors.ts'
import type { Port } from '../../src/port.ts'
import type { Behaviour, BehaviourContext, OpenSubject } from '../contract.ts'
import { expectPortError } from '../expect.ts'
import { failureOf, type Kit, lent, shownOf } from './kit.ts'

const eventFields = [
  'attempts',
  'durationMs',
  'error',
  'operation',
  'port',
  'service',
  'startedAt',
  'subject',
]

export function tellingBehaviours<T extends object>(token: Port<T>, kit: Kit<T>): readonly Behaviour<T>[] {
  return [
    {
      id: 'common/unreachable-is-unavailable',
      sentence: 'Where nothing listens, every call fails with unavailable, retryable, and not applied.',
      needs: ['openUnreachable'],
      check: (context) =>
        whileUnreachable(context, async ({ guarded }) => {
          const expected = { retryable: true, outcome: 'not-applied' } as const
          // All at once: a client may wait before it tries to connect again.
          await Promise.all(
            kit.remote.map((name) =>
              expectPortError(kit.call(guarded.port, name, { timeoutMs: 5_000 }), 'unavailable', expected),
            ),
          )
          await expectPortError(guarded.ping({ timeoutMs: 5_000 }), 'unavailable')
        }),
    },
    {
      id: 'common/errors-tell-where',
      sentence: 'An error names port and operation, first of all in its message, and can be logged as JSON.',
      needs: ['openUnreachable'],
      check: (context) =>
        whileUnreachable(context, async ({ guarded }) => {
          await Promise.all(
            kit.remote.map(async (name) => {
              const error = await failureOf(kit.call(guarded.port, name, { timeoutMs: 5_000 }))
              assert.ok(PortError.is(error), `${name} does not fail with a PortError`)
              assert.equal(error.port, token.name)
              assert.equal(error.operation, name)
              const start = `${error.service ?? token.name}.${name}`
              assert.ok(error.message.startsWith(start), `"${error.message}" does not begin with ${start}`)
              if (error.subject !== undefined) assert.ok(error.message.includes(error.subject))
              const logged = JSON.parse(JSON.stringify(error)) as Record<string, unknown>
              const { code, operation, outcome, retryable } = error
              assert.deepEqual({ ...logged, code, operation, outcome, retryable }, logged)
              assert.ok(!('cause' in logged) && !('stack' in logged), 'JSON is for logs')
            }),
          )
        }),
    },
    {
      id: 'common/secrets-stay-secret',
      sentence: 'No error shows a secret of the configuration, however it is printed.',
      needs: ['canaries', 'openUnreachable'],
      check: (context) =>
        whileUnreachable(context, async ({ guarded, canaries = [] }) => {
          await Promise.all(
            kit.remote.map(async (name) => {
              const failed = await failureOf(kit.call(guarded.port, name, { timeoutMs: 5_000 }))
              assert.ok(failed instanceof Error)
              hides(failed, [...(context.canaries ?? []), ...canaries], name)
            }),
          )
        }),
    },
    {
      id: 'common/refused-credentials',
      sentence:
        'With credentials that the service refuses every call is unauthenticated, not retryable, not applied, and shows no secret.',
      needs: ['openRefused'],
      check: ({ openRefused, canaries = [] }) =>
        lent(openRefused, async (refused) => {
          const expected = { retryable: false, outcome: 'not-applied' } as const
          await Promise.all(
            kit.possible(refused.capabilities, kit.remote).map(async (name) => {
              const error = await expectPortError(kit.call(refused.port, name), 'unauthenticated', expected)
              hides(error, canaries, name)
            }),
          )
          hides(await expectPortError(refused.ping(), 'unauthenticated', expected), canaries, 'ping')
        }),
    },
    {
      id: 'common/observed-once',
      sentence:
        'Each call is told once to the observer: names, attempts, a fraction of milliseconds and the code, but no argument or answer.',
      needs: ['openObserved'],
      check: async ({ openObserved, canaries = [] }) => {
        const events: CallEvent[] = []
        await lent(
          openObserved && (() => openObserved((event) => void events.push(event))),
          async ({ port, capabilities }) => {
            const fractions: boolean[] = []
            for (const name of kit.possible(capabilities)) {
              const failure = await failureOf(kit.call(port, name))
              // What a call lends, such as a transaction, is a port of its own.
              const [event, ...others] = events.splice(0).filter((told) => told.operation === name)
              assert.ok(event, `${name} was not told`)
              assert.equal(others.length, 0, `${name} was told ${others.length + 1} times`)
              assert.deepEqual(Object.keys(event).toSorted(), eventFields)
              const { operation, durationMs, attempts, error, startedAt } = event
              assert.deepEqual(
                { port: event.port, operation, attempts, code: error?.code },
                {
                  port: token.name,
                  operation: name,
                  attempts: 1,
                  code: PortError.is(failure) ? failure.code : undefined,
                },
              )
              assert.ok(durationMs > 0 && startedAt instanceof Date)
              fractions.push(!Number.isInteger(durationMs))
              hides(event, canaries, name)
            }
            assert.ok(fractions.includes(true), 'durations are cut to whole milliseconds')
            // What did not get past its checks asked nothing of the service.
            for (const name of kit.names) {
              await failureOf(kit.call(port, name, { signal: AbortSignal.abort() }))
              await failureOf(kit.call(port, name, { timeoutMs: -1 }))
            }
            assert.deepEqual(events, [])
          },
        )
      },
    },
  ]
}

function hides(shown: unknown, canaries: readonly string[], name: string): void {
  const text = shownOf(shown)
  for (const canary of canaries) assert.ok(!text.includes(canary), `${name} shows a secret`)
}

async function whileUnreachable<T extends object>(
  { subject }: BehaviourContext<T>,
  work: (open: OpenSubject<T>) => Promise<void>,
): Promise<void> {
  const open = await subject.openUnreachable?.()
  assert.ok(open)
  try {
    await work(open)
  } finally {
    await open.guarded.close()
    await open.dispose?.()
  }
}
