/**
 * What the emulator changes in a conversation of `smtp-server`: stages that the library has no handler for (EHLO, STARTTLS,
 * DATA, QUIT), TLS that must come first, commands that are not modelled, and enhanced codes that a reply brings itself.
 */
import type { SMTPServer } from 'smtp-server'
import type { SmtpStage } from './stages.ts'

/** One connection of the library. */
export type Connection = SMTPServer['connections'] extends Set<infer C> ? C : never

/** A reply in place of the library's own. */
export class Reply extends Error {
  /** The name under which the library looks for it. */
  readonly responseCode: number

  /** @param line such as `550 5.1.1 no such user here` */
  constructor(line: string) {
    super(line.slice(4))
    this.responseCode = Number(line.slice(0, 3))
  }
}

export interface ConversationOptions {
  /** Whether nothing but STARTTLS is possible in the clear. */
  readonly requiresTls: boolean
  /** What is forced at this stage; `undefined` for nothing, 'cut' where the connection is to end. */
  readonly forced: (stage: SmtpStage) => undefined | Promise<Reply | 'cut' | undefined>
}

const modelled = /^(HELO|EHLO|STARTTLS|AUTH|MAIL|RCPT|DATA|RSET|NOOP|QUIT|VRFY|HELP)$/
const inTheClear = /^(HELO|EHLO|STARTTLS|NOOP|RSET|QUIT)$/
const stages: Readonly<Record<string, SmtpStage>> = {
  HELO: 'ehlo',
  EHLO: 'ehlo',
  STARTTLS: 'starttls',
  DATA: 'data',
  QUIT: 'quit',
}

/** Puts the emulator's ways into a connection that was just accepted, and greets without the library's wait. */
export function converse(connection: Connection, { requiresTls, forced }: ConversationOptions): void {
  const send = connection.send.bind(connection)
  connection.send = (code, data, context) => {
    // The library would put a code of its own before it.
    const hasOwnCode = typeof data === 'string' && /^[245]\.\d{1,3}\.\d{1,3} /.test(data)
    send(code, data, hasOwnCode ? false : context)
  }

  const onCommand = connection._onCommand.bind(connection)
  connection._onCommand = (line, next = () => {}) => {
    const proceed = (): void => onCommand(line, next)
    // A line within AUTH is no command; before the greeting and after STARTTLS the library refuses by itself.
    if (connection._nextHandler || !connection._ready || connection._upgrading) return proceed()
    const command = /^\S*/.exec(line.toString())?.[0].toUpperCase() ?? ''
    const answer = (reply: Reply): void => {
      connection.send(reply.responseCode, reply.message)
      // After a QUIT there is nothing more to say, whatever the answer was.
      if (command === 'QUIT') connection.close()
      next()
    }
    if (requiresTls && !connection.secure && !inTheClear.test(command)) {
      return answer(new Reply('530 5.7.0 must issue a STARTTLS command first'))
    }
    if (!modelled.test(command) || connection._isDisabled(command)) {
      return answer(new Reply('502 5.5.1 command not implemented'))
    }
    const stage = stages[command]
    // Only where the command is possible at all: one out of order is the library's to refuse.
    const isInOrder = command !== 'DATA' || connection.session.envelope.rcptTo.length > 0
    const pending = stage !== undefined && isInOrder ? forced(stage) : undefined
    if (pending === undefined) return proceed()
    void pending.then((reply) => {
      if (reply === undefined) proceed()
      else if (reply === 'cut') cut(connection)
      else answer(reply)
    })
  }

  // The library waits 100 ms for clients that talk too soon; here that would only make every test slower.
  connection.connectionReady()
  connection.connectionReady = () => {}
}

/** Ends the connection without a word. */
export function cut(connection: Connection): void {
  // Taking the socket from under a TLS handshake brings Node down: that one ends by itself.
  if (connection._upgrading) connection._socket.end()
  else connection._socket.destroy()
}
