/** Makes evidence of what a run of a contract found, writes it, and judges what it still proves. */
import { createHash } from 'node:crypto'
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { typeName } from '../src/calls/arguments.ts'
import { invalidArgument, PortError } from '../src/errors.ts'
import { dayOf } from '../src/parity/days.ts'
import {
  ageInDays,
  type BehaviourEvidence,
  type Evidence,
  evidenceFolder,
  formatEvidence,
  type ServerProduct,
} from '../src/parity/evidence.ts'
import type { Contract } from './contract.ts'
import type { BehaviourResult } from './run.ts'

/**
 * The digest of what a contract promises: of its port, and of every behaviour's id, sentence, capability and
 * means, in the order of their ids. A behaviour that is added, removed or promises something else changes it; so a
 * check that becomes stricter must say so in its sentence. The code of checks is left out on purpose: it is not the
 * same text in TypeScript, compiled and under a test runner, and a new name for a variable proves nothing wrong.
 */
export function contractHash<T extends object>({ port, behaviours }: Contract<T>): string {
  const promises = behaviours
    .map(({ id, sentence, capability = '', needs = [] }) => [id, sentence, capability, ...needs.toSorted()])
    .sort(([a = ''], [b = '']) => (a < b ? -1 : 1))
  const text = JSON.stringify([port.name, promises])
  return createHash('sha256').update(text).digest('hex').slice(0, 32)
}

/** What evidence is made from. */
export interface EvidenceInit<T extends object> {
  /** The whole contract, also where only a part of it was run. */
  readonly contract: Contract<T>
  readonly subject: string
  readonly kind: Evidence['kind']
  readonly adapter?: string | undefined
  readonly server?: ServerProduct | undefined
  readonly results: readonly BehaviourResult[]
  readonly portside: string
  readonly date: Date
}

/**
 * Makes the record of a run. Behaviours that were not run are `skipped`, as such.
 * @throws PortError `invalid-argument` for a result of a behaviour that the contract does not have
 */
export function makeEvidence<T extends object>(init: EvidenceInit<T>): Evidence {
  const { contract, subject, kind, adapter, server, portside, date } = init
  const results = new Map(init.results.map((result) => [result.id, result]))
  const behaviours: Record<string, BehaviourEvidence> = {}
  for (const { id, sentence } of contract.behaviours.toSorted((a, b) => (a.id < b.id ? -1 : 1))) {
    const whole = `${contract.port.name}/${id}`
    behaviours[whole] = { ...found(results.get(whole)), sentence }
    results.delete(whole)
  }
  const [stray] = results.keys()
  if (stray !== undefined) throw invalidArgument(`the contract has no behaviour "${stray}"`)
  return {
    port: contract.port.name,
    subject,
    kind,
    ...(adapter === undefined ? {} : { adapter }),
    ...(server === undefined ? {} : { server: { product: server.product, version: server.version } }),
    contract: contractHash(contract),
    date: dayOf(date),
    portside,
    behaviours,
  }
}

function found(result: BehaviourResult | undefined): Omit<BehaviourEvidence, 'sentence'> {
  switch (result?.outcome) {
    case 'passed':
      return { outcome: 'passed' }
    case 'failed':
      return { outcome: 'failed', reason: kindOf(result.error) }
    case 'diverged':
      return { outcome: 'diverged', reason: result.divergence.difference }
    default:
      return { outcome: 'skipped', reason: result?.reason ?? 'not run' }
  }
}

function kindOf(error: unknown): string {
  if (PortError.is(error)) return `PortError ${error.code}`
  return error instanceof Error ? error.name : typeName(error)
}

/** Writes `<folder>/<subject>.json`, whole or not at all; answers its path. */
export function writeEvidence(evidence: Evidence, folder: string = evidenceFolder): string {
  mkdirSync(folder, { recursive: true })
  const path = join(folder, `${evidence.subject}.json`)
  const part = `${path}.${process.pid}.part`
  writeFileSync(part, formatEvidence(evidence))
  renameSync(part, path)
  return path
}

/**
 * Why evidence proves nothing (any more), one sentence each: it is older than `maxAgeDays`, of the future, of another
 * contract than the one there is now, or of a run with failures or in which nothing passed.
 */
export function evidenceProblems<T extends object>(
  evidence: Evidence,
  contract: Contract<T>,
  { maxAgeDays, now = new Date() }: { readonly maxAgeDays: number; readonly now?: Date },
): readonly string[] {
  const ageDays = ageInDays(evidence, now)
  const outcomes = Object.values(evidence.behaviours).map(({ outcome }) => outcome)
  const failed = outcomes.filter((outcome) => outcome === 'failed').length
  return [
    ...(ageDays < 0 ? [`it is of ${evidence.date}, which is yet to come`] : []),
    ...(ageDays > maxAgeDays ? [`it is ${ageDays} days old; at most ${maxAgeDays} are allowed`] : []),
    ...(evidence.contract === contractHash(contract) ? [] : ['the contract has changed since']),
    ...(failed === 0 ? [] : [`${failed} of its behaviours failed`]),
    ...(outcomes.includes('passed') ? [] : ['none of its behaviours passed']),
  ]
}
