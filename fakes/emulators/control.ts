/**
 * The control API of emulators that run for other processes: HTTP and JSON, on a port of its own, on loopback.
 *
 * | request | |
 * | --- | --- |
 * | `GET /` | this API as OpenAPI 3.1, with every field |
 * | `GET /health`, `GET /services` | whether it runs; what is emulated where, and what each takes |
 * | `GET /clock`, `POST /clock/advance {ms}`, `POST /clock/set {now}` | the time, which a virtual clock lets move |
 * | `GET …/state` | what the service holds |
 * | `GET …/journal?after=N&waitMs=M`, `DELETE …/journal` | what was asked of it; waits for what comes |
 * | `GET`, `POST {rules}`, `DELETE …/faults` | faults of the port's operations, as `FaultRule`s |
 * | `GET`, `POST {rules}`, `DELETE …/forced` | exact answers in the terms of the protocol |
 * | `POST …/seed`, `POST …/reset` | puts things there; forgets everything |
 * | `GET …/snapshots`, `POST …/save {name}`, `POST …/load {name}`, `DELETE …/snapshots/NAME` | with `--persist` |
 *
 * `…` is `/services/NAME`. What is refused answers `application/problem+json` with the `code` of a `PortError`. Fields that it
 * does not know are refused. So are pages of other sites: a request with another `Host` than this one's, with an
 * `Origin`, or with a body that is not declared as JSON.
 */
import { STATUS_CODES } from 'node:http'
import type { Clock } from '../../src/calls/clock.ts'
import { PortError, type PortErrorCode } from '../../src/errors.ts'
import type { ControlCall } from './control/calls.ts'
import { openApi } from './control/openapi.ts'
import { type Route, routes } from './control/routes.ts'
import { checkSchema } from './control/schema.ts'
import type { EmulationStore } from './control/store.ts'
import type { Emulation, Endpoint } from './emulation/protocol.ts'
import { type HttpListener, type HttpReply, type HttpRequest, type HttpService, listen } from './http.ts'

/** What a control API controls. */
export interface ControlledEmulators {
  readonly services: ReadonlyMap<string, { readonly emulation: Emulation; readonly endpoint: Endpoint }>
  readonly clock: Clock
  readonly store: EmulationStore | undefined
  /** As `performance.now()` has it. */
  readonly startedAt: number
  /** What `GET /` answers. */
  readonly description: object
}

export interface ControlOptions {
  /** @default 0, which is a free one */
  readonly port?: number
  /** Longer bodies are refused. @default 67 108 864 */
  readonly maxBodyBytes?: number
}

/**
 * Starts the control API on 127.0.0.1 and answers once it listens.
 * @throws PortError `unavailable` where the port is taken
 */
export async function startControl(
  emulators: Omit<ControlledEmulators, 'description'>,
  { port = 0, maxBodyBytes = 67_108_864 }: ControlOptions = {},
): Promise<HttpListener> {
  let service: HttpService | undefined
  const listener = await listen(
    { handle: async (request) => (service === undefined ? undefined : service.handle(request)) },
    { port },
  )
  const description = openApi(routes, listener.origin)
  service = new Control({ ...emulators, description }, listener.port, maxBodyBytes)
  return listener
}

/** A refusal that HTTP has a word of its own for. */
class Refusal extends Error {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>

  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message)
    this.status = status
    this.headers = headers
  }
}

const statuses: Readonly<Partial<Record<PortErrorCode, number>>> = {
  'invalid-argument': 400,
  'permission-denied': 403,
  'not-found': 404,
  conflict: 409,
  'already-exists': 409,
  'precondition-failed': 409,
  unsupported: 409,
  'quota-exceeded': 413,
  corrupt: 422,
  unavailable: 503,
}

/** The code of a refusal that only HTTP has a word for. */
const codes: Readonly<Record<number, PortErrorCode>> = {
  403: 'permission-denied',
  404: 'not-found',
  405: 'unsupported',
  413: 'quota-exceeded',
  415: 'unsupported',
}

const titles: Readonly<Record<number, string>> = STATUS_CODES as Readonly<Record<string, string>>

class Control implements HttpService {
  readonly #emulators: ControlledEmulators
  readonly #hosts: readonly string[]
  readonly #maxBodyBytes: number

  constructor(emulators: ControlledEmulators, port: number, maxBodyBytes: number) {
    this.#emulators = emulators
    this.#hosts = ['127.0.0.1', 'localhost', '[::1]'].map((host) => `${host}:${port}`)
    this.#maxBodyBytes = maxBodyBytes
  }

