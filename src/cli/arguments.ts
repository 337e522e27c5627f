/** Reads a command line, and says what is wrong with it in the words of whoever typed it. */
import { type ParseArgsConfig, parseArgs } from 'node:util'
import { UsageError } from './command.ts'

type Options = NonNullable<ParseArgsConfig['options']>
type Parsed<O extends Options, P extends boolean> = ReturnType<
  typeof parseArgs<{ args: string[]; options: O; strict: true; allowPositionals: P }>
>

/**
 * Parses a command's arguments.
 * @throws UsageError
 */
export function parseArguments<const O extends Options, const P extends boolean>(
  args: readonly string[],
  options: O,
  allowPositionals: P,
): Parsed<O, P> {
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals }) as Parsed<O, P>
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    throw new UsageError(explained(code, message, options))
  }
}

function explained(code: string | undefined, message: string, options: Options): string {
  const [, quoted = ''] = /'([^']*)'/.exec(message) ?? []
  const [name = ''] = quoted.split(' ')
  switch (code) {
    case 'ERR_PARSE_ARGS_UNKNOWN_OPTION': {
      const flags = Object.keys(options).map((each) => `--${each}`)
      const near = nearest(name, flags)
      return `there is no option ${name}${near === undefined ? '' : `; is ${near} meant?`}`
    }
    case 'ERR_PARSE_ARGS_UNEXPECTED_POSITIONAL':
      return `"${quoted}" is one word too many`
    case 'ERR_PARSE_ARGS_INVALID_OPTION_VALUE':
      if (message.includes('does not take')) return `${name} takes no value`
      return `${name} needs a value: ${name}=… where that begins with a hyphen`
    default:
      return message
  }
}

/** The one of `words` that was most likely meant by `word`; `undefined` where none is like it. */
export function nearest(word: string, words: readonly string[]): string | undefined {
  const typed = word.toLowerCase()
  const likely = words
    .map((each) => ({ each, away: each.startsWith(typed) && typed.length > 2 ? 0 : distance(typed, each) }))
    .filter(({ each, away }) => away <= Math.min(2, each.replace(/^-+/, '').length / 3))
    .sort((a, b) => a.away - b.away)
  return likely[0]?.each
}

/** How many letters are to be added, taken away or changed to make the one of the other. */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (const [index, letter] of [...from].entries()) {
    const next = [index + 1]
    for (const [column, other] of [...to].entries()) {
      const changed = (row[column] as number) + (letter === other ? 0 : 1)
      next.push(Math.min(changed, (row[column + 1] as number) + 1, (next[column] as number) + 1))
    }
    row = next
  }
  return row[to.length] as number
}
