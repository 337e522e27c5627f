/**
 * Mail over SMTP (RFC 5321), submitted to the app's mail system or a provider's relay.
 *
 * - `smtp://host:587` begins in the clear and changes to TLS; `smtps://host:465` is TLS from the start.
 * - `starttls` is `required` unless the host is this machine, where it is `optional`: taken where it is offered.
 *   `never` sends everything in the clear, the password too.
 * - A server's certificate must be of an authority that is known: the public ones, or those in `caFile` in their place.
 * - The guard and not the client repeats calls, and `send` is never repeated by itself.
 */
import { readFile } from 'node:fs/promises'
import type { Adapter } from '../../src/adapter.ts'
import { invalidArgument } from '../../src/errors.ts'
import { Mailer } from '../../src/ports/mailer.ts'
import { isLoopback, type ServiceUrl } from '../../src/services/url.ts'
import { loadVendor } from '../../src/services/vendor.ts'
import { type SmtpTransporter, smtpMailer } from './mailer.ts'

export { classifySmtpError } from './errors.ts'

/** {@link Mailer} over SMTP. `native()` is nodemailer's transporter. */
export const smtp: Adapter<Mailer, SmtpTransporter> = {
  name: 'smtp',
  port: Mailer,
  schemes: ['smtp', 'smtps'],
  example: 'smtp://user:password@mail.example.org:587?starttls=required',
  parameters: {
    starttls: {
      type: 'choice',
      choices: ['required', 'optional', 'never'],
      description:
        'with smtp: whether the connection must change to TLS (default required; optional on this machine)',
    },
    caFile: {
      type: 'text',
      description: 'a file with the certificates (PEM) to trust in place of the public authorities',
    },
    pool: { type: 'boolean', description: 'keep connections open between mails (default false)' },
    connections: {
      type: 'integer',
      min: 1,
      max: 100,
      description: 'with pool=true: how many connections at most (default 5)',
    },
    helo: { type: 'text', description: "the name told to the server (default this machine's)" },
    connectTimeoutMs: {
      type: 'integer',
      min: 1,
      max: 600_000,
      description: 'how long connecting, the greeting and TLS may take in all (default 10000)',
    },
  },

  validate(url) {
    const problems: string[] = []
    if (url.host === '') problems.push('it needs a host')
    if (url.path !== '') problems.push('it has a path, which SMTP knows nothing of')
    if ((url.username === undefined) !== (url.password === undefined)) {
      problems.push('it needs a user and a password, or neither')
    }
    if (url.scheme === 'smtps' && url.text('starttls') !== undefined) {
      problems.push('its parameter "starttls" is only for smtp; smtps is TLS from the start')
    }
    if (url.text('caFile') !== undefined && url.text('starttls') === 'never') {
      problems.push('its parameter "caFile" is of no use with starttls=never')
    }
    if (url.integer('connections') !== undefined && url.boolean('pool') !== true) {
      problems.push('its parameter "connections" needs pool=true')
    }
    const helo = url.text('helo')
    if (helo !== undefined && !/^[A-Za-z0-9.:[\]-]{1,255}$/.test(helo)) {
      problems.push('its parameter "helo" must be a host name or an address in brackets')
    }
    return problems
  },

  endpoint: (url) => ({ host: url.host, port: portOf(url) }),

  async open(url) {
    const { username: user, password: pass } = url
    const transporter = await createTransporter(url)
    return {
      ...smtpMailer(transporter, {
        // As AUTH PLAIN sends it: a server may repeat it.
        secrets: pass === undefined ? [] : [...url.secrets, pass, `\0${user}\0${pass}`],
      }),
      async close() {
        transporter.close({ force: true })
      },
    }
  },
}

async function createTransporter(url: ServiceUrl): Promise<SmtpTransporter> {
  const { createTransport } = await loadVendor(() => import('nodemailer'), ['nodemailer'])
  const { username: user, password: pass } = url
  const secure = url.scheme === 'smtps'
  const starttls = url.text('starttls') ?? (isLoopback(url.host) ? 'optional' : 'required')
  const helo = url.text('helo')
  const connectMs = url.integer('connectTimeoutMs') ?? 10_000
  const caFile = url.text('caFile')
  const options = {
    host: url.host,
    port: portOf(url),
    secure,
    requireTLS: !secure && starttls === 'required',
    ignoreTLS: !secure && starttls === 'never',
    ...(caFile !== undefined && { tls: { ca: await readCertificates(caFile) } }),
    // Without force the client sends unauthenticated where the server offers no AUTH.
    ...(user !== undefined && pass !== undefined && { auth: { user, pass }, forceAuth: true }),
    ...(helo !== undefined && { name: helo }),
    connectionTimeout: connectMs,
    greetingTimeout: connectMs,
    dnsTimeout: connectMs,
    // The call's own deadline is what ends a slow server; this one is for connections of pings and pools.
    socketTimeout: 120_000,
    // An aborted call lets go of its connection at once.
    socketCloseTimeout: 0,
    disableFileAccess: true,
    disableUrlAccess: true,
  }
  if (url.boolean('pool') !== true) return createTransport(options)
  const maxConnections = url.integer('connections') ?? 5
  // One more connection where an idle one was dropped before any of the mail was read: nothing is sent twice.
  return createTransport({ ...options, pool: true, maxConnections, maxRequeues: 1 })
}

function portOf({ scheme, port }: ServiceUrl): number {
  return port ?? (scheme === 'smtps' ? 465 : 587)
}

async function readCertificates(file: string): Promise<string> {
  const pem = await readFile(file, 'utf8').catch(() => {
    throw invalidArgument(`the file that caFile names cannot be read: ${file}`)
  })
  // Without one, TLS would trust no one and say so only at the first mail.
  if (!pem.includes('-----BEGIN CERTIFICATE-----')) {
    throw invalidArgument(`the file that caFile names holds no certificate in PEM: ${file}`)
  }
  return pem
}
