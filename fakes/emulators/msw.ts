/**
 * An emulator as msw handlers: the same {@link HttpService} that `listen` serves on loopback, answering inside this
 * process whatever asks the vendor's own addresses. The client needs no other configuration than in production.
 *
 * What differs from loopback: msw shows a target as a URL, so dots in a path are resolved before the service sees
 * them, and msw keeps a second copy of each request's body until the request is done. For bodies of many megabytes
 * take `listen`.
 */
import { type HttpHandler, http } from 'msw'
import { checkText } from '../../src/calls/arguments.ts'
import { invalidArgument } from '../../src/errors.ts'
import type { HttpReply, HttpRequest, HttpService } from './http.ts'

/**
 * Handlers for `setupServer` that let `service` answer every request to `origins`, whatever its method and path, also
 * paths that msw takes for assets. A lost connection is a network error, as it is for a client.
 * @param origins `https://api.x.com`, or several; `*` in the host stands for one or more characters
 * (`https://*.s3.amazonaws.com`), as the port for any (`http://127.0.0.1:*`)
 * @throws PortError `invalid-argument` for an origin that is none, or for no origin
 */
export function mswHandlers(service: HttpService, origins: string | readonly string[]): HttpHandler[] {
  const given = typeof origins === 'string' ? [origins] : origins
  if (!Array.isArray(given) || given.length === 0) {
    throw invalidArgument('origins must be an origin or a list of at least one')
  }
  const patterns = given.map(patternOf)
  const isOurs = ({ request }: { readonly request: Request }): boolean => {
    const { origin } = new URL(request.url)
    return patterns.some((pattern) => pattern.test(origin))
  }
  return [http.all(isOurs, ({ request }) => answer(service, request))]
}

function patternOf(text: unknown): RegExp {
  checkText('an origin', text)
  const parts = /^(https?):\/\/([a-z0-9.*_-]+|\[[0-9a-f:.]+\])(?::(\d{1,5}|\*))?$/i.exec(text)
  if (parts === null) {
    throw invalidArgument('an origin must be http(s)://host[:port], with * in place of a part of the host')
  }
  const [, scheme = '', host = '', port] = parts
  const standard = scheme.toLowerCase() === 'https' ? '443' : '80'
  const hostPattern = host.replace(/[.[\]]/g, String.raw`\$&`).replaceAll('*', '[^/:@]+')
  const portPattern = port === '*' ? String.raw`(?::\d+)?` : !port || port === standard ? '' : `:${port}`
  return new RegExp(`^${scheme}://${hostPattern}${portPattern}$`, 'i')
}

async function answer(service: HttpService, request: Request): Promise<Response> {
  try {
    const reply = await service.handle(requestOf(request))
    return reply === undefined ? Response.error() : responseOf(reply, request.method)
  } catch {
    // As on loopback: where there is no answer that would still be right, the connection ends.
    return Response.error()
  }
}

function requestOf({ method, url, headers, body, signal }: Request): HttpRequest {
  const { host, origin } = new URL(url)
  return {
    method,
    target: url.startsWith(origin) ? url.slice(origin.length).replace(/#.*$/s, '') || '/' : '/',
    // A signature may cover the host, which fetch does not show among its headers.
    headers: { host, ...Object.fromEntries(headers) },
    body: body ?? nothing(),
    signal,
  }
}

function responseOf({ status, headers = {}, body = '' }: HttpReply, method: string): Response {
  const mayHaveBody = status !== 204 && status !== 304
  const init = { status, headers: new Headers(headers) }
  if (typeof body !== 'string' && !(body instanceof Uint8Array)) {
    return new Response(method === 'HEAD' || !mayHaveBody ? null : ReadableStream.from(body), init)
  }
  // As bytes: a text would get a content type that the service did not give.
  const bytes = Buffer.from(body as string)
  if (mayHaveBody && !init.headers.has('content-length')) {
    init.headers.set('content-length', String(bytes.length))
  }
  return new Response(method === 'HEAD' || !mayHaveBody ? null : bytes, init)
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
