/** The exported pins in the hands of the tools they are for: Compose, the runners of CI, `docker build`. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { postgres } from '../adapters/postgres/index.ts'
import { redis } from '../adapters/redis/index.ts'
import { type Container, pinnedServices } from '../src/parity/exports/containers.ts'
import { exportFormats } from '../src/parity/exports/formats.ts'
import { wholeFile } from '../src/parity/exports/region.ts'
import { KeyValueStore } from '../src/ports/key-value-store.ts'
import { sql } from '../src/ports/sql.ts'
import { SqlDatabase } from '../src/ports/sql-database.ts'
import { run } from '../src/servers/command.ts'
import { findEngine } from '../src/servers/docker-engine.ts'
import { freePort } from '../src/servers/free-port.ts'
import { onPath } from '../src/servers/source.ts'
import { attach } from '../src/services/attach.ts'
import { bounded, defineServices } from '../src/services/declare.ts'
import { preflight } from '../src/services/preflight.ts'
import { whereContainersRun } from './real-docker/containers.ts'

const services = defineServices({
  orders: bounded(SqlDatabase, { adapter: postgres, version: '17.10' }),
  sessions: bounded(KeyValueStore, { adapter: redis, version: '7.0' }),
})
const containers = pinnedServices(services).flatMap(({ container }) => container ?? [])

/** The file as `portside export` writes it. */
function exported(format: string): string {
  return wholeFile(format, exportFormats[format]?.render(services) ?? [])
}

interface Tool {
  readonly command: readonly string[]
  /** An argument that it answers to where it works. */
  readonly question: string
}

/** The first that works; else why there is none. */
async function found(...tools: readonly Tool[]): Promise<readonly [string, ...string[]] | string> {
  for (const { command, question } of tools) {
    const [program = '', ...args] = command
    for (const path of await onPath(program)) {
      const works = await run(path, [...args, question]).then(
        () => true,
        () => false,
      )
      if (works) return [path, ...args]
    }
  }
  return `not run: there is no ${tools.map(({ command }) => command.join(' ')).join(' or ')} that works`
}

const hasDocker = (await onPath('docker')).length > 0

