/** What differs between two environments, by their parity reports. */
import type { Fact, Fingerprint, Severity } from '../adapter.ts'
import { invalidArgument } from '../errors.ts'
import {
  type Drift,
  isSeverity,
  type ParityReport,
  type ServiceParity,
  severityOf,
  toolsDrift,
  worstFirst,
} from './report.ts'

/** What two environments differ in, and what cannot be said. */
export interface ParityDiff {
  readonly format: 1
  /** Worst first. */
  readonly drift: readonly Drift[]
  /** What neither environment tells: it may be the same, and may be not. */
  readonly unknown: readonly UnknownFact[]
}

/** What could not be compared. */
export interface UnknownFact {
  /** A service's name. */
  readonly of: string
  /** A fact, or the word before the dot of many: `setting.shared_preload_libraries`, `module`. */
  readonly what: string
  /** Why it is not known in the first environment. */
  readonly expected: string
  /** And why in the second. */
  readonly found: string
}

/**
 * Every difference between two reports. A fake in one place and the real service in the other is as it should be for
 * someone else's service, and no drift; for a datastore of the app's own nothing but the address may differ. How old
 * a report, a boot or a build is differs always, and is none either. What one login may read and the other may not
 * is drift of low severity; what neither may read is `unknown`, never the same.
 * @throws PortError `invalid-argument` for what is no report of this format
 */
export function diffParity(expected: ParityReport, found: ParityReport): ParityDiff {
  checkReport(expected)
  checkReport(found)
  const byName = ({ services }: ParityReport): ReadonlyMap<string, ServiceParity> =>
    new Map(services.map((service) => [service.service, service]))
  const left = byName(expected)
  const right = byName(found)
  const names = [...new Set([...left.keys(), ...right.keys()])]
  const commits = [expected, found].map(({ time }) => time?.commit)
  return {
    format: 1,
    drift: worstFirst([
      ...names.flatMap((name) => serviceDrift(name, left.get(name), right.get(name))),
      ...toolsDrift(expected.tools.running, found.tools.running),
      ...drifting('low', 'build', 'commit', commits[0], commits[1]),
    ]),
    unknown: names.flatMap((name) =>
      unknownOf(name, left.get(name)?.fingerprint, right.get(name)?.fingerprint),
    ),
  }
}

function unknownOf(
  of: string,
  left: Fingerprint | undefined,
  right: Fingerprint | undefined,
): readonly UnknownFact[] {
  const whats = new Set([...Object.keys(left?.unknown ?? {}), ...Object.keys(right?.unknown ?? {})])
  return [...whats].sort().flatMap((what) => {
    const [expected, found] = [left, right].map((side) => side && hiddenBecause(side.unknown, what))
    return expected === undefined || found === undefined ? [] : [{ of, what, expected, found }]
  })
}

function serviceDrift(
  name: string,
  a: ServiceParity | undefined,
  b: ServiceParity | undefined,
): readonly Drift[] {
  if (a === undefined || b === undefined) {
    return drifting('high', name, 'service', a && 'declared', b && 'declared')
  }
  const faked = [a, b].some(
    ({ boundary, implementation }) => boundary === 'unbounded' && implementation === 'fake',
  )
  const declared = [
    ...drifting('high', name, 'port', a.port, b.port),
    ...drifting('high', name, 'boundary', a.boundary, b.boundary),
    ...drifting(a.boundary === 'bounded' ? 'high' : 'medium', name, 'implementation', ...pair(faked, a, b)),
    ...drifting('high', name, 'pin', a.pin, b.pin),
  ]
  if (a.problem !== undefined || b.problem !== undefined) {
    const told = ({ problem }: ServiceParity): string =>
      problem === undefined ? 'answers' : `not known: ${problem.code}`
    // Nothing is known of what could be the same, so it is drift though both were unreachable.
    return [...declared, { severity: 'high', of: name, what: 'server', expected: told(a), found: told(b) }]
  }
  return faked ? declared : [...declared, ...versionDrift(name, a, b), ...factDrift(name, a, b)]
}

function pair(faked: boolean, a: ServiceParity, b: ServiceParity): [string | undefined, string | undefined] {
  return faked ? [undefined, undefined] : [a.implementation, b.implementation]
}

function versionDrift(
  name: string,
  { server: a }: ServiceParity,
  { server: b }: ServiceParity,
): readonly Drift[] {
  const major = (version: string | undefined): string | undefined => version?.split('.')[0]
  const worse = a?.engine !== b?.engine || major(a?.version) !== major(b?.version)
  const text = (server: typeof a): string | undefined => server && `${server.engine} ${server.version}`
  return drifting(worse ? 'high' : 'medium', name, 'version', text(a), text(b))
}

function factDrift(name: string, a: ServiceParity, b: ServiceParity): readonly Drift[] {
  const [left, right] = [a.fingerprint, b.fingerprint]
  if (left === undefined && right === undefined) return []
  const facts = new Set([...Object.keys(left?.facts ?? {}), ...Object.keys(right?.facts ?? {})])
  const shared = new Set(unknownOf(name, left, right).map(({ what }) => what))
  for (const hidden of [...Object.keys(left?.unknown ?? {}), ...Object.keys(right?.unknown ?? {})]) {
    // Where the other has nothing of the kind, no modules say, there is no fact to show what is hidden here.
    const shown = [...facts, ...shared].some((what) => what === hidden || what.startsWith(`${hidden}.`))
    if (!shown) facts.add(hidden)
  }
  return [...facts].sort().flatMap((fact) => {
    const [one, other] = [left?.facts[fact], right?.facts[fact]]
    // What one login may not read is not known to differ: worth knowing, no more.
    const [hidden, hiddenThere] = [
      one === undefined && left ? hiddenBecause(left.unknown, fact) : undefined,
      other === undefined && right ? hiddenBecause(right.unknown, fact) : undefined,
    ]
    const severity = hidden === undefined && hiddenThere === undefined ? severityOf(one, other) : 'low'
    const shown = (found: Fact | undefined, why: string | undefined): string | undefined =>
      found?.value ?? (why && `not known: ${why}`)
    return drifting(severity, name, fact, shown(one, hidden), shown(other, hiddenThere))
  })
}

/** The reason for the fact itself, or for all that begin as it does: `module` for `module.json`. */
function hiddenBecause(unknown: Readonly<Record<string, string>>, fact: string): string | undefined {
  return unknown[fact] ?? unknown[fact.split('.')[0] ?? '']
}

function drifting(
  severity: Severity,
  of: string,
  what: string,
  expected: string | undefined,
  found: string | undefined,
): readonly Drift[] {
  return expected === found ? [] : [{ severity, of, what, expected, found }]
}

function isService(value: Partial<ServiceParity> | null | undefined): boolean {
  if (typeof value?.service !== 'string') return false
  if (value.fingerprint === undefined) return true
  const { facts, unknown } = (value.fingerprint ?? {}) as Partial<Fingerprint>
  return (
    isRecord(facts) &&
    Object.values(facts).every((fact) => typeof fact?.value === 'string' && isSeverity(fact.severity)) &&
    isRecord(unknown) &&
    Object.values(unknown).every((why) => typeof why === 'string')
  )
}

function isRecord(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** @throws PortError `invalid-argument` for what is no report of this format */
export function checkReport(value: unknown): asserts value is ParityReport {
  const { format, services, tools } = (value ?? {}) as Partial<ParityReport>
  const whole =
    format === 1 &&
    Array.isArray(services) &&
    services.every(isService) &&
    typeof tools?.running?.packages === 'object'
  if (!whole) throw invalidArgument('it is no parity report; write one with: portside parity --json')
}
