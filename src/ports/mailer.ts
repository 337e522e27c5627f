/** Sends mail. */
import { type CallOptions, definePort, type Port } from '../port.ts'
import { addressOf, checkMailMessage, copyMailMessage, type MailMessage } from './mail-message.ts'

export type { MailAddress, MailAttachment, MailMessage } from './mail-message.ts'

export interface MailRefusal {
  readonly recipient: string
  /** The server's answer. */
  readonly reason: string
  /** Whether the same recipient may be accepted later (4xx). */
  readonly retryable: boolean
}

export interface MailReceipt {
  /** The one given, or the one made. */
  readonly messageId: string
  /** The addresses the server took the mail for, in the order given: accepted is not delivered. */
  readonly accepted: readonly string[]
  /** The others, each with its reason. */
  readonly refused: readonly MailRefusal[]
}

export interface Mailer {
  /**
   * Hands a mail to the mail system. Resolves once it took the mail for at least one recipient: look at
   * `refused` for the rest. Sent twice it arrives twice, so it is never repeated by itself; where the answer
   * was lost after the mail had been handed over, the outcome is `unknown`.
   * @throws PortError `invalid-argument` for a mail that no server could take, before any I/O; `rejected` with
   * reason `bad-recipient` when every recipient was refused (each under its address in `details`), with
   * reason `content` or `sender` when the mail was; `quota-exceeded` when it is larger than the server takes
   */
  send(message: MailMessage, options?: CallOptions): Promise<MailReceipt>
}

/** The token of {@link Mailer}. The subject of a call is its first recipient. */
export const Mailer: Port<Mailer> = definePort<Mailer>({
  name: 'mailer',
  operations: {
    send: {
      kind: 'call',
      effect: 'write',
      idempotent: false,
      arity: 1,
      check: checkMailMessage,
      subject: ({ to, cc, bcc }) => {
        const first = to?.[0] ?? cc?.[0] ?? bcc?.[0]
        return first === undefined ? undefined : addressOf(first)
      },
      copy: ([message]) => [copyMailMessage(message)],
      output: (receipt) => structuredClone(receipt),
    },
  },
})
