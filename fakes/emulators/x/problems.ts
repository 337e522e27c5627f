/** X's errors as it writes them: `{ title, detail, type, status }` after RFC 7807, sent as `application/problem+json`. */
import type { HttpReply } from '../http.ts'

const base = 'https://api.twitter.com/2/problems'

/** One JSON body with its type. */
export function json(status: number, body: unknown, headers: HttpReply['headers'] = {}): HttpReply {
  const headersOf = { 'content-type': 'application/json; charset=utf-8', ...headers }
  return { status, headers: headersOf, body: JSON.stringify(body) }
}

/** A problem without a type of its own. */
export function problem(
  status: number,
  title: string,
  detail: string = title,
  more: Readonly<Record<string, unknown>> = {},
): HttpReply {
  const body = { title, detail, type: 'about:blank', status, ...more }
  return json(status, body, { 'content-type': 'application/problem+json' })
}

/** A request that X cannot read. `parameters` says which of its parts are to blame. */
export function invalidRequest(
  message: string,
  parameters: Readonly<Record<string, string>> = {},
): HttpReply {
  const blamed = Object.entries(parameters).map(([name, value]) => [name, [value]])
  return problem(400, 'Invalid Request', 'One or more parameters to your request was invalid.', {
    type: `${base}/invalid-request`,
    errors: [{ parameters: Object.fromEntries(blamed), message }],
  })
}

export function unauthorized(): HttpReply {
  return problem(401, 'Unauthorized')
}

/** A token that lacks a scope. */
export function notPermitted(): HttpReply {
  return problem(403, 'Forbidden', 'You are not permitted to perform this action.')
}

/**
 * What X says of a post that it will not have. The first is recorded; the second is reported by users and not in its
 * documentation; the third is this emulator's own, for a rule whose answer nobody has published.
 */
const refusals: Readonly<Record<string, string>> = {
  duplicate: 'You are not allowed to create a Tweet with duplicate content.',
  'missing-post': 'You attempted to reply to a Tweet that is deleted or not visible to you.',
  'too-many-cashtags': 'You are not allowed to create a Tweet with more than one cashtag.',
}

export function refused(reason: string | undefined): HttpReply {
  return problem(403, 'Forbidden', refusals[reason ?? ''] ?? 'Forbidden')
}

export function notFound(): HttpReply {
  return problem(404, 'Not Found')
}

export function rateLimited(headers: HttpReply['headers'] = {}): HttpReply {
  const reply = problem(429, 'Too Many Requests', 'Too Many Requests', {
    type: `${base}/rate-limit-exceeded`,
  })
  return { ...reply, headers: { ...reply.headers, ...headers } }
}

/** The plan's cap for a month, for which no wait of minutes helps. */
export function usageCapped(): HttpReply {
  return problem(429, 'UsageCapExceeded', 'Usage cap exceeded: Monthly product cap', {
    type: `${base}/usage-capped`,
    period: 'Monthly',
    scope: 'Product',
  })
}

export function unavailable(): HttpReply {
  return problem(503, 'Service Unavailable')
}

/** What X has and this emulator does not: it says so rather than answer as if it had done it. */
export function notModelled(what: string): HttpReply {
  return problem(501, 'Not Implemented', `This emulator does not model ${what}.`)
}

/** The error beside or in place of `data` where a post is absent. Its status is 200. */
export function missing(parameter: 'id' | 'ids', id: string): Readonly<Record<string, unknown>> {
  return {
    title: 'Not Found Error',
    detail: `Could not find tweet with ${parameter}: [${id}].`,
    type: `${base}/resource-not-found`,
    resource_type: 'tweet',
    resource_id: id,
    parameter,
    value: id,
  }
}
