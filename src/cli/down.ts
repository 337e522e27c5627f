/** `portside down`: stops what `up` and `dev` left running. */
import { stopServers } from '../servers/kept.ts'
import { type Command, exitCodes } from './command.ts'
import { parseCommandLine } from './declaration.ts'
import { directoryOption } from './up.ts'

export const down: Command = {
  usage: 'down [--directory FOLDER]',
  summary: 'stops the datastores that were left running; their data stays',
  async run(args, { print, tell }) {
    const { values } = parseCommandLine(args, directoryOption)
    const stopped = await stopServers(values.directory ?? '.portside', { onProgress: tell })
    for (const name of stopped) print(`${name}: stopped`)
    if (stopped.length === 0) print('nothing was running')
    return exitCodes.ok
  },
}
