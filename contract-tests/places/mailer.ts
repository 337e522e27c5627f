/**
 * A mail system has no place of one's own: what is sent arrives. So nothing is sent, and what would have to be is
 * skipped; or, where that was really asked for, everything goes from one address to one address.
 */
import { mailRecipients } from '../../src/ports/mail-message.ts'
import type { Mailer, MailMessage } from '../../src/ports/mailer.ts'
import { type Connection, Limitation, onService, type Place, withCalls } from './place.ts'

export async function mailerPlace(connection: Connection<Mailer>): Promise<Place<Mailer>> {
  const { sender, recipient } = connection.really ?? {}
  return {
    description:
      sender === undefined || recipient === undefined
        ? 'the mail system, which is sent nothing: what needs mail to be sent is skipped'
        : `the mail system; every mail goes from ${sender} to ${recipient}`,
    async open() {
      const limitation = new Limitation()
      const open = async (change?: (url: URL) => void) => {
        const driver = await connection.open(change)
        const send: Mailer['send'] = async (message, options) => {
          if (sender === undefined || recipient === undefined) {
            return limitation.keep('it would send real mail (--really with --sender and --recipient does)')
          }
          return redirect(driver.calls, message, { sender, recipient }, options)
        }
        return withCalls(driver, { send })
      }
      return { ...(await onService(connection, open)), limitation: limitation.reason }
    },
    openUnreachable: connection.openUnreachable,
    remove: async () => {},
  }
}

/** Sends to `recipient` alone, and answers as if it had gone to those it was for. */
async function redirect(
  mailer: Mailer,
  message: MailMessage,
  { sender, recipient }: { readonly sender: string; readonly recipient: string },
  options: Parameters<Mailer['send']>[1],
): ReturnType<Mailer['send']> {
  const { cc: _cc, bcc: _bcc, ...rest } = message
  const receipt = await mailer.send({ ...rest, from: sender, to: [recipient] }, options)
  return { ...receipt, accepted: mailRecipients(message), refused: [] }
}
