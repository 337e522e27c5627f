/**
 * X's API v2 in front of a {@link FakeSocialPublisher}, on loopback: `POST /2/tweets`, `GET` and `DELETE /2/tweets/{id}`,
 * `GET /2/users/me`, with X's bodies, errors and rate-limit headers. The fake's faults answer as X would; `after` does
 * what was asked and cuts the connection without an answer.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { checkFields, checkInteger, checkText } from '../../src/calls/arguments.ts'
import { invalidArgument, PortError } from '../../src/errors.ts'
import type { SocialPost } from '../../src/ports/social-publisher.ts'
import type { FakeSocialPublisher } from '../social-publisher.ts'

export interface XEmulatorOptions {
  /** @default 0, which is a free one */
  readonly port?: number
  /** The one bearer token it accepts. */
  readonly token: string
}

/** An answer in place of the fake's own: any status, body and headers, or the end of the connection. */
export type ForcedAnswer =
  | { readonly status: number; readonly body?: string; readonly headers?: Readonly<Record<string, string>> }
  | { readonly drop: true }

export interface XEmulator extends AsyncDisposable {
  readonly publisher: FakeSocialPublisher
  readonly port: number
  /** `http://127.0.0.1:PORT`. */
  readonly origin: string
  /** Forces the answer to the next request, before the fake is asked. */
  force(answer: ForcedAnswer): void
  /** Stops it and cuts every connection. Closing twice resolves. */
  close(): Promise<void>
}

interface Reply {
  readonly status: number
  readonly body: unknown
  readonly headers?: Readonly<Record<string, string>>
}

const problems = 'https://api.twitter.com/2/problems'
const maxBodyBytes = 65_536

/**
 * Starts it and answers once it listens.
 * @throws PortError `unavailable` where the port is taken
 */
export async function startXEmulator(
  publisher: FakeSocialPublisher,
  options: XEmulatorOptions,
): Promise<XEmulator> {
  checkFields('options', options, ['port', 'token'])
  const { port = 0, token } = options
  checkInteger('port', port, { min: 0, max: 65_535 })
  checkText('token', token)
  if (token === '') throw invalidArgument('token must not be empty')
  const emulator = new Emulator(publisher, token)
  await emulator.listen(port)
  return emulator
}

class Emulator implements XEmulator {
  readonly publisher: FakeSocialPublisher
  readonly #token: string
  readonly #server: Server
  readonly #forced: ForcedAnswer[] = []
  #closed: Promise<void> | undefined

