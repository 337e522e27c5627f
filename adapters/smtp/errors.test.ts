import { describe, expect, test } from 'vitest'
import { classifySmtpError, isRetryableRefusal } from './errors.ts'

/** An error as nodemailer makes it. */
function smtpError(code: string, command?: string, response?: string, more: object = {}): Error {
  const responseCode = response === undefined ? undefined : Number(response.slice(0, 3))
  return Object.assign(new Error(response ?? code), { code, command, response, responseCode, ...more })
}

describe('a reply of the server', () => {
  test.each([
    ['EAUTH', 'AUTH PLAIN', '535 5.7.8 Authentication credentials invalid', 'unauthenticated', undefined],
    ['EAUTH', 'AUTH LOGIN', '534 5.7.9 Application-specific password required', 'unauthenticated', undefined],
    ['EAUTH', 'AUTH PLAIN', '454 4.7.0 Temporary authentication failure', 'unavailable', undefined],
    ['EENVELOPE', 'MAIL FROM', '421 4.3.2 Service shutting down', 'unavailable', undefined],
    ['EENVELOPE', 'MAIL FROM', '421 4.7.28 Too many messages from this address', 'rate-limited', undefined],
    ['EENVELOPE', 'MAIL FROM', '451 4.3.0 Local error', 'unavailable', undefined],
    ['EENVELOPE', 'MAIL FROM', '452 4.3.1 Insufficient system storage', 'unavailable', undefined],
    ['EENVELOPE', 'MAIL FROM', '452 4.5.3 Too many recipients', 'rate-limited', undefined],
    ['EENVELOPE', 'MAIL FROM', '552 5.3.4 Message size exceeds fixed limit', 'quota-exceeded', undefined],
    ['EENVELOPE', 'MAIL FROM', '550 5.7.1 Not allowed to send as this', 'permission-denied', undefined],
    ['EENVELOPE', 'MAIL FROM', '553 5.1.8 Domain of sender does not exist', 'rejected', 'sender'],
    ['EENVELOPE', 'MAIL FROM', '501 Bad sender', 'rejected', 'sender'],
    ['EENVELOPE', 'MAIL FROM', '555 Parameters not recognized', 'unsupported', undefined],
    ['EENVELOPE', 'RCPT TO', '450 4.7.1 Greylisted, try again in 300 seconds', 'rate-limited', undefined],
    ['EENVELOPE', 'RCPT TO', '550 5.1.1 No such user', 'rejected', 'bad-recipient'],
    ['EENVELOPE', 'DATA', '554 No valid recipients', 'rejected', 'content'],
    ['EMESSAGE', 'DATA', '554 5.6.0 Message refused', 'rejected', 'content'],
    ['EMESSAGE', 'DATA', '550 5.1.1 No such user', 'rejected', 'bad-recipient'],
    ['EMESSAGE', 'DATA', '550 5.7.1 Refused by policy', 'permission-denied', undefined],
    ['EMESSAGE', 'DATA', '552 Message too big', 'quota-exceeded', undefined],
    ['EMESSAGE', 'DATA', '554 5.3.4 Message too big', 'quota-exceeded', undefined],
    ['EMESSAGE', 'DATA', '450 Try again', 'unavailable', undefined],
    ['EPROTOCOL', 'CONN', '554 No SMTP service here', 'permission-denied', undefined],
    ['EPROTOCOL', 'CONN', '521 5.3.2 This machine takes no mail', 'permission-denied', undefined],
    ['EPROTOCOL', 'CONN', '421 4.3.2 Shutting down', 'unavailable', undefined],
    ['EPROTOCOL', 'EHLO', '535 5.7.8 Authentication credentials invalid', 'unauthenticated', undefined],
    ['EPROTOCOL', 'EHLO', '534 5.7.9 Mechanism too weak', 'unauthenticated', undefined],
    ['EENVELOPE', 'MAIL FROM', '530 5.7.0 Authentication required', 'unauthenticated', undefined],
    ['EENVELOPE', 'MAIL FROM', '530 5.7.0 Must issue a STARTTLS command first', 'unavailable', undefined],
    ['EENVELOPE', 'MAIL FROM', '452 4.3.1 Mail system full', 'unavailable', undefined],
    ['EPROTOCOL', 'EHLO', '502 Command not implemented', 'unsupported', undefined],
    ['EPROTOCOL', 'EHLO', '503 Bad sequence', 'internal', undefined],
  ])('%s at %s: %s is %s %s, not applied', (code, command, response, expected, reason) => {
    // Also where all of the mail had been sent: the server says that it did not take it.
    for (const contentSent of [false, true]) {
      const classified = classifySmtpError(smtpError(code, command, response), { contentSent })
      expect(classified).toMatchObject({ code: expected, outcome: 'not-applied' })
      expect(classified?.reason).toBe(reason)
      expect(classified?.message).toContain(response.slice(0, 3))
    }
  })

  test('that is long and of several lines becomes one short line', () => {
    const response = `550-5.7.1 first\n550 5.7.1 ${'x'.repeat(5_000)}`
    const message = classifySmtpError(smtpError('EMESSAGE', 'DATA', response))?.message ?? ''
    expect(message.length).toBeLessThan(260)
    expect(message).not.toContain('\n')
  })

  test('is internal only where it says that the client talks wrongly, whatever the stage', () => {
    const at = ['CONN', 'EHLO', 'AUTH PLAIN', 'MAIL FROM', 'RCPT TO', 'DATA', 'API']
    for (let code = 400; code < 600; code += 1) {
      for (const command of at) {
        const classified = classifySmtpError(smtpError('EPROTOCOL', command, `${code} no`))
        expect(classified?.outcome).toBe('not-applied')
        if (classified?.code === 'internal') expect([500, 501, 503]).toContain(code)
      }
    }
  })

  test('that wants TLS first is not helped by trying again', () => {
    const response = '530 5.7.0 Must issue a STARTTLS command first'
    expect(classifySmtpError(smtpError('EENVELOPE', 'MAIL FROM', response))?.retryable).toBe(false)
  })

  test('that was expected as another is of unknown outcome', () => {
    const classified = classifySmtpError(smtpError('EPROTOCOL', 'CONN', '250 OK'))
    expect(classified).toMatchObject({ code: 'unavailable', outcome: 'unknown' })
  })
})

