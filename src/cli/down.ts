/** `portside down`: stops what `up` and `dev` left running. */
import { serversIn, stopServers } from '../servers/kept.ts'
import { type Command, exitCodes } from './command.ts'
import { parseCommandLine } from './declaration.ts'
import { serversDirectory } from './project.ts'
import { serversMeant, whereOptions } from './up.ts'

export const down: Command = {
  usage: 'down [--services FILE] [--directory FOLDER]',
  summary:
    'stops the datastores that were left running, with --services those of that declaration alone; their data stays',
  async run(args, { print, tell }) {
    const { values } = parseCommandLine(args, whereOptions)
    const names = await serversMeant(values.services)
    const directory = serversDirectory(values.directory)
    const stopped = await stopServers(directory, { names, onProgress: tell })
    for (const name of stopped) print(`${name}: stopped`)
    if (stopped.length === 0) print(`nothing was running in ${directory}`)
    const others = names === undefined ? [] : await serversIn(directory)
    for (const { name, state } of others) {
      if (state === 'running')
        tell(`${name} runs on: it is none of ${values.services}; portside down stops all`)
    }
    return exitCodes.ok
  },
}
