/** `portside parity`: how an environment compares with what is declared; and with another environment. */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { Severity } from '../adapter.ts'
import { PortError } from '../errors.ts'
import { checkReport, diffParity, type ParityDiff } from '../parity/diff.ts'
import { parityOf } from '../parity/environment.ts'
import { atLeast, type Drift, type ParityReport, type ServiceParity } from '../parity/report.ts'
import { type Command, exitCodes, type Terminal, UsageError } from './command.ts'
import { servicesAndOptions } from './declaration.ts'
import { table } from './table.ts'

const diffOptions = { json: { type: 'boolean' }, 'fail-on': { type: 'string' } } as const
const ownOptions = {
  ...diffOptions,
  evidence: { type: 'string' },
  build: { type: 'string' },
  'max-age': { type: 'string' },
} as const

export const parity: Command = {
  usage:
    'parity [--services FILE] [--<service>-url URL]… [--evidence FOLDER] [--build FILE] [--max-age 30d] [--fail-on high|medium|low] [--json]; parity diff A.json B.json [--fail-on high|medium|low|unknown] [--json]',
  summary:
    'compares pins with running servers and a build with where it runs, or two environments with each other',
  async run(args, terminal) {
    if (args[0] === 'diff') return diff(args.slice(1), terminal)
    const { services, values } = await servicesAndOptions(args, ownOptions)
    const { evidence, build, 'max-age': maxAge } = values
    const least = severityOf(values['fail-on'])
    const maxAgeDays = maxAge === undefined ? undefined : daysOf(maxAge)
    const report = await parityOf(
      services,
      { args },
      { ...(evidence === undefined ? {} : { evidence }), ...(build === undefined ? {} : { build }) },
    )
    if (values.json) terminal.print(JSON.stringify(report, undefined, 2))
    else for (const line of linesOf(report)) terminal.print(line)
    const problems = problemsOf(report, maxAgeDays)
    for (const problem of problems) terminal.tell(problem)
    const drifts = report.drift.some(({ severity }) => atLeast(severity, least))
    return drifts || problems.length > 0 ? exitCodes.failed : exitCodes.ok
  },
}

function diff(args: readonly string[], { print }: Terminal): number {
  const { values, positionals } = parseDiff(args)
  const [a, b, ...more] = positionals
  if (a === undefined || b === undefined || more.length > 0)
    throw new UsageError('diff compares two files that "portside parity --json" wrote')
  const failOn = values['fail-on']
  const least = failOn === 'unknown' ? 'low' : severityOf(failOn)
  const found = diffParity(readReport(a), readReport(b))
  const { drift } = found
  if (values.json) print(JSON.stringify(found, undefined, 2))
  else for (const line of diffLines(found, a, b)) print(line)
  const fails =
    drift.some(({ severity }) => atLeast(severity, least)) ||
    (failOn === 'unknown' && found.unknown.length > 0)
  return fails ? exitCodes.failed : exitCodes.ok
}

