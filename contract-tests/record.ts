/**
 * Hands what a test runner found to `record-evidence.ts`: where PORTSIDE_EVIDENCE_RUNS names a folder, each run
 * leaves a file there. Several runs of one subject, each of a part of the contract, make one record.
 */
import { randomUUID } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ServerProduct } from '../src/parity/evidence.ts'
import { type Contract, type Subject, subjectId } from './contract.ts'
import type { BehaviourResult } from './run.ts'

/** One run of a contract or of a part of it. */
export interface RecordedRun {
  readonly port: string
  readonly subject: string
  readonly kind: Subject<object>['kind']
  readonly adapter?: string | undefined
  readonly server?: ServerProduct | undefined
  readonly results: readonly BehaviourResult[]
}

export const runsVariable = 'PORTSIDE_EVIDENCE_RUNS'

/** Leaves a file of this run where one is asked for; else does nothing. */
export async function recordRun<T extends object>(
  contract: Contract<T>,
  subject: Subject<T>,
  results: readonly BehaviourResult[],
): Promise<void> {
  const folder = process.env[runsVariable]
  // One without an id of its own is a variant that no evidence is kept of.
  if (folder === undefined || folder === '' || subject.id === undefined) return
  const run: RecordedRun = {
    port: contract.port.name,
    subject: subjectId(subject),
    kind: subject.kind,
    adapter: subject.adapter,
    server: await subject.server?.(),
    // Of an error its kind is all that evidence keeps.
    results: results.map((result) => ('error' in result ? { ...result, error: undefined } : result)),
  }
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, `${run.subject}.${randomUUID()}.json`), JSON.stringify(run))
}

/** All runs in a folder, those of one subject put together. */
export function readRuns(folder: string): readonly RecordedRun[] {
  const runs = new Map<string, RecordedRun>()
  for (const name of readdirSync(folder).sort()) {
    const run = JSON.parse(readFileSync(join(folder, name), 'utf8')) as RecordedRun
    const other = runs.get(run.subject)
    if (other !== undefined && (other.port !== run.port || other.kind !== run.kind)) {
      throw new Error(`two subjects have the id "${run.subject}"`)
    }
    const results = [...(other?.results ?? []), ...run.results]
    const skipped = (result: BehaviourResult): boolean => result.outcome === 'skipped'
    runs.set(run.subject, {
      ...run,
      ...other,
      server: other?.server ?? run.server,
      // What one run skips for want of a means another may have.
      results: [...results.filter(skipped), ...results.filter((result) => !skipped(result))],
    })
  }
  return [...runs.values()]
}