describe('a failure without reply', () => {
  test.each([
    ['ECONNECTION', {}, 'unavailable'],
    ['ESOCKET', { originalCode: 'ECONNRESET' }, 'unavailable'],
    ['ETIMEDOUT', { timeoutType: 'SOCKET_TIMEOUT' }, 'unavailable'],
    ['EPROTOCOL', {}, 'unavailable'],
    ['EABORT', {}, 'cancelled'],
  ])('%s %j is %s; unknown only where all of the mail had been sent', (code, more, expected) => {
    const error = smtpError(code, 'CONN', undefined, more)
    expect(classifySmtpError(error, { contentSent: false })).toMatchObject({
      code: expected,
      outcome: 'not-applied',
    })
    expect(classifySmtpError(error, { contentSent: true })).toMatchObject({
      code: expected,
      outcome: 'unknown',
    })
  })

  test.each([
    ['EDNS', 'unavailable', undefined],
    ['ETLS', 'unavailable', false],
    ['EREQUIRETLS', 'unavailable', false],
    ['EAUTH', 'unauthenticated', undefined],
    ['ENOAUTH', 'unauthenticated', undefined],
    ['EMESSAGE', 'quota-exceeded', undefined],
    ['EENVELOPE', 'invalid-argument', undefined],
    ['EMAXRECIPIENTS', 'invalid-argument', undefined],
  ])('%s is %s, retryable: %s', (code, expected, retryable) => {
    const classified = classifySmtpError(smtpError(code))
    expect(classified?.code).toBe(expected)
    expect(classified?.retryable).toBe(retryable)
    expect(classified?.outcome ?? 'not-applied').toBe('not-applied')
  })

  test.each(['DEPTH_ZERO_SELF_SIGNED_CERT', 'CERT_HAS_EXPIRED', 'ERR_TLS_CERT_ALTNAME_INVALID'])(
    'of TLS (%s) is not helped by trying again',
    (originalCode) => {
      const classified = classifySmtpError(smtpError('ESOCKET', 'CONN', undefined, { originalCode }))
      expect(classified).toMatchObject({ code: 'unavailable', outcome: 'not-applied', retryable: false })
      expect(classified?.message).toContain(originalCode)
    },
  )

  test('tells the code of the system', () => {
    const refused = smtpError('ESOCKET', 'CONN', undefined, { originalCode: 'ECONNREFUSED' })
    expect(classifySmtpError(refused)?.message).toContain('ECONNREFUSED')
  })
})

test.each([
  [undefined],
  ['text'],
  [new Error('no code')],
  [smtpError('EUNHEARDOF')],
  [new TypeError('a bug')],
])('%s is none of its errors', (error) => {
  expect(classifySmtpError(error)).toBeUndefined()
})

test.each([
  [421, true],
  [450, true],
  [452, true],
  [550, false],
  [552, true],
  [553, false],
  [undefined, false],
])('a recipient refused with %s may be accepted later: %s', (responseCode, retryable) => {
  expect(isRetryableRefusal(responseCode)).toBe(retryable)
})
