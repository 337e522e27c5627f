/** Runs a contract as vitest tests: one test a behaviour, skips with their reason. */
import { describe, test } from 'vitest'
import type { Contract, Subject } from './contract.ts'
import { runBehaviour } from './run.ts'

/** Describes `contract` for `subject`; call it at the top level of a test file. */
export function describeContract<T extends object>(contract: Contract<T>, subject: Subject<T>): void {
  describe(`${contract.port.name} · ${subject.name}`, () => {
    for (const behaviour of contract.behaviours) {
      test(`${behaviour.id} — ${behaviour.sentence}`, async ({ skip }) => {
        const result = await runBehaviour(contract, behaviour, subject)
        if (result.outcome === 'failed') throw result.error
        if (result.outcome === 'skipped') skip(result.reason)
      })
    }
  })
}
