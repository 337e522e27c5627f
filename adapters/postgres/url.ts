/** What a URL of PostgreSQL may say, and what it means where it does not. */
import { invalidArgument } from '../../src/errors.ts'
import { isLoopback, type ServiceUrl, type UrlParameters } from '../../src/services/url.ts'

export const defaultReplicaMaxLagMs = 10_000

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
  pooler: {
    type: 'choice',
    description:
      'transaction: between here and the server stands a pooler (PgBouncer) that may give each transaction another session',
    choices: ['transaction'],
  },
  replica: {
    type: 'text',
    description:
      "host, host:port or host:port/database of a read replica, for read-only transactions; port, database, user and TLS are the URL's own where it does not say",
  },
  replicaMaxLagMs: {
    type: 'integer',
    description: `how far behind the replica may be before the primary is read instead; ${defaultReplicaMaxLagMs} by default`,
    min: 1,
    max: 86_400_000,
  },
}

export const defaultPort = 5_432
export const defaultMaxConnections = 10
export const defaultConnectTimeoutMs = 10_000

/** What is wrong with the URL beyond its scheme and parameters. */
export function validate(url: ServiceUrl): readonly string[] {
  const problems: string[] = []
  if (url.host === '') problems.push('it names no host')
  if (url.username === undefined) problems.push('it names no user')
  if (url.path === '' || url.path.includes('/')) problems.push('its path must be the name of one database')
  if (url.text('sslrootcert') !== undefined && sslMode(url) !== 'verify-full') {
    problems.push('its parameter "sslrootcert" is of no use without sslmode=verify-full')
  }
  if (url.text('replica') === undefined) {
    if (url.integer('replicaMaxLagMs') !== undefined) {
      problems.push('its parameter "replicaMaxLagMs" is of no use without replica')
    }
  } else if (parseReplica(url) === undefined) {
    problems.push('its parameter "replica" must be host, host:port or host:port/database')
  }
  return problems
}

type SslMode = 'disable' | 'require' | 'verify-full'

export function sslMode(url: ServiceUrl, host: string = url.host): SslMode {
  const given = url.text('sslmode') as SslMode | undefined
  return given ?? (isLoopback(host) ? 'disable' : 'verify-full')
}

/** Where one server of the service is. */
export interface ServerAddress {
  readonly host: string
  readonly port: number
  readonly database: string
}

export function primaryOf({ host, port, path }: ServiceUrl): ServerAddress {
  return { host, port: port ?? defaultPort, database: path }
}

/**
 * Where the replica is; `undefined` where the URL names none.
 * @throws PortError `invalid-argument` where it names one in a form that is none
 */
export function replicaOf(url: ServiceUrl): ServerAddress | undefined {
  if (url.text('replica') === undefined) return undefined
  const replica = parseReplica(url)
  if (replica === undefined)
    throw invalidArgument('the replica in the URL must be host, host:port or host:port/database')
  return replica
}

// No user, parameter or fragment: those are the primary's, and no part of a secret may end up in a host.
const replicaForm = /^(?:\[([\da-f:.]+)\]|([^\s:/@?#%[\]\\]+))(?::(\d{1,5}))?(?:\/([^/]+))?$/i

function parseReplica(url: ServiceUrl): ServerAddress | undefined {
  const parts = replicaForm.exec(url.text('replica') ?? '')
  const port = parts?.[3] === undefined ? (url.port ?? defaultPort) : Number(parts[3])
  const host = parts?.[1] ?? parts?.[2]
  if (host === undefined || port < 1 || port > 65_535) return undefined
  return { host, port, database: parts?.[4] ?? url.path }
}
