/** `portside dev`: the pinned datastores up, fakes for the rest, then the program. */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { keepServices } from '../servers/keep-services.ts'
import { onPath } from '../servers/source.ts'
import type { Services } from '../services/declare.ts'
import { type Command, exitCodes, type Terminal, UsageError } from './command.ts'
import { loadServices, parseCommandLine } from './declaration.ts'
import { serversDirectory } from './project.ts'
import { exitCodeOf, Signals } from './signals.ts'
import { placesOf, upOptions } from './up.ts'

export const dev: Command = {
  usage: 'dev [--services FILE] [--directory FOLDER] [--accept-changes] [--stop] -- COMMAND…',
  summary:
    'starts the datastores at their pinned versions, fakes the rest, and runs the command; they stay up after it, unless --stop is given',
  async run(args, terminal) {
    const separator = args.indexOf('--')
    const [file, ...rest] = separator === -1 ? [] : args.slice(separator + 1)
    if (file === undefined)
      throw new UsageError('the program to run comes after --: portside dev -- node main.ts')
    const own = args.slice(0, separator)
    const { values } = parseCommandLine(own, { ...upOptions, stop: { type: 'boolean' } })
    const signals = new Signals()
    try {
      const services = await loadServices(values.services)
      return await runWithServices(services, values, [file, ...rest], signals, terminal)
    } catch (error) {
      if (signals.received !== undefined) return exitCodeOf(signals.received)
      throw error
    } finally {
      signals.release()
    }
  },
}

async function runWithServices(
  services: Services,
  values: { readonly directory?: string; readonly 'accept-changes'?: boolean; readonly stop?: boolean },
  command: readonly [file: string, ...args: string[]],
  signals: Signals,
  terminal: Terminal,
): Promise<number> {
  const kept = await keepServices(services, {
    env: process.env,
    signal: signals.beforeStart,
    onProgress: terminal.tell,
    directory: serversDirectory(values.directory),
    ...(values['accept-changes'] ? { changed: 'accept' } : {}),
  })
  try {
    for (const line of placesOf(services, kept.servers)) terminal.tell(line)
    return await runProgram(command, { ...process.env, ...kept.env }, signals, terminal)
  } finally {
    if (values.stop) await kept.stopStarted()
  }
}

async function tellWhyNot(
  file: string,
  { code }: NodeJS.ErrnoException,
  { tell }: Terminal,
): Promise<number> {
  const named = file.includes('/')
  // A folder on the PATH that this account may not read makes the system say EACCES of whatever it does not find.
  const absent = named ? !existsSync(file) : code === 'ENOENT' || (await onPath(file)).length === 0
  if (absent) {
    const words = /\s/.test(file) ? `; what it is to be given are words of their own: -- ${file}` : ''
    tell(`there is no program "${file}"${named ? '' : ' on the PATH'}${words}`)
    return exitCodes.notFound
  }
  const how =
    code === 'EACCES' ? ': it is not marked as a program; run what runs it, as in -- node main.ts' : ''
  tell(`${file} could not be run (${code})${how}`)
  return exitCodes.cannotRun
}

async function runProgram(
  [file, ...args]: readonly [file: string, ...args: string[]],
  env: NodeJS.ProcessEnv,
  signals: Signals,
  terminal: Terminal,
): Promise<number> {
  if (signals.received !== undefined) return exitCodeOf(signals.received)
  const { promise, resolve } = Promise.withResolvers<number>()
  const child = spawn(file, args, { env, stdio: 'inherit' })
  child.once('error', (error: NodeJS.ErrnoException) => {
    resolve(tellWhyNot(file, error, terminal))
  })
  child.once('exit', (code, signal) =>
    resolve(signal === null ? (code ?? exitCodes.failed) : exitCodeOf(signal)),
  )
  signals.forwardTo(child)
  return promise
}
