/** Places of their own for tests on a running server: what an engine brings, and who owns what was made. */
import { createHash, randomBytes } from 'node:crypto'
import { readlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import { identifyProcess } from './processes.ts'

/**
 * What a test may do with its datastore. `data`: read and change what the migrations made, and no more. `owner`: change the schema
 * too. `{ role }`: whatever the migrations grant to that role, which is made without a login before they run.
 */
export type TestRights = 'data' | 'owner' | { readonly role: string }

/** What every place begins with. */
export interface PlaceTemplate {
  /** Stands for all that `build` puts in: another content, another key. */
  readonly key: string
  /** Fills an empty place, with the rights of its owner. */
  build(url: string): Promise<void>
}

export interface SupplyOptions {
  /** The service's name, as a person finds it among the places. */
  readonly service: string
  /** @default every place is empty */
  readonly template?: PlaceTemplate | undefined
  readonly rights: TestRights
  /** Extensions that only an administrator may install: put in before anything else. */
  readonly extensions?: readonly string[] | undefined
  /** How many places are made ahead of need. @default 3 */
  readonly ready?: number | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((message: string) => void) | undefined
}

/** A place that one test has to itself. */
export interface TestPlace {
  readonly url: string
  /** Removes it, whoever is still connected. May go on in the background until the supply is closed. */
  drop(): Promise<void>
  /** Ends every connection to it and keeps it for a person. The oldest of many kept ones are dropped. */
  keep(reason: string): Promise<void>
}

export interface PlaceSupply {
  take(): Promise<TestPlace>
  /** Finishes what is under way and drops what was taken and not given up. Twice is once. */
  close(): Promise<void>
}

/** Isolates tests on any server of one engine. */
export interface TestIsolation {
  /**
   * Places on the server that `adminUrl` administers. Any number of processes may ask for the same at once.
   * What processes that have ended left there is swept.
   */
  supply(adminUrl: string, options: SupplyOptions): Promise<PlaceSupply>
}

/** A process as others see it that share a server with it, maybe from other machines. */
export interface PlaceOwner {
  /** This machine and, in containers, this container: process ids mean nothing elsewhere. */
  readonly host: string
  readonly pid: number
  readonly startedAt: string
  /** Stands for one supply of it. A positive 48-bit number. */
  readonly key: number
}

/** This process, with a new key. */
export function placeOwner(): PlaceOwner {
  const me = identifyProcess(process.pid)
  if (me === undefined) throw new Error('this process is not to be found among the running ones')
  return { ...me, host: hostId(), key: randomBytes(6).readUIntBE(0, 6) + 1 }
}

/** Whether that process runs on this machine; `false` also where it is another machine's, which is not for us to see. */
export function runsHere({ host, pid, startedAt }: Omit<PlaceOwner, 'key'>): boolean {
  return host === hostId() && identifyProcess(pid)?.startedAt === startedAt
}

function hostId(): string {
  const parts = [hostname()]
  try {
    parts.push(readlinkSync('/proc/self/ns/pid'))
  } catch {
    // Only Linux has it.
  }
  return createHash('sha256').update(parts.join('\n')).digest('hex').slice(0, 16)
}
