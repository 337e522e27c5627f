/**
 * The body of `POST /2/tweets`, held to X's schema, which is closed: an unknown field is an error, and so is a wrong
 * type, a poll out of bounds or media that are none. What is right and not modelled here is told apart from both.
 */
import type { SocialPost } from '../../../src/ports/social-publisher.ts'
import type { HttpReply } from '../http.ts'
import { invalidRequest, notModelled } from './problems.ts'

/** X's limit is not documented; no valid body comes near this. */
export const maxBodyBytes = 65_536

type Fields = Readonly<Record<string, unknown>>

/** What is wrong with a field; `undefined` where it is right. */
type Check = (value: unknown) => string | undefined

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isId = (value: unknown): boolean => typeof value === 'string' && /^[0-9]{1,19}$/.test(value)

const text: Check = (value) => (typeof value === 'string' ? undefined : 'is not a string')
const flag: Check = (value) => (typeof value === 'boolean' ? undefined : 'is not a boolean')
const id: Check = (value) => (isId(value) ? undefined : 'is not an id of 1 to 19 digits')

const ids =
  (min: number, max: number): Check =>
  (value) => {
    const fits = Array.isArray(value) && value.length >= min && value.length <= max && value.every(isId)
    return fits ? undefined : `is not a list of ${min} to ${max} ids`
  }

const oneOf =
  (...known: readonly string[]): Check =>
  (value) =>
    known.includes(value as string) ? undefined : `is none of ${known.join(', ')}`

const audience = oneOf('following', 'mentionedUsers', 'subscribers', 'verified')

/** An object with these fields and no others; those named in `required` must be there. */
const object =
  (checks: Readonly<Record<string, Check>>, required: readonly string[]): Check =>
  (value) => {
    if (!isFields(value)) return 'is not an object'
    const absent = required.find((name) => value[name] === undefined)
    if (absent !== undefined) return `has no ${absent}`
    for (const [name, each] of Object.entries(value)) {
      const check = Object.hasOwn(checks, name) ? checks[name] : undefined
      const wrong = check === undefined ? 'is not allowed' : check(each)
      if (wrong !== undefined) return `.${name} ${wrong}`
    }
    return undefined
  }

const pollOptions: Check = (value) => {
  const fits =
    Array.isArray(value) &&
    value.length >= 2 &&
    value.length <= 4 &&
    value.every((option) => typeof option === 'string' && option.length >= 1 && option.length <= 25)
  return fits ? undefined : 'is not a list of 2 to 4 texts of 1 to 25 characters'
}

const minutes: Check = (value) =>
  Number.isInteger(value) && (value as number) >= 5 && (value as number) <= 10_080
    ? undefined
    : 'is not a number of minutes from 5 to 10080'

const reply = object(
  { in_reply_to_tweet_id: id, exclude_reply_user_ids: ids(0, 10), auto_populate_reply_metadata: flag },
  ['in_reply_to_tweet_id'],
)

/** Every field of the schema. */
const fields: Readonly<Record<string, Check>> = {
  text,
  reply,
  poll: object({ options: pollOptions, duration_minutes: minutes, reply_settings: audience }, [
    'options',
    'duration_minutes',
  ]),
  media: object({ media_ids: ids(1, 4), tagged_user_ids: ids(0, 10) }, ['media_ids']),
  quote_tweet_id: id,
  geo: object({ place_id: text }, []),
  card_uri: text,
  community_id: id,
  direct_message_deep_link: text,
  edit_options: object({ previous_post_id: id }, ['previous_post_id']),
  for_super_followers_only: flag,
  made_with_ai: flag,
  nullcast: flag,
  paid_partnership: flag,
  reply_settings: audience,
  share_with_followers: flag,
}

/** What may not stand beside what. */
const exclusive = ['card_uri', 'direct_message_deep_link', 'media', 'poll', 'quote_tweet_id']

/** The post that a body asks for, or the answer to a body that asks for none. */
export function readPost(body: Uint8Array): { readonly post: SocialPost } | { readonly reply: HttpReply } {
  const given = parse(body)
  if (!isFields(given)) return refuse('the body is not a JSON object', {})
  for (const [name, value] of Object.entries(given)) {
    const check = Object.hasOwn(fields, name) ? fields[name] : undefined
    const wrong = check === undefined ? 'is not allowed' : check(value)
    if (wrong !== undefined) {
      const shown = typeof value === 'string' ? value.slice(0, 100) : typeof value
      return refuse(`$.${name}${wrong.startsWith('.') ? '' : ' '}${wrong}`, { [name.slice(0, 100)]: shown })
    }
  }
  const together = exclusive.filter((name) => given[name] !== undefined)
  if (together.length > 1) return refuse(`${together.join(' and ')} exclude each other`, {})
  const extra = Object.keys(given).find((name) => name !== 'text' && name !== 'reply')
  if (extra !== undefined) return { reply: notModelled(`the field "${extra}" of a post`) }
  if (given.text === undefined) return refuse('a post needs a text, media, a poll or a card', {})
  const { in_reply_to_tweet_id: inReplyTo, ...others } = (given.reply ?? {}) as Fields
  const [other] = Object.keys(others)
  if (other !== undefined) return { reply: notModelled(`the field "reply.${other}" of a post`) }
  const post = { text: given.text as string }
  return { post: inReplyTo === undefined ? post : { ...post, inReplyTo: inReplyTo as string } }
}

function refuse(
  message: string,
  parameters: Readonly<Record<string, string>>,
): { readonly reply: HttpReply } {
  return { reply: invalidRequest(message, parameters) }
}

/** `undefined` where it is no JSON in UTF-8. */
function parse(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch {
    return undefined
  }
}
