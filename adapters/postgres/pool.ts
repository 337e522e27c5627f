/** The pool and single connections that a service's URL asks for. */
import { readFileSync } from 'node:fs'
import type { ConnectionOptions } from 'node:tls'
import pg from 'pg'
import { invalidArgument } from '../../src/errors.ts'
import type { ServiceUrl, UrlParameters } from '../../src/services/url.ts'

export const parameters: UrlParameters = {
  maxConnections: {
    type: 'integer',
    description: 'how many connections the pool opens at most; 10 by default',
    min: 1,
    max: 1_000,
  },
  connectTimeoutMs: {
    type: 'integer',
    description: 'how long connecting, and waiting for a free connection, may take; 10 000 by default',
    min: 1,
    max: 600_000,
  },
  applicationName: {
    type: 'text',
    description: "the connections' name in pg_stat_activity; the service's name by default",
  },
  sslmode: {
    type: 'choice',
    description:
      'disable: no TLS; require: TLS with whoever answers; verify-full: TLS, and the certificate must be for this host. By default verify-full, and disable for a loopback address',
    choices: ['disable', 'require', 'verify-full'],
  },
  sslrootcert: {
    type: 'text',
    description: "a file with the certificates of the authorities to trust; the machine's own by default",
  },
}

const defaultMaxConnections = 10
const defaultConnectTimeoutMs = 10_000

/** What is wrong with the URL beyond its scheme and parameters. */
export function validate(url: ServiceUrl): readonly string[] {
  const problems: string[] = []
  if (url.host === '') problems.push('it names no host')
  if (url.username === undefined) problems.push('it names no user')
  if (url.path === '' || url.path.includes('/')) problems.push('its path must be the name of one database')
  if (url.text('sslrootcert') !== undefined && sslMode(url) !== 'verify-full') {
    problems.push('its parameter "sslrootcert" is of no use without sslmode=verify-full')
  }
  return problems
}

/** What pg needs to connect. Everything is said, so that none of libpq's environment variables is read. */
export function clientConfig(url: ServiceUrl, service: string): pg.ClientConfig {
  const { password = '' } = url
  return {
    host: url.host,
    port: url.port ?? 5_432,
    database: url.path,
    user: url.username,
    // As a function: an empty string would send pg to PGPASSWORD and to ~/.pgpass.
    password: () => password,
    ssl: tlsOptions(url),
    sslnegotiation: 'postgres',
    application_name: url.text('applicationName') ?? service,
    connectionTimeoutMillis: url.integer('connectTimeoutMs') ?? defaultConnectTimeoutMs,
    keepAlive: true,
    // So that no result depends on how the server, the database or the user happens to be configured.
    options:
      '-c client_encoding=UTF8 -c DateStyle=ISO -c TimeZone=UTC -c IntervalStyle=postgres -c bytea_output=hex -c extra_float_digits=1',
  }
}

/** A pool. It connects when it is first asked to. */
export function openPool(url: ServiceUrl, service: string): pg.Pool {
  return new pg.Pool({
    ...clientConfig(url, service),
    max: url.integer('maxConnections') ?? defaultMaxConnections,
    Client: TidyClient,
    // An idle pool must not keep a process alive that has nothing else to do.
    allowExitOnIdle: true,
  })
}

/**
 * When connecting fails on this side (no password where one is asked for, a server without TLS), pg reports it and
 * leaves the socket open. The server would keep a process waiting for it, and that one holds up a DROP DATABASE.
 */
class TidyClient extends pg.Client {
  override connect(): Promise<pg.Client>
  override connect(callback: (error: Error) => void): void
  override connect(callback?: (error: Error) => void): Promise<pg.Client> | undefined {
    if (callback === undefined) {
      return super.connect().catch((error: unknown) => {
        this.connection.stream.destroy()
        throw error
      })
    }
    super.connect((error: Error | null) => {
      if (error) this.connection.stream.destroy()
      callback(error as Error)
    })
  }
}

type SslMode = 'disable' | 'require' | 'verify-full'

function sslMode(url: ServiceUrl): SslMode {
  const given = url.text('sslmode') as SslMode | undefined
  return given ?? (/^(?:localhost|127(?:\.\d+){3}|::1)$/.test(url.host) ? 'disable' : 'verify-full')
}

function tlsOptions(url: ServiceUrl): false | ConnectionOptions {
  switch (sslMode(url)) {
    case 'disable':
      return false
    case 'require':
      return { rejectUnauthorized: false }
    case 'verify-full': {
      const file = url.text('sslrootcert')
      return { rejectUnauthorized: true, ...(file === undefined ? {} : { ca: readCertificates(file) }) }
    }
  }
}

function readCertificates(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    throw invalidArgument(`the file that sslrootcert names cannot be read: ${file}`)
  }
}
