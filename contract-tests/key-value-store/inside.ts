/** The hand of a `KeyValueStore`'s contract on the conditions inside the server. */
import type { Guarded } from '../../src/calls/guard.ts'
import type { KeyValueStore } from '../../src/ports/key-value-store.ts'
import type { BehaviourContext } from '../contract.ts'

/** What `inside` is for a `KeyValueStore`. */
export interface InsideKeyValueStore {
  /** Another client on the same place, of a user who may do anything with keys that hold `allowed` and nothing with others. */
  openLimited(): Promise<Guarded<KeyValueStore>>
  /** Runs `work` while the server's memory is full. */
  whileFull(work: () => Promise<void>): Promise<void>
  /** Puts there, as another program would, something that is no plain value. */
  plantList(key: string): Promise<void>
}

export function insideOf({ inside }: BehaviourContext<KeyValueStore>): InsideKeyValueStore {
  return inside as InsideKeyValueStore
}