  async handle(request: HttpRequest): Promise<HttpReply> {
    try {
      this.#checkSender(request)
      const { route, path, query } = find(request)
      const body = await this.#bodyOf(request, route)
      const { emulators, signal } = { emulators: this.#emulators, signal: request.signal }
      const answer = await route.handle({ emulators, path, query, body, signal })
      if (route.answer === undefined) return { status: 204, headers: { 'cache-control': 'no-store' } }
      return reply(200, 'application/json', answer)
    } catch (error) {
      return problem(error)
    }
  }

  /**
   * Any page that a browser shows may send requests to this machine. It cannot hide where it comes from: its origin
   * is told, and where its own name was made to point here, the host is that name.
   */
  #checkSender({ headers }: HttpRequest): void {
    if (!this.#hosts.includes(headers.host?.toLowerCase() ?? ''))
      throw new Refusal(403, `the control API answers to ${this.#hosts[0]} only`)
    const site = headers['sec-fetch-site']
    if (headers.origin !== undefined || (site !== undefined && site !== 'none' && site !== 'same-origin'))
      throw new Refusal(403, 'the control API is not for pages in a browser')
  }

  async #bodyOf(request: HttpRequest, { body: schema }: Route): Promise<unknown> {
    const chunks: Uint8Array[] = []
    let bytes = 0
    for await (const chunk of request.body) {
      bytes += chunk.length
      // Read to its end: a client that still sends would not see the answer.
      if (bytes <= this.#maxBodyBytes) chunks.push(chunk)
    }
    if (bytes > this.#maxBodyBytes)
      throw new Refusal(413, `the body has ${bytes} bytes; at most ${this.#maxBodyBytes} are possible`)
    if (schema === undefined) {
      if (bytes > 0) throw new Refusal(415, 'this request takes no body')
      return undefined
    }
    if (!/^application\/json\s*(;|$)/i.test(request.headers['content-type'] ?? ''))
      throw new Refusal(415, 'the body must be declared as application/json')
    const body = parse(Buffer.concat(chunks))
    checkSchema('body', body, schema)
    return body
  }
}

interface Found extends Pick<ControlCall, 'path' | 'query'> {
  readonly route: Route
}

/** @throws Refusal 404 and 405; PortError for a query that it does not know */
function find({ method, target }: HttpRequest): Found {
  // Not as a reference: one that begins with two slashes names a host.
  const url = URL.parse(`http://control.invalid${target}`)
  const segments = url?.pathname.split('/') ?? []
  const found = routes.flatMap((route) => {
    const path = match(route.path.split('/'), segments)
    return path === undefined ? [] : [{ route, path }]
  })
  if (url === null || found.length === 0)
    throw new Refusal(404, 'there is nothing at this path; GET / tells what there is')
  const hit = found.find(({ route }) => route.method === method)
  if (hit === undefined) {
    const allow = found.map(({ route }) => route.method).join(', ')
    throw new Refusal(405, `this path takes ${allow}`, { allow })
  }
  return { ...hit, query: queryOf(url.searchParams, hit.route) }
}

function match(
  pattern: readonly string[],
  segments: readonly string[],
): Readonly<Record<string, string>> | undefined {
  if (pattern.length !== segments.length) return undefined
  const values: Record<string, string> = {}
  for (const [index, part] of pattern.entries()) {
    const segment = decode(segments[index] ?? '')
    if (segment === undefined) return undefined
    if (part.startsWith('{')) values[part.slice(1, -1)] = segment
    else if (part !== segment) return undefined
  }
  return values
}

function decode(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment)
  } catch {
    return undefined
  }
}

function queryOf(given: URLSearchParams, { query = {} }: Route): Readonly<Record<string, number>> {
  const values: Record<string, number> = {}
  for (const [name, value] of given) {
    const schema = Object.hasOwn(query, name) ? query[name] : undefined
    if (schema === undefined || Object.hasOwn(values, name)) {
      const known = Object.keys(query).join(', ') || 'none'
      const message = `a parameter of the query is unknown or stands there twice; known are: ${known}`
      throw new PortError({ code: 'invalid-argument', message })
    }
    const number = /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN
    checkSchema(name, number, schema)
    values[name] = number
  }
  return values
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw new PortError({ code: 'invalid-argument', message: 'the body is no JSON in UTF-8' })
  }
}

function reply(status: number, type: string, body: unknown): HttpReply {
  const headers = { 'content-type': type, 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' }
  return { status, headers, body: `${JSON.stringify(body, undefined, 2)}\n` }
}

function problem(error: unknown): HttpReply {
  const [status, code, detail] = PortError.is(error)
    ? [statuses[error.code] ?? 500, error.code, error.detail]
    : error instanceof Refusal
      ? [error.status, codes[error.status] ?? 'internal', error.message]
      : [500, 'internal' as const, error instanceof Error ? error.message : 'unknown']
  const answer = reply(status, 'application/problem+json', {
    type: 'about:blank',
    title: titles[status] ?? 'Error',
    status,
    detail,
    code,
  })
  return { ...answer, headers: { ...answer.headers, ...(error instanceof Refusal && error.headers) } }
}
