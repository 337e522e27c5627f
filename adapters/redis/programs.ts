/** Where the programs of Redis and Valkey come from. */
import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { CommandError, run } from '../../src/servers/command.ts'
import { debianPackages } from '../../src/servers/debian.ts'
import { onPath, type Programs, type ServerSource, wrongVersion } from '../../src/servers/source.ts'

/** `redis-server` from the PATH. */
export const redisPath: ServerSource = pathSource('Redis')
/** `redis-server` out of the packages of Debian and Ubuntu, in the cache. */
export const redisDebian: ServerSource = debianSource('Redis')

/** `valkey-server` from the PATH. */
export const valkeyPath: ServerSource = pathSource('Valkey')
/** `valkey-server` out of the packages of those releases of Debian and Ubuntu that have it, in the cache. */
export const valkeyDebian: ServerSource = debianSource('Valkey')

/** As the program itself says it. */
type Title = 'Redis' | 'Valkey'

function pathSource(title: Title): ServerSource {
  const name = `${title.toLowerCase()}-server`
  return {
    name: 'the PATH',
    async find(pin) {
      const findings: string[] = []
      for (const path of await onPath(name)) {
        const programs = await programsAt(path, {}, title)
        const finding = typeof programs === 'string' ? programs : wrongVersion(pin, programs.version, path)
        if (typeof programs !== 'string' && finding === undefined) return programs
        if (finding !== undefined) findings.push(finding)
      }
      return findings.join(', ') || `there is no ${name} on it`
    },
  }
}

function debianSource(title: Title): ServerSource {
  const engine = title.toLowerCase()
  const packages = { main: `${engine}-server`, others: [`${engine}-tools`] }
  return {
    name: "the system's packages",
    async find(pin, context) {
      const found = await debianPackages(packages, pin, context)
      if (typeof found === 'string') return found
      const path = join(found.root, 'usr/bin', packages.main)
      if (!existsSync(path))
        return `there is no usr/bin/${packages.main} in ${found.root}; remove that folder`
      const programs = await programsAt(path, { LD_LIBRARY_PATH: await libraryPath(found.root) }, title)
      if (typeof programs === 'string') return programs
      return wrongVersion(pin, programs.version, path) ?? programs
    },
  }
}

/** Debian keeps libraries one folder below, named after the machine's kind. */
async function libraryPath(root: string): Promise<string> {
  const folders = [join(root, 'usr/lib'), join(root, 'lib')].filter((folder) => existsSync(folder))
  const below = await Promise.all(
    folders.map(async (folder) =>
      (await readdir(folder)).filter((name) => name.includes('-linux-gnu')).map((name) => join(folder, name)),
    ),
  )
  return below.flat().join(':')
}

async function programsAt(
  path: string,
  env: Readonly<Record<string, string>>,
  title: Title,
): Promise<Programs | string> {
  try {
    const said = await run(path, ['--version'], { env: { ...process.env, ...env } })
    // "Redis server v=7.0.15 sha=…": Valkey, which some systems install under the same name, says its own.
    const version = new RegExp(`^${title} server v=(\\S+)`, 'm').exec(said)?.[1]
    if (version === undefined) return `${path} is no ${title}: it says "${said.trim().slice(0, 80)}"`
    return { version, env, program: (name) => join(dirname(path), name) }
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    return `${path} does not run here: ${error.output || error.message}`
  }
}
