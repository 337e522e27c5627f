/**
 * What evidence says of a service: the files that `portside verify` writes, one JSON file a subject. Only their heads
 * and outcomes are read here; whether the contract has changed since is for `portside verify --max-age`.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { invalidArgument } from '../errors.ts'
import { urlFlag } from '../services/declare.ts'

/** A run of a contract, as far as the report needs it. */
export interface EvidenceSummary {
  /** The file's name: the service's own, or that of another subject of the same kind. */
  readonly subject: string
  readonly kind: 'fake' | 'emulator' | 'real'
  readonly adapter: string | undefined
  readonly server: { readonly product: string; readonly version: string } | undefined
  /** The day of the run in UTC. */
  readonly date: string
  readonly ageDays: number
  /** How many behaviours had each outcome. */
  readonly counts: Readonly<Record<string, number>>
}

export interface Evidence extends EvidenceSummary {
  readonly port: string
}

const dayMs = 86_400_000

/**
 * All the evidence in `folder`; none where there is no such folder.
 * @throws PortError `invalid-argument` for a file that is no evidence
 */
export function readEvidence(folder: string, now: Date): readonly Evidence[] {
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
    .map((name) => parse(join(folder, name), now))
}

function parse(path: string, now: Date): Evidence {
  let value: unknown
  try {
    value = JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    if (error instanceof SyntaxError) throw invalidArgument(`${path} is no JSON`)
    throw error
  }
  const { port, subject, kind, adapter, server, date, behaviours } = (value ?? {}) as Record<string, unknown>
  const day = typeof date === 'string' ? Date.parse(`${date}T00:00:00Z`) : Number.NaN
  if (
    typeof port !== 'string' ||
    typeof subject !== 'string' ||
    !isKind(kind) ||
    Number.isNaN(day) ||
    typeof behaviours !== 'object' ||
    behaviours === null
  ) {
    throw invalidArgument(`${path} is no evidence`)
  }
  const counts: Record<string, number> = {}
  for (const one of Object.values(behaviours) as ({ readonly outcome?: unknown } | null)[]) {
    const outcome = String(one?.outcome)
    counts[outcome] = (counts[outcome] ?? 0) + 1
  }
  const today = Date.parse(`${now.toISOString().slice(0, 10)}T00:00:00Z`)
  return {
    port,
    subject,
    kind,
    adapter: typeof adapter === 'string' ? adapter : undefined,
    server: serverOf(server),
    date: date as string,
    ageDays: Math.round((today - day) / dayMs),
    counts,
  }
}

function isKind(value: unknown): value is Evidence['kind'] {
  return value === 'fake' || value === 'emulator' || value === 'real'
}

function serverOf(value: unknown): Evidence['server'] {
  const { product, version } = (value ?? {}) as { readonly product?: unknown; readonly version?: unknown }
  return typeof product === 'string' && typeof version === 'string' ? { product, version } : undefined
}

/** The service's own evidence; else the newest of the same port, kind and adapter. */
export function evidenceFor(
  all: readonly Evidence[],
  service: { readonly service: string; readonly port: string; readonly implementation: string },
): EvidenceSummary | undefined {
  const fake = service.implementation === 'fake'
  const own = urlFlag(service.service).slice(2, -'-url'.length)
  const fitting = all.filter(
    ({ port, kind, adapter }) =>
      port === service.port &&
      (fake ? kind === 'fake' : kind === 'real' && adapter === service.implementation),
  )
  const [newest] = fitting.toSorted((a, b) => a.ageDays - b.ageDays)
  const found = fitting.find(({ subject }) => subject === own) ?? newest
  if (found === undefined) return undefined
  const { port: _, ...summary } = found
  return summary
}
