/** A service's URL, taken apart and checked: what an adapter is opened with. */
import { isIPv4 } from 'node:net'
import { typeName } from '../calls/arguments.ts'

/** What one query parameter may be. */
export type UrlParameter =
  | { readonly type: 'text'; readonly description: string; readonly secret?: boolean }
  | { readonly type: 'integer'; readonly description: string; readonly min: number; readonly max: number }
  | { readonly type: 'boolean'; readonly description: string }
  | { readonly type: 'choice'; readonly description: string; readonly choices: readonly string[] }

export type UrlParameters = Readonly<Record<string, UrlParameter>>

/** A parsed service URL. Printing it shows no secret. */
export class ServiceUrl {
  /** Without the colon, in lower case. */
  readonly scheme: string
  /** Percent-decoded; `undefined` where absent. */
  readonly username: string | undefined
  /** Without port; an IPv6 address without brackets; '' where absent. */
  readonly host: string
  readonly port: number | undefined
  /** Percent-decoded, without the leading slash; '' where absent. */
  readonly path: string
  readonly #parameters: ReadonlyMap<string, string | number | boolean>
  // Private, so that printing the object shows neither.
  readonly #password: string | undefined
  readonly #secrets: readonly string[]

  private constructor(parts: {
    url: URL
    parameters: ReadonlyMap<string, string | number | boolean>
    secrets: readonly string[]
  }) {
    const { url } = parts
    this.scheme = schemeOf(url)
    this.username = url.username === '' ? undefined : decodeURIComponent(url.username)
    this.#password = url.password === '' ? undefined : decodeURIComponent(url.password)
    this.host = url.hostname.replace(/^\[(.*)\]$/, '$1')
    this.port = url.port === '' ? undefined : Number(url.port)
    this.path = decodeURIComponent(url.pathname.replace(/^\//, ''))
    this.#parameters = parts.parameters
    this.#secrets = parts.secrets
  }

  /**
   * Takes `text` apart. Problems are sentences that hold no part of a secret.
   * @param parameters the query parameters that the adapter knows; any other is a problem
   */
  static parse(
    text: string,
    parameters: UrlParameters,
  ):
    | { readonly url: ServiceUrl; readonly problems: readonly string[] }
    | { readonly problems: readonly string[] } {
    const url = parseUrl(text)
    if (url === undefined) return { problems: ['it is not a URL'] }
    const misread = misreadCredentials(url)
    if (misread !== undefined) return { problems: [misread] }
    const problems: string[] = []
    const values = new Map<string, string | number | boolean>()
    const secrets = url.password === '' ? [] : [url.password, decodeURIComponent(url.password)]
    // Told by its place, not by its name: that may be the rest of a secret with an & in it.
    for (const [position, [name, value]] of [...url.searchParams].map(
      (each, at) => [at + 1, each] as const,
    )) {
      const parameter = Object.hasOwn(parameters, name) ? parameters[name] : undefined
      if (parameter === undefined) {
        const known = Object.keys(parameters)
        problems.push(
          `its parameter no. ${position} is unknown; ${known.length === 0 ? 'it takes none' : `known are ${known.join(', ')}`}`,
        )
      } else if (values.has(name)) {
        problems.push(`its parameter "${name}" stands there twice`)
      } else {
        if (parameter.type === 'text' && parameter.secret) secrets.push(value)
        const parsed = parseParameter(parameter, value)
        if (parsed.problem === undefined) values.set(name, parsed.value)
        else problems.push(`its parameter "${name}" ${parsed.problem}`)
      }
    }
    if (problems.length > 0) return { problems }
    return { url: new ServiceUrl({ url, parameters: values, secrets }), problems }
  }

  /** Percent-decoded; `undefined` where absent. */
  get password(): string | undefined {
    return this.#password
  }

  /** Every secret in it, as it stands there and decoded, for redaction. */
  get secrets(): readonly string[] {
    return this.#secrets
  }

  /** The parameter `name` as text, or `undefined` where it was not given. */
  text(name: string): string | undefined {
    const value = this.#parameters.get(name)
    return value === undefined ? undefined : String(value)
  }

  /** The integer parameter `name`, or `undefined` where it was not given. */
  integer(name: string): number | undefined {
    const value = this.#parameters.get(name)
    return typeof value === 'number' ? value : undefined
  }

  /** The boolean parameter `name`, or `undefined` where it was not given. */
  boolean(name: string): boolean | undefined {
    const value = this.#parameters.get(name)
    return typeof value === 'boolean' ? value : undefined
  }

  /** Scheme, host, port and path: never a user, a password or a parameter. */
  toString(): string {
    const host = this.host.includes(':') ? `[${this.host}]` : this.host
    return `${this.scheme}://${host}${this.port === undefined ? '' : `:${this.port}`}${this.path === '' ? '' : `/${this.path}`}`
  }

  toJSON(): string {
    return this.toString()
  }
}

/**
 * What is wrong where a password with `#`, `/` or `?` in it was not percent-encoded, so that what should be a
 * secret was read as another part, which is shown.
 */
function misreadCredentials(url: URL): string | undefined {
  const hint = 'percent-encode #, / and ? in the user and the password'
  if (url.hash !== '') return `it has a fragment (#), which means nothing here; ${hint}`
  const anonymous = url.username === '' && url.password === ''
  if (anonymous && url.port !== '' && url.pathname.includes('@')) {
    return `it has an "@" after the port; ${hint}`
  }
  return undefined
}

/** The scheme of a URL's text in lower case, or `undefined` where it is no URL. */
export function schemeOfText(text: string): string | undefined {
  const url = parseUrl(text)
  return url === undefined ? undefined : schemeOf(url)
}

function parseUrl(text: string): URL | undefined {
  // The parser would drop line breaks in silence, and make one URL of two lines.
  if (/[\s\p{Cc}]/u.test(text)) return undefined
  const url = URL.parse(text)
  if (url === null) return undefined
  try {
    for (const part of [url.username, url.password, url.pathname]) decodeURIComponent(part)
  } catch {
    return undefined
  }
  return url
}

/**
 * Whether a URL's host is this very machine, as a name or an address (IPv6 with or without brackets): what goes
 * there in the clear passes through no network.
 */
export function isLoopback(host: string): boolean {
  return (
    host === 'localhost' || host === '::1' || host === '[::1]' || (isIPv4(host) && host.startsWith('127.'))
  )
}

function schemeOf(url: URL): string {
  return url.protocol.slice(0, -1)
}

function parseParameter(
  parameter: UrlParameter,
  value: string,
): { readonly value: string | number | boolean; readonly problem?: never } | { readonly problem: string } {
  switch (parameter.type) {
    case 'text':
      return value === '' ? { problem: 'is empty' } : { value }
    case 'choice':
      return parameter.choices.includes(value)
        ? { value }
        : { problem: `must be one of ${parameter.choices.join(', ')}` }
    case 'boolean':
      return value === 'true' || value === 'false'
        ? { value: value === 'true' }
        : { problem: 'must be true or false' }
    case 'integer': {
      const { min, max } = parameter
      const number = Number(value)
      return /^-?\d{1,16}$/.test(value) && number >= min && number <= max
        ? { value: number }
        : { problem: `must be a whole number from ${min} to ${max}` }
    }
    default:
      throw new TypeError(`a URL parameter's type must be known; got ${typeName(parameter)}`)
  }
}
