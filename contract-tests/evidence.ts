/**
 * Evidence: what a run of a contract found, behaviour by behaviour, on which server and when. One JSON file a
 * subject, made to be committed and read in a diff: sorted, one behaviour a line, no times of day, no host names,
 * and of an error no more than its kind, because its message may name hosts and data.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { typeName } from '../src/calls/arguments.ts'
import { invalidArgument, PortError } from '../src/errors.ts'
import type { Contract, ServerProduct, Subject } from './contract.ts'
import { dayOf, isDay } from './divergences.ts'
import type { BehaviourResult } from './run.ts'

/** What was found of one behaviour. */
export interface BehaviourEvidence {
  readonly outcome: BehaviourResult['outcome']
  /** Why it was skipped, how it differs, or the kind of error it failed with; absent where it passed. */
  readonly reason?: string
  /** What was held, as the contract said it then. */
  readonly sentence: string
}

/** The record of one run of a contract on one subject. */
export interface Evidence {
  readonly port: string
  /** The subject's id; the file's name. */
  readonly subject: string
  readonly kind: Subject<object>['kind']
  /** Absent for a fake. */
  readonly adapter?: string
  /** Absent where there was none, or no way to tell. */
  readonly server?: ServerProduct
  /** The {@link contractHash} of what was run. */
  readonly contract: string
  /** The day of the run in UTC, `YYYY-MM-DD`. */
  readonly date: string
  /** The version of this package. */
  readonly portside: string
  /** By the behaviour's id, with its port. */
  readonly behaviours: Readonly<Record<string, BehaviourEvidence>>
}

/** Where a project keeps its evidence. */
export const evidenceFolder = 'contract-tests/evidence'

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
  readonly kind: Subject<object>['kind']
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

/** The text of a file of evidence. */
export function formatEvidence({ behaviours, ...head }: Evidence): string {
  const lines = Object.entries(behaviours).map(
    ([id, one]) => `    ${JSON.stringify(id)}: ${JSON.stringify(one)}`,
  )
  const top = JSON.stringify(head, undefined, 2).slice(0, -2)
  return `${top},\n  "behaviours": {${lines.length === 0 ? '' : `\n${lines.join(',\n')}\n  `}}\n}\n`
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
 * Reads a file of evidence.
 * @throws PortError `invalid-argument` where it is none
 */
export function readEvidence(path: string): Evidence {
  let value: unknown
  try {
    value = JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    if (error instanceof SyntaxError) throw invalidArgument(`${path} is no JSON: ${error.message}`)
    throw error
  }
  const problem = problemOf(value)
  if (problem !== undefined) throw invalidArgument(`${path} is no evidence: ${problem}`)
  return value as Evidence
}

/** All the evidence in a folder, by subject; none where there is no such folder. */
export function readAllEvidence(folder: string = evidenceFolder): readonly Evidence[] {
  let names: string[]
  try {
    names = readdirSync(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
  return names
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => readEvidence(join(folder, name)))
}

const outcomes: readonly unknown[] = ['passed', 'failed', 'skipped', 'diverged']

function problemOf(value: unknown): string | undefined {
  if (!isRecord(value)) return `it is ${typeName(value)}`
  for (const field of ['port', 'subject', 'contract', 'date', 'portside']) {
    if (typeof value[field] !== 'string') return `it has no ${field}`
  }
  if (!['fake', 'emulator', 'real'].includes(value.kind as string)) return 'it is of no known kind'
  if (!isDay(value.date as string)) return 'its date is no day'
  const { server, behaviours } = value
  if (
    server !== undefined &&
    !(isRecord(server) && [server.product, server.version].every((part) => typeof part === 'string'))
  ) {
    return 'its server has no product or no version'
  }
  if (!isRecord(behaviours)) return 'it has no behaviours'
  const wrong = Object.entries(behaviours).find(
    ([, one]) => !isRecord(one) || !outcomes.includes(one.outcome) || typeof one.sentence !== 'string',
  )
  return wrong === undefined ? undefined : `its behaviour "${wrong[0]}" has no outcome or no sentence`
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

const dayMs = 86_400_000

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

/** How many days ago it was recorded. */
export function ageInDays({ date }: Pick<Evidence, 'date'>, now: Date = new Date()): number {
  return Math.round((Date.parse(dayOf(now)) - Date.parse(date)) / dayMs)
}
