/** What a vendor brings so that its server can be started: all that differs from one engine to another. */
import type { ServerIdentity } from '../adapter.ts'
import type { Account } from './command.ts'
import type { ServerFolder } from './folder.ts'
import type { ContainerSource, Programs, ServerSource } from './source.ts'

export interface ServerEngine {
  /** As a pin names it: `postgresql`. */
  readonly engine: string
  /** As a person reads it: `PostgreSQL`. */
  readonly title: string
  readonly sources: readonly ServerSource[]
  /** Runs it in a container. Asked before the other sources; absent where there is no image of it. */
  readonly containers?: ContainerSource
  /** What its data is made with, as text: data that was made with something else is not silently used. @default '' */
  readonly recipe?: string
  /** The signal that makes it stop in good order without waiting for its clients. */
  readonly stopSignal: NodeJS.Signals
  /**
   * Makes the data folder where it is absent, and finishes one that was left half made.
   * @throws PortError `precondition-failed` where the data is of a version these programs cannot read; nothing is touched
   */
  prepare(place: ServerPlace): Promise<void>
  /** How the server is started on `place`. */
  command(place: ServerPlace, port: number): ServerCommand | Promise<ServerCommand>
  /** Connects once and asks the server who it is. Rejects while it is not ready. */
  identify(place: ServerPlace, port: number): Promise<ServerIdentity>
  /** Makes a place of its own for one service if absent; answers its URL. */
  provision(place: ServerPlace, port: number, service: string): Promise<string>
  /** The URL of its administrator. */
  adminUrl(place: ServerPlace, port: number): string
}

/** Where and how one server lives. */
export interface ServerPlace {
  readonly folder: ServerFolder
  readonly programs: Programs
  readonly durable: boolean
  readonly signal: AbortSignal | undefined
  readonly onProgress: (message: string) => void
}

export interface ServerCommand {
  readonly file: string
  readonly args: readonly string[]
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  readonly account?: Account | undefined
}