await whereContainersRun(() => {
  /** What this file makes in the engine carries it in its name. */
  const name = `portside-${randomBytes(4).toString('hex')}`
  const docker = (...args: readonly string[]): Promise<string> => run('docker', args)
  let folder: string
  beforeEach(async ({ skip }) => {
    if (!hasDocker) skip('not run: there is no docker')
    const engine = await findEngine()
    const address = typeof engine === 'string' ? undefined : engine.address
    // Else docker would look for an engine by itself, and perhaps find another.
    if (address !== undefined && 'socketPath' in address) {
      vi.stubEnv('DOCKER_HOST', `unix://${address.socketPath}`)
    }
    folder = await mkdtemp(join(tmpdir(), 'portside-exports-'))
  })
  afterEach(async () => {
    if (!hasDocker) return
    for (const kind of ['container', 'network', 'volume', 'image']) {
      const list = kind === 'image' ? ['ls', '--quiet', name] : ['ls', '--quiet', '--filter', `name=${name}`]
      const ids = (await docker(kind, ...list, ...(kind === 'container' ? ['--all'] : []))).split('\n')
      for (const id of ids.filter((each) => each !== '')) {
        await docker(kind, 'rm', ...(kind === 'container' ? ['--volumes'] : []), '--force', id)
      }
    }
    vi.unstubAllEnvs()
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  })

  /** The text with ports that are free here: those of the export may be in use. */
  async function onFreePorts(
    text: string,
    line: (port: number, container: Container) => string,
  ): Promise<{ readonly text: string; readonly ports: ReadonlyMap<Container, number> }> {
    const ports = new Map<Container, number>()
    let changed = text
    for (const container of containers) {
      const port = await freePort()
      expect(changed).toContain(line(container.hostPort, container))
      changed = changed.replace(line(container.hostPort, container), line(port, container))
      ports.set(container, port)
    }
    return { text: changed, ports }
  }

  function environment(ports: ReadonlyMap<Container, number>): Record<string, string> {
    return Object.fromEntries(
      [...ports].map(([container, port]) => [container.variable, container.url('127.0.0.1', port)]),
    )
  }

  /** Goes through the preflight, and then uses both as an app does. */
  async function expectToBeUsable(env: Readonly<Record<string, string>>): Promise<void> {
    const report = await preflight(services, { env })
    expect(report.steps.filter(({ outcome }) => outcome === 'no-go')).toEqual([])
    expect(report.go).toBe(true)
    await using app = await attach(services, { env })
    const [settings] = await app.orders.query(
      sql`SELECT current_setting('server_encoding') AS encoding, current_setting('data_checksums') AS checksums,
        current_setting('TimeZone') AS zone, 'a' < 'B' AS alphabetical`,
    )
    expect(settings).toEqual({ encoding: 'UTF8', checksums: 'on', zone: 'UTC', alphabetical: false })
    await app.sessions.set('key', 'value')
    expect(await app.sessions.getText('key')).toBe('value')
  }

  const health = (id: string): Promise<string> =>
    docker('inspect', '--format', '{{.State.Health.Status}}', id)
  const becomesHealthy = (id: string): Promise<void> =>
    expect.poll(() => health(id), { timeout: 120_000, interval: 200 }).toBe('healthy\n')

  test('Compose brings up servers that pass the preflight at their pins, and takes them down again', async ({
    skip,
  }) => {
    const compose = await found(
      { command: ['docker', 'compose'], question: 'version' },
      { command: ['docker-compose'], question: 'version' },
    )
    if (typeof compose === 'string') return skip(compose)
    const [program, ...first] = compose
    const { text, ports } = await onFreePorts(
      exported('compose'),
      (port, container) => `127.0.0.1:${port}:${container.port}`,
    )
    const file = join(folder, 'portside.compose.yaml')
    await writeFile(file, text)
    const inProject = (...args: string[]): Promise<string> =>
      run(program, [...first, '--project-name', name, '--file', file, ...args], { cwd: folder })
    try {
      await inProject('up', '--detach')
      for (const id of (await inProject('ps', '--quiet')).trim().split('\n')) await becomesHealthy(id)
      await expectToBeUsable(environment(ports))
      // The data are in volumes of their names, and outlive the containers.
      await inProject('down')
      await inProject('up', '--detach')
      for (const id of (await inProject('ps', '--quiet')).trim().split('\n')) await becomesHealthy(id)
      await using app = await attach(services, { env: environment(ports) })
      expect(await app.sessions.getText('key')).toBe('value')
    } finally {
      await inProject('down', '--volumes')
    }
    for (const kind of ['container', 'volume', 'network']) {
      expect(await docker(kind, 'ls', '--quiet', '--filter', `name=${name}`)).toBe('')
    }
  })

  describe('a job of CI', () => {
    /** The file as a parser of YAML reads it. */
    async function parsed(text: string): Promise<unknown> {
      const python = await found({ command: ['python3'], question: '-cimport yaml' })
      if (typeof python === 'string') return python
      const file = join(folder, 'ci.yaml')
      await writeFile(file, text)
      const script = 'import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))'
      return JSON.parse(await run(python[0], ['-c', script, file]))
    }

    interface Job<S> {
      readonly services: S
      readonly env: Record<string, string>
      readonly variables: Record<string, string>
    }
    const variablesOf = (values: Readonly<Record<string, string>> = {}): readonly string[] =>
      Object.entries(values).flatMap(([key, value]) => ['--env', `${key}=${value}`])

    test("of GitHub's has servers that its env leads to", async ({ skip }) => {
      const { text, ports } = await onFreePorts(
        exported('github'),
        (port, container) => `"${port}:${container.port}"`,
      )
      const job = await parsed(text)
      if (typeof job === 'string') return skip(job)
      type Service = { image: string; env?: Record<string, string>; ports: string[]; options: string }
      const { services: started, env } = job as Job<Record<string, Service>>
      expect(Object.keys(started)).toEqual(['orders', 'sessions'])
      for (const [service, { image, env: own, ports: published, options }] of Object.entries(started)) {
        const id = `${name}-${service}`
        // As the runner does: the options as they are, for a shell to part.
        const create = ['run', '--detach', '--name', id, ...variablesOf(own)]
        const onLoopback = published.flatMap((port) => ['--publish', `127.0.0.1:${port}`])
        await run('/bin/sh', ['-c', `exec docker "$@" ${options} ${image}`, 'sh', ...create, ...onLoopback])
        await becomesHealthy(id)
      }
      const { PORTSIDE_EXTERNALS, ...urls } = env
      expect(PORTSIDE_EXTERNALS).toBe('fake')
      let moved = JSON.stringify(urls)
      for (const [{ hostPort }, port] of ports) moved = moved.replace(`:${hostPort}/`, `:${port}/`)
      expect(JSON.parse(moved)).toEqual(environment(ports))
      await expectToBeUsable(JSON.parse(moved) as Record<string, string>)
    })

    test("of GitLab's has servers that its variables lead to, by the names in its network", async ({
      skip,
    }) => {
      const job = await parsed(exported('gitlab'))
      if (typeof job === 'string') return skip(job)
      type Service = { name: string; alias: string; variables?: Record<string, string> }
      const { services: started, variables } = job as Job<Service[]>
      await docker('network', 'create', name)
      const inNetwork = ['--network', name]
      for (const { name: image, alias, variables: own } of started) {
        const names = ['--name', `${name}-${alias}`, '--network-alias', alias]
        await docker('run', '--detach', ...inNetwork, ...names, ...variablesOf(own), image)
      }
      // The job itself: a container in that network, which is given the URLs.
      const ask = (image: string, script: string): Promise<string> =>
        docker(
          'run',
          '--rm',
          ...inNetwork,
          ...variablesOf(variables),
          '--entrypoint',
          'sh',
          image,
          '-c',
          script,
        )
      const version = `until psql "$ORDERS_URL" -c 'SELECT 1' >/dev/null 2>&1; do sleep 0.2; done; psql -At "$ORDERS_URL" -c 'SHOW server_version'`
      expect(await ask('postgres:17.10', version)).toMatch(/^17\.10\b/)
      expect(await ask('redis:7.0', 'redis-cli -u "$SESSIONS_URL" ping')).toBe('PONG\n')
    })
  })

  test('a Dockerfile is built on the image that its arguments name, and on another that is given', async () => {
    const lines = ['FROM $ORDERS_IMAGE', 'ARG SESSIONS_VERSION', 'ENV PINNED=$SESSIONS_VERSION']
    await writeFile(join(folder, 'Dockerfile'), `${exported('dockerfile')}${lines.join('\n')}\n`)
    // Without the plug-in of the new builder docker still has the old one.
    const newBuilder = await found({ command: ['docker', 'buildx'], question: 'version' })
    if (typeof newBuilder === 'string') vi.stubEnv('DOCKER_BUILDKIT', '0')
    const builtWith = async (...args: readonly string[]): Promise<string> => {
      const tag = `${name}:${args.length}`
      await docker('build', '--tag', tag, ...args, folder)
      const script = 'echo "$PINNED"; postgres --version 2>/dev/null || redis-server --version'
      return docker('run', '--rm', '--entrypoint', 'sh', tag, '-c', script)
    }
    expect(await builtWith()).toMatch(/^7\.0\n.*PostgreSQL\) 17\.10/)
    expect(await builtWith('--build-arg', 'ORDERS_IMAGE=redis:7.0')).toMatch(/^7\.0\nRedis server v=7\.0\./)
  })
})
