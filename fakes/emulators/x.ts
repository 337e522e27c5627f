/**
 * X's API v2 in front of a {@link FakeSocialPublisher}: `POST /2/tweets`, `GET` and `DELETE /2/tweets/{id}`,
 * `GET /2/tweets?ids=` and `GET /2/users/me`, with X's bodies, errors, scopes and rate-limit headers. What X has
 * beyond that is answered with 501, never ignored. The fake's faults answer as X would; `after` does what was asked
 * and ends the connection without an answer.
 *
 * {@link startXEmulator} serves it on loopback; {@link xEmulator} is the service alone, for `mswHandlers`.
 */
import { checkFields, checkText } from '../../src/calls/arguments.ts'
import { invalidArgument } from '../../src/errors.ts'
import type { FakeSocialPublisher } from '../social-publisher.ts'
import { type HttpListener, type HttpReply, type HttpRequest, type HttpService, listen } from './http.ts'
import { type ForcedAnswer, ForcedAnswers } from './x/forced.ts'
import { type XScope, XService, xScopes } from './x/service.ts'

export type { ForcedAnswer, XOperation } from './x/forced.ts'
export type { XScope } from './x/service.ts'

export interface XServiceOptions {
  /** The one bearer token it accepts. */
  readonly token: string
  /** What the token may do. @default all: tweet.read, tweet.write, users.read */
  readonly scopes?: readonly XScope[]
}

export interface XEmulatorOptions extends XServiceOptions {
  /** @default 0, which is a free one */
  readonly port?: number
}

/** X as a service, in whatever skin. */
export interface XEmulatorService extends HttpService {
  readonly publisher: FakeSocialPublisher
  /** What is forced and still to come. */
  readonly forced: readonly (ForcedAnswer & { readonly left: number })[]
  /**
   * Forces the answer to the next request, once it was read.
   * @throws PortError `invalid-argument` for an answer that cannot be given
   */
  force(answer: ForcedAnswer): void
  /** Takes back every {@link force}. */
  clearForced(): void
  /** Resets the fake and takes back every forced answer. */
  reset(): void
}

/** X on loopback. */
export interface XEmulator extends XEmulatorService, HttpListener {}

/**
 * The service, to be answered with inside the process: `mswHandlers(xEmulator(fake, { token }), 'https://api.x.com')`.
 * @throws PortError `invalid-argument` for a token or a scope that is none
 */
export function xEmulator(publisher: FakeSocialPublisher, options: XServiceOptions): XEmulatorService {
  checkFields('options', options, ['token', 'scopes'])
  const { token, scopes = xScopes } = options
  checkText('token', token)
  if (!/^\S+$/.test(token)) throw invalidArgument('token must not be empty or hold white space')
  if (!Array.isArray(scopes) || scopes.some((scope) => !xScopes.includes(scope))) {
    throw invalidArgument(`scopes must be a list of ${xScopes.join(', ')}`)
  }
  return new Emulator(publisher, token, scopes)
}

/**
 * Starts it on 127.0.0.1 and answers once it listens.
 * @throws PortError `unavailable` where the port is taken; `invalid-argument` as {@link xEmulator}
 */
export async function startXEmulator(
  publisher: FakeSocialPublisher,
  options: XEmulatorOptions,
): Promise<XEmulator> {
  checkFields('options', options, ['port', 'token', 'scopes'])
  const { port, ...own } = options
  const service = xEmulator(publisher, own)
  const listener = await listen(service, port === undefined ? {} : { port })
  return {
    publisher,
    port: listener.port,
    origin: listener.origin,
    handle: (request) => service.handle(request),
    get forced() {
      return service.forced
    },
    force: (answer) => service.force(answer),
    clearForced: () => service.clearForced(),
    reset: () => service.reset(),
    close: () => listener.close(),
    [Symbol.asyncDispose]: () => listener.close(),
  }
}

class Emulator implements XEmulatorService {
  readonly publisher: FakeSocialPublisher
  readonly #forced: ForcedAnswers
  readonly #service: XService

  constructor(publisher: FakeSocialPublisher, token: string, scopes: readonly XScope[]) {
    this.publisher = publisher
    this.#forced = new ForcedAnswers(publisher.clock)
    this.#service = new XService(publisher, token, new Set(scopes), this.#forced)
  }

  handle(request: HttpRequest): Promise<HttpReply | undefined> {
    return this.#service.handle(request)
  }

  get forced(): readonly (ForcedAnswer & { readonly left: number })[] {
    return this.#forced.pending
  }

  force(answer: ForcedAnswer): void {
    this.#forced.add(answer)
  }

  clearForced(): void {
    this.#forced.clear()
  }

  reset(): void {
    this.publisher.reset()
    this.#forced.clear()
  }
}
