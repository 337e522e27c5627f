/**
 * {@link SocialPublisher} over X's API v2 with fetch: `POST /2/tweets`, `GET` and `DELETE /2/tweets/{id}`; ping is
 * `GET /2/users/me`. The token needs the scopes tweet.read, tweet.write and users.read.
 *
 * Not supported: media, polls, quotes, threads in one call. X has no idempotency key, so nothing here can make a
 * repeated publish safe. There is no client behind this: for other calls use fetch with the same token.
 */
import type { Driver } from '../../src/adapter.ts'
import { type Clock, systemClock } from '../../src/calls/clock.ts'
import { invalidArgument } from '../../src/errors.ts'
import type { CallOptions } from '../../src/port.ts'
import type { PublishedPost, SocialPost, SocialPublisher } from '../../src/ports/social-publisher.ts'
import { isLoopback } from '../../src/services/url.ts'
import { classifyXError, XAnswerError, XApiError } from './errors.ts'

export interface XSocialPublisherOptions {
  /** A bearer token in the user's context. */
  readonly token: string
  /** Scheme, host and port. Without TLS only on this machine. @default 'https://api.x.com' */
  readonly origin?: string
  /** @default the global fetch */
  readonly fetch?: typeof fetch
  /** Against which `x-rate-limit-reset` is read. @default the machine's */
  readonly clock?: Clock
}

/** More than any documented answer, by far; whatever sends more is not X. */
const maxAnswerBytes = 1_048_576

interface Answer {
  readonly data: Readonly<Record<string, unknown>> | undefined
  readonly errors: readonly Readonly<Record<string, unknown>>[]
  readonly status: number
}

/**
 * The driver on X, with the caller's own fetch and token.
 * @throws PortError `invalid-argument` for a token that cannot be a header, or an origin without TLS elsewhere
 * than on this machine
 */
export function xSocialPublisher(options: XSocialPublisherOptions): Driver<SocialPublisher> {
  const publisher = new XSocialPublisher(options)
  const clock = options.clock ?? systemClock
  return {
    calls: publisher,
    secrets: [options.token],
    classify: (error) => classifyXError(error, clock.now()),
    ping: ({ signal }) => publisher.ping({ signal }),
    async close() {},
  }
}

class XSocialPublisher implements SocialPublisher {
  readonly #origin: string
  readonly #token: string
  readonly #fetch: typeof fetch

  constructor({ token, origin = 'https://api.x.com', fetch: ownFetch }: XSocialPublisherOptions) {
    if (!/^[\x21-\x7e]{1,4096}$/.test(token)) {
      throw invalidArgument('the token must be 1 to 4096 printable ASCII characters without spaces')
    }
    const url = URL.parse(origin)
    const secure = url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback(url.hostname))
    if (url === null || !secure || url.origin !== origin) {
      throw invalidArgument('the origin must be https://host, or http://127.0.0.1:port on this machine')
    }
    this.#origin = origin
    this.#token = token
    this.#fetch = ownFetch ?? globalThis.fetch
  }

  async publish({ text, inReplyTo }: SocialPost, options: CallOptions = {}): Promise<PublishedPost> {
    const body = { text, ...(inReplyTo !== undefined && { reply: { in_reply_to_tweet_id: inReplyTo } }) }
    const answer = await this.#call('POST', '/2/tweets', options, body)
    return postOf(answer)
  }

  async get(id: string, options: CallOptions = {}): Promise<PublishedPost | undefined> {
    const answer = await this.#orAbsent(this.#call('GET', `/2/tweets/${id}`, options))
    return answer && postOf(answer)
  }

  async delete(id: string, options: CallOptions = {}): Promise<void> {
    const answer = await this.#orAbsent(this.#call('DELETE', `/2/tweets/${id}`, options))
    // A guide page promises 204, the reference 200 with this body.
    if (answer === undefined || answer.status === 204) return
    if (answer.data?.deleted !== true) {
      throw new XAnswerError('X answered a deletion without saying that it deleted', false)
    }
  }

  async ping(options: CallOptions): Promise<void> {
    await this.#call('GET', '/2/users/me', options)
  }

  /** X says that a post is absent with 404, or with 200 and an error in it. */
  async #orAbsent(call: Promise<Answer>): Promise<Answer | undefined> {
    try {
      return await call
    } catch (error) {
      if (error instanceof XApiError && error.status === 404) return undefined
      throw error
    }
  }

  async #call(method: string, path: string, { signal }: CallOptions, body?: unknown): Promise<Answer> {
    const response = await this.#fetch(`${this.#origin}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.#token}`,
        accept: 'application/json',
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      // The token goes to the origin it is for, and nowhere else.
      redirect: 'manual',
      signal: signal ?? null,
    })
    const content = await readAnswer(response)
    if (!response.ok) throw new XApiError(response.status, parse(content), resetAtMs(response))
    const answer = response.status === 204 ? {} : parse(content)
    if (!isObject(answer)) throw new XAnswerError('X answered with something that is no JSON object', true)
    const { data, errors } = answer
    const problems = Array.isArray(errors) ? errors.filter(isObject) : []
    if (!isObject(data) && problems[0] !== undefined) throw new XApiError(statusOf(problems[0]), problems[0])
    return { data: isObject(data) ? data : undefined, errors: problems, status: response.status }
  }
}

/** The body as text. Beyond the bound the rest is not read. */
async function readAnswer(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length
    // Leaving the loop cancels the body and frees the connection.
    if (bytes > maxAnswerBytes) {
      throw new XAnswerError(`X answered with more than ${maxAnswerBytes} bytes`, response.ok)
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** `undefined` where it is no JSON. */
function parse(content: string): unknown {
  try {
    return JSON.parse(content)
  } catch {
    return undefined
  }
}

function postOf({ data }: Answer): PublishedPost {
  const { id, text } = data ?? {}
  if (typeof id !== 'string' || !/^[0-9]{1,19}$/.test(id) || typeof text !== 'string') {
    throw new XAnswerError('X answered with a post that has no id or no text', true)
  }
  return { id, text }
}

/** What an error inside a 200 would have been as a status. */
function statusOf({ type, status }: Readonly<Record<string, unknown>>): number {
  if (typeof status === 'number' && status >= 400 && status <= 599) return status
  if (typeof type !== 'string') return 500
  if (type.endsWith('/resource-not-found')) return 404
  return type.endsWith('/not-authorized-for-resource') ? 403 : 500
}

/**
 * When X takes calls again. It counts a window for the user and, where it says so, 24 hours for the app and for the
 * user: whichever is used up and ends last. Where it does not say what is used up, the window's end.
 */
function resetAtMs({ headers }: Response): number | undefined {
  const limits = ['x-rate-limit', 'x-app-limit-24hour', 'x-user-limit-24hour']
  const usedUp = limits.filter((limit) => headers.get(`${limit}-remaining`) === '0')
  const resets = (usedUp.length > 0 ? usedUp : ['x-rate-limit'])
    .map((limit) => headers.get(`${limit}-reset`) ?? '')
    .filter((reset) => /^\d{1,12}$/.test(reset))
  return resets.length === 0 ? undefined : Math.max(...resets.map(Number)) * 1_000
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
