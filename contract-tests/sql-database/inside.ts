/** The hand of a `SqlDatabase`'s contract on the conditions around the database. */
import type { Guarded } from '../../src/calls/guard.ts'
import type { SqlDatabase } from '../../src/ports/sql-database.ts'
import type { SqlContext } from './seats.ts'

/** What `inside` is for a `SqlDatabase`. */
export interface InsideSqlDatabase {
  /** Another client on the same place, of so few connections, that waits for a free one this long. */
  openNarrow(limits: {
    readonly maxConnections: number
    readonly connectTimeoutMs: number
  }): Promise<Guarded<SqlDatabase>>
  /** Lends a new client while the server takes no connection of this user any more. */
  whileFull(work: (late: Guarded<SqlDatabase>) => Promise<void>): Promise<void>
  /** Lends a new client whose user may use no disk for what does not fit into memory. */
  whileDiskIsFull(work: (client: Guarded<SqlDatabase>) => Promise<void>): Promise<void>
}

export function insideOf({ inside }: SqlContext): InsideSqlDatabase {
  return inside as InsideSqlDatabase
}
