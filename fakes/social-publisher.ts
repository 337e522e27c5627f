/**
 * A social network that no one reads: it keeps posts, refuses duplicates, counts its rate limits on the fake's clock and
 * gives ids as X does. `emulators/x.ts` puts X's HTTP API in front of it.
 */
import { checkFields, checkInteger } from '../src/calls/arguments.ts'
import { PortError } from '../src/errors.ts'
import type { CallOptions } from '../src/port.ts'
import { type PublishedPost, type SocialPost, SocialPublisher } from '../src/ports/social-publisher.ts'
import type { FakeContext, FakeFactory } from '../src/services/declare.ts'
import { Fake } from './fake.ts'

export interface FakeSocialPublisherOptions {
  /**
   * How long the same text is a duplicate, also after its post was deleted, in milliseconds. X does not say how
   * long; a day is a guess that is long enough for any retry. @default 86 400 000
   */
  readonly duplicateWindowMs?: number
  /** Posts a window, as X documents for one user. @default 100 */
  readonly publishLimit?: number
  /** Posts in 24 hours, as X documents for one app; they begin with the first post. @default 10 000 */
  readonly publishLimitPerDay?: number
  /** Deletions a window, as X documents for one user. @default 50 */
  readonly deleteLimit?: number
  /** The length of a rate-limit window, which begins with its first call, in milliseconds. @default 900 000 */
  readonly limitWindowMs?: number
}

/** A post as it is kept. */
export interface StoredPost extends PublishedPost {
  readonly inReplyTo: string | undefined
  readonly at: Date
}

/** Where one operation's rate limit stands. */
export interface RateLimit {
  readonly limit: number
  readonly remaining: number
  readonly resetAt: Date
}

/** What has a limit: `publish` and `delete` a window each, and `publishPerDay`, the app's own, 24 hours. */
export type Limited = 'publish' | 'delete' | 'publishPerDay'

/** The state as it is saved. */
interface SavedPublisher {
  readonly posts: readonly StoredPost[]
  readonly published: readonly (readonly [key: string, atMs: number])[]
  readonly windows: readonly (readonly [Limited, { readonly resetAtMs: number; used: number }])[]
  readonly lastId: bigint
}

// Milliseconds between the Unix epoch and that of X's ids (2010-11-04T01:42:54.657Z).
const idEpochMs = 1_288_834_974_657n
const dayMs = 86_400_000
const defaults = {
  duplicateWindowMs: dayMs,
  publishLimit: 100,
  publishLimitPerDay: 10_000,
  deleteLimit: 50,
  limitWindowMs: 900_000,
}
const limits = {
  publish: 'publishLimit',
  delete: 'deleteLimit',
  publishPerDay: 'publishLimitPerDay',
} as const

/** `$` and a ticker of letters, on its own. X takes one a post. */
const cashtag = /(?<![^\s])\$[a-z]{1,6}(?:[._][a-z]{1,2})?(?![\p{L}\p{N}_$])/giu

export class FakeSocialPublisher extends Fake<SocialPublisher> implements SocialPublisher {
  readonly #options: Required<FakeSocialPublisherOptions>
  #posts = new Map<string, StoredPost>()
  /** When each text was last published. Outlives the post. */
  #published = new Map<string, number>()
  #windows = new Map<Limited, { readonly resetAtMs: number; used: number }>()
  #lastId = 0n

