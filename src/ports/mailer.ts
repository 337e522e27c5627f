/** Sends mail. */
import { type CallOptions, definePort, type Port } from '../port.ts'
import { addressOf, checkMailMessage, copyMailMessage } from './mail-message.ts'

/**
 * `ada@example.org`, or with a name for people to read. The part of RFC 5321 that mail systems agree on:
 * letters, digits and ``!#$%&'*+-/=?^_`{|}~`` with single dots between, at most 64 characters; then a host name of
 * letters, digits and hyphens; at most 254 characters in all. Quoted local parts, IP literals and letters
 * beyond ASCII are refused: give an international domain in its `xn--` form.
 */
export type MailAddress = string | { readonly address: string; readonly name: string }

export interface MailAttachment {
  /** 1 to 255 bytes in UTF-8, without slashes and control characters. */
  readonly filename: string
  /** A string is sent as UTF-8. Arrives byte for byte, but for mails (`message/rfc822`), whose line ends become CRLF. */
  readonly content: Uint8Array | string
  /** @default by the filename's ending, else 'application/octet-stream' */
  readonly contentType?: string
  /** For `cid:` links in the HTML, without angle brackets; makes the attachment inline. */
  readonly contentId?: string
}

/**
 * A mail. Text may come out with other line ends than it went in: the protocol has only CRLF. White space at the ends of
 * a subject, a name or a header may be lost on the way.
 */
export interface MailMessage {
  readonly from: MailAddress
  /** `to`, `cc` and `bcc` name 1 to 1 000 recipients in all; one that stands there twice gets the mail once. */
  readonly to?: readonly MailAddress[]
  readonly cc?: readonly MailAddress[]
  /** Never shown in a header. */
  readonly bcc?: readonly MailAddress[]
  readonly replyTo?: readonly MailAddress[]
  /** One line, at most 900 bytes in UTF-8; may be empty. */
  readonly subject: string
  /** At least one of `text` and `html`; both make alternatives of one another. */
  readonly text?: string
  readonly html?: string
  /** At most 100. */
  readonly attachments?: readonly MailAttachment[]
  /** Further headers, one line of 1 to 900 bytes each; none of those that the other fields make. */
  readonly headers?: Readonly<Record<string, string>>
  /** `<unique@domain>`; give the same one when repeating a send, so that receivers can drop the second. @default made */
  readonly messageId?: string
}

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
