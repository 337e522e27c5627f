/** X's API v2 as an {@link HttpService} over a {@link FakeSocialPublisher}. */
import { PortError } from '../../../src/errors.ts'
import type { PublishedPost } from '../../../src/ports/social-publisher.ts'
import type { FakeSocialPublisher, Limited } from '../../social-publisher.ts'
import type { HttpReply, HttpRequest, HttpService } from '../http.ts'
import type { ForcedAnswers, XOperation } from './forced.ts'
import { maxBodyBytes, readPost } from './post-body.ts'
import {
  invalidRequest,
  json,
  missing,
  notFound,
  notModelled,
  notPermitted,
  problem,
  rateLimited,
  refused,
  unauthorized,
  unavailable,
  usageCapped,
} from './problems.ts'

/** The scopes a token may have that mean something here. */
export const xScopes = ['tweet.read', 'tweet.write', 'users.read'] as const

/** One of {@link xScopes}. */
export type XScope = (typeof xScopes)[number]

interface Route {
  readonly operation: XOperation
  readonly id?: string
}

const needs: Readonly<Record<XOperation, readonly XScope[]>> = {
  publish: ['tweet.read', 'tweet.write', 'users.read'],
  delete: ['tweet.read', 'tweet.write', 'users.read'],
  get: ['tweet.read', 'users.read'],
  getMany: ['tweet.read', 'users.read'],
  me: ['tweet.read', 'users.read'],
}

/** Parameters that ask for more of each answer. */
const expansions = [
  'tweet.fields',
  'expansions',
  'media.fields',
  'poll.fields',
  'user.fields',
  'place.fields',
]

export class XService implements HttpService {
  readonly #publisher: FakeSocialPublisher
  readonly #token: string
  readonly #scopes: ReadonlySet<XScope>
  readonly #forced: ForcedAnswers

  constructor(
    publisher: FakeSocialPublisher,
    token: string,
    scopes: ReadonlySet<XScope>,
    forced: ForcedAnswers,
  ) {
    this.#publisher = publisher
    this.#token = token
    this.#scopes = scopes
    this.#forced = forced
  }

  async handle(request: HttpRequest): Promise<HttpReply | undefined> {
    // Read first, whatever comes of it, so that the connection can be used again.
    const body = await readBody(request)
    const url = URL.parse(request.target, 'http://x.invalid')
    const route = url === null ? undefined : routeOf(request.method, url.pathname)
    const proceed = (): Promise<HttpReply | undefined> => this.#answer(request, url, route, body)
    return this.#forced.apply(route?.operation, proceed, request.signal)
  }

