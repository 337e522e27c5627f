/** What a URL of PostgreSQL may say, and what it means where it does not. */
import { isLoopback, type ServiceUrl, type UrlParameters } from '../../src/services/url.ts'

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
  return problems
}

type SslMode = 'disable' | 'require' | 'verify-full'

export function sslMode(url: ServiceUrl): SslMode {
  const given = url.text('sslmode') as SslMode | undefined
  return given ?? (isLoopback(url.host) ? 'disable' : 'verify-full')
}
