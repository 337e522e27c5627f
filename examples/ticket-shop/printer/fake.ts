/** The print shop as a fake: jobs in memory, with the same rules as the real one. */
import { isDeepStrictEqual } from 'node:util'
import { type FakeContext, type FakeFactory, PortError } from 'portside'
import { Fake } from 'portside/fakes'
import { type PrintJob, type Ticket, TicketPrinter } from './ticket-printer.ts'

export class FakeTicketPrinter extends Fake<TicketPrinter> implements TicketPrinter {
  readonly #jobs = new Map<string, PrintJob>()

  constructor(context: FakeContext = {}) {
    super(TicketPrinter, context)
  }

  async print(jobId: string, tickets: readonly Ticket[]): Promise<PrintJob> {
    const known = this.#jobs.get(jobId)
    if (known !== undefined) {
      if (isDeepStrictEqual(known.tickets, tickets)) return structuredClone(known)
      throw new PortError({ code: 'already-exists', message: 'this id has other tickets; choose another id' })
    }
    const job: PrintJob = { id: jobId, tickets, status: 'waiting' }
    this.#jobs.set(jobId, job)
    this.journal.effect(`ordered ${tickets.length} tickets as ${jobId}`)
    return structuredClone(job)
  }

  async find(jobId: string): Promise<PrintJob | undefined> {
    return structuredClone(this.#jobs.get(jobId))
  }

  async cancel(jobId: string): Promise<void> {
    if (this.#jobs.get(jobId)?.status === 'printed') {
      throw new PortError({ code: 'precondition-failed', message: 'it is printed and cannot be cancelled' })
    }
    if (this.#jobs.delete(jobId)) this.journal.effect(`cancelled ${jobId}`)
  }

  /** Every job, oldest first, as copies. */
  get jobs(): readonly PrintJob[] {
    return structuredClone([...this.#jobs.values()])
  }

  /** The printer prints all that is waiting. */
  finishAll(): void {
    for (const [id, job] of this.#jobs) this.#jobs.set(id, { ...job, status: 'printed' })
  }

  protected clear(): void {
    this.#jobs.clear()
  }
}

export const fake: FakeFactory<TicketPrinter, FakeTicketPrinter> = {
  port: TicketPrinter,
  create: (context) => new FakeTicketPrinter(context),
}
