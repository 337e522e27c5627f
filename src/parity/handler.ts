/** The parity report over HTTP, for an app's own server and behind its own authentication. */
import { checkFields, typeName } from '../calls/arguments.ts'
import { invalidArgument } from '../errors.ts'
import type { ParityOptions, ParityReport } from './report.ts'

/** A request, or what hono hands to a handler. */
export type RequestLike = Request | { readonly req: { readonly raw: Request } }

export interface ParityHandlerOptions extends Omit<ParityOptions, 'signal'> {
  /**
   * Who may see the report. It has no default, because what the report tells is of use to those who look for a way in:
   * versions, settings, rights, names of people.
   *
   * A function: `true` lets the request in, `false` answers it with 403, a `Response` is the answer itself, and one
   * that throws answers with 500. `'upstream'`: what stands before the route has let it in already, a middleware or
   * a gateway; say it only where that is so.
   */
  readonly authorize: ((request: Request) => boolean | Response | Promise<boolean | Response>) | 'upstream'
}

const headers = { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' }

/**
 * Answers GET and HEAD with the report as JSON, to whom `authorize` lets in. Requests at one time share one report,
 * so they cost the servers no more than one.
 *
 *   app.get('/admin/parity', requireAdmin, parityHandler(shop, { authorize: 'upstream' }))   // hono
 *   export default { fetch: parityHandler(shop, { authorize: isAdmin }) }                    // fetch
 *
 * @throws PortError `invalid-argument` where nothing says who may see it
 */
export function parityHandler(
  app: { parity(options?: ParityOptions): Promise<ParityReport> },
  options: ParityHandlerOptions,
): (request: RequestLike) => Promise<Response> {
  checkFields('options', options, ['timeoutMs', 'evidence', 'build', 'deployer', 'authorize'])
  const { authorize, ...asked } = options
  if (typeof authorize !== 'function' && authorize !== 'upstream') {
    throw invalidArgument(
      `authorize must be a function of the request, or "upstream" where the route is behind the app's own authentication; got ${typeName(authorize)}`,
    )
  }
  let underWay: Promise<string> | undefined
  return async (request) => {
    const raw = 'req' in request ? request.req.raw : request
    const { method } = raw
    if (method !== 'GET' && method !== 'HEAD') {
      return answer(405, { error: 'use GET' }, { allow: 'GET, HEAD' })
    }
    try {
      const allowed = authorize === 'upstream' || (await authorize(raw))
      if (allowed instanceof Response) return allowed
      // Nothing but true: a promise of a promise, or a user object that is empty, must not open it.
      if (allowed !== true) return answer(403, { error: 'not allowed' })
      underWay ??= app
        .parity(asked)
        .then((report) => JSON.stringify(report))
        .finally(() => {
          underWay = undefined
        })
      const body = await underWay
      return new Response(method === 'HEAD' ? null : body, { headers })
    } catch {
      // Why is for the app's own log, by parity() itself; a caller over HTTP learns no more.
      return answer(500, { error: 'the report could not be made' })
    }
  }
}

function answer(status: number, body: object, more: Readonly<Record<string, string>> = {}): Response {
  return new Response(JSON.stringify(body), { status, headers: { ...headers, ...more } })
}
