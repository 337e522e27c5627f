/** The parity report over HTTP, for an app's own server and behind its own authentication. */
import type { ParityOptions, ParityReport } from './report.ts'

/** A request, or what hono hands to a handler. */
export type RequestLike = Request | { readonly req: { readonly raw: Request } }

const headers = { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' }

/**
 * Answers GET and HEAD with the report as JSON. The report tells versions, settings and names: put the route behind
 * the app's own authentication. Requests at one time share one report, so they cost the servers no more than one.
 *
 *   app.get('/admin/parity', requireAdmin, parityHandler(shop))          // hono
 *   const answer = parityHandler(shop); export default { fetch: answer } // fetch
 */
export function parityHandler(
  app: { parity(options?: ParityOptions): Promise<ParityReport> },
  options: Omit<ParityOptions, 'signal'> = {},
): (request: RequestLike) => Promise<Response> {
  let underWay: Promise<string> | undefined
  return async (request) => {
    const { method } = 'req' in request ? request.req.raw : request
    if (method !== 'GET' && method !== 'HEAD') {
      return new Response(JSON.stringify({ error: 'use GET' }), {
        status: 405,
        headers: { ...headers, allow: 'GET, HEAD' },
      })
    }
    try {
      underWay ??= app
        .parity(options)
        .then((report) => JSON.stringify(report))
        .finally(() => {
          underWay = undefined
        })
      const body = await underWay
      return new Response(method === 'HEAD' ? null : body, { headers })
    } catch {
      // Why is for the app's own log, by parity() itself; a caller over HTTP learns no more.
      return new Response(JSON.stringify({ error: 'the report could not be made' }), { status: 500, headers })
    }
  }
}
