/** Starts PgBouncer (Debian's package `pgbouncer`) in transaction mode before a PostgreSQL of the tests. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { isRoot, unprivilegedAccount } from '../../src/servers/account.ts'
import { run } from '../../src/servers/command.ts'
import { freePort } from '../../src/servers/free-port.ts'
import { processGuardian } from '../../src/servers/guardian.ts'
import { onPath } from '../../src/servers/source.ts'

/** Its program; `undefined` where it is not installed. It is not on every user's PATH. */
export async function findPgBouncer(): Promise<string | undefined> {
  const [found] = await onPath('pgbouncer')
  if (found !== undefined) return found
  const file = '/usr/sbin/pgbouncer'
  return run(file, ['--version']).then(
    () => file,
    () => undefined,
  )
}

/** Why tests of it are skipped where it is not there. */
export const noPgBouncer = 'not run: there is no pgbouncer; apt-get install pgbouncer'

export interface PgBouncer extends AsyncDisposable {
  /** `url` of the server behind it, by way of it. */
  via(url: string): string
  /** Runs a command of its console, as its administrator. */
  command(text: string): Promise<void>
  /** Ends its connections to the server as soon as no client uses them; new ones are made instead. */
  reconnect(): Promise<void>
  /** How many connections to the server it has. */
  servers(): Promise<number>
  /** SIGKILL. Resolves when it is gone. */
  kill(): Promise<void>
  /** Starts it again on the same port. */
  restart(): Promise<void>
  dispose(): Promise<void>
}

export interface PgBouncerOptions {
  /** The URLs of the users it lets in. */
  readonly users: readonly string[]
  /** How many connections to the server it opens for each user at most. @default 10 */
  readonly poolSize?: number
  /** More lines of its configuration. */
  readonly settings?: readonly string[]
}

const console_ = { user: 'console', password: 'of the tests' }

/** Starts one. The server behind it is that of the first user's URL. */
export async function startPgBouncer(
  program: string,
  { users, poolSize = 10, settings = [] }: PgBouncerOptions,
): Promise<PgBouncer> {
  const target = new URL(users[0] ?? '')
  const port = await freePort()
  const folder = await mkdtemp(join(tmpdir(), 'portside-pgbouncer-'))
  // It refuses to run as root.
  const account = isRoot() ? await unprivilegedAccount(['postgres', 'nobody']) : undefined
  const file = join(folder, 'pgbouncer.ini')
  const secrets = join(folder, 'users.txt')
  const log = join(folder, 'log')
  const logins = [...users.map(loginOf), console_]
  await writeFile(secrets, logins.map(({ user, password }) => `"${user}" "${password}"\n`).join(''), {
    mode: 0o600,
  })
  await writeFile(
    file,
    [
      '[databases]',
      `* = host=${target.hostname} port=${target.port}`,
      '[pgbouncer]',
      'listen_addr = 127.0.0.1',
      `listen_port = ${port}`,
      'unix_socket_dir =',
      'auth_type = scram-sha-256',
      `auth_file = ${secrets}`,
      `admin_users = ${console_.user}`,
      `logfile = ${log}`,
      'pool_mode = transaction',
      `default_pool_size = ${poolSize}`,
      // As soon as the server is back; its own choice is to stay away for 15 s.
      'server_login_retry = 0.2',
      ...settings,
      '',
    ].join('\n'),
    { mode: 0o600 },
  )
  if (account !== undefined) {
    for (const path of [folder, file, secrets]) await chown(path, account.uid, account.gid)
  }

  let child: ChildProcess
  let gone: Promise<unknown>
  const start = async (): Promise<void> => {
    child = spawn(program, [file], { cwd: folder, stdio: 'ignore', detached: true, ...account })
    gone = once(child, 'exit')
    await once(child, 'spawn')
    const guardian = processGuardian('SIGTERM')
    guardian.guard(child.pid as number)
    child.once('exit', () => guardian.dismiss())
    for (let tries = 0; ; tries += 1) {
      try {
        await command('SHOW VERSION')
        return
      } catch (cause) {
        if (child.exitCode === null && tries < 200) {
          await new Promise((resolve) => setTimeout(resolve, 25))
          continue
        }
        const said = await readFile(log, 'utf8').catch(() => '')
        throw new Error(`PgBouncer did not come up:\n${said.slice(-2_000)}`, { cause })
      }
    }
  }
  const rows = async (text: string): Promise<readonly Readonly<Record<string, unknown>>[]> => {
    const client = new pg.Client({ host: '127.0.0.1', port, database: 'pgbouncer', ...console_ })
    client.on('error', () => {})
    await client.connect()
    try {
      return (await client.query(text)).rows as Readonly<Record<string, unknown>>[]
    } finally {
      await client.end()
    }
  }
  const command = async (text: string): Promise<void> => void (await rows(text))
  const kill = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await gone
  }
  const dispose = async (): Promise<void> => {
    await kill()
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  }
  try {
    await start()
  } catch (error) {
    await dispose()
    throw error
  }
  return {
    via: (url) =>
      Object.assign(new URL(url), { host: `127.0.0.1:${port}`, search: '?pooler=transaction' }).href,
    command,
    reconnect: () => command('RECONNECT'),
    servers: async () => (await rows('SHOW SERVERS')).length,
    kill,
    restart: start,
    dispose,
    [Symbol.asyncDispose]: dispose,
  }
}

function loginOf(url: string): { readonly user: string; readonly password: string } {
  const { username, password } = new URL(url)
  return { user: decodeURIComponent(username), password: decodeURIComponent(password) }
}