  constructor(publisher: FakeSocialPublisher, token: string) {
    this.publisher = publisher
    this.#token = token
    this.#server = createServer((request, response) => {
      this.#handle(request, response).catch(() => request.socket.destroy())
    })
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get origin(): string {
    return `http://127.0.0.1:${this.port}`
  }

  async listen(port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (cause) => {
        const message = `port ${port} cannot be listened on; give another, or 0 for a free one`
        reject(new PortError({ code: 'unavailable', message, outcome: 'not-applied', cause }))
      })
      this.#server.listen(port, '127.0.0.1', resolve)
    })
  }

  force(answer: ForcedAnswer): void {
    this.#forced.push(answer)
  }

  close(): Promise<void> {
    this.#closed ??= new Promise((resolve) => {
      this.#server.close(() => resolve())
      this.#server.closeAllConnections()
    })
    return this.#closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readBody(request)
    const forced = this.#forced.shift()
    if (forced !== undefined && 'drop' in forced) {
      request.socket.destroy()
      return
    }
    if (forced !== undefined) {
      response.writeHead(forced.status, { 'content-type': 'application/json', ...forced.headers })
      response.end(forced.body ?? '')
      return
    }
    const reply = await this.#reply(request, body)
    if (reply === undefined) {
      request.socket.destroy()
      return
    }
    response.writeHead(reply.status, {
      'content-type': 'application/json; charset=utf-8',
      ...this.#rateLimitHeaders(request),
      ...reply.headers,
    })
    response.end(typeof reply.body === 'string' ? reply.body : JSON.stringify(reply.body))
  }

  /** `undefined` where there is no answer but the end of the connection. */
  async #reply(request: IncomingMessage, body: string | undefined): Promise<Reply | undefined> {
    if (request.headers.authorization !== `Bearer ${this.#token}`) {
      return { status: 401, body: problem(401, 'Unauthorized', 'Unauthorized') }
    }
    try {
      return await this.#route(request, body)
    } catch (error) {
      if (!PortError.is(error)) throw error
      return this.#failure(error)
    }
  }

  async #route({ method, url = '' }: IncomingMessage, body: string | undefined): Promise<Reply> {
    const { port } = this.publisher.guarded
    const { pathname } = new URL(url, 'http://emulator.invalid')
    if (method === 'GET' && pathname === '/2/users/me') {
      return { status: 200, body: { data: { id: '1', name: 'Emulated', username: 'emulated' } } }
    }
    if (method === 'POST' && pathname === '/2/tweets') {
      if (body === undefined) throw invalidArgument('the body is too large')
      const post = await port.publish(postOf(body))
      return { status: 201, body: { data: { ...post, edit_history_tweet_ids: [post.id] } } }
    }
    const id = /^\/2\/tweets\/([^/]+)$/.exec(pathname)?.[1]
    if (id === undefined || (method !== 'GET' && method !== 'DELETE')) {
      return { status: 404, body: problem(404, 'Not Found', 'Not Found') }
    }
    if (method === 'DELETE') {
      await port.delete(id)
      return { status: 200, body: { data: { deleted: true } } }
    }
    const post = await port.get(id)
    if (post !== undefined) {
      return { status: 200, body: { data: { ...post, edit_history_tweet_ids: [post.id] } } }
    }
    const missing = {
      title: 'Not Found Error',
      detail: `Could not find tweet with id: [${id}].`,
      type: `${problems}/resource-not-found`,
      resource_type: 'tweet',
      parameter: 'id',
      value: id,
    }
    return { status: 200, body: { errors: [missing] } }
  }

  #failure(error: PortError): Reply | undefined {
    if (error.outcome === 'unknown') return undefined
    const { code, reason, retryAfterMs } = error
    switch (code) {
      case 'invalid-argument':
        return {
          status: 400,
          body: { ...problem(400, 'Invalid Request', error.detail), type: `${problems}/invalid-request` },
        }
      case 'unauthenticated':
        return { status: 401, body: problem(401, 'Unauthorized', 'Unauthorized') }
      case 'rejected':
        return { status: 403, body: problem(403, 'Forbidden', refusals[reason ?? ''] ?? 'Forbidden') }
      case 'permission-denied':
        return {
          status: 403,
          body: problem(403, 'Forbidden', 'You are not permitted to perform this action.'),
        }
      case 'not-found':
        return { status: 404, body: problem(404, 'Not Found', 'Not Found') }
      case 'rate-limited':
        return {
          status: 429,
          body: {
            ...problem(429, 'Too Many Requests', 'Too Many Requests'),
            type: `${problems}/rate-limit-exceeded`,
          },
          headers: retryAfterMs === undefined ? {} : this.#resetIn(retryAfterMs),
        }
      case 'quota-exceeded':
        return {
          status: 429,
          body: {
            ...problem(429, 'UsageCapExceeded', 'Usage cap exceeded'),
            type: `${problems}/usage-capped`,
          },
        }
      case 'corrupt':
        return { status: 200, body: '<html>not what was asked for</html>' }
      default:
        return { status: 503, body: problem(503, 'Service Unavailable', 'Service Unavailable') }
    }
  }

  #resetIn(ms: number): Readonly<Record<string, string>> {
    return { 'x-rate-limit-reset': String(Math.ceil((this.publisher.clock.now() + ms) / 1_000)) }
  }

  #rateLimitHeaders({ method, url = '' }: IncomingMessage): Readonly<Record<string, string>> {
    if (!url.startsWith('/2/tweets') || (method !== 'POST' && method !== 'DELETE')) return {}
    const { limit, remaining, resetAt } = this.publisher.rateLimit(method === 'POST' ? 'publish' : 'delete')
    return {
      'x-rate-limit-limit': String(limit),
      'x-rate-limit-remaining': String(remaining),
      'x-rate-limit-reset': String(Math.ceil(resetAt.getTime() / 1_000)),
    }
  }
}

/** What X says in `detail`; the second is reported by users and not in its documentation. */
const refusals: Readonly<Record<string, string>> = {
  duplicate: 'You are not allowed to create a Tweet with duplicate content.',
  'missing-post': 'You attempted to reply to a Tweet that is deleted or not visible to you.',
}

function problem(status: number, title: string, detail: string): Readonly<Record<string, unknown>> {
  return { title, detail, type: 'about:blank', status }
}

/** The body X takes for a text post. X's schema is closed: what is not in it is an error, and so here. */
function postOf(body: string): SocialPost {
  const post = parse(body)
  checkFields('body', post, ['text', 'reply'])
  const { text, reply } = post as { text: string; reply?: unknown }
  if (reply === undefined) return { text }
  checkFields('reply', reply, ['in_reply_to_tweet_id'])
  return { text, inReplyTo: (reply as { in_reply_to_tweet_id: string }).in_reply_to_tweet_id }
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    throw invalidArgument('the body is no JSON')
  }
}

/** `undefined` where it is too large. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Uint8Array>) {
    bytes += chunk.length
    if (bytes <= maxBodyBytes) chunks.push(chunk)
  }
  return bytes > maxBodyBytes ? undefined : Buffer.concat(chunks).toString('utf8')
}
