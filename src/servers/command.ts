/** Runs a short command to its end. */
import { type ChildProcess, spawn } from 'node:child_process'
import { processGuardian } from './guardian.ts'

export interface CommandOptions {
  readonly cwd?: string | undefined
  readonly env?: Readonly<Record<string, string | undefined>> | undefined
  readonly account?: Account | undefined
  readonly signal?: AbortSignal | undefined
  /** An open file the command finds as its file descriptor 3. */
  readonly file?: number | undefined
  /** Ends with this process, however that ends: for one that takes long and writes. @default false */
  readonly guarded?: boolean | undefined
}

/** The user a process runs as. */
export interface Account {
  readonly uid: number
  readonly gid: number
}

/** A command that could not be started, or ended with another status than 0. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  /** The end of what it printed. */
  readonly output: string
  /** `ENOENT` where there is no such command. */
  readonly code: string | undefined

  constructor(command: string, what: string, output: string, cause?: unknown) {
    super(`${command} ${what}`, { cause })
    this.output = output
    this.code = (cause as NodeJS.ErrnoException | undefined)?.code
  }
}

const longestOutput = 1 << 20

/**
 * What the command printed, standard output and error in one.
 * @throws CommandError, or the signal's reason
 */
export async function run(
  file: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  const { cwd, env = process.env, account, signal } = options
  signal?.throwIfAborted()
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const guardian = options.guarded ? processGuardian('SIGKILL') : undefined
  const child: ChildProcess = spawn(file, args, {
    cwd,
    env: { ...env, LC_ALL: 'C' },
    stdio: ['ignore', 'pipe', 'pipe', options.file ?? 'ignore'],
    ...account,
  })
  if (child.pid !== undefined) guardian?.guard(child.pid)
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-longestOutput)
    })
  }
  const abort = (): void => {
    child.kill('SIGKILL')
    // A process that it started may hold these open long after it: nobody waits for that.
    child.stdout?.destroy()
    child.stderr?.destroy()
  }
  signal?.addEventListener('abort', abort, { once: true })
  child.once('error', (cause) => reject(new CommandError(file, 'could not be started', '', cause)))
  child.once('close', (code, killed) => {
    if (signal?.aborted) reject(signal.reason)
    else if (code === 0) resolve(output)
    else
      reject(
        new CommandError(file, killed ? `was ended by ${killed}` : `ended with status ${code}`, tail(output)),
      )
  })
  try {
    return await promise
  } finally {
    signal?.removeEventListener('abort', abort)
    guardian?.dismiss()
  }
}

/** The last lines of a text, for a message. */
export function tail(text: string, lines = 15): string {
  return text.trimEnd().split('\n').slice(-lines).join('\n')
}
