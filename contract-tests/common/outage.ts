/** What a client makes of a server that dies and comes back. */
import assert from 'node:assert/strict'
import type { Port } from '../../src/port.ts'
import type { Behaviour, BehaviourContext } from '../contract.ts'
import { expectPortError } from '../expect.ts'
import { type CommonOptions, Kit, portFailureOf, type SampleCalls } from './kit.ts'

export interface OutageOptions<T extends object> extends CommonOptions<T> {
  /** Leaves something with the service; answers how it is read again. */
  readonly leave: (context: BehaviourContext<T>) => Promise<() => Promise<unknown>>
}

/** The behaviours of `port` on a server that can be killed. Samples that need something to be there leave it. */
export function outageBehaviours<T extends object>(
  port: Port<T>,
  samples: SampleCalls<T>,
  options: OutageOptions<T>,
): readonly Behaviour<T>[] {
  const kit = new Kit(port, samples, options)
  return [
    {
      id: 'outage/recovers-by-itself',
      sentence:
        'While the server is dead every call is unavailable; when it is back the same client works and what was acknowledged is there.',
      needs: ['server'],
      check: async (context) => {
        const { guarded, server, capabilities } = context
        const names = kit.possible(capabilities, kit.remote)
        const read = await options.leave(context)
        const before = await read()
        // Connections that are kept for later are among what dies.
        for (const name of names) await portFailureOf(kit.call(guarded.port, name), name)
        await server?.kill()
        try {
          await Promise.all(
            names.map(async (name) => {
              const failure = await expectPortError(kit.call(guarded.port, name), 'unavailable', {
                retryable: true,
              })
              assert.notEqual(failure.outcome, 'applied', `${name} on a dead server`)
              if (!kit.writes(name)) assert.equal(failure.outcome, 'not-applied', name)
            }),
          )
          await expectPortError(guarded.ping(), 'unavailable')
        } finally {
          await server?.restart()
        }
        assert.deepEqual(await read(), before)
        await guarded.ping()
        for (const name of names) {
          const failure = await portFailureOf(kit.call(guarded.port, name), `${name}, when it is back,`)
          assert.notEqual(failure?.code, 'unavailable', name)
        }
      },
    },
  ]
}
