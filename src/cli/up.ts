/** `portside up`: the pinned datastores, up and staying up. */
import { keepServices, type UpServer } from '../servers/keep-services.ts'
import { serverFolders } from '../servers/services.ts'
import { type AnyService, type Services, urlVariable } from '../services/declare.ts'
import { type Command, exitCodes } from './command.ts'
import { loadServices, parseCommandLine } from './declaration.ts'
import { serversDirectory } from './project.ts'
import { exitCodeOf, Signals } from './signals.ts'
import { table } from './table.ts'

/** Of every command about servers: whose, and where they are. */
export const whereOptions = { services: { type: 'string' }, directory: { type: 'string' } } as const

export const upOptions = {
  services: { type: 'string' },
  directory: { type: 'string' },
  'accept-changes': { type: 'boolean' },
} as const

/** The servers that the declaration in `file` means, by name; `undefined` where none is named: all. */
export async function serversMeant(file: string | undefined): Promise<readonly string[] | undefined> {
  if (file === undefined) return undefined
  return [...new Set(serverFolders(await loadServices(file), '').values())]
}

export const up: Command = {
  usage: 'up [--services FILE] [--directory FOLDER] [--accept-changes]',
  summary:
    'starts the datastores at their pinned versions and leaves them running; --accept-changes uses data that was made under another pin, settings or migrations',
  async run(args, terminal) {
    const { values } = parseCommandLine(args, upOptions)
    const signals = new Signals()
    try {
      const services = await loadServices(values.services)
      const { servers } = await keepServices(services, {
        env: process.env,
        signal: signals.beforeStart,
        onProgress: terminal.tell,
        directory: serversDirectory(values.directory),
        ...(values['accept-changes'] ? { changed: 'accept' } : {}),
      })
      for (const line of placesOf(services, servers)) terminal.print(line)
      if (Object.keys(services).length === 0)
        terminal.tell('the declaration has no services: nothing to start')
      return exitCodes.ok
    } catch (error) {
      if (signals.received !== undefined) return exitCodeOf(signals.received)
      throw error
    } finally {
      signals.release()
    }
  },
}

/** A line a service: what stands behind it, and whether it ran before. No password. */
export function placesOf(services: Services, servers: Readonly<Record<string, UpServer>>): readonly string[] {
  return table(
    Object.entries<AnyService>(services).map(([name, { boundary }]) => {
      const server = servers[name]
      if (boundary === 'unbounded') return [name, 'fake']
      if (server === undefined) return [name, `as ${urlVariable(name)} says`]
      const { engine, version } = server.identity
      return [
        name,
        `${engine} ${version} on 127.0.0.1:${server.port}`,
        server.reused ? 'ran already' : 'started',
      ]
    }),
  )
}
