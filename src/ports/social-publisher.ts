/** Publishes short posts under the app's own account. */
import { checkFields, checkText } from '../calls/arguments.ts'
import { invalidArgument } from '../errors.ts'
import { type CallOptions, definePort, type Port } from '../port.ts'
import { longestPost, weightedLength } from './weighted-length.ts'

export { longestPost, weightedLength } from './weighted-length.ts'

export interface SocialPost {
  /** 1 to 280 weighted characters as `weightedLength` counts them, not only white space. Sent as it is. */
  readonly text: string
  /** The id of the post this one answers. */
  readonly inReplyTo?: string
}

export interface PublishedPost {
  /** 1 to 19 digits, as text: too long for a number. */
  readonly id: string
  /** As the service shows it, which may have shortened its links. */
  readonly text: string
}

export interface SocialPublisher {
  /**
   * Publishes a post. There is no key that would make a repetition safe, so it is never repeated by itself;
   * but the same text again is `rejected` with reason `duplicate`, so after an `unknown` outcome a second try
   * that is refused so says that the first was applied. It does not say under which id: the service tells none, and
   * whoever must delete such a post looks for it in the account. Of calls with one text at the same time one is applied.
   * @throws PortError `invalid-argument` for a text that is too long, before any I/O where `weightedLength` knows it;
   * `rejected` with reason `duplicate`, `missing-post` where the post it answers is absent, or `too-many-cashtags` for
   * more than one; `rate-limited` with `retryAfterMs`, for a window or a day; `quota-exceeded` where a plan is used up
   */
  publish(post: SocialPost, options?: CallOptions): Promise<PublishedPost>
  /** `undefined` where absent. */
  get(id: string, options?: CallOptions): Promise<PublishedPost | undefined>
  /** Absent is no error. The same text may be refused as a duplicate even after its post was deleted. */
  delete(id: string, options?: CallOptions): Promise<void>
}

const checkId = (name: string, id: unknown): void => {
  checkText(name, id)
  if (!/^[0-9]{1,19}$/.test(id)) throw invalidArgument(`${name} must be 1 to 19 digits, as text`)
}

function checkPost(post: unknown): void {
  checkFields('post', post, ['text', 'inReplyTo'])
  const { text, inReplyTo } = post as Record<keyof SocialPost, unknown>
  checkText('text', text)
  // Long before any text is this long it has too many characters, whatever its links weigh.
  if (text.length > 100_000) throw invalidArgument(`text is ${text.length} characters long`)
  // The service refuses control characters other than line breaks and tabs, and these non-characters.
  if (/(?![\t\n\r])\p{Cc}|[\ufeff\ufffe\uffff]/u.test(text)) {
    throw invalidArgument('text holds a control character or a byte order mark')
  }
  if (text.trim() === '') throw invalidArgument('text must hold more than white space')
  const length = weightedLength(text)
  if (length > longestPost) {
    throw invalidArgument(`text is ${length} weighted characters long; at most ${longestPost} are possible`)
  }
  if (inReplyTo !== undefined) checkId('inReplyTo', inReplyTo)
}

/** The token of {@link SocialPublisher}. */
export const SocialPublisher: Port<SocialPublisher> = definePort<SocialPublisher>({
  name: 'social-publisher',
  operations: {
    publish: {
      kind: 'call',
      effect: 'write',
      idempotent: false,
      arity: 1,
      check: checkPost,
      subject: ({ inReplyTo }) => inReplyTo,
      copy: ([{ text, inReplyTo }]) => [{ text, ...(inReplyTo !== undefined && { inReplyTo }) }],
      output: ({ id, text }) => ({ id, text }),
    },
    get: {
      kind: 'call',
      effect: 'read',
      idempotent: true,
      arity: 1,
      check: (id) => checkId('id', id),
      subject: (id) => id,
      output: (post) => post && { id: post.id, text: post.text },
    },
    delete: {
      kind: 'call',
      effect: 'write',
      idempotent: true,
      arity: 1,
      check: (id) => checkId('id', id),
      subject: (id) => id,
    },
  },
})
