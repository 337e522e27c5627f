/** The pool and single connections that a service's URL asks for. */
import { readFileSync } from 'node:fs'
import type { ConnectionOptions } from 'node:tls'
import pg from 'pg'
import { invalidArgument } from '../../src/errors.ts'
import type { ServiceUrl } from '../../src/services/url.ts'
import { agreeOnSettings } from './pooler.ts'
import {
  defaultConnectTimeoutMs,
  defaultMaxConnections,
  primaryOf,
  type ServerAddress,
  sslMode,
} from './url.ts'

/** What pg needs to connect. Everything is said, so that none of libpq's environment variables is read. */
export function clientConfig(
  url: ServiceUrl,
  service: string,
  at: ServerAddress = primaryOf(url),
): pg.ClientConfig {
  const { password = '' } = url
  return {
    ...at,
    user: url.username,
    // As a function: an empty string would send pg to PGPASSWORD and to ~/.pgpass.
    password: () => password,
    ssl: tlsOptions(url, at.host),
    sslnegotiation: 'postgres',
    application_name: url.text('applicationName') ?? service,
    connectionTimeoutMillis: url.integer('connectTimeoutMs') ?? defaultConnectTimeoutMs,
    keepAlive: true,
    // So that no result depends on how the server, the database or the user happens to be configured. A pooler
    // refuses it, because its sessions are many clients'.
    ...(isPooled(url) ? {} : { options: startupOptions }),
  }
}

const startupOptions =
  '-c client_encoding=UTF8 -c DateStyle=ISO -c TimeZone=UTC -c IntervalStyle=postgres -c bytea_output=hex -c extra_float_digits=1'

/** Whether a pooler in transaction mode stands before the server. */
export function isPooled(url: ServiceUrl): boolean {
  return url.text('pooler') === 'transaction'
}

export interface OpenPool {
  readonly pool: pg.Pool
  /** All that it has made and that have not ended, those that are still connecting among them. */
  readonly clients: ReadonlySet<pg.Client>
}

/** A pool. It connects when it is first asked to. */
export function openPool(url: ServiceUrl, service: string, at?: ServerAddress): OpenPool {
  const clients = new Set<pg.Client>()
  const pool = new pg.Pool({
    ...clientConfig(url, service, at),
    ...(isPooled(url) ? { onConnect: agreeOnSettings } : {}),
    max: url.integer('maxConnections') ?? defaultMaxConnections,
    Client: class extends TidyClient {
      constructor(config?: pg.ClientConfig) {
        super(config)
        clients.add(this)
        this.once('end', () => clients.delete(this))
      }
    },
    // An idle pool must not keep a process alive that has nothing else to do.
    allowExitOnIdle: true,
  })
  return { pool, clients }
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

function tlsOptions(url: ServiceUrl, host: string): false | ConnectionOptions {
  switch (sslMode(url, host)) {
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
