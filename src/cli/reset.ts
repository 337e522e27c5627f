/** `portside reset`: stops datastores and removes all they hold. */
import { createInterface } from 'node:readline/promises'
import { parseArgs } from 'node:util'
import { resetServers, serversIn } from '../servers/kept.ts'
import { type Command, exitCodes, UsageError } from './command.ts'
import { directoryOption } from './up.ts'

export const reset: Command = {
  usage: 'reset [--directory FOLDER] [--yes] [SERVER…]',
  summary:
    'stops the datastores and removes their data, of all or of those named as status names them; asks before, unless --yes is given',
  async run(args, { print, tell }) {
    const { values, positionals } = parse(args)
    const directory = values.directory ?? '.portside'
    if (!values.yes) {
      const names =
        positionals.length > 0 ? positionals : (await serversIn(directory)).map(({ name }) => name)
      if (names.length > 0 && !(await confirmed(`remove all data of ${names.join(', ')} in ${directory}?`))) {
        tell('nothing was removed')
        return exitCodes.failed
      }
    }
    const removed = await resetServers(directory, positionals, { onProgress: tell })
    for (const name of removed) print(`${name}: removed`)
    if (removed.length === 0) print('there was nothing to remove')
    return exitCodes.ok
  },
}

function parse(args: readonly string[]): {
  readonly values: { readonly directory?: string | undefined; readonly yes?: boolean | undefined }
  readonly positionals: readonly string[]
} {
  try {
    const options = { ...directoryOption, yes: { type: 'boolean' } } as const
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: true })
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

async function confirmed(question: string): Promise<boolean> {
  if (!process.stdin.isTTY) throw new UsageError('without a terminal to ask on, reset needs --yes')
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return /^y(es)?$/i.test((await terminal.question(`${question} [y/N] `)).trim())
  } finally {
    terminal.close()
  }
}
