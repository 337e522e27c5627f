/** `portside seed`: fills a datastore of development or test with rows that fit its schema. */
import { parseArgs } from 'node:util'
import type { DatastoreAdapter, SeedOptions } from '../adapter.ts'
import { PortError } from '../errors.ts'
import { readSeedFile } from '../servers/seed-file.ts'
import { attach } from '../services/attach.ts'
import { readConfig } from '../services/config.ts'
import { urlFlag } from '../services/declare.ts'
import { type Command, exitCodes, UsageError } from './command.ts'
import { loadServices, parseCommandLine, servicesOption } from './declaration.ts'
import { progressBar } from './progress-bar.ts'
import { table } from './table.ts'

const options = {
  ...servicesOption,
  rows: { type: 'string' },
  seed: { type: 'string' },
  file: { type: 'string' },
  existing: { type: 'string' },
  really: { type: 'boolean' },
} as const

export const seed: Command = {
  usage:
    'seed SERVICE [--rows N] [--seed N] [--file FILE] [--existing refuse|keep|replace] [--really] [--services FILE] [--<service>-url URL]',
  summary:
    'fills the empty database of SERVICE with N plausible rows a table (100), the same ones for the same seed; FILE has defineSeed({ … }) as its default export; what is not said is as the declaration has it',
  async run(args, terminal) {
    const [name, ...flags] = args
    if (name === undefined || name.startsWith('-')) throw new UsageError('seed needs the name of a service')
    const { values: loose } = parseArgs({ args: [...flags], options, strict: false })
    const services = await loadServices(typeof loose.services === 'string' ? loose.services : undefined)
    const service = Object.hasOwn(services, name) ? services[name] : undefined
    if (service === undefined) {
      throw new UsageError(
        `there is no service "${name.slice(0, 60)}"; there are ${Object.keys(services).join(', ')}`,
      )
    }
    const { values } = parseCommandLine(flags, { ...options, [urlFlag(name).slice(2)]: { type: 'string' } })
    const { existing } = values
    if (existing !== undefined && !isRule(existing)) {
      throw new UsageError('--existing is refuse, keep or replace')
    }
    const declared = service.boundary === 'bounded' ? service.seed : undefined
    const rows = numberOf('--rows', values.rows) ?? declared?.rows
    const number = numberOf('--seed', values.seed) ?? declared?.seed
    const file = values.file ?? declared?.file
    const definition = file === undefined ? undefined : await definitionIn(file)
    const adapter = service.adapters[0] as DatastoreAdapter<object>
    if (service.boundary !== 'bounded' || adapter.seeder === undefined) {
      throw new UsageError(`"${name}" has no schema to make rows for; only a database of your own is seeded`)
    }
    const sources = { env: process.env, args: flags }
    const one = { [name]: service }
    const how = readConfig(one, sources).services.get(name)
    if (how?.implementation !== 'real') return exitCodes.failed
    const { seeder } = await adapter.seeder()
    // A server of another version than the pinned one is refused before anything is written.
    await (await attach(one, sources)).close()
    const stop = new AbortController()
    const onSignal = (signal: NodeJS.Signals): void => stop.abort(new Error(`stopped by ${signal}`))
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, onSignal)
    const bar = progressBar(process.stderr, terminal)
    try {
      const report = await seeder.seed(how.url, {
        ...(rows === undefined ? {} : { rows }),
        ...(number === undefined ? {} : { seed: number }),
        ...(definition === undefined ? {} : { definition }),
        ...(existing === undefined ? {} : { existing }),
        ...(values.really === undefined ? {} : { really: values.really }),
        signal: stop.signal,
        onProgress: bar.show,
      })
      bar.clear()
      const lines = table(
        report.tables.map(({ name: of, rows: many, note = '' }) => [of, `${many} rows`, note]),
      )
      for (const line of lines) terminal.print(line)
      const total = report.tables.reduce((sum, { rows: many }) => sum + many, 0)
      terminal.tell(
        `${name}: ${total} rows in ${(report.elapsedMs / 1000).toFixed(1)} s, digest ${report.digest.slice(0, 16)}`,
      )
      return exitCodes.ok
    } finally {
      bar.clear()
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.removeListener(signal, onSignal)
    }
  },
}

function isRule(text: string): text is NonNullable<SeedOptions['existing']> {
  return ['refuse', 'keep', 'replace'].includes(text)
}

function numberOf(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (!/^\d{1,15}$/.test(text)) throw new UsageError(`${flag} is a whole number`)
  return Number(text)
}

async function definitionIn(file: string): Promise<object> {
  try {
    return (await readSeedFile(file)).definition
  } catch (error) {
    if (PortError.is(error) && error.code === 'invalid-argument') throw new UsageError(error.detail)
    throw error
  }
}
