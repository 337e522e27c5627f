/**
 * The parity report: what each service of an environment is attached to, how that differs from what is declared, and
 * the three gaps between development and production: tools, time and personnel.
 */
import type { Fact, Fingerprint, ServerIdentity, Severity } from '../adapter.ts'
import { checkFields, checkText } from '../calls/arguments.ts'
import { PortError, type PortErrorCode } from '../errors.ts'
import type { CallOptions } from '../port.ts'
import { pinHolds } from '../services/pin.ts'
import {
  type BuildInfo,
  buildFile,
  deployerVariable,
  folderOf,
  readBuildInfo,
  type Tools,
  toolsHere,
} from './build.ts'
import { type EvidenceSummary, evidenceFolder, evidenceFor, readAllEvidence } from './evidence.ts'

/** One difference. */
export interface Drift {
  readonly severity: Severity
  /** A service's name; `tools` or `build` for what is of the whole app. */
  readonly of: string
  /** What differs: `version`, `collation.version`, `node`. */
  readonly what: string
  /** What was declared, built with, or is in the first environment; `undefined` where it is absent there. */
  readonly expected: string | undefined
  readonly found: string | undefined
}

export interface ServiceParity {
  readonly service: string
  readonly port: string
  readonly boundary: 'bounded' | 'unbounded'
  /** The adapter's name, or `fake`. */
  readonly implementation: string
  /** The engine and version that are declared; `undefined` for an unbounded service. */
  readonly pin: string | undefined
  /** The running server, as it says it. */
  readonly server: ServerIdentity | undefined
  readonly fingerprint: Fingerprint | undefined
  /** From the pin, and of the server from itself. */
  readonly drift: readonly Drift[]
  /**
   * The newest run of the port's contract on what stands here, or of a fake on what it stands for; `undefined` where
   * it is unverified.
   */
  readonly evidence: EvidenceSummary | undefined
  /** Why the server could not be asked. */
  readonly problem: { readonly code: PortErrorCode; readonly message: string } | undefined
}

export interface ParityReport {
  readonly format: 1
  /** When it was made: ISO 8601, UTC. */
  readonly at: string
  readonly services: readonly ServiceParity[]
  readonly tools: ToolsGap
  /** `undefined`, as personnel, where there is no build information. */
  readonly time: TimeGap | undefined
  readonly personnel: PersonnelGap | undefined
  /** All of it, worst first. */
  readonly drift: readonly Drift[]
}

export interface ToolsGap {
  /** What this process runs with. */
  readonly running: Tools
  /** What the release was built with. */
  readonly built: Tools | undefined
  /** The running servers, by service: `postgresql 17.10`. */
  readonly servers: Readonly<Record<string, string>>
}

/** From a commit to where it runs. Times are ISO 8601, UTC. */
export interface TimeGap {
  readonly commit: string
  /** Whether what was built is not just that commit. */
  readonly dirty: boolean
  readonly committedAt: string
  readonly builtAt: string
  /** `undefined` where no app runs, as for `portside parity`. */
  readonly bootedAt: string | undefined
  readonly commitToBuildMs: number
  readonly buildToBootMs: number | undefined
  /** How long ago it booted; where no app runs, how long ago it was built. */
  readonly ageMs: number
}

export interface PersonnelGap {
  /** Who wrote the commits of this release, most commits first. */
  readonly authors: readonly string[]
  /** Whether these are all: a shallow clone does not know all commits. */
  readonly complete: boolean
  readonly deployer: string | undefined
  /** Whether the one who deployed is among them; `undefined` where nobody said who deployed, or not all are known. */
  readonly authorDeployed: boolean | undefined
}

export interface ParityOptions extends CallOptions {
  /** The folder of the app's evidence, as `portside verify` writes it. @default 'contract-tests/evidence' */
  readonly evidence?: string
  /** The file that `portside stamp` wrote. @default 'portside-build.json' */
  readonly build?: string
  /** Who deployed. @default the variable PORTSIDE_DEPLOYER, else what the build says */
  readonly deployer?: string
}

/** A service to report on. */
export interface ParitySubject {
  readonly service: string
  readonly port: string
  readonly boundary: 'bounded' | 'unbounded'
  readonly implementation: string
  readonly pin: string | undefined
  /** The engine the pin speaks of. */
  readonly engine?: string
  /** How the server is asked; absent for a fake. */
  readonly ask?: {
    identify(options?: CallOptions): Promise<ServerIdentity | undefined>
    fingerprint(options?: CallOptions): Promise<Fingerprint | undefined>
  }
  /** Why it cannot be asked. */
  readonly problem?: ServiceParity['problem']
}

const optionNames = ['signal', 'timeoutMs', 'evidence', 'build', 'deployer']

/** Asks all services at once, and puts the answers together. */
export async function makeParityReport(
  subjects: readonly ParitySubject[],
  { bootedAt, ...options }: ParityOptions & { readonly bootedAt: Date | undefined },
): Promise<ParityReport> {
  checkFields('options', options, optionNames)
  const { signal, timeoutMs, evidence = evidenceFolder, build: file = buildFile } = options
  for (const name of ['evidence', 'build', 'deployer'] as const) {
    if (options[name] !== undefined) checkText(name, options[name])
  }
  const now = new Date()
  const found = readAllEvidence(evidence)
  const build = readBuildInfo(file)
  const call = { signal, ...(timeoutMs === undefined ? {} : { timeoutMs }) }
  const services = await Promise.all(
    subjects.map(async (subject) => ({
      ...(await serviceParity(subject, call)),
      evidence: evidenceFor(found, subject, now),
    })),
  )
  const tools: ToolsGap = {
    running: toolsHere(folderOf(file)),
    built: build?.tools,
    servers: Object.fromEntries(
      services.flatMap(({ service, server }) =>
        server === undefined ? [] : [[service, `${server.engine} ${server.version}`]],
      ),
    ),
  }
  const deployer = options.deployer ?? (process.env[deployerVariable]?.trim() || build?.deployer)
  return {
    format: 1,
    at: now.toISOString(),
    services,
    tools,
    time: build && timeGap(build, bootedAt, now),
    personnel: build && personnelGap(build, deployer),
    drift: worstFirst([
      ...services.flatMap(({ drift }) => drift),
      ...(build === undefined ? [] : toolsDrift(build.tools, tools.running)),
      ...(build?.dirty ? [dirtyBuild] : []),
    ]),
  }
}