  /** @throws PortError `invalid-argument` for an unknown option, or one that is no whole number from 0 (limits from 1) */
  constructor(context: FakeContext = {}, options: FakeSocialPublisherOptions = {}) {
    super(SocialPublisher, context)
    checkFields('options', options, Object.keys(defaults))
    this.#options = { ...defaults, ...options }
    checkInteger('duplicateWindowMs', this.#options.duplicateWindowMs, { min: 0 })
    checkInteger('publishLimit', this.#options.publishLimit, { min: 1 })
    checkInteger('publishLimitPerDay', this.#options.publishLimitPerDay, { min: 1 })
    checkInteger('deleteLimit', this.#options.deleteLimit, { min: 1 })
    checkInteger('limitWindowMs', this.#options.limitWindowMs, { min: 1 })
  }

  /** Every post that stands, oldest first, as copies. */
  get posts(): readonly StoredPost[] {
    return [...this.#posts.values()].map((post) => ({ ...post, at: new Date(post.at) }))
  }

  /** Where a rate limit stands now. */
  rateLimit(limited: Limited): RateLimit {
    const { resetAtMs, used } = this.#window(limited)
    const limit = this.#options[limits[limited]]
    return { limit, remaining: Math.max(0, limit - used), resetAt: new Date(resetAtMs) }
  }

  /** Puts posts there as if published before: no fault or limit hits them and the journal does not show them. */
  seed(...posts: readonly SocialPost[]): readonly PublishedPost[] {
    return posts.map((post) => {
      SocialPublisher.operations.publish.check?.(post, {})
      return this.#add(post)
    })
  }

  async publish(post: SocialPost, _options?: CallOptions): Promise<PublishedPost> {
    this.#use('publish', 'publishPerDay')
    if (post.inReplyTo !== undefined && !this.#posts.has(post.inReplyTo)) {
      throw new PortError({
        code: 'rejected',
        reason: 'missing-post',
        message: 'the post it answers is deleted or was never there',
      })
    }
    if ((post.text.match(cashtag)?.length ?? 0) > 1) {
      throw new PortError({
        code: 'rejected',
        reason: 'too-many-cashtags',
        message: 'a post takes one cashtag at most',
      })
    }
    const before = this.#published.get(duplicateKey(post))
    if (before !== undefined && this.clock.now() - before < this.#options.duplicateWindowMs) {
      throw new PortError({
        code: 'rejected',
        reason: 'duplicate',
        message: 'the same text was published before',
      })
    }
    const published = this.#add(post)
    this.journal.effect(`published ${published.id}`)
    return published
  }

  async get(id: string, _options?: CallOptions): Promise<PublishedPost | undefined> {
    return this.#posts.get(id)
  }

  async delete(id: string, _options?: CallOptions): Promise<void> {
    this.#use('delete')
    if (this.#posts.delete(id)) this.journal.effect(`deleted ${id}`)
  }

  #add(post: SocialPost): PublishedPost {
    const id = this.#newId()
    const at = new Date(this.clock.now())
    this.#posts.set(id, { id, text: post.text, inReplyTo: post.inReplyTo, at })
    this.#published.set(duplicateKey(post), at.getTime())
    return { id, text: post.text }
  }

  /** As X's: milliseconds, then a sequence; never one that was given before, whatever the clock does. */
  #newId(): string {
    const time = BigInt(Math.floor(this.clock.now())) - idEpochMs
    const next = (time > 0n ? time : 1n) << 22n
    this.#lastId = next > this.#lastId ? next : this.#lastId + 1n
    return String(this.#lastId)
  }

  /** Counts a call against each of these limits, or against none where one is reached. */
  #use(...limited: readonly Limited[]): void {
    const windows = limited.map((each) => ({
      window: this.#window(each),
      limit: this.#options[limits[each]],
    }))
    const reached = windows.filter(({ window, limit }) => window.used >= limit)
    if (reached.length > 0) {
      throw new PortError({
        code: 'rate-limited',
        message: 'too many calls in this window',
        retryAfterMs: Math.max(...reached.map(({ window }) => window.resetAtMs)) - this.clock.now(),
      })
    }
    for (const { window } of windows) window.used += 1
  }

  #window(limited: Limited): { readonly resetAtMs: number; used: number } {
    const now = this.clock.now()
    const current = this.#windows.get(limited)
    if (current !== undefined && now < current.resetAtMs) return current
    const lengthMs = limited === 'publishPerDay' ? dayMs : this.#options.limitWindowMs
    // Whole seconds, as the header that tells them.
    const resetAtMs = Math.ceil((now + lengthMs) / 1_000) * 1_000
    const window = { resetAtMs, used: 0 }
    this.#windows.set(limited, window)
    return window
  }

  protected override dump(): SavedPublisher {
    return {
      posts: [...this.#posts.values()],
      published: [...this.#published],
      windows: [...this.#windows].map(([operation, window]) => [operation, { ...window }]),
      lastId: this.#lastId,
    }
  }

  protected override restore({ posts, published, windows, lastId }: SavedPublisher): void {
    const [byId, texts, limits] = [new Map<string, StoredPost>(), new Map(published), new Map(windows)]
    for (const { id, text, inReplyTo, at } of posts) byId.set(id, { id, text, inReplyTo, at: new Date(at) })
    const newest = BigInt(lastId)
    this.#posts = byId
    this.#published = texts
    this.#windows = limits
    // Never back: an id that was given is not given again.
    if (newest > this.#lastId) this.#lastId = newest
  }

  protected clear(): void {
    this.#posts.clear()
    this.#published.clear()
    this.#windows.clear()
  }
}

/** What `attach` makes it with. */
export const fake: FakeFactory<SocialPublisher, FakeSocialPublisher> = {
  port: SocialPublisher,
  create: (context) => new FakeSocialPublisher(context),
}

/** What makes two posts the same: the text in one normal form, and the post that is answered. */
function duplicateKey({ text, inReplyTo = '' }: SocialPost): string {
  return `${inReplyTo} ${text.normalize('NFC').trim()}`
}
