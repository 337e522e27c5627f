/**
 * Sums up Stryker's report on one port: `score.ts PORT mutation.json results.json`. A change that no behaviour noticed is
 * listed, unless `explained.json` says why none could. Ends with 1 where less than nine in ten are noticed or explained.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'

interface Mutant {
  readonly mutatorName: string
  readonly replacement: string
  readonly status:
    | 'Killed'
    | 'Timeout'
    | 'Survived'
    | 'NoCoverage'
    | 'Ignored'
    | 'Pending'
    | 'CompileError'
    | 'RuntimeError'
  /** Of one that was noticed: what the behaviour failed with. */
  readonly statusReason?: string
  readonly location: { readonly start: Place; readonly end: Place }
}
interface Place {
  readonly line: number
  readonly column: number
}
interface Report {
  readonly files: Readonly<Record<string, { readonly source: string; readonly mutants: readonly Mutant[] }>>
}
/** By what is changed into what and by the text around it, not by a number of a line, which moves. */
interface Explained {
  readonly file: string
  /** The line that the change begins in, without its indent. */
  readonly line: string
  readonly original: string
  readonly replacement: string
  readonly reason: string
}

const goal = 0.9
const [port = '', reportPath = '', resultsPath = ''] = process.argv.slice(2)
const report = JSON.parse(readFileSync(reportPath, 'utf8')) as Report
const explained = JSON.parse(
  readFileSync(new URL('explained.json', import.meta.url), 'utf8'),
) as readonly Explained[]
const made = new Set<Explained>()
const used = new Set<Explained>()
const { PORTSIDE_MUTATION_SAMPLE: shareTaken = '1', PORTSIDE_MUTATION_SEED: seed = '1' } = process.env
/** What part of the possible changes was made, and which. */
const sample = { share: Number(shareTaken), ...(shareTaken !== '1' && { seed }) }

const files = Object.entries(report.files).map(([file, { source, mutants }]) => {
  const judged = mutants.filter(({ status }) => /^(Killed|Timeout|Survived|NoCoverage)$/.test(status))
  const missed = judged.filter(({ status }) => status === 'Survived' || status === 'NoCoverage')
  const explanationOf = ({ location, replacement }: Mutant): Explained | undefined =>
    explained.find(
      (each) =>
        each.file === file &&
        each.line === (source.split('\n')[location.start.line - 1] ?? '').trim() &&
        each.original === textAt(source, location) &&
        each.replacement === replacement,
    )
  for (const mutant of judged) addTo(made, explanationOf(mutant))
  for (const mutant of missed) addTo(used, explanationOf(mutant))
  const open = missed.filter((mutant) => explanationOf(mutant) === undefined)
  for (const { location, replacement, status } of open) {
    const tail = status === 'NoCoverage' ? ' (no behaviour comes by)' : ''
    print(`${file}:${location.start.line}${tail}\n  - ${textAt(source, location)}\n  + ${replacement}`)
  }
  return {
    file,
    changes: judged.length,
    noticed: judged.length - missed.length,
    // Of those noticed: a behaviour, or the contract, did not end within many times what it takes unchanged.
    timedOut: judged.filter(isHang).length,
    explained: missed.length - open.length,
    missed: open.length,
  }
})

const sum = (field: 'changes' | 'noticed' | 'timedOut' | 'explained' | 'missed'): number =>
  files.reduce((total, each) => total + each[field], 0)
const total = {
  changes: sum('changes'),
  noticed: sum('noticed'),
  timedOut: sum('timedOut'),
  explained: sum('explained'),
  missed: sum('missed'),
}
// Where all that was made is explained, there was nothing to notice.
const share = total.changes === total.explained ? 1 : total.noticed / (total.changes - total.explained)
for (const { file, changes, noticed, explained: told, missed } of files) {
  print(`${file}: ${noticed} of ${changes} noticed, ${told} explained, ${missed} missed`)
}
print(
  `${total.noticed} of ${total.changes} changes noticed (${total.timedOut} by not ending), ${total.explained} explained, ${total.missed} missed`,
)
print(
  `${(share * 100).toFixed(1)} % of those that are not explained were noticed; the goal is ${goal * 100} %`,
)
// Only of a change that was made this time can it be said that its explanation is no longer needed; and not where
// other lines read the same, of which the one that is explained may be left out.
const unused = explained.filter((entry) => made.has(entry) && !used.has(entry) && isUnique(entry))
for (const { file, original } of unused) print(`explained, but no longer missed: ${file}: ${original}`)
const date = new Date().toISOString().slice(0, 10)
const results = existsSync(resultsPath) ? (JSON.parse(readFileSync(resultsPath, 'utf8')) as object) : {}
// Another sample of a port stands beside the usual one.
const name = sample.seed === undefined || sample.seed === '1' ? port : `${port}, seed ${sample.seed}`
const merged = Object.entries({ ...results, [name]: { date, ...sample, total, files } }).sort(([a], [b]) =>
  a < b ? -1 : 1,
)
writeFileSync(resultsPath, `${JSON.stringify(Object.fromEntries(merged), undefined, 2)}\n`)
if (unused.length > 0) process.exitCode = 1
if (share < goal) process.exitCode = 1

function isUnique({ file, line }: Explained): boolean {
  const lines = report.files[file]?.source.split('\n') ?? []
  return lines.filter((each) => each.trim() === line).length === 1
}

/** By Stryker's own patience or by the runner's, whichever ended first. */
function isHang({ status, statusReason = '' }: Mutant): boolean {
  return status === 'Timeout' || (status === 'Killed' && /timed out in \d+ ?ms/i.test(statusReason))
}

function textAt(source: string, { start, end }: Mutant['location']): string {
  const lines = source.split('\n').slice(start.line - 1, end.line)
  const last = lines.length - 1
  lines[last] = (lines[last] ?? '').slice(0, end.column - 1)
  lines[0] = (lines[0] ?? '').slice(start.column - 1)
  return lines.join('\n')
}

function addTo<T>(set: Set<T>, item: T | undefined): void {
  if (item !== undefined) set.add(item)
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
