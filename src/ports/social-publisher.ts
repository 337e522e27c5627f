/** Publishes short posts under the app's own account. */
import type { CallOptions } from '../port.ts'

export interface SocialPost {
  /** 1 to 280 weighted characters. */
  readonly text: string
  /** The id of the post this one answers. */
  readonly inReplyTo?: string
}

export interface PublishedPost {
  /** Digits, as text: too long for a number. */
  readonly id: string
  readonly text: string
}

export interface SocialPublisher {
  /** The same text again is `rejected` with reason `duplicate`: after an `unknown` outcome that says it was applied. */
  publish(post: SocialPost, options?: CallOptions): Promise<PublishedPost>
  /** `undefined` where absent. */
  get(id: string, options?: CallOptions): Promise<PublishedPost | undefined>
  /** Absent is no error. */
  delete(id: string, options?: CallOptions): Promise<void>
}