function parseDiff(args: readonly string[]): {
  readonly values: { readonly json?: boolean; readonly 'fail-on'?: string }
  readonly positionals: readonly string[]
} {
  try {
    return parseArgs({ args: [...args], options: diffOptions, strict: true, allowPositionals: true })
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

function readReport(path: string): ParityReport {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'))
    checkReport(value)
    return value
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const why = PortError.is(error) ? error.detail : error instanceof SyntaxError ? 'it is no JSON' : code
    throw new PortError({ code: 'invalid-argument', message: `${path}: ${why}`, cause: error })
  }
}

function severityOf(text: string | undefined): Severity {
  if (text === undefined) return 'low'
  if (text === 'high' || text === 'medium' || text === 'low') return text
  throw new UsageError('--fail-on is high, medium or low (the default)')
}

function daysOf(text: string): number {
  const [, days] = /^(\d{1,5})d$/.exec(text) ?? []
  if (days === undefined) throw new UsageError('--max-age is a number of days, such as 30d')
  return Number(days)
}

/** What is no drift, but cannot be left as it is: a server that does not answer, evidence that proves nothing. */
function problemsOf({ services }: ParityReport, maxAgeDays: number | undefined): readonly string[] {
  return services.flatMap(({ service, implementation, problem, evidence, server }) => {
    const found = problem === undefined ? [] : [`${service}: ${problem.code}: ${problem.message}`]
    if (maxAgeDays === undefined) return found
    if (evidence === undefined) {
      const where = implementation === 'fake' ? ' where it is real' : ''
      return [...found, `${service}: unverified; run: portside verify ${service}${where}`]
    }
    const failed = evidence.counts.failed ?? 0
    if (failed > 0) found.push(`${service}: ${failed} behaviours failed in its evidence of ${evidence.date}`)
    const verified = evidence.server?.version
    if (server !== undefined && verified !== undefined && verified !== server.version)
      found.push(`${service}: its evidence is of version ${verified}, and ${server.version} runs`)
    if (evidence.ageDays > maxAgeDays)
      found.push(
        `${service}: its evidence is ${evidence.ageDays} days old; at most ${maxAgeDays} are allowed`,
      )
    return found
  })
}

function diffLines({ drift, unknown }: ParityDiff, a: string, b: string): readonly string[] {
  const none = unknown.length === 0 ? 'no drift' : 'no drift in what is known'
  const hidden = unknown.map(({ of, what, expected, found }) => [of, what, expected, found])
  return [
    ...(drift.length === 0 ? [none] : driftLines(drift, a, b)),
    ...(hidden.length === 0 ? [] : ['', ...table([['not known', '', a, b], ...hidden])]),
  ]
}

function linesOf(report: ParityReport): readonly string[] {
  const heading = ['service', 'boundary', 'implementation', 'pin', 'running', 'drift', 'evidence']
  return [
    ...table([heading, ...report.services.map(rowOf)]),
    '',
    ...table([
      ['tools', toolsLine(report)],
      ['time', timeLine(report)],
      ['personnel', personnelLine(report)],
    ]),
    ...(report.drift.length === 0 ? [] : ['', ...driftLines(report.drift, 'expected', 'found')]),
    ...unknownLines(report),
  ]
}

/** What a login may not read: without a word it would look like what is not there. */
function unknownLines({ services }: ParityReport): readonly string[] {
  const rows = services.flatMap(({ service, fingerprint }) => {
    const names = new Map<string, string[]>()
    for (const [name, why] of Object.entries(fingerprint?.unknown ?? {}))
      names.set(why, [...(names.get(why) ?? []), name])
    return [...names].map(([why, hidden]) => [service, why, hidden.toSorted().join(', ')])
  })
  return rows.length === 0 ? [] : ['', ...table([['not known', 'because', 'what'], ...rows])]
}

function rowOf(service: ServiceParity): readonly string[] {
  const { server, drift, problem, pin = '-', evidence, boundary, implementation } = service
  const [worst] = drift
  const drifting = worst === undefined ? (pin === '-' ? '-' : 'none') : worst.severity
  return [
    service.service,
    boundary,
    implementation,
    pin,
    server === undefined ? '-' : `${server.engine} ${server.version}`,
    problem === undefined
      ? drifting
      : [worst?.severity, `not known: ${problem.code}`].filter(Boolean).join(', '),
    evidence === undefined ? 'unverified' : evidenceText(evidence),
  ]
}

function evidenceText({ ageDays, kind, server, counts }: NonNullable<ServiceParity['evidence']>): string {
  const age = ageDays === 0 ? 'today' : ageDays === 1 ? '1 day' : `${ageDays} days`
  const on = server === undefined ? kind : `${server.product} ${server.version}`
  const failed = counts.failed ?? 0
  return `${age} (${on}${failed === 0 ? '' : `, ${failed} failed`})`
}

const unstamped = 'not known; run "portside stamp" when the app is built, and ship its file'

function toolsLine({ tools: { running, built } }: ParityReport): string {
  const { lockfile, node, packages } = running
  const lock = lockfile === undefined ? 'no lockfile' : `${lockfile.file} ${lockfile.sha256.slice(0, 12)}`
  const here = `Node ${node}, ${lock}, ${Object.entries(packages)
    .map((each) => each.join(' '))
    .join(', ')}`
  return built === undefined ? here : `${here}; built with Node ${built.node}`
}

function timeLine({ time }: ParityReport): string {
  if (time === undefined) return unstamped
  const booted =
    time.buildToBootMs === undefined
      ? `built ${span(time.ageMs)} ago`
      : `booted ${span(time.buildToBootMs)} after that, ${span(time.ageMs)} ago`
  const dirty = time.dirty ? ' with changes that are not committed' : ''
  return `commit ${time.commit.slice(0, 12)}${dirty}, built ${span(time.commitToBuildMs)} after it; ${booted}`
}

function personnelLine({ personnel }: ParityReport): string {
  if (personnel === undefined) return unstamped
  const { authors, complete, deployer, authorDeployed } = personnel
  const least = complete ? '' : 'at least (the clone was shallow) '
  const wrote = `written by ${authors.length === 0 ? 'nobody: no commit is new' : `${least}${authors.join(', ')}`}`
  if (deployer === undefined) return `${wrote}; nobody said who deployed (PORTSIDE_DEPLOYER)`
  return `${wrote}; deployed by ${deployer}${authorDeployed === undefined ? '' : `, who ${authorDeployed ? 'is one of them' : 'wrote none of it'}`}`
}

function driftLines(drift: readonly Drift[], expected: string, found: string): readonly string[] {
  return table([
    ['severity', 'of', 'what', expected, found],
    ...drift.map((one) => [one.severity, one.of, one.what, cell(one.expected), cell(one.found)]),
  ])
}

/** An empty value would look like none. */
function cell(value: string | undefined): string {
  if (value === undefined) return 'absent'
  return value === '' ? '""' : value
}

const units = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1_000],
] as const

/** In the largest unit of which there is one. */
function span(ms: number): string {
  const [name, size] = units.find(([, unit]) => Math.abs(ms) >= unit) ?? (['second', 1_000] as const)
  const count = Math.round(ms / size)
  return `${count} ${name}${count === 1 ? '' : 's'}`
}
