/** Where a container engine may be found, and whether what it starts would be on this machine. */
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { homedir, userInfo } from 'node:os'
import { join } from 'node:path'

/** Where testcontainers would look: told apart from it in no time, which to load takes a second. */
export function enginePlaces(env: NodeJS.ProcessEnv = process.env): readonly string[] {
  if (env.DOCKER_HOST) return [withoutCredentials(env.DOCKER_HOST)]
  const properties = join(homedir(), '.testcontainers.properties')
  const sockets = [
    '/var/run/docker.sock',
    ...(env.XDG_RUNTIME_DIR ? [join(env.XDG_RUNTIME_DIR, 'docker.sock')] : []),
    join(homedir(), '.docker', 'run', 'docker.sock'),
    join(homedir(), '.docker', 'desktop', 'docker.sock'),
    join('/run', 'user', String(userInfo().uid), 'docker.sock'),
  ]
  const places = process.platform === 'win32' ? ['//./pipe/docker_engine'] : sockets
  return [properties, ...places].filter((place) => existsSync(place))
}

/**
 * Whether an address is this machine's own: only then can one listen on it. Where testcontainers takes this for a
 * container, it names the engine's bridge, which lists no such address while no container runs.
 */
export async function isHere(host: string): Promise<boolean> {
  if (['localhost', '127.0.0.1', '::1', '[::1]'].includes(host)) return true
  const server = createServer()
  try {
    await once(server.listen({ host, port: 0 }), 'listening')
    return true
  } catch {
    return false
  } finally {
    server.close()
  }
}

function withoutCredentials(address: string): string {
  return address.replace(/\/\/[^/@]*@/, '//')
}
