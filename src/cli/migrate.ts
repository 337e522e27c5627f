/** `portside migrate`: brings schemas up to date, as an admin step of its own. */
import type { DatastoreAdapter } from '../adapter.ts'
import { attach } from '../services/attach.ts'
import { readConfig } from '../services/config.ts'
import {
  type AnyService,
  type BoundedService,
  type Services,
  urlFlag,
  urlVariable,
} from '../services/declare.ts'
import { type Command, exitCodes } from './command.ts'
import { servicesFromArguments } from './declaration.ts'

export const migrate: Command = {
  usage: 'migrate [--services FILE] [--<service>-url URL]…',
  summary: 'applies the migrations of every service whose URL is configured',
  async run(args, terminal) {
    const services = await servicesFromArguments(args)
    const migrated = Object.entries<AnyService>(services).flatMap(([name, service]) =>
      service.boundary === 'bounded' && service.migrations !== undefined ? [{ name, service }] : [],
    )
    const configured = migrated.filter(({ name }) => isConfigured(name, args))
    if (migrated.length === 0) {
      terminal.print('no service has migrations')
      return exitCodes.ok
    }
    // Told before anything is changed, so that a missing URL does not leave half of the services migrated unnoticed.
    for (const { name } of migrated.filter((each) => !configured.includes(each))) {
      terminal.tell(`${name}: skipped, ${urlVariable(name)} is not set`)
    }
    if (configured.length === 0) return exitCodes.failed
    const sources = { env: process.env, args }
    const config = readConfig(declarationOf(configured), sources)
    for (const { name, service } of configured) {
      const how = config.services.get(name)
      const adapter: DatastoreAdapter<object> = service.adapters[0]
      if (how?.implementation !== 'real' || service.migrations === undefined) continue
      if (adapter.migrate === undefined) {
        terminal.tell(`${name}: its adapter "${adapter.name}" applies no migrations`)
        return exitCodes.failed
      }
      // A server of another version than the pinned one is refused before its schema is touched.
      await (await attach(declarationOf([{ name, service }]), sources)).close()
      const { applied } = await adapter.migrate(how.url, service.migrations, {
        onProgress: (message) => terminal.tell(`${name}: ${message}`),
      })
      for (const migration of applied) terminal.print(`${name}: applied ${migration}`)
      if (applied.length === 0) terminal.print(`${name}: is up to date`)
    }
    return exitCodes.ok
  },
}

function declarationOf(
  named: readonly { readonly name: string; readonly service: BoundedService<object> }[],
): Services {
  return Object.fromEntries(named.map(({ name, service }) => [name, service]))
}

function isConfigured(name: string, args: readonly string[]): boolean {
  const flag = urlFlag(name)
  const variable = urlVariable(name)
  return (
    args.some((arg) => arg === flag || arg.startsWith(`${flag}=`)) ||
    [variable, `${variable}_FILE`].some((each) => (process.env[each] ?? '').trim() !== '')
  )
}
