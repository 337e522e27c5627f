/** Exact answers in place of the emulator's own: what the real service will not show on demand. */
import { checkFields, checkInteger, checkText } from '../../../src/calls/arguments.ts'
import type { Clock } from '../../../src/calls/clock.ts'
import { invalidArgument } from '../../../src/errors.ts'
import type { HttpReply } from '../http.ts'
import { errorReply, errorXml, isS3ErrorCode, type RequestIds, S3Error } from './errors.ts'

/** What to do with requests of one of S3's operations. Plain data, so that it can be stored and sent. */
export interface ForcedAnswer {
  /** By S3's name, such as `UploadPart`; `*` for any. */
  readonly operation: string
  /** Only requests about this key. @default all */
  readonly key?: string
  /** How many requests it hits. @default 1 */
  readonly times?: number
  /** How many requests it lets pass first. @default 0 */
  readonly skip?: number
  /** Time on the emulator's clock before anything else happens. @default 0 */
  readonly delayMs?: number
  /** Answers this code of S3's, with its status and in its XML, and does nothing. */
  readonly code?: string
  /** Status of the answer. @default that of the code; 200 with a body alone */
  readonly status?: number
  /** Headers of the answer, beside or in place of the usual ones. */
  readonly headers?: Readonly<Record<string, string>>
  /** Body of the answer in place of S3's. */
  readonly body?: string
  /**
   * Ends the connection: `before` anything is done; `after` it was done, without an answer; `body` in the middle of the
   * answer's body.
   */
  readonly drop?: 'before' | 'after' | 'body'
  /** Status 200 and then this code in the body, as CompleteMultipartUpload, CopyObject and UploadPartCopy may answer. */
  readonly lateCode?: string
}

const fields = [
  'operation',
  'key',
  'times',
  'skip',
  'delayMs',
  'code',
  'status',
  'headers',
  'body',
  'drop',
  'lateCode',
]
const late = ['CompleteMultipartUpload', 'CopyObject', 'UploadPartCopy']

interface Active {
  readonly answer: ForcedAnswer
  left: number
  skip: number
}

/** The forced answers that are still to come. Tried in the order they were added; the first that hits is used. */
export class ForcedAnswers {
  readonly #operations: readonly string[]
  #active: Active[] = []

  constructor(operations: readonly string[]) {
    this.#operations = operations
  }

  /** Throws `invalid-argument` for what cannot be forced. */
  add(answer: ForcedAnswer): void {
    this.#check(answer)
    this.#active.push({ answer: { ...answer }, left: answer.times ?? 1, skip: answer.skip ?? 0 })
  }

  clear(): void {
    this.#active = []
  }

  /** Those that are still to come, and how many requests each will yet hit. */
  get pending(): readonly (ForcedAnswer & { readonly left: number })[] {
    return this.#active.map(({ answer, left }) => ({ ...answer, left }))
  }

  take(operation: string, key: string): ForcedAnswer | undefined {
    for (const active of this.#active) {
      const { answer } = active
      if (answer.operation !== '*' && answer.operation !== operation) continue
      if (answer.key !== undefined && answer.key !== key) continue
      if (active.skip > 0) {
        active.skip -= 1
        continue
      }
      active.left -= 1
      if (active.left <= 0) this.#active = this.#active.filter((other) => other !== active)
      return answer
    }
    return undefined
  }

  #check(answer: ForcedAnswer): void {
    checkFields('answer', answer, fields)
    const { operation, times, skip, delayMs, code, lateCode, status, drop, body, headers, key } = answer
    if (operation !== '*' && !this.#operations.includes(operation)) {
      throw invalidArgument(`"operation" must be "*" or one of ${this.#operations.join(', ')}`)
    }
    if (times !== undefined) checkInteger('times', times, { min: 1 })
    for (const [name, value] of Object.entries({ skip, delayMs })) {
      if (value !== undefined) checkInteger(name, value, { min: 0 })
    }
    if (status !== undefined) checkInteger('status', status, { min: 200, max: 599 })
    for (const [name, value] of Object.entries({ body, key })) if (value !== undefined) checkText(name, value)
    if (headers !== undefined) {
      if (typeof headers !== 'object' || headers === null) throw invalidArgument('headers must be an object')
      for (const [name, value] of Object.entries(headers)) checkText(`headers.${name}`, value)
    }
    for (const each of [code, lateCode]) {
      if (each !== undefined && !isS3ErrorCode(each))
        throw invalidArgument(`"${String(each)}" is no code of S3`)
    }
    if (drop !== undefined && drop !== 'before' && drop !== 'after' && drop !== 'body') {
      throw invalidArgument('drop must be "before", "after" or "body"')
    }
    if (lateCode !== undefined && operation !== '*' && !late.includes(operation)) {
      throw invalidArgument(`a lateCode is possible for ${late.join(', ')}`)
    }
    const isAnswer = code !== undefined || status !== undefined || body !== undefined
    const kinds = [isAnswer, drop !== undefined, lateCode !== undefined].filter(Boolean).length
    if (kinds > 1) throw invalidArgument('give an answer, a drop or a lateCode, not several of them')
    if (kinds === 0 && delayMs === undefined && headers === undefined) {
      throw invalidArgument('a forced answer needs a code, status, body, headers, drop, lateCode or delayMs')
    }
  }
}

/**
 * Answers a request as it is forced to be answered.
 * @param proceed what the emulator itself would answer
 */
export async function answerForced(
  answer: ForcedAnswer,
  request: {
    readonly method: string
    readonly signal: AbortSignal
    readonly body: AsyncIterable<Uint8Array>
  },
  ids: RequestIds,
  clock: Clock,
  proceed: () => Promise<HttpReply | undefined>,
): Promise<HttpReply | undefined> {
  const { code, lateCode, status, body, drop, delayMs, headers = {} } = answer
  if (delayMs !== undefined) await clock.sleep(delayMs, request.signal)
  if (drop === 'before') return undefined
  if (lateCode !== undefined && isS3ErrorCode(lateCode)) {
    const text = errorXml(new S3Error(lateCode), ids)
    return { status: 200, headers: { 'content-type': 'application/xml', ...headers }, body: text }
  }
  if (code !== undefined && isS3ErrorCode(code)) {
    const reply = errorReply(new S3Error(code, status === undefined ? {} : { status }), request, ids)
    return { ...reply, headers: { ...reply.headers, ...headers }, ...(body === undefined ? {} : { body }) }
  }
  if (status !== undefined || body !== undefined) return { status: status ?? 200, headers, body: body ?? '' }
  const reply = await proceed()
  if (reply === undefined) return undefined
  if (drop === 'after') {
    await discard(reply)
    return undefined
  }
  const changed = { ...reply, headers: { ...reply.headers, ...headers } }
  return drop === 'body' ? { ...changed, body: cutOff(reply.body ?? '') } : changed
}

/** Lets go of what an answer would have read. */
export async function discard({ body }: HttpReply): Promise<void> {
  if (typeof body === 'object' && Symbol.asyncIterator in body) await body[Symbol.asyncIterator]().return?.()
}

/** The first half of what is there at once, then the end of the connection. */
async function* cutOff(body: NonNullable<HttpReply['body']>): AsyncGenerator<Uint8Array> {
  const half = (bytes: Uint8Array): Uint8Array => bytes.subarray(0, Math.ceil(bytes.length / 2))
  if (typeof body === 'string') yield half(Buffer.from(body))
  else if (body instanceof Uint8Array) yield half(body)
  else {
    for await (const chunk of body) {
      yield half(chunk)
      break
    }
  }
  throw new Error('the answer is cut off here')
}
