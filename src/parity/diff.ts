/** What differs between two environments, by their parity reports. */
import type { Severity } from '../adapter.ts'
import { invalidArgument } from '../errors.ts'
import {
  type Drift,
  type ParityReport,
  type ServiceParity,
  severityOf,
  toolsDrift,
  worstFirst,
} from './report.ts'

/**
 * Every difference between two reports, worst first. A fake in one place and the real service in the other is as it
 * should be for someone else's service, and no drift; for a datastore of the app's own nothing but the address may
 * differ. How old a report, a boot or a build is differs always, and is none either.
 */
export function diffParity(expected: ParityReport, found: ParityReport): readonly Drift[] {
  checkReport(expected)
  checkReport(found)
  const byName = ({ services }: ParityReport): ReadonlyMap<string, ServiceParity> =>
    new Map(services.map((service) => [service.service, service]))
  const left = byName(expected)
  const right = byName(found)
  const names = [...new Set([...left.keys(), ...right.keys()])]
  const commits = [expected, found].map(({ time }) => time?.commit)
  return worstFirst([
    ...names.flatMap((name) => serviceDrift(name, left.get(name), right.get(name))),
    ...toolsDrift(expected.tools.running, found.tools.running),
    ...drifting('low', 'build', 'commit', commits[0], commits[1]),
  ])
}

function serviceDrift(
  name: string,
  a: ServiceParity | undefined,
  b: ServiceParity | undefined,
): readonly Drift[] {
  if (a === undefined || b === undefined) {
    return drifting('high', name, 'service', a && 'declared', b && 'declared')
  }
  const problems = [a, b].map(({ problem }) => problem && `not known: ${problem.code}`)
  if (problems.some((problem) => problem !== undefined)) {
    // Nothing is known of what could be the same, so it is drift though both were unreachable.
    return [{ severity: 'high', of: name, what: 'server', expected: problems[0], found: problems[1] }]
  }
  const faked = [a, b].some(
    ({ boundary, implementation }) => boundary === 'unbounded' && implementation === 'fake',
  )
  return [
    ...drifting('high', name, 'port', a.port, b.port),
    ...drifting('high', name, 'boundary', a.boundary, b.boundary),
    ...drifting(a.boundary === 'bounded' ? 'high' : 'medium', name, 'implementation', ...pair(faked, a, b)),
    ...drifting('high', name, 'pin', a.pin, b.pin),
    ...(faked ? [] : [...versionDrift(name, a, b), ...factDrift(name, a, b)]),
  ]
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
  return [...facts].sort().flatMap((fact) => {
    const [one, other] = [left?.facts[fact], right?.facts[fact]]
    // What one login may not read is not known to differ: worth knowing, no more.
    const hidden = one === undefined ? left : other === undefined ? right : undefined
    const why = hidden === undefined ? undefined : hiddenBecause(hidden.unknown, fact)
    const severity = why === undefined ? severityOf(one, other) : 'low'
    const shown = (value: string | undefined): string | undefined => value ?? (why && `not known: ${why}`)
    return drifting(severity, name, fact, shown(one?.value), shown(other?.value))
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

/** @throws PortError `invalid-argument` for what is no report of this format */
export function checkReport(value: unknown): asserts value is ParityReport {
  const { format, services, tools } = (value ?? {}) as Partial<ParityReport>
  const whole =
    format === 1 &&
    Array.isArray(services) &&
    services.every((service) => typeof service?.service === 'string') &&
    typeof tools?.running?.packages === 'object'
  if (!whole) throw invalidArgument('it is no parity report; write one with: portside parity --json')
}
