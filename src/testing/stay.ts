/** One test's time on its places: attached when it begins, closed and given up when it ends, even in the midst of beginning. */
import { withinMs } from '../calls/settle.ts'
import type { Services } from '../services/declare.ts'
import { type AttachedForTest, attachForTest, type TestAttachOptions } from './index.ts'
import type { PlacesSupply, TestPlaces } from './places.ts'

/** Whose places a test is on. */
export interface Lodging {
  take(): Promise<TestPlaces>
  /** @param failed the name of the test, where it failed */
  leave(places: TestPlaces, failed: string | undefined): Promise<void>
}

/** Places of its own for each test. */
export function lodgingOfTests(supply: PlacesSupply): Lodging {
  return {
    take: () => supply.take(),
    leave: (places, failed) => (failed === undefined ? places.drop() : places.keep(failed)),
  }
}

/** Places for all tests of a file, kept where one of them has failed. */
export class LodgingOfFile implements Lodging {
  readonly #supply: PlacesSupply
  #places: Promise<TestPlaces> | undefined
  #failed: string | undefined

  constructor(supply: PlacesSupply) {
    this.#supply = supply
  }

  take(): Promise<TestPlaces> {
    this.#places ??= this.#supply.take()
    return this.#places
  }

  async leave(_places: TestPlaces, failed: string | undefined): Promise<void> {
    this.#failed ??= failed
  }

  async close(): Promise<void> {
    const places = await this.#places?.catch(() => undefined)
    await (this.#failed === undefined ? places?.drop() : places?.keep(this.#failed))
  }
}

/** How long a failed test's calls may go on. Those of one that ran out of time end with its connections to the places. */
const patienceMs = 500

export class Stay<M extends Services> {
  readonly attached: Promise<AttachedForTest<M>>
  readonly #lodging: Lodging
  readonly #places: Promise<TestPlaces>

  constructor(services: M, lodging: Lodging, options: Omit<TestAttachOptions, 'env'>) {
    this.#lodging = lodging
    this.#places = lodging.take()
    this.attached = this.#places.then(({ env }) => attachForTest(services, { ...options, env }))
    // Whoever awaits it is told; a test that ran out of time awaits nothing any more.
    this.attached.catch(() => {})
  }

  /** @param failed the name of the test, where it failed */
  async end(failed: string | undefined): Promise<void> {
    const attached = await this.attached.catch(() => undefined)
    const closed = attached?.app.close() ?? Promise.resolve()
    try {
      await (failed === undefined ? closed : withinMs(patienceMs, closed))
    } finally {
      const places = await this.#places.catch(() => undefined)
      if (places !== undefined) await this.#lodging.leave(places, failed)
    }
    await closed
  }
}
