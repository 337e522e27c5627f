/** Sends mail. */
import type { CallOptions } from '../port.ts'

/** `ada@example.org`, or with a name for people to read. */
export type MailAddress = string | { readonly address: string; readonly name: string }

export interface MailAttachment {
  readonly filename: string
  readonly content: Uint8Array | string
  /** @default by the filename's ending, else 'application/octet-stream' */
  readonly contentType?: string
  /** For `cid:` links in the HTML; makes the attachment inline. */
  readonly contentId?: string
}

export interface MailMessage {
  readonly from: MailAddress
  readonly to?: readonly MailAddress[]
  readonly cc?: readonly MailAddress[]
  readonly bcc?: readonly MailAddress[]
  readonly replyTo?: readonly MailAddress[]
  readonly subject: string
  readonly text?: string
  readonly html?: string
  readonly attachments?: readonly MailAttachment[]
  /** Further headers; none of those that the other fields make. */
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
  readonly messageId: string
  /** The addresses the server took the mail for: accepted is not delivered. */
  readonly accepted: readonly string[]
  readonly refused: readonly MailRefusal[]
}

export interface Mailer {
  /** At least one recipient accepted resolves; all refused is `rejected` with reason `bad-recipient`. */
  send(message: MailMessage, options?: CallOptions): Promise<MailReceipt>
}
