/** What every emulator is to the command and to the control API, whatever protocol it speaks. */
import type { Clock } from '../../../src/calls/clock.ts'
import type { FakeContext, FakeLike } from '../../../src/services/declare.ts'
import type { FaultRule, PendingFault } from '../../faults.ts'
import type { JournalEntry } from '../../journal.ts'
import type { Schema } from '../control/schema.ts'
import type { SeedFolder } from './seed.ts'

/** A `Journal` of any port's operations. */
export interface AnyJournal {
  readonly entries: readonly JournalEntry[]
  readonly last: number
  after(sequence: number): readonly JournalEntry[]
  keep(entries: number): void
  countOn(): void
  watch(listener: (entry: JournalEntry | undefined) => void): () => void
  forget(): void
}

/** The `Faults` of any port's operations. */
export interface AnyFaults {
  script(rules: readonly FaultRule<string>[]): void
  list(): readonly PendingFault<string>[]
  clear(): void
}

/** One service that is emulated: a fake, and once it is started a server in front of it. */
export interface Emulation {
  /** As the app calls it. */
  readonly service: string
  readonly protocol: ProtocolName
  readonly faults: AnyFaults
  readonly journal: AnyJournal
  /** What {@link seed} takes. */
  readonly seedSchema: Schema
  /** What {@link force} takes each of. */
  readonly forcedSchema: Schema
  /** Tells of changes that the journal does not. */
  onChange?(listener: () => void): void
  /** What there is now, as JSON can say it. Long bodies are told by their size. */
  state(): unknown
  /**
   * Puts things there as if they had been before; answers how many.
   * @throws PortError `invalid-argument` that names the entry; then nothing was put there
   */
  seed(name: string, data: unknown, folder: SeedFolder): Promise<number>
  /** Forces exact answers on the wire, all of them or, where one is refused, none. */
  force(rules: readonly object[]): void
  /** The forced answers still to come. */
  forced(): readonly object[]
  clearForced(): void
  /** Forgets state, faults, forced answers and journal. */
  reset(): void
  /** As `Fake.save`. */
  save(folder: string): Promise<void>
  /** As `Fake.load`. */
  load(folder: string): Promise<void>
  /** Listens. Once. */
  start(place: Place): Promise<Endpoint>
  /** Ends every connection and listens no more. The state stays. */
  stop(): Promise<void>
  /** Frees what the fake holds. */
  close(): Promise<void>
}

export const protocolNames = ['s3', 'smtp', 'x'] as const
export type ProtocolName = (typeof protocolNames)[number]

export interface Place {
  readonly host: string
  /** 0 is a free one. */
  readonly port: number
}

/** Where a started emulator is, and how a program is told. */
export interface Endpoint {
  readonly url: string
  readonly port: number
  /** What an app's own variable for the service must hold. */
  readonly serviceUrl: string
  /** The variables that the vendor's own clients read. */
  readonly environment: Readonly<Record<string, string>>
  /** What there is to know of it, a line each. */
  readonly notes: readonly string[]
}

/** Credentials that an emulator takes; each protocol has its own of them. */
export interface EmulationCredentials {
  readonly accessKeyId?: string | undefined
  readonly secretAccessKey?: string | undefined
  readonly user?: string | undefined
  readonly password?: string | undefined
  readonly token?: string | undefined
}

export interface EmulationOptions {
  readonly service: string
  readonly clock: Clock
  readonly seed: number
  readonly credentials: EmulationCredentials
  /** With s3: the buckets that are there from the start. */
  readonly buckets: readonly string[]
  /** Makes the fake. @default the protocol's own */
  readonly fake?: { create(context: FakeContext): FakeLike<object> } | undefined
}

/** How one protocol is emulated. */
export interface Protocol {
  /** The port whose services it stands in for. */
  readonly port: string
  /** Where its vendor's tools look by habit. */
  readonly usualPort: number
  create(options: EmulationOptions): Promise<Emulation>
}
