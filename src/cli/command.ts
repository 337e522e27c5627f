/** What a command of `portside` is. */

/** How a command ends; anything else is the exit code of the program that `dev` ran. */
export const exitCodes = {
  /** Done. */
  ok: 0,
  /** It was tried and failed, or a check found problems. */
  failed: 1,
  /** The command line itself is wrong. */
  usage: 2,
  /** The program could not be run. */
  cannotRun: 126,
  /** The program does not exist. */
  notFound: 127,
} as const

export interface Command {
  /** How it is called: `dev [--services FILE] -- COMMAND…`. */
  readonly usage: string
  /** One sentence. */
  readonly summary: string
  /** Answers the exit code. */
  run(args: readonly string[], terminal: Terminal): Promise<number>
}

/** Where a command prints. */
export interface Terminal {
  /** A line of the result, to standard output. */
  print(line: string): void
  /** A line about the work, to standard error. */
  tell(line: string): void
}

/** The command line is wrong; the message says how. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}
