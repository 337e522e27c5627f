/** `portside dev`: the pinned datastores up, fakes for the rest, then the program. */
import { type ChildProcess, spawn } from 'node:child_process'
import { constants } from 'node:os'
import { startServices } from '../servers/services.ts'
import { onPath } from '../servers/source.ts'
import { type AnyService, type Services, urlVariable } from '../services/declare.ts'
import { type Command, exitCodes, type Terminal, UsageError } from './command.ts'
import { loadServices, parseCommandLine, servicesOption } from './declaration.ts'
import { table } from './table.ts'

export const dev: Command = {
  usage: 'dev [--services FILE] [--directory FOLDER] -- COMMAND…',
  summary: 'starts the datastores at their pinned versions, fakes the rest, and runs the command',
  async run(args, terminal) {
    const separator = args.indexOf('--')
    const [file, ...rest] = separator === -1 ? [] : args.slice(separator + 1)
    const own = separator === -1 ? args : args.slice(0, separator)
    const { values } = parseCommandLine(own, { ...servicesOption, directory: { type: 'string' } })
    if (file === undefined)
      throw new UsageError('the program to run comes after --: portside dev -- node main.ts')
    const signals = new Signals()
    try {
      return await runWithServices(
        await loadServices(values.services),
        values.directory,
        [file, ...rest],
        signals,
        terminal,
      )
    } finally {
      signals.release()
    }
  },
}

async function runWithServices(
  services: Services,
  directory: string | undefined,
  command: readonly [file: string, ...args: string[]],
  signals: Signals,
  terminal: Terminal,
): Promise<number> {
  try {
    await using started = await startServices(services, {
      env: process.env,
      signal: signals.beforeStart,
      onProgress: terminal.tell,
      ...(directory === undefined ? {} : { directory }),
    })
    for (const line of summary(services, started.servers)) terminal.tell(line)
    return await runProgram(command, { ...process.env, ...started.env }, signals, terminal)
  } catch (error) {
    if (signals.received !== undefined) return exitCodeOf(signals.received)
    throw error
  }
}

function summary(
  services: Services,
  servers: Readonly<
    Record<string, { readonly port: number; readonly identity: { engine: string; version: string } }>
  >,
): readonly string[] {
  return table(
    Object.entries<AnyService>(services).map(([name, { boundary }]) => {
      const server = servers[name]
      if (boundary === 'unbounded') return [name, 'fake']
      if (server === undefined) return [name, `as ${urlVariable(name)} says`]
      const { engine, version } = server.identity
      return [name, `${engine} ${version} on 127.0.0.1:${server.port}`]
    }),
  )
}

async function exitCodeOfSpawn(file: string, { code }: NodeJS.ErrnoException): Promise<number> {
  // A folder on the PATH that this account may not read makes the system say EACCES of whatever it does not find.
  const absent = code === 'ENOENT' || (!file.includes('/') && (await onPath(file)).length === 0)
  return absent ? exitCodes.notFound : exitCodes.cannotRun
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
    terminal.tell(`${file} could not be run (${error.code})`)
    resolve(exitCodeOfSpawn(file, error))
  })
  child.once('exit', (code, signal) =>
    resolve(signal === null ? (code ?? exitCodes.failed) : exitCodeOf(signal)),
  )
  signals.forwardTo(child)
  return promise
}

/** As a shell has it: 128 and the signal's number. */
function exitCodeOf(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal]
}

const forwarded = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Signals to this process: before the program runs they end the start, then they are the program's to answer. */
class Signals {
  readonly #abort = new AbortController()
  readonly #listener = (signal: NodeJS.Signals): void => this.#onSignal(signal)
  #child: ChildProcess | undefined
  #received: NodeJS.Signals | undefined

  constructor() {
    for (const signal of forwarded) process.on(signal, this.#listener)
  }

  /** Aborted by a signal that comes while no program runs yet. */
  get beforeStart(): AbortSignal {
    return this.#abort.signal
  }

  /** The first one. */
  get received(): NodeJS.Signals | undefined {
    return this.#received
  }

  forwardTo(child: ChildProcess): void {
    this.#child = child
  }

  release(): void {
    for (const signal of forwarded) process.removeListener(signal, this.#listener)
  }

  #onSignal(signal: NodeJS.Signals): void {
    const first = this.#received === undefined
    this.#received ??= signal
    if (this.#child === undefined) {
      this.#abort.abort(new Error(`stopped by ${signal}`))
      return
    }
    // Ctrl-C in a terminal reaches the program by itself, and many programs take a second one for "at once".
    if (signal === 'SIGINT' && process.stdin.isTTY && first) return
    this.#child.kill(signal)
  }
}
