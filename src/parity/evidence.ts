/**
 * Evidence: what a run of a contract found, behaviour by behaviour, on which server and when. One JSON file a
 * subject, as `portside verify` writes it, made to be committed and read in a diff: sorted, one behaviour a line, no
 * times of day, no host names, and of an error no more than its kind, because its message may name hosts and data.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { typeName } from '../calls/arguments.ts'
import { invalidArgument } from '../errors.ts'
import { urlFlag } from '../services/declare.ts'
import { dayOf, isDay } from './days.ts'

/** Which server a subject is run on: `postgresql` `17.10`. */
export interface ServerProduct {
  readonly product: string
  /** `unknown` where it does not say. */
  readonly version: string
}

/** What was found of one behaviour. */
export interface BehaviourEvidence {
  readonly outcome: 'passed' | 'failed' | 'skipped' | 'diverged'
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
  readonly kind: 'fake' | 'emulator' | 'real'
  /** Absent for a fake. */
  readonly adapter?: string
  /** Absent where there was none, or no way to tell. */
  readonly server?: ServerProduct
  /** The digest of what the contract promised, as `contractHash` makes it. */
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

/** The text of a file of evidence. */
export function formatEvidence({ behaviours, ...head }: Evidence): string {
  const lines = Object.entries(behaviours).map(
    ([id, one]) => `    ${JSON.stringify(id)}: ${JSON.stringify(one)}`,
  )
  const top = JSON.stringify(head, undefined, 2).slice(0, -2)
  return `${top},\n  "behaviours": {${lines.length === 0 ? '' : `\n${lines.join(',\n')}\n  `}}\n}\n`
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

/**
 * All the evidence in a folder, by subject; none where there is no such folder.
 * @throws PortError `invalid-argument` for a file that is no evidence
 */
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
  const { adapter, server, behaviours } = value
  if (adapter !== undefined && typeof adapter !== 'string') return 'its adapter has no name'
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

/** How many days ago it was recorded. */
export function ageInDays({ date }: Pick<Evidence, 'date'>, now: Date = new Date()): number {
  return Math.round((Date.parse(dayOf(now)) - Date.parse(date)) / dayMs)
}

/** A run of a contract, as far as the parity report needs it. Whether the contract has changed since it does not say. */
export interface EvidenceSummary {
  /** The file's name: the service's own, or that of another subject of the same kind. */
  readonly subject: string
  readonly kind: Evidence['kind']
  readonly adapter: string | undefined
  readonly server: ServerProduct | undefined
  /** The day of the run in UTC. */
  readonly date: string
  readonly ageDays: number
  /** How many behaviours had each outcome. */
  readonly counts: Readonly<Record<string, number>>
}

/** What stands for a service here. */
interface Implemented {
  readonly service: string
  readonly port: string
  /** The adapter's name, or `fake`. */
  readonly implementation: string
  /** The engine of a bounded service. */
  readonly engine?: string
}

/**
 * The service's own evidence; else the newest of the same port, kind and adapter, on the same engine where there is
 * some. Of a fake else what was found of the real service itself, held to the same contract.
 */
export function evidenceFor(
  all: readonly Evidence[],
  service: Implemented,
  now: Date,
): EvidenceSummary | undefined {
  const fake = service.implementation === 'fake'
  const own = urlFlag(service.service).slice(2, -'-url'.length)
  const fitting = all.filter(
    ({ port, kind, adapter }) =>
      port === service.port &&
      (fake ? kind === 'fake' : kind === 'real' && adapter === service.implementation),
  )
  const other = (server: ServerProduct | undefined): number =>
    Number(service.engine !== undefined && server?.product !== service.engine)
  const [best] = fitting.toSorted(
    (a, b) => other(a.server) - other(b.server) || Date.parse(b.date) - Date.parse(a.date),
  )
  const stoodFor = all.find(
    ({ port, kind, subject }) => fake && port === service.port && kind === 'real' && subject === own,
  )
  const found = fitting.find(({ subject }) => subject === own) ?? best ?? stoodFor
  return found && summaryOf(found, now)
}

function summaryOf(evidence: Evidence, now: Date): EvidenceSummary {
  const { subject, kind, adapter, server, date, behaviours } = evidence
  const counts: Record<string, number> = {}
  for (const { outcome } of Object.values(behaviours)) counts[outcome] = (counts[outcome] ?? 0) + 1
  return { subject, kind, adapter, server, date, ageDays: ageInDays(evidence, now), counts }
}
