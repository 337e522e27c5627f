/**
 * A gateway before a real S3 server, on loopback, that lets a test make a chosen call slow, refuse it in S3's own
 * words, or lose its answer. All other requests pass through unchanged, so that their signatures hold.
 */
import {
  Agent,
  createServer,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { pipeline } from 'node:stream/promises'
import type { PortErrorCode } from '../../src/errors.ts'
import type { ForcedFailure } from '../contract.ts'

/** How S3 says what a port's code stands for. */
const answers: Partial<Record<PortErrorCode, readonly [status: number, code: string]>> = {
  'not-found': [404, 'NoSuchBucket'],
  unauthenticated: [403, 'InvalidAccessKeyId'],
  'permission-denied': [403, 'AccessDenied'],
  rejected: [400, 'AuthorizationHeaderMalformed'],
  'quota-exceeded': [403, 'QuotaExceeded'],
  'rate-limited': [503, 'SlowDown'],
  conflict: [409, 'OperationAborted'],
  unavailable: [503, 'ServiceUnavailable'],
  corrupt: [400, 'BadDigest'],
  unsupported: [501, 'NotImplemented'],
}

interface Order {
  readonly operation: string
  readonly delayMs?: number
  readonly failure?: ForcedFailure
}

export class S3Gateway {
  readonly #server: Server
  readonly #target: URL
  readonly #agent = new Agent({ keepAlive: true })
  #orders: Order[] = []

  private constructor(server: Server, target: URL) {
    this.#server = server
    this.#target = target
  }

  /** Starts one before the server at `target`, an `http:` URL without a path. */
  static async start(target: string): Promise<S3Gateway> {
    const server = createServer()
    const gateway = new S3Gateway(server, new URL(target))
    server.on('request', (incoming, outgoing) => void gateway.#serve(incoming, outgoing))
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(0, '127.0.0.1', resolve)
    })
    return gateway
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** The next call of the port's `operation` takes at least `ms`. */
  delayNext(operation: string, ms: number): void {
    this.#orders.push({ operation, delayMs: ms })
  }

  /** The next call of the port's `operation` fails. */
  force(operation: string, failure: ForcedFailure): void {
    if (failure.when !== 'after' && answers[failure.error] === undefined) {
      throw new Error(`S3 has no answer that stands for ${failure.error}`)
    }
    this.#orders.push({ operation, failure })
  }

  /** Takes back what was ordered and has not come about. */
  forget(): void {
    this.#orders = []
  }

  async close(): Promise<void> {
    this.#agent.destroy()
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const order = this.#orderFor(incoming)
    if (order?.delayMs !== undefined) await waitFor(order.delayMs, outgoing)
    if (outgoing.destroyed) return
    const { failure } = order ?? {}
    if (failure !== undefined && failure.when !== 'after') refuse(incoming, outgoing, failure.error)
    else await this.#pass(incoming, outgoing, failure !== undefined)
  }

  #orderFor(incoming: IncomingMessage): Order | undefined {
    const { operations, last } = operationsOf(incoming)
    const index = this.#orders.findIndex(
      ({ operation, failure }) => operations.includes(operation) && (last || failure?.when !== 'after'),
    )
    return index === -1 ? undefined : this.#orders.splice(index, 1)[0]
  }

  async #pass(incoming: IncomingMessage, outgoing: ServerResponse, loseAnswer: boolean): Promise<void> {
    const { hostname, port } = this.#target
    const { method, url, rawHeaders } = incoming
    const passed = request({
      hostname,
      port,
      method,
      path: url,
      headers: rawHeaders,
      setHost: false,
      agent: this.#agent,
    })
    // Who no longer listens must not keep the server sending.
    outgoing.once('close', () => passed.destroy())
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      passed.once('response', resolve)
      passed.once('error', reject)
    })
    try {
      const sent = pipeline(incoming, passed)
      // Heard below, but perhaps not at once: the client may leave while the answer is waited for.
      sent.catch(() => {})
      const answer = await answered
      if (loseAnswer) {
        for await (const _ of answer);
        outgoing.destroy()
        return
      }
      outgoing.writeHead(answer.statusCode ?? 502, answer.statusMessage, answer.rawHeaders)
      await pipeline(answer, outgoing)
      await sent
    } catch {
      // One of the two has gone away: so it shall be for the other.
      passed.destroy()
      outgoing.destroy()
    }
  }
}

/** The operations of the port that a request may belong to, and whether it is the one that has the effect. */
function operationsOf({ method, url = '', headers }: IncomingMessage): {
  operations: string[]
  last: boolean
} {
  const query = new URLSearchParams(url.split('?')[1])
  if (query.has('uploadId') && method === 'DELETE') return { operations: [], last: false }
  if (query.has('uploads')) return { operations: ['put'], last: false }
  if (query.has('partNumber')) return { operations: ['put'], last: false }
  if (query.has('uploadId')) return { operations: ['put'], last: true }
  if (query.has('delete')) return { operations: ['deleteMany'], last: true }
  if (query.has('list-type')) return { operations: ['list', 'listAll'], last: true }
  if (method === 'PUT') {
    return { operations: [headers['x-amz-copy-source'] === undefined ? 'put' : 'copy'], last: true }
  }
  // One key to delete, of many or alone.
  if (method === 'DELETE') return { operations: ['delete', 'deleteMany'], last: true }
  return { operations: [(method ?? '').toLowerCase()], last: true }
}

function refuse(incoming: IncomingMessage, outgoing: ServerResponse, code: PortErrorCode): void {
  const [status, name] = answers[code] ?? [500, 'InternalError']
  incoming.resume()
  outgoing.writeHead(status, { 'content-type': 'application/xml', connection: 'close' })
  const body = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${name}</Code><Message>forced</Message></Error>`
  outgoing.end(incoming.method === 'HEAD' ? undefined : body)
}

/** Waits, unless nobody waits for the answer any more. */
async function waitFor(ms: number, outgoing: ServerResponse): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms)
    outgoing.once('close', () => {
      clearTimeout(timer)
      resolve()
    })
  })
}
