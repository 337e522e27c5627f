/** What the SMTP emulator answers: to the fake's judgements and failures, and to what no mail system takes. */
import type { SMTPServerAddress } from 'smtp-server'
import type { PortError, PortErrorCode } from '../../../src/errors.ts'
import type { RecipientJudgement } from '../../mailer.ts'
import { Reply } from './conversation.ts'

/** What a server answers for the failures that a fault can force. */
const replies: Readonly<Partial<Record<PortErrorCode, string>>> = {
  unauthenticated: '530 5.7.0 authentication required',
  'permission-denied': '550 5.7.1 not permitted',
  rejected: '554 5.6.0 message refused',
  'invalid-argument': '554 5.6.0 message refused',
  'rate-limited': '450 4.7.1 too many messages, slow down',
  'quota-exceeded': '552 5.3.4 message too big',
  unsupported: '504 5.5.4 not implemented',
}
const otherReply = '451 4.3.0 local error in processing'
/** For the business reasons that a fault may give a `rejected`. */
const rejections: ReadonlyMap<string, string> = new Map([
  ['bad-recipient', '550 5.1.1 no such user here'],
  ['sender', '550 5.1.8 sender refused'],
])

const refusals: Readonly<Record<RecipientJudgement['cause'], string>> = {
  refused: '550 5.1.1',
  'refused-for-now': '450 4.2.1',
  greylisted: '450 4.7.1',
  'too-many-recipients': '452 4.5.3',
}

/** The answer to a mail that failed so. */
export function replyTo({ code, reason = '' }: Pick<PortError, 'code' | 'reason'>): Reply {
  return new Reply(rejections.get(reason) ?? replies[code] ?? otherReply)
}

/** The answer to a recipient that was judged so. */
export function refusalOf({ cause, reason }: RecipientJudgement): Reply {
  return new Reply(`${refusals[cause]} ${reason}`)
}

/** What is wrong with MAIL FROM, whoever sends. */
export function badSender(sender: SMTPServerAddress): Reply | undefined {
  return impossible(sender, '5.1.7') ?? unknownParameter(sender, ['SIZE', 'BODY', 'AUTH', 'SMTPUTF8'])
}

/** What is wrong with RCPT TO, whoever receives. */
export function badRecipient(recipient: SMTPServerAddress): Reply | undefined {
  return impossible(recipient, '5.1.3') ?? unknownParameter(recipient, [])
}

/** An address that no mail system has: too long, or with dots where none can be. Quoted local parts are not modelled. */
function impossible({ address }: SMTPServerAddress, enhanced: string): Reply | undefined {
  const local = address.slice(0, Math.max(address.lastIndexOf('@'), 0))
  const isPossible = address.length <= 254 && local.length <= 64 && !/^\.|\.\.|\.$/.test(local)
  return isPossible ? undefined : new Reply(`501 ${enhanced} bad address syntax`)
}

function unknownParameter({ args }: SMTPServerAddress, known: readonly string[]): Reply | undefined {
  const names = Object.keys(args || {})
  return names.every((name) => known.includes(name))
    ? undefined
    : new Reply('555 5.5.4 parameter not recognized')
}
