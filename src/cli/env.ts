/** `portside env`: what a program's environment must hold to use the datastores that are up. */
import { keptUrl } from '../servers/keep-services.ts'
import { serverFolders } from '../servers/services.ts'
import { urlVariable } from '../services/declare.ts'
import { type Command, exitCodes } from './command.ts'
import { loadServices, parseCommandLine } from './declaration.ts'
import { serversDirectory } from './project.ts'
import { quoted } from './quoted.ts'
import { whereOptions } from './up.ts'

export const env: Command = {
  usage: 'env [--services FILE] [--directory FOLDER] [--json]',
  summary:
    'prints the variables for a program that uses the datastores which are up, passwords included: set -a; eval "$(portside env)"',
  async run(args, { print, tell }) {
    const options = { ...whereOptions, json: { type: 'boolean' } } as const
    const { values } = parseCommandLine(args, options)
    const services = await loadServices(values.services)
    const variables: Record<string, string> = {}
    const missing: string[] = []
    for (const [name, folder] of serverFolders(services, serversDirectory(values.directory))) {
      const variable = urlVariable(name)
      const given = [variable, `${variable}_FILE`].filter((each) => (process.env[each] ?? '').trim() !== '')
      for (const each of given) variables[each] = process.env[each] as string
      if (given.length > 0) continue
      const url = keptUrl(folder, name)
      if (url === undefined) missing.push(name)
      else variables[variable] = url
    }
    if (missing.length > 0) {
      tell(`${missing.join(', ')}: not up; portside up starts what is declared`)
      return exitCodes.failed
    }
    variables.PORTSIDE_EXTERNALS = 'fake'
    if (values.json) print(JSON.stringify(variables, undefined, 2))
    else for (const [name, value] of Object.entries(variables)) print(`${name}=${quoted(value)}`)
    return exitCodes.ok
  },
}
