/** What many clients at once see of a port's keys, judged as a whole. What a key is and what is asked of it, each port says. */
import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import type { PortError } from '../../src/errors.ts'
import type { BehaviourContext } from '../contract.ts'
import { assertLinearizable, recordHistory, type SequentialModel } from '../linearizability.ts'

export interface Histories<T, Input, Output> {
  /** What each of several clients asks, one call after another. */
  readonly clients: fc.Arbitrary<readonly (readonly Input[])[]>
  /** Makes the call. Of its chance, 0 to 3, each call has its own. */
  readonly ask: (port: T, input: Input, chance: number) => Promise<Output>
  /** One key as it would be with one copy and one client. */
  readonly model: SequentialModel<unknown, Input, Output>
  readonly runs: number
}

/** Records histories by both clients in turn and judges each. */
export async function assertOneOrder<T extends object, Input extends { readonly key: string }, Output>(
  { port, openAnother }: BehaviourContext<T>,
  { clients, ask, model, runs }: Histories<T, Input, Output | FailedCondition>,
): Promise<void> {
  const other = await openAnother?.()
  assert.ok(other)
  let round = 0
  try {
    await fc.assert(
      fc.asyncProperty(clients, fc.infiniteStream(fc.nat(3)), async (each, chance) => {
        // New keys each time: a call that was given up may still be on its way to those of the last.
        round += 1
        const fresh = each.map((all) => all.map((input) => ({ ...input, key: `${input.key}${round}` })))
        const history = await recordHistory(
          fresh,
          (input, client) => ask(client % 2 === 0 ? port : other.port, input, chance.next().value),
          failedCondition,
        )
        assertLinearizable(model, history)
      }),
      { numRuns: runs },
    )
  } finally {
    await other.close()
  }
}

export type FailedCondition = 'precondition-failed'

/**
 * The answer that a refusal is. A service may also answer a race with `conflict`, which says nothing of what is
 * stored: it is none of a model's answers, and not applied. `undefined` where the answer was lost.
 */
export const failedCondition = ({ code, outcome }: PortError): FailedCondition | undefined =>
  outcome === 'not-applied' && code === 'precondition-failed' ? code : undefined
