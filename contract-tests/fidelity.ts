/**
 * The table of what confirmed which behaviours, made from evidence and from nothing else: per port and adapter, how
 * many behaviours of today's contract a real server passed, an emulator only, or none; and where one diverges.
 *
 *   node contract-tests/fidelity.ts [--check] [FILE]     between the markers of README.md, or checks that it stands there
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { contractOf } from '../src/cli/rooms.ts'
import { type Evidence, readAllEvidence } from '../src/parity/evidence.ts'
import type { Contract } from './contract.ts'

/** What the table stands between. */
export const markers = ['<!-- fidelity -->', '<!-- /fidelity -->'] as const

/** A port, and an adapter whose behaviours are to be confirmed. */
export interface FidelityRow {
  readonly port: string
  readonly adapter: string
  // biome-ignore lint/suspicious/noExplicitAny: of the port of that name
  readonly contract: Contract<any>
}

/** The adapters of this package, each with the contract of its port. */
export async function builtInRows(): Promise<readonly FidelityRow[]> {
  const adapters = [
    ['sql-database', 'postgres'],
    ['key-value-store', 'redis'],
    ['object-storage', 's3'],
    ['mailer', 'smtp'],
    ['social-publisher', 'x'],
  ] as const
  const rows: FidelityRow[] = []
  for (const [port, adapter] of adapters) {
    const contract = await contractOf(port)
    if (contract !== undefined) rows.push({ port, adapter, contract })
  }
  return rows
}

/** How one behaviour stands. */
type Standing = 'real' | 'diverged' | 'emulator' | 'unverified'

/** Each row's behaviours by how they stand. What was passed under another sentence was another behaviour. */
export function standings(
  { contract, adapter }: FidelityRow,
  all: readonly Evidence[],
): ReadonlyMap<string, Standing> {
  const own = all.filter((evidence) => evidence.port === contract.port.name && evidence.adapter === adapter)
  return new Map(
    contract.behaviours.map(({ id, sentence }) => {
      const whole = `${contract.port.name}/${id}`
      const has = (kind: Evidence['kind'], outcome: string): boolean =>
        own.some((evidence) => {
          const found = evidence.behaviours[whole]
          return evidence.kind === kind && found?.outcome === outcome && found.sentence === sentence
        })
      if (has('real', 'diverged')) return [whole, 'diverged']
      if (has('real', 'passed')) return [whole, 'real']
      return [whole, has('emulator', 'passed') ? 'emulator' : 'unverified']
    }),
  )
}

/**
 * The table as Markdown. It gives the day of each run and no age, so that it is true as long as the evidence is; how
 * old is too old says `portside verify --max-age`.
 */
export function fidelityTable(rows: readonly FidelityRow[], all: readonly Evidence[]): string {
  const head = [
    'port',
    'adapter',
    'behaviours',
    'verified on a real server',
    'on an emulator only',
    'unverified',
    'diverged',
    'by',
  ]
  const cells = rows.map((row) => {
    const found = [...standings(row, all).values()]
    const count = (standing: Standing): number => found.filter((each) => each === standing).length
    const real = count('real')
    return [
      `\`${row.port}\``,
      `\`${row.adapter}\``,
      String(found.length),
      real === 0 ? '**unverified**' : String(real),
      ...[count('emulator'), count('unverified'), count('diverged')].map(String),
      sources(row, all),
    ]
  })
  const lines = [head, head.map(() => '---'), ...cells].map((row) => `| ${row.join(' | ')} |`)
  return `${lines.join('\n')}\n`
}

function sources({ port, adapter }: FidelityRow, all: readonly Evidence[]): string {
  const own = all.filter((evidence) => evidence.port === port && evidence.adapter === adapter)
  const told = own.map(({ kind, server, date }) => {
    if (kind === 'emulator') return `our emulator (${date})`
    return `${server === undefined ? 'a server of unknown version' : `${server.product} ${server.version}`} (${date})`
  })
  return told.length === 0 ? 'nothing' : [...new Set(told)].join(', ')
}

/** `text` with the table between its markers; `undefined` where it has none. */
export function withTable(text: string, table: string): string | undefined {
  const [begin, end] = markers
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  if (from === -1 || to < from) return undefined
  return `${text.slice(0, from + begin.length)}\n${table}${text.slice(to)}`
}

if (import.meta.main) {
  const args = process.argv.slice(2)
  const file = args.find((arg) => !arg.startsWith('-')) ?? join(import.meta.dirname, '..', 'README.md')
  const table = fidelityTable(await builtInRows(), readAllEvidence(join(import.meta.dirname, 'evidence')))
  const text = readFileSync(file, 'utf8')
  const wanted = withTable(text, table)
  if (wanted === undefined) throw new Error(`${file} has no ${markers.join(' and ')}`)
  if (wanted === text) process.stdout.write(`${file} is up to date\n`)
  else if (args.includes('--check')) {
    process.stderr.write(`${file} is not what the evidence says; run: node contract-tests/fidelity.ts\n`)
    process.exitCode = 1
  } else writeFileSync(file, wanted)
}
