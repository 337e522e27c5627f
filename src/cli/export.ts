/** `portside export`: the pins in files of other tools, and whether those still say what is declared. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { PortError } from '../errors.ts'
import { type ExportFormat, exportFormats } from '../parity/exports/formats.ts'
import { hasRegion, regionDrift, wholeFile, withRegion } from '../parity/exports/region.ts'
import type { Services } from '../services/declare.ts'
import { type Command, exitCodes, type Terminal, UsageError } from './command.ts'
import { loadServices, parseCommandLine, servicesOption } from './declaration.ts'

const names = Object.keys(exportFormats).join('|')

export const exportPins: Command = {
  usage: `export ${names} [--services FILE] [--file FILE] [--check]; export --check`,
  summary:
    'prints the pins for another tool, writes them between marks in a file, or checks a file for drift',
  async run(args, terminal) {
    const named = args[0]?.startsWith('-') === false
    const [name] = named ? args : []
    const { values } = parseCommandLine(named ? args.slice(1) : args, {
      ...servicesOption,
      file: { type: 'string' },
      check: { type: 'boolean' },
    })
    const { file, check = false } = values
    if (name === undefined) {
      if (!check) throw new UsageError(`name a format: ${names}`)
      if (file !== undefined) throw new UsageError('--file is of one format; name it')
      return checkAll(await loadServices(values.services), terminal)
    }
    const format = Object.hasOwn(exportFormats, name) ? exportFormats[name] : undefined
    if (format === undefined)
      throw new UsageError(`there is no format "${name.slice(0, 40)}"; there are ${names}`)
    const lines = format.render(await loadServices(values.services))
    if (check) return checkFile(name, file ?? format.file, lines, terminal) ? exitCodes.ok : exitCodes.failed
    if (file === undefined) {
      terminal.print(wholeFile(name, lines).trimEnd())
      return exitCodes.ok
    }
    write(name, file, lines)
    terminal.tell(`${file}: written`)
    return exitCodes.ok
  },
}

/** Every usual file that has a region of its format; there must be one. */
function checkAll(services: Services, terminal: Terminal): number {
  const there = Object.entries<ExportFormat>(exportFormats).filter(([name, { file }]) => {
    const text = read(file)
    return text !== undefined && hasRegion(text, name)
  })
  if (there.length === 0) {
    const files = Object.values(exportFormats).map(({ file }) => file)
    terminal.tell(`nothing is exported here; looked for marks in ${files.join(', ')}`)
    return exitCodes.failed
  }
  const same = there.map(([name, { file, render }]) => checkFile(name, file, render(services), terminal))
  return same.every((holds) => holds) ? exitCodes.ok : exitCodes.failed
}

function checkFile(name: string, file: string, lines: readonly string[], terminal: Terminal): boolean {
  const text = read(file)
  if (text === undefined) {
    terminal.tell(`${file} is not there; write it with: portside export ${name} --file ${file}`)
    return false
  }
  const drift = inFile(file, () => regionDrift(text, name, lines))
  if (drift.length === 0) {
    terminal.print(`${file}: as declared`)
    return true
  }
  terminal.tell(`${file} is not as declared; run: portside export ${name} --file ${file}`)
  for (const line of drift) terminal.print(line)
  return false
}

/** Makes the file, or changes its region and nothing else of it. */
function write(name: string, file: string, lines: readonly string[]): void {
  const text = read(file)
  const all =
    text === undefined || text === ''
      ? wholeFile(name, lines)
      : inFile(file, () => withRegion(text, name, lines))
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, all)
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return undefined
    throw new PortError({
      code: 'invalid-argument',
      message: `${file} cannot be read (${code})`,
      cause: error,
    })
  }
}

/** Says which file it is that is wrong. */
function inFile<Result>(file: string, work: () => Result): Result {
  try {
    return work()
  } catch (error) {
    if (!PortError.is(error)) throw error
    throw new PortError({ code: error.code, message: `${file}: ${error.detail}`, cause: error })
  }
}
