/**
 * How often a property over random commands is run: a bounded slice, once with a seed that never changes and once
 * with a new one; the one that `PORTSIDE_SEED` names, to replay a failure; or until `PORTSIDE_SOAK_MINUTES` are over.
 */
import type * as FastCheck from 'fast-check'
import * as fc from 'fast-check'

const fixedSeed = 20_261_121

/** How much a run may take. */
export interface Runs {
  /** With each of the two seeds. */
  readonly runs: number
}

/**
 * Asserts that `property` holds. A failure is the smallest that was found, and says how to see it again.
 * @throws Error with fast-check's report, the seed and the path in it
 */
export async function assertRuns<Values>(
  property: FastCheck.IAsyncPropertyWithHooks<Values>,
  { runs }: Runs,
): Promise<void> {
  for (const parameters of parametersOf(runs)) {
    const details = await fc.check(property, parameters as FastCheck.Parameters<Values>)
    if (!details.failed) continue
    const { seed, counterexamplePath } = details
    const replay = `PORTSIDE_SEED=${seed}:${counterexamplePath ?? ''}`
    const message = `${fc.defaultReportMessage(details) ?? ''}\nto replay it, run this test alone with ${replay}`
    throw new Error(message, { cause: details.errorInstance })
  }
}

function parametersOf(runs: number): readonly FastCheck.Parameters<unknown>[] {
  const { PORTSIDE_SEED: given, PORTSIDE_SOAK_MINUTES: minutes } = process.env
  if (given !== undefined) {
    const [, seed, path] = /^(-?\d+)(?::([\d:]*))?$/.exec(given) ?? []
    if (seed === undefined) throw new Error(`PORTSIDE_SEED is SEED or SEED:PATH; got "${given}"`)
    return [{ seed: Number(seed), ...(path ? { path } : { numRuns: runs }) }]
  }
  if (minutes !== undefined) {
    const limit = Number(minutes) * 60_000
    if (!(limit > 0)) throw new Error(`PORTSIDE_SOAK_MINUTES is a number above 0; got "${minutes}"`)
    return [{ numRuns: Number.MAX_SAFE_INTEGER, interruptAfterTimeLimit: limit }]
  }
  return [{ seed: fixedSeed, numRuns: runs }, { numRuns: runs }]
}
