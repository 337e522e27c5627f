/** How the SMTP emulator speaks TLS. */
import { checkFields, checkText } from '../../../src/calls/arguments.ts'
import { invalidArgument } from '../../../src/errors.ts'
import { type Certificate, selfSignedCertificate } from './certificate.ts'

/**
 * How it speaks TLS: `starttls` offers it, `required` takes neither login nor mail before it (530), `implicit` is TLS from the
 * start.
 */
export type SmtpTlsMode = 'starttls' | 'required' | 'implicit'

export interface SmtpTls {
  readonly mode: SmtpTlsMode
  /** In PEM, both or none. @default a new pair for localhost and 127.0.0.1 */
  readonly key?: string
  readonly cert?: string
}

export interface SecuredTls extends Certificate {
  readonly mode: SmtpTlsMode
}

/** @throws PortError `invalid-argument` for what cannot be */
export function secured(given: SmtpTlsMode | SmtpTls): SecuredTls {
  const tls = typeof given === 'string' ? { mode: given } : given
  checkFields('tls', tls, ['mode', 'key', 'cert'])
  const { mode, key, cert } = tls
  if (mode !== 'starttls' && mode !== 'required' && mode !== 'implicit') {
    throw invalidArgument('tls is starttls, required or implicit')
  }
  if (key === undefined && cert === undefined) return { mode, ...selfSignedCertificate() }
  if (key === undefined || cert === undefined)
    throw invalidArgument('tls needs both key and cert, or neither')
  checkText('tls.key', key)
  checkText('tls.cert', cert)
  return { mode, key, cert }
}
