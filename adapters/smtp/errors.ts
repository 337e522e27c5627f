/**
 * What the errors of nodemailer's SMTP client mean. A reply of the server says what became of the mail: refused, so
 * not applied. A connection that was lost says it only where the mail had not been handed over yet.
 *
 * Replies: RFC 5321 §4.2.3; enhanced codes: RFC 3463; size: RFC 1870; authentication: RFC 4954.
 */
import type { Classification } from '../../src/adapter.ts'

/** How far a mail had come when its sending failed. */
export interface HandOver {
  /** Whether all of the mail had been written towards the server, so that it may have accepted it. */
  readonly contentSent: boolean
}

/** The fields by which nodemailer tells its errors apart. */
interface SmtpError extends Error {
  readonly code?: string
  readonly command?: string
  readonly response?: string
  readonly responseCode?: number
  readonly originalCode?: string
}

// A certificate that does not hold comes as a failure of the socket, with the code that TLS gave it.
const noTls = /^(ERR_TLS_|ERR_SSL_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MISMATCH)/

/** RFC 4954 §6: a server may answer so at any stage, where its policy wants who is there to be known first. */
const aboutCredentials: ReadonlySet<number> = new Set([530, 534, 535, 538])

/** Replies that say the client itself talks wrongly (RFC 5321 §4.2.2): a fault of nodemailer's or of this adapter. */
const badCommand: ReadonlySet<number> = new Set([500, 501, 503])

/** A refusal that may be another at the next try: 4xx, and 552 to a recipient (RFC 5321 §4.5.3.1.10). */
export function isRetryableRefusal(responseCode: number | undefined): boolean {
  return responseCode !== undefined && (responseCode < 500 || responseCode === 552)
}

/** Pure; `undefined` for an error that is none of nodemailer's. */
export function classifySmtpError(
  error: unknown,
  { contentSent }: HandOver = { contentSent: false },
): Classification | undefined {
  if (!(error instanceof Error)) return undefined
  const smtp = error as SmtpError
  if (typeof smtp.code !== 'string') return undefined
  const isTls = smtp.code === 'ETLS' || smtp.code === 'EREQUIRETLS' || noTls.test(smtp.originalCode ?? '')
  if (isTls) return tlsFailure(smtp)
  if (typeof smtp.responseCode === 'number') return reply(smtp, smtp.responseCode)
  const outcome = contentSent ? 'unknown' : 'not-applied'
  switch (smtp.code) {
    case 'EABORT':
      return { code: 'cancelled', message: 'sending was aborted', outcome }
    case 'EDNS':
      return { code: 'unavailable', message: 'the mail server has no address', outcome: 'not-applied' }
    case 'ECONNECTION':
    case 'ESOCKET':
    case 'ETIMEDOUT':
      return {
        code: 'unavailable',
        message: contentSent
          ? 'the connection was lost before the mail server said whether it took the mail'
          : `the mail server cannot be reached (${smtp.originalCode ?? smtp.code})`,
        outcome,
      }
    case 'EPROTOCOL':
      return { code: 'unavailable', message: 'the server does not speak SMTP as expected', outcome }
    case 'EAUTH':
    case 'ENOAUTH':
    case 'EOAUTH2':
      return { code: 'unauthenticated', message: 'the credentials cannot be used with this server' }
    case 'EMESSAGE':
      return {
        code: 'quota-exceeded',
        message: 'the mail is larger than the server says it takes; send less, or a link to it',
      }
    case 'EENVELOPE':
    case 'EMAXRECIPIENTS':
      return { code: 'invalid-argument', message: 'the mail client refuses the addresses' }
    default:
      return undefined
  }
}

function tlsFailure({ responseCode, originalCode }: SmtpError): Classification {
  return {
    code: 'unavailable',
    message: `no TLS could be agreed with the mail server${originalCode === undefined ? '' : ` (${originalCode})`}`,
    outcome: 'not-applied',
    retryable: isRetryableRefusal(responseCode),
  }
}

function reply({ code, command = '', response = '' }: SmtpError, responseCode: number): Classification {
  const enhanced = /^\d{3}[ -]([245]\.\d{1,3}\.\d{1,3})\b/.exec(response)?.[1] ?? ''
  const message = `the mail server answered ${printable(response)}`
  const refused = { message, outcome: 'not-applied' } as const
  if (responseCode === 530 && /\btls|starttls/i.test(response)) {
    return { ...refused, code: 'unavailable', retryable: false }
  }
  if (aboutCredentials.has(responseCode)) return { ...refused, code: 'unauthenticated' }
  if (code === 'EAUTH' || command.startsWith('AUTH')) {
    // 454 is the server's own trouble; every other refusal is the credentials'.
    return { ...refused, code: responseCode < 500 ? 'unavailable' : 'unauthenticated' }
  }
  // Too big is for good, even from servers that say it with another reply than 552 (RFC 3463: x.3.4).
  if (enhanced === '5.3.4' || responseCode === 552) return { ...refused, code: 'quota-exceeded' }
  if (responseCode < 400) return { ...refused, code: 'unavailable', outcome: 'unknown' }
  if (responseCode < 500) {
    // Policy (greylisting, too many mails) and too many recipients: come back later, not at once.
    const slowDown = enhanced.startsWith('4.7.') || enhanced === '4.5.3'
    return { ...refused, code: slowDown ? 'rate-limited' : 'unavailable' }
  }
  if (responseCode === 502 || responseCode === 504 || responseCode === 555) {
    return { ...refused, code: 'unsupported' }
  }
  // What the enhanced code says holds at any stage: a server may judge sender and recipients only at the end.
  if (enhanced.startsWith('5.7.')) return { ...refused, code: 'permission-denied' }
  if (command === 'MAIL FROM' || enhanced === '5.1.7' || enhanced === '5.1.8') {
    return { ...refused, code: 'rejected', reason: 'sender' }
  }
  if (command === 'RCPT TO' || enhanced.startsWith('5.1.')) {
    return { ...refused, code: 'rejected', reason: 'bad-recipient' }
  }
  if (command === 'DATA') return { ...refused, code: 'rejected', reason: 'content' }
  // 521 or 554 in place of a greeting, 550 to EHLO: this server does not talk to this client.
  return { ...refused, code: badCommand.has(responseCode) ? 'internal' : 'permission-denied' }
}

/** A server's reply as one line of reasonable length. */
export function printable(response: string): string {
  return response.replace(/\p{Cc}+/gu, ' ').slice(0, 200)
}
