/**
 * Where a subject intentionally differs: reviewed entries that say why, and that end. An entry turns the failure of
 * exactly one behaviour on exactly one subject into `diverged`; it never makes a behaviour pass.
 */
import { readFileSync } from 'node:fs'
import { checkText, typeName } from '../src/calls/arguments.ts'
import { invalidArgument } from '../src/errors.ts'
import { dayOf, isDay } from '../src/parity/days.ts'
import { type Contract, type Subject, subjectId } from './contract.ts'
import type { BehaviourResult } from './run.ts'

/** One reviewed difference. */
export interface Divergence {
  /** The subject's id. */
  readonly subject: string
  /** The behaviour's id, with its port: `object-storage/signed-urls/expires`. */
  readonly behaviour: string
  /** What the subject does instead. */
  readonly difference: string
  /** Why that is accepted. */
  readonly reason: string
  /** Where it can be read up: an address, or a vendor's ticket. */
  readonly source: string
  /** The last day on which it holds, `YYYY-MM-DD`. Then someone looks at it again. */
  readonly expires: string
}

const fields = ['subject', 'behaviour', 'difference', 'reason', 'source', 'expires'] as const

/** Where a project keeps its entries. */
export const divergencesFile = 'contract-tests/divergences.json'

/**
 * Reads a file of entries: a JSON array.
 * @param file @default `contract-tests/divergences.json` below the working directory; there are none where that is absent
 * @throws PortError `invalid-argument` that lists every entry that is none, and every one that stands there twice
 */
export function loadDivergences(file?: string | URL): readonly Divergence[] {
  let text: string
  try {
    text = readFileSync(file ?? divergencesFile, 'utf8')
  } catch (error) {
    if (file === undefined && (error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
  return parseDivergences(text)
}

/** As {@link loadDivergences}, from the text of a file. */
export function parseDivergences(text: string): readonly Divergence[] {
  const entries = parseJson(text)
  if (!Array.isArray(entries)) throw invalidArgument(`divergences are an array; got ${typeName(entries)}`)
  const problems = entries.flatMap((entry, index) => {
    const problem = problemOf(entry)
    return problem === undefined ? [] : [`no. ${index + 1} ${problem}`]
  })
  if (problems.length > 0) throw invalidArgument(`the divergences are wrong: ${problems.join('; ')}`)
  const divergences = entries as readonly Divergence[]
  const names = divergences.map(({ subject, behaviour }) => `${behaviour} on ${subject}`)
  const twice = names.filter((name, index) => names.indexOf(name) !== index)
  if (twice.length > 0) throw invalidArgument(`divergences stand there twice: ${twice.join('; ')}`)
  return divergences
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw invalidArgument(`the divergences are no JSON: ${error instanceof Error ? error.message : error}`)
  }
}

function problemOf(entry: unknown): string | undefined {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) return `is ${typeName(entry)}`
  const unknown = Object.keys(entry).find((name) => !(fields as readonly string[]).includes(name))
  if (unknown !== undefined) return `has an unknown field "${unknown}"`
  for (const field of fields) {
    const value = (entry as Readonly<Record<string, unknown>>)[field]
    if (typeof value !== 'string' || value.trim() === '') return `needs a ${field}`
    checkText(field, value)
  }
  return isDay((entry as Divergence).expires) ? undefined : 'expires on no day; write YYYY-MM-DD'
}

/** The entry in force for this behaviour on this subject. */
export function divergenceFor(
  divergences: readonly Divergence[],
  subject: string,
  behaviour: string,
  now: Date = new Date(),
): Divergence | undefined {
  return divergences.find(
    (entry) => entry.subject === subject && entry.behaviour === behaviour && entry.expires >= dayOf(now),
  )
}

/** How a runner that knows no more than skips shows it. */
export function divergedReason({ difference, reason, expires }: Divergence): string {
  return `diverged until ${expires}: ${difference} (${reason})`
}

/**
 * What is wrong with the entries for `subject` after a run of `contract`, one sentence each: those that have
 * expired, and those whose behaviour does not fail any more. Each of them fails the run. Entries for behaviours
 * that were not run are not judged.
 */
export function divergenceProblems<T extends object>(
  contract: Pick<Contract<T>, 'port'>,
  subject: Pick<Subject<T>, 'id' | 'name'>,
  divergences: readonly Divergence[],
  results: readonly BehaviourResult[],
  now: Date = new Date(),
): readonly string[] {
  const id = subjectId(subject)
  return divergences
    .filter((entry) => entry.subject === id && entry.behaviour.startsWith(`${contract.port.name}/`))
    .flatMap(({ behaviour, expires }) => {
      const outcome = results.find((result) => result.id === behaviour)?.outcome
      const name = `the divergence of ${behaviour} on ${id}`
      if (expires < dayOf(now))
        return [`${name} expired on ${expires}; look at it again, then remove it or give it a new day`]
      if (outcome === 'passed') return [`${name} is of no use: the behaviour passes; remove it`]
      return outcome === 'skipped' ? [`${name} is of no use: the behaviour is skipped there; remove it`] : []
    })
}

/** The entries that name a behaviour or a subject that there is not, one sentence each. */
export function strayDivergences(
  divergences: readonly Divergence[],
  known: { readonly behaviours: ReadonlySet<string>; readonly subjects: ReadonlySet<string> },
): readonly string[] {
  return divergences.flatMap(({ behaviour, subject }) => [
    ...(known.behaviours.has(behaviour) ? [] : [`there is no behaviour ${behaviour} to diverge from`]),
    ...(known.subjects.has(subject) ? [] : [`there is no subject ${subject} that could diverge`]),
  ])
}
