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
  /** The envelope's sender; '' for a mail that no one is to answer. */
  readonly from: string
  readonly recipients: readonly string[]
  readonly bytes: number
  readonly source: Uint8Array
  /** The address that the mail came from. */
  readonly client: string
}

/** One recipient of a mail that is about to be sent. */
export interface RecipientTry {
  readonly recipient: string
  /** The envelope's sender. */
  readonly from: string
  /** Who sends, as far as the server knows. @default '', which is this process */
  readonly client?: string
  /** The recipients of the same mail that were accepted before. @default none */
  readonly accepted?: readonly string[]
}

/** Why a recipient is not taken. */
export interface RecipientJudgement {
  readonly cause: 'refused' | 'refused-for-now' | 'greylisted' | 'too-many-recipients'
  readonly reason: string
  readonly retryable: boolean
}

/** The state as it is saved. */
interface SavedMailer {
  readonly outbox: readonly SentMail[]
  readonly refusals: readonly (readonly [address: string, refusal: Required<Refusal>])[]
  readonly maxBytes: number
  readonly maxRecipients: number
  readonly greylistMs: number
  readonly firstTries: readonly (readonly [triple: string, atMs: number])[]
}

export class FakeMailer extends Fake<Mailer> implements Mailer {
  #outbox: SentMail[] = []
  #refusals = new Map<string, Required<Refusal>>()
  #maxBytes: number = mailLimits.bytes
  #maxRecipients: number = mailLimits.recipients
  #greylistMs = 0
  /** When each client, sender and recipient was first seen together. */
  #firstTries = new Map<string, number>()

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

  /** Every address that is refused at present, in lower case, and how. */
  get refusals(): ReadonlyMap<string, Required<Refusal>> {
    return new Map([...this.#refusals].map(([address, refusal]) => [address, { ...refusal }]))
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

  /** How many recipients of one mail it takes; those beyond are refused for now. */
  get maxRecipients(): number {
    return this.#maxRecipients
  }

  /** Sets {@link maxRecipients}: many servers take 100 of one mail (RFC 5321 §4.5.3.1.8). */
  limitRecipients(maxRecipients: number): void {
    checkInteger('maxRecipients', maxRecipients, { min: 1, max: mailLimits.recipients })
    this.#maxRecipients = maxRecipients
  }

  /**
   * From now on the first try of each client, sender and recipient is refused for now, and each further one until
   * `delayMs` after that has passed on the fake's clock. 0 ends it.
   */
  greylist(delayMs: number): void {
    checkInteger('delayMs', delayMs, { min: 0 })
    this.#greylistMs = delayMs
    this.#firstTries.clear()
  }

  /** Why a recipient of a mail is not taken now; `undefined` where it is. Counts as a try for the greylist. */
  judge({ recipient, from, client = '', accepted = [] }: RecipientTry): RecipientJudgement | undefined {
    const refusal = this.refusalOf(recipient)
    if (refusal !== undefined) {
      return { cause: refusal.retryable ? 'refused-for-now' : 'refused', ...refusal }
    }
    // One that is repeated is no further one.
    const others = accepted.filter((address) => !sameAddress(address, recipient))
    if (others.length >= this.#maxRecipients) {
      return { cause: 'too-many-recipients', reason: 'too many recipients', retryable: true }
    }
    const leftMs = this.#greylistedMs([client, from, recipient].join(' ').toLowerCase())
    if (leftMs <= 0) return undefined
    const reason = `greylisted, try again in ${Math.ceil(leftMs / 1_000)} seconds`
    return { cause: 'greylisted', reason, retryable: true }
  }

  #greylistedMs(triple: string): number {
    if (this.#greylistMs === 0) return 0
    const now = this.clock.now()
    const first = this.#firstTries.get(triple) ?? now
    this.#firstTries.set(triple, first)
    return first + this.#greylistMs - now
  }

  /** Puts mails into the outbox as if sent before: no fault and no refusal hits them and the journal does not show them. */
  seed(...messages: readonly MailMessage[]): void {
    for (const message of messages) checkMailMessage(message)
    for (const message of messages) this.#keep(message, { accepted: mailRecipients(message), refused: [] })
  }

  async send(message: MailMessage, _options?: CallOptions): Promise<MailReceipt> {
    if (mailSize(message) > this.#maxBytes) throw tooLarge(this.#maxBytes)
    return this.#take(message, { from: addressOf(message.from), recipients: mailRecipients(message) })
  }

  /**
   * Takes a mail from an emulator, whose envelope and headers may differ and whose headers may be any.
   * Journal and faults see it as a `send`.
   */
  async receive({ message, recipients, bytes, ...way }: IncomingMail): Promise<MailReceipt> {
    const signal = new AbortController().signal
    const [subject] = recipients
    const call = { operation: 'send', args: [message], subject, effect: 'write', signal } as const
    const take = async (): Promise<MailReceipt> => {
      if (bytes > this.#maxBytes) throw tooLarge(this.#maxBytes)
      return this.#take(message, { recipients, ...way })
    }
    const receipt = await this.journal.record(call, () => this.faults.apply(call, take))
    return receipt as MailReceipt
  }

  #take(
    message: MailMessage,
    { from, recipients, client, source }: Pick<IncomingMail, 'from' | 'recipients'> & Partial<IncomingMail>,
  ): MailReceipt {
    const accepted: string[] = []
    const refused: MailRefusal[] = []
    for (const recipient of recipients) {
      const judgement = this.judge({ recipient, from, accepted, ...(client !== undefined && { client }) })
      if (judgement === undefined) accepted.push(recipient)
      else refused.push({ recipient, reason: judgement.reason, retryable: judgement.retryable })
    }
    if (accepted.length === 0) throw allRefused(refused)
    const messageId = this.#keep(message, { accepted, refused, source })
    this.journal.effect(`accepted ${messageId} for ${accepted.length} of ${recipients.length} recipients`)
    return { messageId, accepted, refused }
  }

  #keep(
    message: MailMessage,
    {
      accepted,
      refused,
      source,
    }: Omit<MailReceipt, 'messageId'> & { readonly source?: Uint8Array | undefined },
  ): string {
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
    return messageId
  }

  #newMessageId({ from }: MailMessage): string {
    const unique = Array.from({ length: 4 }, () => Math.floor(this.random() * 2 ** 32).toString(36)).join('')
    return `<${unique}@${addressOf(from).split('@').at(-1)}>`
  }

  protected override dump(): SavedMailer {
    return {
      outbox: this.#outbox,
      refusals: [...this.#refusals],
      maxBytes: this.#maxBytes,
      maxRecipients: this.#maxRecipients,
      greylistMs: this.#greylistMs,
      firstTries: [...this.#firstTries],
    }
  }

  protected override restore(state: SavedMailer): void {
    const { maxBytes, maxRecipients, greylistMs } = state
    checkInteger('maxBytes', maxBytes, { min: 1 })
    checkInteger('maxRecipients', maxRecipients, { min: 1 })
    checkInteger('greylistMs', greylistMs, { min: 0 })
    const outbox = state.outbox.map(copySent)
    const [refusals, firstTries] = [new Map(state.refusals), new Map(state.firstTries)]
    this.#outbox = outbox
    this.#refusals = refusals
    this.#maxBytes = maxBytes
    this.#maxRecipients = maxRecipients
    this.#greylistMs = greylistMs
    this.#firstTries = firstTries
  }

  protected clear(): void {
    this.#outbox = []
    this.#refusals.clear()
    this.#maxBytes = mailLimits.bytes
    this.#maxRecipients = mailLimits.recipients
    this.#greylistMs = 0
    this.#firstTries.clear()
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
