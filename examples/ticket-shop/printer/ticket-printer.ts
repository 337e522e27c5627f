/**
 * Prints paper tickets at a print shop: a port that this team wrote for itself, because no library knows it.
 * The rules stand here once; the adapter and the fake both get them from the guard.
 */
import { type CallOptions, checkFields, checkText, definePort, invalidArgument, type Port } from 'portside'

export interface Ticket {
  readonly event: string
  readonly seat: string
  readonly holder: string
}

export interface PrintJob {
  readonly id: string
  readonly tickets: readonly Ticket[]
  readonly status: 'waiting' | 'printed'
}

export interface TicketPrinter {
  /**
   * Orders a print job under an id of the caller's choice. The same job again is the same job, printed once;
   * other tickets under the same id are `already-exists`.
   */
  print(jobId: string, tickets: readonly Ticket[], options?: CallOptions): Promise<PrintJob>
  /** The job; `undefined` where absent or cancelled. */
  find(jobId: string, options?: CallOptions): Promise<PrintJob | undefined>
  /** Absent is no error; a job that is printed already is `precondition-failed`. */
  cancel(jobId: string, options?: CallOptions): Promise<void>
}

export const TicketPrinter: Port<TicketPrinter> = definePort<TicketPrinter>({
  name: 'ticket-printer',
  operations: {
    print: {
      kind: 'call',
      effect: 'write',
      idempotent: true,
      arity: 2,
      timeoutMs: 10_000,
      check(jobId, tickets) {
        checkJobId(jobId)
        checkTickets(tickets)
      },
      subject: (jobId) => jobId,
      copy: ([jobId, tickets]) => [jobId, structuredClone(tickets)],
    },
    find: {
      kind: 'call',
      effect: 'read',
      idempotent: true,
      arity: 1,
      timeoutMs: 10_000,
      check: checkJobId,
      subject: (jobId) => jobId,
    },
    cancel: {
      kind: 'call',
      effect: 'write',
      idempotent: true,
      arity: 1,
      timeoutMs: 10_000,
      check: checkJobId,
      subject: (jobId) => jobId,
    },
  },
})

/** At most this many tickets in one job. */
export const mostTickets = 100
const longestText = 200

function checkJobId(jobId: unknown): void {
  checkText('jobId', jobId)
  // It becomes a part of a path, so nothing that a path would read as something else.
  if (!/^[a-z0-9-]{1,64}$/.test(jobId)) {
    throw invalidArgument('jobId must be 1 to 64 of the characters a-z, 0-9 and "-"')
  }
}

function checkTickets(tickets: unknown): void {
  if (!Array.isArray(tickets)) throw invalidArgument('tickets must be an array')
  if (tickets.length < 1 || tickets.length > mostTickets) {
    throw invalidArgument(`a job has 1 to ${mostTickets} tickets; got ${tickets.length}`)
  }
  for (const [index, ticket] of tickets.entries()) {
    checkFields(`tickets[${index}]`, ticket, ['event', 'seat', 'holder'])
    for (const field of ['event', 'seat', 'holder'] as const) {
      const name = `tickets[${index}].${field}`
      checkText(name, ticket[field])
      if (ticket[field] === '' || ticket[field].length > longestText) {
        throw invalidArgument(`${name} must be 1 to ${longestText} characters long`)
      }
      // biome-ignore lint/suspicious/noControlCharactersInRegex: a printer would obey them
      if (/[\u0000-\u001f\u007f]/.test(ticket[field])) {
        throw invalidArgument(`${name} must not hold control characters`)
      }
    }
  }
}
