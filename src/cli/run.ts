/** Chooses the command, and turns what goes wrong into a message and an exit code. */
import { Redactor } from '../calls/redact.ts'
import { PortError } from '../errors.ts'
import { check } from './check.ts'
import { type Command, exitCodes, type Terminal, UsageError } from './command.ts'
import { dev } from './dev.ts'
import { down } from './down.ts'
import { emulate } from './emulate.ts'
import { env } from './env.ts'
import { exportPins } from './export.ts'
import { migrate } from './migrate.ts'
import { parity } from './parity.ts'
import { preflight } from './preflight.ts'
import { reset } from './reset.ts'
import { stamp } from './stamp.ts'
import { status } from './status.ts'
import { up } from './up.ts'
import { verify } from './verify.ts'
import { version } from './version.ts'

const commands: Readonly<Record<string, Command>> = {
  dev,
  up,
  down,
  status,
  env,
  reset,
  migrate,
  check,
  verify,
  parity,
  preflight,
  export: exportPins,
  stamp,
  emulate,
}

/** Runs `portside` with these arguments; answers the exit code. */
export async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const [name, ...rest] = args
  const ownArguments = args.includes('--') ? args.slice(0, args.indexOf('--')) : args
  if (name === undefined) {
    terminal.tell(help())
    return exitCodes.usage
  }
  if (name === 'help' || ownArguments.includes('--help') || ownArguments.includes('-h')) {
    terminal.print(help())
    return exitCodes.ok
  }
  if (name === '--version' || name === '-v') {
    terminal.print(version())
    return exitCodes.ok
  }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  try {
    if (command === undefined) throw new UsageError(`there is no command "${name.slice(0, 40)}"`)
    return await command.run(rest, terminal)
  } catch (error) {
    // Messages of a PortError hold no secret; what an app's own module throws might.
    const redactor = new Redactor([])
    if (error instanceof UsageError) {
      terminal.tell(`${redactor.text(error.message)}\n${usageOf(command)}`)
      return exitCodes.usage
    }
    terminal.tell(redactor.text(PortError.is(error) ? error.message : describe(error)))
    return exitCodes.failed
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

function usageOf(command: Command | undefined): string {
  return command === undefined ? 'portside --help lists them' : `usage: portside ${command.usage}`
}

function help(): string {
  const list = Object.values(commands).map(({ usage, summary }) => `  portside ${usage}\n      ${summary}`)
  return [
    'usage: portside COMMAND',
    '',
    ...list,
    '  portside --help | --version',
    '',
    'The declaration is the module that exports "services": --services FILE, or package.json',
    '("portside": { "services": FILE }), or services.ts, services.js, src/services.ts, src/services.js.',
    '',
    'Exit codes: 0 done, 1 failed or problems found, 2 wrong usage. dev answers the exit code of its',
    'program, 128 + n where signal n ended it, 126 or 127 where it cannot be run or is not there; verify',
    'answers 128 + n where signal n cut it short. preflight answers 0 for go, and for no-go the lowest rung that',
    'failed: 10 config, 11 credentials, 12 dns, 13 tcp, 14 version, 15 operation, 16 migrations.',
  ].join('\n')
}
