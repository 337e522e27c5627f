/** What is forced on an SMTP conversation at its stages, as plain data. */
import { checkFields, checkInteger, checkText, typeName } from '../../../src/calls/arguments.ts'
import { invalidArgument } from '../../../src/errors.ts'

/** Every stage in the order of a conversation. */
export const smtpStages = [
  'connect',
  'ehlo',
  'starttls',
  'auth',
  'mail',
  'rcpt',
  'data',
  'content',
  'quit',
] as const

/**
 * Where in the conversation something is forced: in place of the greeting, or of the reply to EHLO (or HELO), STARTTLS, AUTH,
 * MAIL FROM, RCPT TO, the DATA command, the mail's content (after the dot), or QUIT.
 */
export type SmtpStage = (typeof smtpStages)[number]

/** What comes in place of the fake's own reply. Plain data: it can be sent as JSON. */
export interface ForcedReply {
  /** 400 to 599. 421 also ends the connection, as RFC 5321 §3.8 has it. */
  readonly code?: number
  /** One line, with its enhanced code where it is to have one. @default 'forced' */
  readonly text?: string
  /** Cuts the connection in place of any reply. */
  readonly drop?: true
  /** With `drop` at `content`: `after` takes the mail first, so that only the answer is lost. @default 'before' */
  readonly when?: 'before' | 'after'
  /** How long the reply takes, on the fake's clock; without `code` and `drop` the fake's own reply follows. @default 0 */
  readonly latencyMs?: number
  /** How often. @default 1 */
  readonly times?: number
  /** Only for this address at `mail` and `rcpt`, or this user at `auth`, in any case of letters. @default all */
  readonly match?: string
}

/** A forced reply with its stage: the form in which scripts are stored and sent. */
export interface ForcedReplyRule extends ForcedReply {
  readonly stage: SmtpStage
}

const fields = ['code', 'text', 'drop', 'when', 'latencyMs', 'times', 'match']

/** The forced replies that are still to come, in the order they were added. */
export class ForcedReplies {
  #rules: { readonly rule: ForcedReplyRule; left: number }[] = []

  add(stage: SmtpStage, reply: ForcedReply): void {
    check(stage, reply)
    this.#rules.push({ rule: { ...reply, stage }, left: reply.times ?? 1 })
  }

  /** The one that hits here, which is used up by that. */
  take(stage: SmtpStage, about: string): ForcedReply | undefined {
    const hit = this.#rules.find(({ rule }) => {
      return rule.stage === stage && (rule.match ?? about).toLowerCase() === about.toLowerCase()
    })
    if (hit === undefined) return undefined
    hit.left -= 1
    if (hit.left <= 0) this.#rules = this.#rules.filter((rule) => rule !== hit)
    return hit.rule
  }

  get pending(): readonly (ForcedReplyRule & { readonly left: number })[] {
    return this.#rules.map(({ rule, left }) => ({ ...rule, left }))
  }

  clear(): void {
    this.#rules = []
  }
}

function check(stage: SmtpStage, reply: ForcedReply): void {
  if (!smtpStages.includes(stage)) throw invalidArgument(`a stage is one of ${smtpStages.join(', ')}`)
  checkFields('reply', reply, fields)
  const { code, text, drop, when, latencyMs, times, match } = reply
  if (code === undefined && drop === undefined && latencyMs === undefined) {
    throw invalidArgument('a forced reply has a code, drop: true, or a latencyMs')
  }
  if (code !== undefined && drop !== undefined) {
    throw invalidArgument('a connection that is cut gets no reply: give a code or drop, not both')
  }
  if (code !== undefined) checkInteger('code', code, { min: 400, max: 599 })
  if (drop !== undefined && drop !== true) throw invalidArgument(`drop must be true; got ${typeName(drop)}`)
  if (text !== undefined) {
    checkText('text', text)
    if (code === undefined) throw invalidArgument('a text belongs to a code')
    if (/\p{Cc}/u.test(text)) throw invalidArgument('the text of a reply is one line')
  }
  if (when !== undefined && when !== 'before' && when !== 'after') {
    throw invalidArgument('a forced reply happens "before" or "after"')
  }
  if (when === 'after' && (stage !== 'content' || drop !== true)) {
    throw invalidArgument(
      '"after" belongs to drop at the stage "content": the mail is taken, its answer lost',
    )
  }
  if (latencyMs !== undefined) checkInteger('latencyMs', latencyMs, { min: 0 })
  if (times !== undefined) checkInteger('times', times, { min: 1 })
  if (match !== undefined) {
    checkText('match', match)
    if (stage !== 'auth' && stage !== 'mail' && stage !== 'rcpt') {
      throw invalidArgument('only at auth, mail and rcpt is there something to match')
    }
  }
}
