/**
 * HTTP as an emulator sees it, without a socket, so that one emulator has two skins: {@link listen} serves it on
 * loopback to any process, and `msw.ts` answers with it inside this one.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { checkFields, checkInteger, checkText } from '../../src/calls/arguments.ts'
import { PortError } from '../../src/errors.ts'

export interface HttpRequest {
  readonly method: string
  /** Path and query just as they were sent: no dots resolved, nothing decoded. */
  readonly target: string
  /** By lower-case name. What was sent more than once is joined by `, `. */
  readonly headers: Readonly<Record<string, string>>
  /** To be read once. */
  readonly body: AsyncIterable<Uint8Array>
  /** Aborted when the client leaves before it has the whole answer. */
  readonly signal: AbortSignal
}

export interface HttpReply {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  /** Not sent in answer to HEAD. A stream that fails ends the connection in the middle of the answer. */
  readonly body?: string | Uint8Array | AsyncIterable<Uint8Array>
}

/** What answers: `undefined` is no answer but the end of the connection. */
export interface HttpService {
  handle(request: HttpRequest): Promise<HttpReply | undefined>
}

export interface ListenOptions {
  /** @default 0, which is a free one */
  readonly port?: number
  /** The address to listen on. Any but this machine's own lets other machines in. @default '127.0.0.1' */
  readonly host?: string
  /** Whether the process goes on for as long as it listens. @default true */
  readonly keepsProcess?: boolean
}

/** A service that is served on loopback. */
export interface HttpListener extends AsyncDisposable {
  readonly port: number
  /** `http://127.0.0.1:PORT`, or with the host that was given. */
  readonly origin: string
  /** Stops it and cuts every connection. Closing twice resolves. */
  close(): Promise<void>
}

/** More than any service takes: that it is too much is to be said in the service's own words, not in Node's. */
const mostHeaderBytes = 64 * 1024

/**
 * Serves `service` on 127.0.0.1 and answers once it listens.
 * @throws PortError `invalid-argument` for a port that is none; `unavailable` where it is taken
 */
export async function listen(service: HttpService, options: ListenOptions = {}): Promise<HttpListener> {
  checkFields('options', options, ['port', 'host', 'keepsProcess'])
  const { port = 0, host = '127.0.0.1', keepsProcess = true } = options
  checkInteger('port', port, { min: 0, max: 65_535 })
  checkText('host', host)
  // A body may take as long as it takes: Node's five minutes would cut a slow upload off.
  const limits = { maxHeaderSize: mostHeaderBytes, requestTimeout: 0, headersTimeout: 60_000 }
  const server = createServer(limits, (request, response) => {
    void answer(service, request, response)
  })
  // The listener keeps the process alive, not the connections that clients keep for later.
  server.on('connection', (socket) => socket.unref())
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => reject(cannotListen(host, port, cause)))
    server.listen(port, host, resolve)
  })
  if (!keepsProcess) {
    server.unref()
    server.on('connection', (socket) => socket.unref())
  }
  return new Listener(server, host)
}

/** Why nothing can listen there, and what to change. */
export function cannotListen(host: string, port: number, cause: NodeJS.ErrnoException): PortError {
  const isHost = ['EADDRNOTAVAIL', 'ENOTFOUND', 'EAI_AGAIN', 'EINVAL'].includes(cause.code ?? '')
  const message = isHost
    ? `the address ${host} cannot be listened on; give one of this machine's own`
    : `port ${port} cannot be listened on; give another, or 0 for a free one`
  return new PortError({ code: 'unavailable', message, outcome: 'not-applied', cause })
}

/** The host of the URL under which this machine reaches what listens on `host`: not every address is one to ask. */
export function reachableHost(host: string): string {
  if (host === '0.0.0.0' || host === '::' || host === '') return '127.0.0.1'
  return host.includes(':') ? `[${host}]` : host
}

class Listener implements HttpListener {
  readonly port: number
  readonly origin: string
  readonly #server: Server
  #closed: Promise<void> | undefined

  constructor(server: Server, host: string) {
    this.#server = server
    this.port = (server.address() as AddressInfo).port
    this.origin = `http://${reachableHost(host)}:${this.port}`
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
}

async function answer(
  service: HttpService,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const left = new AbortController()
  response.once('close', () => {
    if (!response.writableFinished) left.abort()
  })
  try {
    const reply = await service.handle({
      method: request.method ?? 'GET',
      target: request.url ?? '/',
      headers: headersOf(request),
      body: request,
      signal: left.signal,
    })
    if (reply === undefined) request.socket.destroy()
    else await send(reply, request, response)
  } catch {
    // A client that left, a body that failed half-way, a defect: there is no answer that would still be right.
    request.socket.destroy()
  }
}

async function send(
  { status, headers = {}, body = '' }: HttpReply,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const isWhole = typeof body === 'string' || body instanceof Uint8Array
  const mayHaveBody = status >= 200 && status !== 204 && status !== 304
  const length =
    isWhole && mayHaveBody && headers['content-length'] === undefined
      ? { 'content-length': Buffer.byteLength(body) }
      : {}
  response.writeHead(status, { server: 'portside-emulator', ...headers, ...length })
  if (request.method === 'HEAD' || !mayHaveBody) response.end()
  else if (isWhole) response.end(body)
  else await pipeline(Readable.from(body, { objectMode: false }), response)
}

function headersOf({ headersDistinct }: IncomingMessage): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(headersDistinct).map(([name, values = []]) => [name, values.join(', ')]),
  )
}
