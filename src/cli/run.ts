/** Chooses the command, and turns what goes wrong into a message and an exit code. */
import { Redactor } from '../calls/redact.ts'
import { PortError } from '../errors.ts'
import { nearest } from './arguments.ts'
import { type Command, exitCodes, type Terminal, UsageError } from './command.ts'
import { version } from './version.ts'

/** Each is loaded when it is asked for: what another needs would only make it slower to start. */
const commands: Readonly<Record<string, () => Promise<Command>>> = {
  dev: async () => (await import('./dev.ts')).dev,
  up: async () => (await import('./up.ts')).up,
  down: async () => (await import('./down.ts')).down,
  status: async () => (await import('./status.ts')).status,
  env: async () => (await import('./env.ts')).env,
  reset: async () => (await import('./reset.ts')).reset,
  migrate: async () => (await import('./migrate.ts')).migrate,
  seed: async () => (await import('./seed.ts')).seed,
  check: async () => (await import('./check.ts')).check,
  verify: async () => (await import('./verify.ts')).verify,
  parity: async () => (await import('./parity.ts')).parity,
  preflight: async () => (await import('./preflight.ts')).preflight,
  export: async () => (await import('./export.ts')).exportPins,
  stamp: async () => (await import('./stamp.ts')).stamp,
  emulate: async () => (await import('./emulate.ts')).emulate,
}

/** Runs `portside` with these arguments; answers the exit code. */
export async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const [name, ...rest] = args
  const ownArguments = args.includes('--') ? args.slice(0, args.indexOf('--')) : args
  if (name === undefined) {
    terminal.tell(await help())
    return exitCodes.usage
  }
  if (name === 'help' || ownArguments.includes('--help') || ownArguments.includes('-h')) {
    terminal.print(await help())
    return exitCodes.ok
  }
  if (name === '--version' || name === '-v') {
    terminal.print(version())
    return exitCodes.ok
  }
  let command: Command | undefined
  try {
    command = Object.hasOwn(commands, name) ? await commands[name]?.() : undefined
    if (command === undefined) throw new UsageError(noCommand(name))
    return await command.run(rest, terminal)
  } catch (error) {
    // Messages of a PortError hold no secret; what an app's own module throws might.
    const redactor = new Redactor([])
    if (error instanceof UsageError) {
      terminal.tell(`${redactor.text(error.message)}\n${usageOf(command)}`)
      return exitCodes.usage
    }
    const text = redactor.text(PortError.is(error) ? error.message : describe(error))
    terminal.tell(text)
    if (/_URL is not set; expected/.test(text)) {
      terminal.tell('of datastores that are up here: set -a; eval "$(portside env)"; set +a')
    }
    return exitCodes.failed
  }
}

function noCommand(name: string): string {
  const near = nearest(name, Object.keys(commands))
  const meant = near === undefined ? '.' : `; is ${near} meant?`
  return `there is no command "${name.slice(0, 40)}"${meant} There are ${Object.keys(commands).join(', ')}`
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

function usageOf(command: Command | undefined): string {
  return command === undefined ? 'portside --help says what they do' : `usage: portside ${command.usage}`
}

async function help(): Promise<string> {
  const all = await Promise.all(Object.values(commands).map((load) => load()))
  const list = all.map(({ usage, summary }) => `  portside ${usage}\n      ${summary}`)
  return [
    'usage: portside COMMAND',
    '',
    ...list,
    '  portside --help | --version',
    '',
    'The declaration is the module that exports "services": --services FILE, or package.json',
    '("portside": { "services": FILE }), or services.ts, services.js, src/services.ts, src/services.js: here, or in',
    'the nearest folder above. Servers are in .portside beside it, or where --directory says.',
    '',
    'Exit codes: 0 done, 1 failed or problems found, 2 wrong usage. dev answers the exit code of its',
    'program, 128 + n where signal n ended it, 126 or 127 where it cannot be run or is not there; verify',
    'answers 128 + n where signal n cut it short. preflight answers 0 for go, and for no-go the lowest rung that',
    'failed: 10 config, 11 credentials, 12 dns, 13 tcp, 14 version, 15 operation, 16 migrations.',
  ].join('\n')
}
