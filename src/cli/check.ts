/** `portside check`: is the configuration complete and right? Touches no network. */
import { readConfig } from '../services/config.ts'
import { type AnyService, urlVariable } from '../services/declare.ts'
import { type Command, exitCodes } from './command.ts'
import { servicesFromArguments } from './declaration.ts'
import { table } from './table.ts'

export const check: Command = {
  usage: 'check [--services FILE] [--<service>-url URL]…',
  summary: 'reads the configuration and prints every problem in it, or what each service is attached to',
  async run(args, { print }) {
    const services = await servicesFromArguments(args)
    const config = readConfig(services, { args })
    const rows = Object.entries<AnyService>(services).map(([name, service]) => {
      const how = config.services.get(name)
      const real = how?.implementation === 'real' ? how : undefined
      return [
        name,
        service.boundary,
        real?.adapter.name ?? 'fake',
        service.boundary === 'bounded' ? service.version : '',
        real?.url.toString() ?? '',
        urlVariable(name),
      ]
    })
    const heading = ['service', 'boundary', 'implementation', 'pin', 'url', 'variable']
    for (const line of table([heading, ...rows])) print(line)
    return exitCodes.ok
  },
}
