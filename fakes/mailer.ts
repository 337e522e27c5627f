/**
 * Mail that goes nowhere: an outbox to look into, recipients that refuse, a server's size limit, and every fault that
 * a script can force. `emulators/smtp.ts` puts SMTP in front of it.
 */
import { checkFields, checkInteger, checkText, typeName } from '../src/calls/arguments.ts'
import { invalidArgument, PortError } from '../src/errors.ts'
import type { CallOptions } from '../src/port.ts'
import {
  addressOf,
  checkMailMessage,
  copyMailMessage,
  mailLimits,
  mailRecipients,
  mailSize,
  sameAddress,
} from '../src/ports/mail-message.ts'
import { Mailer, type MailMessage, type MailReceipt, type MailRefusal } from '../src/ports/mailer.ts'
import type { FakeContext, FakeFactory } from '../src/services/declare.ts'
import { Fake } from './fake.ts'

/** A mail that was accepted for at least one recipient. */
export interface SentMail {
  readonly messageId: string
  readonly at: Date
  /** As it was sent, with the message id. */
  readonly message: MailMessage
  /** The envelope: who gets it, bcc included. */
  readonly recipients: readonly string[]
  /** Whom the server would not take it for. */
  readonly refused: readonly MailRefusal[]
  /** The bytes that came over the wire; absent where none did. */
  readonly source: Uint8Array | undefined
}

/** How a recipient is refused. */
export interface Refusal {
  /** @default 'no such user here', or 'try again later' where retryable */
  readonly reason?: string
  /** @default false */
  readonly retryable?: boolean
}

/** What an emulator hands over: the envelope may be another than the headers say. */
export interface IncomingMail {
  readonly message: MailMessage
  readonly recipients: readonly string[]
  readonly bytes: number
  readonly source: Uint8Array
}

export class FakeMailer extends Fake<Mailer> implements Mailer {
  #outbox: SentMail[] = []
  #refusals = new Map<string, Required<Refusal>>()
  #maxBytes: number = mailLimits.bytes

  constructor(context: FakeContext = {}) {
    super(Mailer, context)
  }

  /** Every mail accepted so far, oldest first, as copies. */
  get outbox(): readonly SentMail[] {
    return this.#outbox.map(copySent)
  }

  /** The mails that `address` was accepted for, in any case of letters. */
  outboxOf(address: string): readonly SentMail[] {
    return this.outbox.filter(({ recipients }) =>
      recipients.some((recipient) => sameAddress(recipient, address)),
    )
  }

  /** From now on `address` is refused, while other recipients of the same mail are not. */
  refuse(address: string, refusal: Refusal = {}): void {
    checkText('address', address)
    checkFields('refusal', refusal, ['reason', 'retryable'])
    const { retryable = false, reason = retryable ? 'try again later' : 'no such user here' } = refusal
    checkText('reason', reason)
    if (/\p{Cc}/u.test(reason)) throw invalidArgument('a reason is one line')
    if (typeof retryable !== 'boolean') {
      throw invalidArgument(`retryable must be true or false; got ${typeName(retryable)}`)
    }
    this.#refusals.set(address.toLowerCase(), { reason, retryable })
  }

  /** Takes back {@link refuse}. */
  accept(address: string): void {
    this.#refusals.delete(address.toLowerCase())
  }

  /** How `address` is refused at present. */
  refusalOf(address: string): Required<Refusal> | undefined {
    return this.#refusals.get(address.toLowerCase())
  }

  /** The largest mail it takes, in bytes as `mailSize` estimates them; a larger one is `quota-exceeded`. */
  get maxBytes(): number {
    return this.#maxBytes
  }

  /** Sets {@link maxBytes}: what a real server advertises is often less than a port allows. */
  limitSize(maxBytes: number): void {
    checkInteger('maxBytes', maxBytes, { min: 1, max: mailLimits.bytes })
    this.#maxBytes = maxBytes
  }

  /** Puts mails into the outbox as if sent before: no fault hits them and the journal does not show them. */
  seed(...messages: readonly MailMessage[]): void {
    for (const message of messages) checkMailMessage(message)
    for (const message of messages) this.#take(copyMailMessage(message), mailRecipients(message))
  }

  async send(message: MailMessage, _options?: CallOptions): Promise<MailReceipt> {
    if (mailSize(message) > this.#maxBytes) throw tooLarge(this.#maxBytes)
    return this.#take(message, mailRecipients(message))
  }

  /**
   * Takes a mail from an emulator, whose envelope and headers may differ and whose headers may be any.
   * Journal and faults see it as a `send`.
   */
  async receive({ message, recipients, bytes, source }: IncomingMail): Promise<MailReceipt> {
    const signal = new AbortController().signal
    const [subject] = recipients
    const call = { operation: 'send', args: [message], subject, effect: 'write', signal } as const
    const take = async (): Promise<MailReceipt> => {
      if (bytes > this.#maxBytes) throw tooLarge(this.#maxBytes)
      return this.#take(message, recipients, source)
    }
    const receipt = await this.journal.record(call, () => this.faults.apply(call, take))
    return receipt as MailReceipt
  }

  #take(message: MailMessage, recipients: readonly string[], source?: Uint8Array): MailReceipt {
    const refused = recipients.flatMap((recipient): MailRefusal[] => {
      const refusal = this.refusalOf(recipient)
      return refusal === undefined ? [] : [{ recipient, ...refusal }]
    })
    const accepted = recipients.filter((recipient) => this.refusalOf(recipient) === undefined)
    if (accepted.length === 0) throw allRefused(refused)
    const messageId = message.messageId ?? this.#newMessageId(message)
    const mail: SentMail = {
      messageId,
      at: new Date(this.clock.now()),
      message: { ...message, messageId },
      recipients: accepted,
      refused,
      source,
    }
    this.#outbox.push(copySent(mail))
    this.journal.effect(`accepted ${messageId} for ${accepted.length} of ${recipients.length} recipients`)
    return { messageId, accepted, refused }
  }

  #newMessageId({ from }: MailMessage): string {
    const unique = Array.from({ length: 4 }, () => Math.floor(this.random() * 2 ** 32).toString(36)).join('')
    return `<${unique}@${addressOf(from).split('@').at(-1)}>`
  }

  protected clear(): void {
    this.#outbox = []
    this.#refusals.clear()
    this.#maxBytes = mailLimits.bytes
  }
}

/** What `attach` makes it with. */
export const fake: FakeFactory<Mailer, FakeMailer> = {
  port: Mailer,
  create: (context) => new FakeMailer(context),
}

function copySent(mail: SentMail): SentMail {
  return {
    ...mail,
    at: new Date(mail.at),
    message: copyMailMessage(mail.message),
    recipients: [...mail.recipients],
    refused: structuredClone(mail.refused),
    source: mail.source && Uint8Array.from(mail.source),
  }
}

function tooLarge(maxBytes: number): PortError {
  return new PortError({
    code: 'quota-exceeded',
    message: `the mail is larger than the server takes (${maxBytes} bytes); send less, or a link to it`,
    details: { maxBytes: String(maxBytes) },
  })
}

function allRefused(refused: readonly MailRefusal[]): PortError {
  return new PortError({
    code: 'rejected',
    reason: 'bad-recipient',
    message: 'the server refused every recipient; see details for each',
    retryable: refused.every(({ retryable }) => retryable),
    details: Object.fromEntries(refused.map(({ recipient, reason }) => [recipient, reason])),
  })
}
