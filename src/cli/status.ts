/** `portside status`: which datastores run, and where they are from. */
import { join } from 'node:path'
import { serversIn } from '../servers/kept.ts'
import { type Command, exitCodes } from './command.ts'
import { parseCommandLine } from './declaration.ts'
import { serversDirectory } from './project.ts'
import { quoted } from './quoted.ts'
import { table } from './table.ts'
import { serversMeant, whereOptions } from './up.ts'

export const status: Command = {
  usage: 'status [--services FILE] [--directory FOLDER] [--json]',
  summary:
    'prints how the datastores are and where they are from, with --services those of that declaration alone; fails unless all of them run',
  async run(args, { print, tell }) {
    const { values } = parseCommandLine(args, { ...whereOptions, json: { type: 'boolean' } })
    const names = await serversMeant(values.services)
    const directory = serversDirectory(values.directory)
    const servers = (await serversIn(directory)).filter(({ name }) => names?.includes(name) ?? true)
    const allRun = servers.length >= (names?.length ?? 1) && servers.every(({ state }) => state === 'running')
    if (values.json) print(JSON.stringify({ directory, servers }, undefined, 2))
    else if (servers.length === 0)
      print(`there is no server in ${directory}; portside up starts what is declared`)
    else {
      const heading = ['server', 'state', 'version', 'port', 'process', 'services', 'from']
      const rows = servers.map(({ name, state, version = '', port, pid, services, from = '' }) => [
        name,
        state,
        version,
        String(port ?? ''),
        String(pid ?? ''),
        services.join(','),
        from,
      ])
      for (const line of table([heading, ...rows])) print(line)
      for (const { name, passedOver = [] } of servers) {
        for (const reason of passedOver) print(`${name}: not from ${reason}`)
      }
    }
    const tests = join(directory, 'tests')
    if (!values.json && (await serversIn(tests)).some(({ state }) => state === 'running')) {
      tell(`servers of tests run too: portside status --directory ${quoted(tests)}`)
    }
    return allRun ? exitCodes.ok : exitCodes.failed
  },
}
