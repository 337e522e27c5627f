/**
 * Which pages of other origins may use a bucket: its rules in XML, the answer to a preflight, the headers on others.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/cors.html
 */
import type { HttpReply } from '../http.ts'
import { S3Error } from './errors.ts'
import { checkChildren, childrenOf, readXml, textOf, type XmlElement } from './read-xml.ts'
import { s3Namespace, writeXml } from './xml.ts'

export interface CorsRule {
  readonly id?: string
  /** Each with at most one `*`, which stands for anything. */
  readonly allowedOrigins: readonly string[]
  readonly allowedMethods: readonly string[]
  /** Each with at most one `*`; in any case. */
  readonly allowedHeaders: readonly string[]
  readonly exposeHeaders: readonly string[]
  readonly maxAgeSeconds?: number
}

const methods: readonly string[] = ['GET', 'PUT', 'POST', 'DELETE', 'HEAD']
const mostRules = 100
const maxBytes = 64 * 1024

/** @throws S3Error `MalformedXML`, or `InvalidRequest` for a method or wildcard that S3 refuses */
export function readCorsRules(xml: Uint8Array): readonly CorsRule[] {
  const root = readXml(xml, { root: 'CORSConfiguration', maxBytes })
  checkChildren(root, ['CORSRule'])
  const rules = childrenOf(root, 'CORSRule').map(ruleOf)
  if (rules.length === 0 || rules.length > mostRules) throw new S3Error('MalformedXML')
  return rules
}

function ruleOf(element: XmlElement): CorsRule {
  checkChildren(element, [
    'ID',
    'AllowedOrigin',
    'AllowedMethod',
    'AllowedHeader',
    'ExposeHeader',
    'MaxAgeSeconds',
  ])
  const texts = (name: string): readonly string[] => childrenOf(element, name).map(({ text }) => text)
  const id = textOf(element, 'ID')
  const maxAge = textOf(element, 'MaxAgeSeconds')
  const rule: CorsRule = {
    ...(id !== undefined && { id }),
    allowedOrigins: texts('AllowedOrigin'),
    allowedMethods: texts('AllowedMethod'),
    allowedHeaders: texts('AllowedHeader'),
    exposeHeaders: texts('ExposeHeader'),
    ...(maxAge !== undefined && { maxAgeSeconds: Number(maxAge) }),
  }
  checkRule(rule)
  if (maxAge !== undefined && !/^\d{1,9}$/.test(maxAge)) throw new S3Error('MalformedXML')
  return rule
}

function checkRule({ allowedOrigins, allowedMethods, allowedHeaders, exposeHeaders }: CorsRule): void {
  if (allowedOrigins.length === 0 || allowedMethods.length === 0) throw new S3Error('MalformedXML')
  const refuse = (message: string): never => {
    throw new S3Error('InvalidRequest', { message })
  }
  for (const method of allowedMethods) {
    if (methods.includes(method)) continue
    refuse(`Found unsupported HTTP method in CORS config. Unsupported method is ${method}`)
  }
  for (const origin of allowedOrigins) {
    if (origin.split('*').length > 2) refuse(`AllowedOrigin "${origin}" can not have more than one wildcard.`)
  }
  for (const header of allowedHeaders) {
    if (header.split('*').length > 2) refuse(`AllowedHeader "${header}" can not have more than one wildcard.`)
  }
  for (const header of exposeHeaders) {
    if (header.includes('*')) {
      refuse(
        `ExposeHeader "${header}" contains wildcard. We currently do not support wildcard for ExposeHeader.`,
      )
    }
  }
}

export function writeCorsRules(rules: readonly CorsRule[]): string {
  const tree = {
    CORSRule: rules.map((rule) => ({
      ID: rule.id,
      AllowedOrigin: rule.allowedOrigins,
      AllowedMethod: rule.allowedMethods,
      AllowedHeader: rule.allowedHeaders,
      ExposeHeader: rule.exposeHeaders,
      MaxAgeSeconds: rule.maxAgeSeconds,
    })),
  }
  return writeXml('CORSConfiguration', tree, s3Namespace)
}

/**
 * Answers a preflight.
 * @throws S3Error `BadRequest` for what is none, `AccessForbidden` where no rule allows it
 */
export function preflight(
  { headers }: { readonly headers: Readonly<Record<string, string>> },
  rules: readonly CorsRule[] | undefined,
): HttpReply {
  const origin = headers.origin
  const method = headers['access-control-request-method']
  if (origin === undefined || origin === '') {
    throw new S3Error('BadRequest', { message: 'Insufficient information. Origin request header needed.' })
  }
  if (method === undefined || !methods.includes(method)) {
    throw new S3Error('BadRequest', {
      message:
        method === undefined
          ? 'Invalid Access-Control-Request-Method: null'
          : `Invalid Access-Control-Request-Method: ${method}`,
    })
  }
  const fields = { Method: method, ResourceType: 'BUCKET' }
  if (rules === undefined) throw new S3Error('AccessForbidden', { fields })
  const asked = (headers['access-control-request-headers'] ?? '')
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '')
  const rule = rules.find((each) => allows(each, origin, method) && asked.every((name) => takes(each, name)))
  if (rule === undefined) {
    throw new S3Error('AccessForbidden', {
      message:
        "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.",
      fields,
    })
  }
  const allowed = asked.length === 0 ? {} : { 'access-control-allow-headers': asked.join(', ') }
  return { status: 200, headers: { ...grant(rule, origin), ...allowed } }
}

/** The headers that an answer gets so that the page of another origin may see it; none where no rule allows it. */
export function corsHeaders(
  { method, headers }: { readonly method: string; readonly headers: Readonly<Record<string, string>> },
  rules: readonly CorsRule[] | undefined,
): Readonly<Record<string, string>> {
  const origin = headers.origin
  if (origin === undefined || rules === undefined) return {}
  const rule = rules.find((each) => allows(each, origin, method))
  return rule === undefined ? {} : grant(rule, origin)
}

function grant(rule: CorsRule, origin: string): Readonly<Record<string, string>> {
  const isForAll = rule.allowedOrigins.includes('*')
  return {
    'access-control-allow-origin': isForAll ? '*' : origin,
    'access-control-allow-methods': rule.allowedMethods.join(', '),
    ...(rule.exposeHeaders.length > 0 && { 'access-control-expose-headers': rule.exposeHeaders.join(', ') }),
    ...(rule.maxAgeSeconds !== undefined && { 'access-control-max-age': String(rule.maxAgeSeconds) }),
    ...(!isForAll && { 'access-control-allow-credentials': 'true' }),
    vary: 'Origin, Access-Control-Request-Headers, Access-Control-Request-Method',
  }
}

function allows(rule: CorsRule, origin: string, method: string): boolean {
  return (
    rule.allowedMethods.includes(method) && rule.allowedOrigins.some((pattern) => matches(pattern, origin))
  )
}

function takes(rule: CorsRule, header: string): boolean {
  return rule.allowedHeaders.some((pattern) => matches(pattern.toLowerCase(), header))
}

function matches(pattern: string, text: string): boolean {
  const star = pattern.indexOf('*')
  if (star < 0) return pattern === text
  const [before, after] = [pattern.slice(0, star), pattern.slice(star + 1)]
  return text.length >= before.length + after.length && text.startsWith(before) && text.endsWith(after)
}
