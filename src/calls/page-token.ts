/**
 * Page tokens, bound to the query they came from. A service's own tokens are not: given back with another
 * prefix they would answer pages of something else.
 */
import { createHash } from 'node:crypto'
import { invalidArgument } from '../errors.ts'
import { checkText } from './arguments.ts'

const longestToken = 8_192

/** What a page is a page of: the arguments that must be the same on every page. */
export type PageQuery = readonly (string | undefined)[]

/** Wraps the service's own cursor into a token for callers; a cursor that was altered shows as well. */
export function sealPageToken(query: PageQuery, cursor: string): string {
  return Buffer.from(JSON.stringify([digest([...query, cursor]), cursor])).toString('base64url')
}

/**
 * The service's own cursor out of a token.
 * @throws PortError `invalid-argument` when the token is of another query, or no token at all
 */
export function openPageToken(query: PageQuery, token: unknown): string {
  checkText('pageToken', token)
  const [bound, cursor] = parse(token)
  if (typeof cursor !== 'string' || typeof bound !== 'string') {
    throw invalidArgument('pageToken is none of this service; give back the nextPageToken of an earlier page')
  }
  if (bound !== digest([...query, cursor])) {
    throw invalidArgument(
      'pageToken is of another query, or altered; repeat the arguments of the page it came from',
    )
  }
  return cursor
}

function parse(token: string): readonly unknown[] {
  if (token.length > longestToken) return []
  const text = Buffer.from(token, 'base64url')
  // Decoding skips what is no base64url, so a token with something added would pass.
  if (text.toString('base64url') !== token) return []
  try {
    const value: unknown = JSON.parse(text.toString())
    return Array.isArray(value) && value.length === 2 ? value : []
  } catch {
    return []
  }
}

function digest(query: PageQuery): string {
  const text = JSON.stringify(query.map((part) => part ?? false))
  return createHash('sha256').update(text).digest('base64url').slice(0, 16)
}
