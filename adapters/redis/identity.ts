/** Which server answers: INFO names the engine and version. */
import type { Redis } from 'ioredis'
import type { ServerIdentity } from '../../src/adapter.ts'
import { PortError } from '../../src/errors.ts'
import { pairsOf, type RedisConnection } from './connection.ts'

/** Of a cluster whose nodes differ, as in the midst of an upgrade, the oldest: what it lacks cannot be relied on. */
export async function identifyRedis(
  connection: RedisConnection,
  signal: AbortSignal,
): Promise<ServerIdentity> {
  const nodes = await connection.primaries(signal)
  const found = await Promise.all(nodes.map((node) => identityOf(connection, node, signal)))
  const [oldest] = found.sort((a, b) => a.version.localeCompare(b.version, 'en', { numeric: true }))
  if (oldest === undefined) throw unknown()
  return oldest
}

/** By INFO; for a user that may not ask for it by HELLO, the greeting that any client may repeat. */
async function identityOf(
  connection: RedisConnection,
  node: Redis,
  signal: AbortSignal,
): Promise<ServerIdentity> {
  try {
    return parseIdentity(String(await connection.send(['info', 'server'], signal, node)))
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith('NOPERM'))) throw error
    const greeting = pairsOf(await connection.send(['hello'], signal, node))
    const [engine, version] = [greeting.get('server'), greeting.get('version')]
    if (engine === undefined || version === undefined) throw error
    return { engine, version }
  }
}

/** The identity in the text of INFO. Valkey also gives a `redis_version`, the one it is compatible with. */
export function parseIdentity(info: string): ServerIdentity {
  const field = (name: string): string | undefined => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1]
  const engine = field('server_name') ?? 'redis'
  const version = field(`${engine}_version`) ?? field('redis_version')
  if (version === undefined) throw unknown()
  return { engine, version }
}

function unknown(): PortError {
  return new PortError({ code: 'unsupported', message: 'the server does not say which version it is' })
}
