/** `portside reset`: stops datastores and removes all they hold. */
import { createInterface } from 'node:readline/promises'
import { resetServers, serversIn } from '../servers/kept.ts'
import { parseArguments } from './arguments.ts'
import { type Command, exitCodes, UsageError } from './command.ts'
import { serversDirectory } from './project.ts'
import { serversMeant, whereOptions } from './up.ts'

export const reset: Command = {
  usage: 'reset [--services FILE] [--directory FOLDER] [--yes] [SERVER…]',
  summary:
    'stops the datastores and removes their data, of all, of those of a declaration, or of those named as status names them; asks before, unless --yes is given',
  async run(args, { print, tell }) {
    const options = { ...whereOptions, yes: { type: 'boolean' } } as const
    const { values, positionals } = parseArguments(args, options, true)
    if (values.services !== undefined && positionals.length > 0) {
      throw new UsageError('name servers, or --services for those that it declares, not both')
    }
    const directory = serversDirectory(values.directory)
    const meant = await serversMeant(values.services)
    const there = (await serversIn(directory)).map(({ name }) => name)
    const names = positionals.length > 0 ? positionals : there.filter((name) => meant?.includes(name) ?? true)
    if (names.length === 0) {
      print(`there was nothing to remove in ${directory}`)
      return exitCodes.ok
    }
    const known = names.every((name) => there.includes(name))
    if (
      known &&
      !values.yes &&
      !(await confirmed(`remove all data of ${names.join(', ')} in ${directory}?`))
    ) {
      tell('nothing was removed')
      return exitCodes.failed
    }
    const removed = await resetServers(directory, names, { onProgress: tell })
    for (const name of removed) print(`${name}: removed`)
    return exitCodes.ok
  },
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