  /** `undefined` where there is no answer but the end of the connection. */
  async #answer(
    request: HttpRequest,
    url: URL | null,
    route: Route | undefined,
    body: Uint8Array | undefined,
  ): Promise<HttpReply | undefined> {
    if (url === null || !url.pathname.startsWith('/2/')) return notFound()
    // The scheme of credentials is no matter of case (RFC 9110 §11.1); the token is.
    const [, token] = /^bearer +(\S+) *$/i.exec(request.headers.authorization ?? '') ?? []
    if (token !== this.#token) return unauthorized()
    if (route === undefined) return notModelled(`${request.method} ${url.pathname.slice(0, 100)}`)
    if (needs[route.operation].some((scope) => !this.#scopes.has(scope))) return notPermitted()
    const wrongQuery = queryProblem(route, url.searchParams)
    if (wrongQuery !== undefined) return wrongQuery
    try {
      const reply = await this.#route(route, request, url, body)
      return { ...reply, headers: { ...this.#limits(route), ...reply.headers } }
    } catch (error) {
      if (!PortError.is(error)) throw error
      const limits = this.#limits(route)
      const reply = this.#failure(error, limits)
      return reply && { ...reply, headers: { ...limits, ...reply.headers } }
    }
  }

  async #route(
    { operation, id = '' }: Route,
    request: HttpRequest,
    url: URL,
    body: Uint8Array | undefined,
  ): Promise<HttpReply> {
    const { guarded } = this.#publisher
    // A client that leaves ends what still waits, as the end of the test ends this emulator.
    const options = { signal: request.signal }
    switch (operation) {
      case 'me':
        await guarded.ping(options)
        return json(200, { data: { id: '1', name: 'Emulated', username: 'emulated' } })
      case 'publish': {
        if (body === undefined) return problem(413, 'Payload Too Large')
        if (!/^application\/json *(;|$)/i.test(request.headers['content-type'] ?? '')) {
          return invalidRequest('Requests with bodies must have content-type of application/json.')
        }
        const read = readPost(body)
        if ('reply' in read) return read.reply
        return json(201, { data: shown(await guarded.port.publish(read.post, options)) })
      }
      case 'delete':
        await guarded.port.delete(id, options)
        return json(200, { data: { deleted: true } })
      case 'get': {
        const post = await guarded.port.get(id, options)
        return json(200, post === undefined ? { errors: [missing('id', id)] } : { data: shown(post) })
      }
      case 'getMany': {
        const ids = (url.searchParams.get('ids') ?? '').split(',')
        if (ids.length > 100) return invalidRequest('$.ids has more than 100 ids')
        const posts = await Promise.all(ids.map((each) => guarded.port.get(each, options)))
        const data = posts.filter((post) => post !== undefined).map(shown)
        const errors = ids.filter((_, index) => posts[index] === undefined)
        return json(200, {
          ...(data.length > 0 && { data }),
          ...(errors.length > 0 && { errors: errors.map((each) => missing('ids', each)) }),
        })
      }
    }
  }

  #failure(
    { code, reason, outcome, detail, retryAfterMs }: PortError,
    limits: Readonly<Record<string, string>>,
  ): HttpReply | undefined {
    if (outcome === 'unknown') return undefined
    switch (code) {
      case 'invalid-argument':
        return invalidRequest(detail)
      case 'unauthenticated':
        return unauthorized()
      case 'rejected':
        return refused(reason)
      case 'permission-denied':
        return notPermitted()
      case 'not-found':
        return notFound()
      case 'rate-limited':
        // A limit that is reached says so itself; a fault is told as if the window were.
        return rateLimited(
          retryAfterMs === undefined || this.#isReached(limits, retryAfterMs)
            ? {}
            : this.#resetIn(retryAfterMs),
        )
      case 'quota-exceeded':
        return usageCapped()
      case 'corrupt':
        return { status: 200, body: '<html>not what was asked for</html>' }
      default:
        return unavailable()
    }
  }

  #resetIn(ms: number): Readonly<Record<string, string>> {
    return { 'x-rate-limit-remaining': '0', 'x-rate-limit-reset': this.#secondIn(ms) }
  }

  /** Whether one of these is used up and ends then. */
  #isReached(limits: Readonly<Record<string, string>>, endsInMs: number): boolean {
    return ['x-rate-limit', 'x-app-limit-24hour'].some(
      (name) => limits[`${name}-remaining`] === '0' && limits[`${name}-reset`] === this.#secondIn(endsInMs),
    )
  }

  #secondIn(ms: number): string {
    return String(Math.ceil((this.#publisher.clock.now() + ms) / 1_000))
  }

  /** How far the user's window, and the app's day, have been used up. */
  #limits({ operation }: Route): Readonly<Record<string, string>> {
    if (operation !== 'publish' && operation !== 'delete') return {}
    const window = this.#limit('x-rate-limit', operation)
    return operation === 'delete'
      ? window
      : { ...window, ...this.#limit('x-app-limit-24hour', 'publishPerDay') }
  }

  #limit(name: string, limited: Limited): Readonly<Record<string, string>> {
    const { limit, remaining, resetAt } = this.#publisher.rateLimit(limited)
    return {
      [`${name}-limit`]: String(limit),
      [`${name}-remaining`]: String(remaining),
      [`${name}-reset`]: String(Math.ceil(resetAt.getTime() / 1_000)),
    }
  }
}

function routeOf(method: string, path: string): Route | undefined {
  if (path === '/2/users/me') return method === 'GET' ? { operation: 'me' } : undefined
  if (path === '/2/tweets') {
    return { POST: { operation: 'publish' }, GET: { operation: 'getMany' } }[method] as Route | undefined
  }
  const id = /^\/2\/tweets\/([^/]+)$/.exec(path)?.[1]
  if (id === undefined || (method !== 'GET' && method !== 'DELETE')) return undefined
  // `search` and the like are other addresses of X, not posts.
  if (/^[a-z_]+$/.test(id)) return undefined
  return { operation: method === 'GET' ? 'get' : 'delete', id }
}

function queryProblem({ operation }: Route, query: URLSearchParams): HttpReply | undefined {
  const reads = operation === 'get' || operation === 'getMany' || operation === 'me'
  for (const name of query.keys()) {
    if (name === 'ids' && operation === 'getMany') continue
    if (reads && expansions.includes(name)) return notModelled(`the query parameter "${name}"`)
    return invalidRequest(`The query parameter [${name.slice(0, 100)}] is not one of those known.`)
  }
  if (operation === 'getMany' && !query.get('ids')) {
    return invalidRequest('The `ids` query parameter can not be empty')
  }
  return undefined
}

function shown(post: PublishedPost): Readonly<Record<string, unknown>> {
  return { id: post.id, text: post.text, edit_history_tweet_ids: [post.id] }
}

/** `undefined` where it is too large. */
async function readBody({ body }: HttpRequest): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of body) {
    bytes += chunk.length
    if (bytes <= maxBodyBytes) chunks.push(chunk)
  }
  return bytes > maxBodyBytes ? undefined : Buffer.concat(chunks)
}