const dirtyBuild: Drift = {
  severity: 'medium',
  of: 'build',
  what: 'commit',
  expected: 'a commit as it is',
  found: 'a commit with uncommitted changes',
}

async function serviceParity(
  { ask, engine, problem, ...subject }: ParitySubject,
  call: CallOptions,
): Promise<Omit<ServiceParity, 'evidence'>> {
  const { service, port, boundary, implementation, pin } = subject
  const shown = pin === undefined || engine === undefined ? pin : `${engine} ${pin}`
  const base = { service, port, boundary, implementation, pin: shown }
  const nothing = { ...base, server: undefined, fingerprint: undefined, drift: [], problem }
  if (ask === undefined || problem !== undefined) return nothing
  // What was found before a failure stays in the report.
  let found: Omit<ServiceParity, 'evidence'> = nothing
  try {
    const server = await ask.identify(call)
    const fromPin = server && pin && engine ? pinDrift(service, engine, pin, server) : []
    found = { ...nothing, server, drift: fromPin }
    const fingerprint = await ask.fingerprint(call)
    const own = fingerprint?.drift?.map((one) => ({ ...one, of: service })) ?? []
    return { ...found, fingerprint, drift: worstFirst([...fromPin, ...own]) }
  } catch (error) {
    const [code, message] = PortError.is(error)
      ? ([error.code, error.detail] as const)
      : (['internal', 'unexpected failure'] as const)
    return { ...found, problem: { code, message } }
  }
}

function pinDrift(service: string, engine: string, pin: string, server: ServerIdentity): readonly Drift[] {
  if (server.engine === engine && pinHolds(pin, server.version)) return []
  const major = (version: string): string => version.split('.')[0] ?? ''
  const worse = server.engine !== engine || major(server.version) !== major(pin)
  return [
    {
      severity: worse ? 'high' : 'medium',
      of: service,
      what: 'version',
      expected: `${engine} ${pin}`,
      found: `${server.engine} ${server.version}`,
    },
  ]
}

/** What differs between two sets of tools. */
export function toolsDrift(expected: Tools, found: Tools): readonly Drift[] {
  const differ = (severity: Severity, what: string, a: string | undefined, b: string | undefined): Drift[] =>
    a === b ? [] : [{ severity, of: 'tools', what, expected: a, found: b }]
  // What one of them does without says nothing: a release has no tools of tests.
  const names = Object.keys(expected.packages).filter((name) => Object.hasOwn(found.packages, name))
  const major = (version: string): string => version.split('.')[0] ?? ''
  return [
    ...differ(major(expected.node) === major(found.node) ? 'low' : 'high', 'node', expected.node, found.node),
    // A container often has no lockfile any more, which says nothing.
    ...(expected.lockfile && found.lockfile
      ? differ('medium', expected.lockfile.file, expected.lockfile.sha256, found.lockfile.sha256)
      : []),
    ...names
      .toSorted()
      .flatMap((name) => differ('medium', name, expected.packages[name], found.packages[name])),
  ]
}

function timeGap(build: BuildInfo, bootedAt: Date | undefined, now: Date): TimeGap {
  const built = Date.parse(build.builtAt)
  return {
    commit: build.commit,
    dirty: build.dirty,
    committedAt: build.committedAt,
    builtAt: build.builtAt,
    bootedAt: bootedAt?.toISOString(),
    commitToBuildMs: built - Date.parse(build.committedAt),
    buildToBootMs: bootedAt && bootedAt.getTime() - built,
    ageMs: now.getTime() - (bootedAt?.getTime() ?? built),
  }
}

function personnelGap({ authors, truncated }: BuildInfo, deployer: string | undefined): PersonnelGap {
  const same = (text: string): boolean => text.toLowerCase() === deployer?.toLowerCase()
  const wrote = authors.some(({ name, email }) => same(name) || same(email))
  return {
    // Names alone: an address is nobody's business here.
    authors: authors.map(({ name }) => name),
    complete: !truncated,
    deployer,
    authorDeployed: wrote || (deployer !== undefined && !truncated) ? wrote : undefined,
  }
}

const weights: Readonly<Record<Severity, number>> = { high: 0, medium: 1, low: 2 }

export function isSeverity(value: unknown): value is Severity {
  return typeof value === 'string' && Object.hasOwn(weights, value)
}

/** Whether `severity` is as bad as `least`, or worse. */
export function atLeast(severity: Severity, least: Severity): boolean {
  return weights[severity] <= weights[least]
}

/** By severity, then in the order given. */
export function worstFirst(drift: readonly Drift[]): readonly Drift[] {
  return drift.toSorted((a, b) => weights[a.severity] - weights[b.severity])
}

/** Of two facts by one name, the worse severity. */
export function severityOf(a: Fact | undefined, b: Fact | undefined): Severity {
  const [worst] = [a, b]
    .flatMap((fact) => (fact === undefined ? [] : [fact.severity]))
    .toSorted((left, right) => weights[left] - weights[right])
  return worst ?? 'low'
}
