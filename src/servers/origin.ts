/** What the data of a server's folder was last used with, so that data is never silently used with something else. */
import { createHash } from 'node:crypto'
import type { ServerIdentity, StartOptions } from '../adapter.ts'
import { PortError } from '../errors.ts'
import { pinHolds } from '../services/pin.ts'
import type { ServerEngine } from './engine.ts'
import type { ServerFolder } from './folder.ts'

interface Origin {
  readonly engine: string
  readonly version: string
  readonly durable: boolean
  readonly recipe: string
  /** What tells the passwords apart, by name. */
  readonly passwords: Readonly<Record<string, string>>
}

type OriginEngine = Pick<ServerEngine, 'engine' | 'title' | 'recipe'>
type Asked = Pick<StartOptions, 'version' | 'durable' | 'changed'>

/** Whether a server has run on the folder before. */
export function hasOrigin(folder: ServerFolder): boolean {
  return folder.recall('origin') !== undefined
}

/** Remembers it of a server that has just come up. */
export function rememberOrigin(
  engine: OriginEngine,
  folder: ServerFolder,
  durable: boolean,
  { version }: ServerIdentity,
): void {
  const origin: Origin = {
    engine: engine.engine,
    version,
    durable,
    recipe: printOf(engine.recipe ?? ''),
    passwords: folder.passwordPrints,
  }
  folder.remember('origin', origin)
}

/**
 * Whether the data is to be used as it was before.
 * @throws PortError `precondition-failed` that says what changed, where changes are to be refused
 */
export function checkOrigin(engine: OriginEngine, folder: ServerFolder, asked: Asked): boolean {
  const changes = changesOf(engine, folder, asked)
  if (changes.length > 0 && asked.changed === 'refuse') throw refusal(engine.title, folder.path, changes)
  return changes.length === 0
}

/**
 * Data without the passwords it was made with lets no one in: told at once, instead of after trying for long.
 * @throws PortError `precondition-failed`
 */
export function checkPasswords({ title }: ServerEngine, folder: ServerFolder): void {
  if (!folder.hasData || Object.keys(folder.passwordPrints).length > 0) return
  throw new PortError({
    code: 'precondition-failed',
    message:
      `${folder.path} holds data of ${title} and no passwords to it; nothing was touched: bring ` +
      `${folder.file('passwords.json')} back, or start afresh, which loses the data: portside reset`,
  })
}

/** The error that says what changed, and the ways on. */
export function refusal(what: string, path: string, changes: readonly string[]): PortError {
  return new PortError({
    code: 'precondition-failed',
    message:
      `the data of ${what} in ${path} was made otherwise; nothing was touched\n` +
      `${changes.map((change) => `  - ${change}`).join('\n')}\n` +
      '  undo the change; or use the data as it is: portside up --accept-changes; or start afresh, which loses the data: portside reset',
    details: Object.fromEntries(changes.map((change, index) => [String(index + 1), change])),
  })
}

/** Each as a sentence; empty where nothing changed, or nothing is known. */
function changesOf(engine: OriginEngine, folder: ServerFolder, asked: Asked): string[] {
  const hasData = folder.hasData || folder.recall('container') !== undefined
  const origin = hasData ? folder.recall<Origin>('origin') : undefined
  if (origin === undefined) return []
  const { durable = true, version } = asked
  const { title } = engine
  const changes: string[] = []
  if (origin.engine !== engine.engine) changes.push(`the engine: it was ${origin.engine}`)
  if (!pinHolds(version, origin.version)) {
    changes.push(`the pin: it ran ${title} ${origin.version}, and ${version} is pinned`)
  }
  if (origin.durable !== durable) {
    changes.push(
      origin.durable
        ? 'the settings: every write was kept, and is to be kept no more'
        : 'the settings: writes could be lost with a crash, so some may be; they are to be kept from here on',
    )
  }
  // Of data that was made before its engine had one, nothing is known.
  if (origin.recipe !== printOf('') && origin.recipe !== printOf(engine.recipe ?? '')) {
    changes.push('the settings: a new data folder would be made with others')
  }
  const passwords = folder.passwordPrints
  if (Object.entries(origin.passwords).some(([name, print]) => passwords[name] !== print)) {
    changes.push(`the credentials: ${folder.file('passwords.json')} is not what it was`)
  }
  return changes
}

function printOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}
