/** What the behaviours of a mailer share: mails to send, a look at what arrived, and comparisons. */
import assert from 'node:assert/strict'
import { addressOf } from '../../src/ports/mail-message.ts'
import type { MailAddress, Mailer, MailMessage } from '../../src/ports/mailer.ts'
import type { BehaviourContext, OpenSubject } from '../contract.ts'
import { expectPortError } from '../expect.ts'

/** A mail as it reached the mail system. */
export interface ReceivedMail {
  /** The envelope's recipients. */
  readonly recipients: readonly string[]
  /** What its headers and parts say; `bcc` is not looked at. */
  readonly message: MailMessage
  /** The bytes on the wire, where there was a wire. */
  readonly source?: Uint8Array | undefined
}

/** Where in a conversation over SMTP something is forced: see `portside/fakes/emulators/smtp`. */
export type MailStage = 'connect' | 'ehlo' | 'auth' | 'mail' | 'rcpt' | 'data' | 'content' | 'quit'

/** What is forced there, once: a reply, or the end of the connection. */
export type StageReply = { readonly code: number; readonly text: string } | { readonly drop: true }

/** The `inside` that this contract can use. */
export interface MailerInside {
  /** Every mail accepted so far, oldest first. */
  received(): readonly ReceivedMail[] | Promise<readonly ReceivedMail[]>
  /** From now on this recipient is refused. */
  refuse(address: string, refusal: { readonly reason: string; readonly retryable: boolean }): void
  /** From now on the server takes no larger mail. */
  limitSize(maxBytes: number): void
  /** From now on the server takes no more recipients of one mail. Absent where it cannot be told. */
  readonly limitRecipients?: ((maxRecipients: number) => void) | undefined
  /** From now on the first try of a sender and a recipient is refused until `delayMs` have passed. Absent where it has no greylist. */
  readonly greylist?: ((delayMs: number) => void) | undefined
  /** Forces the server's next reply at a stage. Absent where there is no conversation. */
  readonly reply?: ((stage: MailStage, reply: StageReply) => void) | undefined
  /** Says that the subject's place has no such means, so that the behaviour is skipped; {@link mailerMeans} makes it. */
  readonly lacks?: ((means: string) => never) | undefined
}

/** The part of a subject by which a behaviour is skipped, with its reason, where it needs a means that `inside` has not. */
export function mailerMeans(inside: MailerInside): Pick<OpenSubject<Mailer>, 'inside' | 'limitation'> {
  let lacking: string | undefined
  const lacks = (means: string): never => {
    lacking = `it has no ${means}`
    throw new Error(lacking)
  }
  return { inside: { ...inside, lacks } satisfies MailerInside, limitation: () => lacking }
}

type Context = BehaviourContext<Mailer>

export const ada = 'ada@example.org'
export const bob = 'bob@example.org'
export const eve = 'eve@example.net'
export const hello: MailMessage = {
  from: 'shop@example.com',
  to: [ada],
  subject: 'Hello',
  text: 'Hello Ada,\n\nyours',
}

export function inside({ inside: given }: Context): MailerInside {
  return given as MailerInside
}

/** A means that not every subject has. */
export function means<Name extends 'limitRecipients' | 'greylist' | 'reply'>(
  context: Context,
  name: Name,
): NonNullable<MailerInside[Name]> {
  const given = inside(context)
  return given[name] ?? lacking(given, name)
}

/** The bytes of a mail on the wire, one character a byte. */
export function wireOf(context: Context, { source }: ReceivedMail): string {
  return source === undefined ? lacking(inside(context), 'wire') : Buffer.from(source).toString('latin1')
}

function lacking({ lacks }: MailerInside, name: string): never {
  lacks?.(name)
  return assert.fail(
    `the subject has no "${name}": give mailerMeans(…) of its inside, so that this is skipped`,
  )
}

/** Every mail that arrived so far. */
export async function received(context: Context): Promise<readonly ReceivedMail[]> {
  return inside(context).received()
}

/** Sends and answers what arrived. */
export async function delivered(context: Context, message: MailMessage): Promise<ReceivedMail> {
  const before = (await received(context)).length
  await context.port.send(message)
  const all = await received(context)
  assert.equal(all.length, before + 1, 'one mail more')
  const last = all.at(-1)
  assert.ok(last)
  return last
}

/** SMTP has CRLF alone, and a mail ends with a line end whether it was written or not. */
export function sameText(actual: string | undefined, expected: string): void {
  const plain = (text: string): string => text.replace(/\r\n?/g, '\n').replace(/\n+$/, '')
  assert.equal(plain(actual ?? ''), plain(expected))
}

export function sameAddresses(
  actual: readonly MailAddress[] | undefined,
  expected: readonly MailAddress[],
): void {
  const shape = (one: MailAddress): string =>
    JSON.stringify([addressOf(one), typeof one === 'string' ? '' : one.name])
  assert.deepEqual((actual ?? []).map(shape), expected.map(shape))
}

/** Every field of `message` is refused before anything is sent. */
export async function refusesEach(
  context: Context,
  table: readonly (readonly [what: string, fields: Readonly<Record<string, unknown>>])[],
): Promise<void> {
  for (const [what, fields] of table) {
    const message = { ...hello, ...fields } as MailMessage
    await expectPortError(context.port.send(message), 'invalid-argument', { outcome: 'not-applied' }).catch(
      (error: unknown) => assert.fail(`${what}: ${String(error)}`),
    )
  }
  assert.equal((await received(context)).length, 0, 'nothing was sent')
}
