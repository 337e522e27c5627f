/** What the behaviours of publishers share. */
import type { PublishedPost, SocialPublisher } from '../../src/ports/social-publisher.ts'
import type { Behaviour, BehaviourContext } from '../contract.ts'

/** What a service answers that it should not, or that it says in an unusual way. */
export type OddAnswer =
  | 'a page'
  | 'nothing'
  | 'a list'
  | 'null'
  | 'no post'
  | 'more than anyone would send'
  | 'more than anyone would send, as a failure'
  | 'an id that is a number'
  | 'an id of letters'
  | 'an id with more before it'
  | 'an id with more behind it'
  | 'no text'
  | 'a deletion without content'
  | 'a deletion that is none'
  | 'a deletion without a word on it'
  | 'an absent post in a success'
  | 'a post that may not be seen in a success'
  | 'a refusal of the credentials in a success'
  | 'a failure in a success'
  | 'a problem in a success'
  | 'words in a success'
  | 'a post and a problem beside it'
  | 'a redirection'
  | 'a bad request'
  | 'no such address'
  | 'not implemented'
  | 'an odd refusal'
  | 'a failure'
  | 'a full window'
  | 'a full window without its end'
  | 'a full window with an end that is none'
  | 'a full day of the user'

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
  /** What is asked next is not done; this is answered. There, wherever there is a network. */
  readonly answerNext?: ((answer: OddAnswer) => void) | undefined
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
