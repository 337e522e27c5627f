/** Random mails and conditions of a server, so that two mailers can be compared in what they answer and what arrives. */
import fc from 'fast-check'
import { PortError } from '../src/errors.ts'
import type { Mailer } from '../src/ports/mailer.ts'
import type { MailerInside } from './mailer/samples.ts'

/** One mail, or one thing that the server is told. Plain data: a failure prints it. */
export type MailStep =
  | {
      readonly send: {
        readonly to: readonly string[]
        readonly bcc: readonly string[]
        readonly bytes: number
      }
    }
  | { readonly refuse: string; readonly retryable: boolean }
  | { readonly maxBytes: number }
  | { readonly maxRecipients: number }

/** What the steps are made on. */
export interface MailPlace {
  readonly port: Mailer
  readonly inside: MailerInside
}

const address = fc.constantFrom(
  'ada@example.org',
  'ADA@example.org',
  'bob@example.org',
  'eve@example.net',
  'fay@example.net',
  'no address',
)

/** Sequences of steps. Sizes are well below or well above every limit: what a mail has in headers is each mailer's own. */
export const mailSteps: fc.Arbitrary<readonly MailStep[]> = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        send: fc.record({
          to: fc.array(address, { maxLength: 4 }),
          bcc: fc.array(address, { maxLength: 2 }),
          bytes: fc.constantFrom(0, 10, 50_000),
        }),
      }),
    },
    fc.record({ refuse: address, retryable: fc.boolean() }),
    fc.record({ maxBytes: fc.constantFrom(20_000, 1_000_000) }),
    fc.record({ maxRecipients: fc.constantFrom(1, 2, 1_000) }),
  ),
  { maxLength: 12 },
)

/** Does one step; answers what the caller is told and whom mails have reached so far, in a form that can be compared. */
export async function runMailStep({ port, inside }: MailPlace, step: MailStep): Promise<unknown> {
  if ('refuse' in step) {
    const { refuse, retryable } = step
    return inside.refuse(refuse, { reason: 'so it was told', retryable })
  }
  if ('maxBytes' in step) return inside.limitSize(step.maxBytes)
  if ('maxRecipients' in step) return inside.limitRecipients?.(step.maxRecipients)
  const { to, bcc, bytes } = step.send
  const told = await outcomeOf(
    port.send({
      from: 'shop@example.com',
      to,
      bcc,
      subject: 'Hi',
      text: 'Hi',
      attachments: [{ filename: 'a.bin', content: new Uint8Array(bytes) }],
    }),
  )
  const reached = (await inside.received()).map(({ recipients }) =>
    recipients.map((one) => one.toLowerCase()),
  )
  return { told, reached }
}

async function outcomeOf(call: ReturnType<Mailer['send']>): Promise<unknown> {
  try {
    const { accepted, refused } = await call
    return { accepted, refused: refused.map(({ recipient, retryable }) => ({ recipient, retryable })) }
  } catch (error) {
    if (!PortError.is(error)) throw error
    const { code, reason, outcome, retryable, subject } = error
    return { code, reason, outcome, retryable, subject, of: Object.keys(error.details).toSorted() }
  }
}
