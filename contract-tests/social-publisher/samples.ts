/** What the behaviours of publishers share. */
import type { PublishedPost, SocialPublisher } from '../../src/ports/social-publisher.ts'
import type { Behaviour, BehaviourContext } from '../contract.ts'

/** The `inside` that this contract can use. */
export interface SocialPublisherInside {
  /** Every post that stands, oldest first. */
  posts(): readonly (PublishedPost & { readonly inReplyTo: string | undefined })[]
  /** How many posts and deletions a rate-limit window takes, and how long it is. */
  readonly publishLimit: number
  readonly deleteLimit: number
  readonly limitWindowMs: number
  /** How many posts 24 hours take. */
  readonly publishLimitPerDay: number
  /** How long a text is a duplicate of one that was published before. */
  readonly duplicateWindowMs: number
  /** How many calls of each operation have reached the service. */
  reached(operation: keyof SocialPublisher): number
}

export type PostBehaviour = Behaviour<SocialPublisher>
export type Context = BehaviourContext<SocialPublisher>

/** An id that no post has. */
export const absentId = '1'

export function inside({ inside: given }: Context): SocialPublisherInside {
  return given as SocialPublisherInside
}

/** The texts that stand, oldest first. */
export function texts(context: Context): readonly string[] {
  return inside(context)
    .posts()
    .map(({ text }) => text)
}

let posts = 0
/** A text that no other call of this run has used: real services remember. */
export function freshText(about = 'Sold out'): string {
  posts += 1
  return `${about} (${posts}, ${Math.random().toString(36).slice(2)})`
}
