/** Works the outbox off: several lanes, each claims an entry, carries it out, notes how it ended. */
import { PortError } from 'portside'
import type { Logger } from '../log.ts'
import { decide, type Patience } from './decide.ts'
import type { Effect, Effects } from './effects.ts'
import type { Decision, Entry, Kind, Outbox } from './outbox.ts'

export interface WorkerSettings extends Patience {
  /** @default 4 */
  readonly lanes: number
  /** How often an idle lane looks without being woken. */
  readonly pollMs: number
  /** After this an unfinished entry's worker is taken for dead: well above the time any effect may take. */
  readonly leaseMs: number
}

export const defaultWorkerSettings: WorkerSettings = {
  lanes: 4,
  pollMs: 500,
  leaseMs: 120_000,
  baseDelayMs: 500,
  maxDelayMs: 60_000,
}

// How long the word on a finished effect may keep a stopping worker, in milliseconds.
const lastWordMs = 5_000

export class OutboxWorker {
  readonly #outbox: Outbox
  readonly #effects: Effects
  readonly #log: Logger
  readonly #settings: WorkerSettings
  readonly #repeatable: readonly Kind[]
  readonly #stopping = new AbortController()
  #wake = Promise.withResolvers<void>()
  #lanes: readonly Promise<void>[] = []

  constructor(outbox: Outbox, effects: Effects, log: Logger, settings: WorkerSettings) {
    this.#outbox = outbox
    this.#effects = effects
    this.#log = log
    this.#settings = settings
    const kinds = Object.keys(effects) as Kind[]
    this.#repeatable = kinds.filter((kind) => effects[kind].whenUnknown === 'repeat')
  }

  start(): void {
    this.#lanes = Array.from({ length: this.#settings.lanes }, () => this.#lane())
  }

  /** There may be something to do now. */
  wake(): void {
    this.#wake.resolve()
    this.#wake = Promise.withResolvers()
  }

  /** Takes on nothing more; resolves when what is under way has ended. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    this.wake()
    await Promise.all(this.#lanes)
  }

  async #lane(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const entry = await this.#claim()
      if (entry === undefined) await this.#pause(this.#settings.pollMs, this.#wake.promise)
      else await this.#note(entry, await this.#carryOut(entry))
    }
  }

  async #claim(): Promise<Entry | undefined> {
    try {
      return await this.#outbox.claim(this.#settings.leaseMs, this.#repeatable)
    } catch (error) {
      // The database is away: nothing is lost, everything is in it. Its failing calls are in the log already.
      if (!PortError.is(error)) this.#log.error('the outbox could not be read', { error })
      return undefined
    }
  }

  async #carryOut(entry: Entry): Promise<Decision> {
    const { kind, subjectId, attempts } = entry
    const effect = this.#effects[kind]
    let whenUnknown: Effect['whenUnknown'] = 'repeat'
    try {
      const act = await effect.prepare(subjectId)
      whenUnknown = effect.whenUnknown
      await act()
      this.#log.info('an effect ended as done', { kind, subjectId, attempts })
      return { state: 'done' }
    } catch (error) {
      const decision = decide(error, whenUnknown, attempts, this.#settings)
      const level = decision.state === 'failed' || decision.state === 'uncertain' ? 'error' : 'info'
      this.#log[level](`an effect ended as ${decision.state}`, { kind, subjectId, attempts, error })
      return decision
    }
  }

  /**
   * Writes down how an effect ended, and keeps at it while the database is away: what has happened outside must
   * not be forgotten, or it would happen again. While stopping it gives up in the end; then the lease runs out.
   */
  async #note(entry: Entry, decision: Decision): Promise<void> {
    let giveUpAt = Number.POSITIVE_INFINITY
    for (;;) {
      try {
        await this.#outbox.settle(entry, decision)
        return
      } catch (error) {
        if (this.#stopping.signal.aborted) giveUpAt = Math.min(giveUpAt, Date.now() + lastWordMs)
        if (Date.now() >= giveUpAt || !PortError.is(error)) {
          this.#log.error('the end of an effect could not be noted', {
            ...entry,
            state: decision.state,
            error,
          })
          return
        }
        await new Promise((resolve) => setTimeout(resolve, this.#settings.pollMs))
      }
    }
  }

  async #pause(ms: number, wake: Promise<void>): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const over = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms)
    })
    await Promise.race([over, wake])
    clearTimeout(timer)
  }
}
