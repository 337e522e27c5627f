/** Runs a contract as vitest tests: one test a behaviour, skips with their reason. */
import { afterAll, describe, test } from 'vitest'
import { type Contract, type Subject, subjectId } from './contract.ts'
import { divergedReason, divergenceProblems, loadDivergences } from './divergences.ts'
import { recordRun } from './record.ts'
import { type BehaviourResult, type RunOptions, runBehaviour } from './run.ts'

/**
 * Describes `contract` for `subject`; call it at the top level of a test file. A behaviour that differs as a
 * divergence says is shown as skipped, with the reason; a last test fails on divergences that are of no use.
 * @param options `divergences` are those of `contract-tests/divergences.json` where they are not given
 */
export function describeContract<T extends object>(
  contract: Contract<T>,
  subject: Subject<T>,
  options: RunOptions = {},
): void {
  const divergences = options.divergences ?? loadDivergences()
  const results: BehaviourResult[] = []
  describe(`${contract.port.name} · ${subject.name}`, () => {
    for (const behaviour of contract.behaviours) {
      test(`${behaviour.id} — ${behaviour.sentence}`, async ({ skip }) => {
        const result = await runBehaviour(contract, behaviour, subject, { ...options, divergences })
        results.push(result)
        if (result.outcome === 'failed') throw result.error
        if (result.outcome === 'skipped') skip(result.reason)
        if (result.outcome === 'diverged') skip(divergedReason(result.divergence))
      })
    }
    if (divergences.some((entry) => entry.subject === subjectId(subject))) {
      test('divergences — Each entry for this subject is in force, and its behaviour fails.', ({
        expect,
      }) => {
        expect(divergenceProblems(contract, subject, divergences, results, options.now)).toEqual([])
      })
    }
    afterAll(() => recordRun(contract, subject, results))
  })
}
