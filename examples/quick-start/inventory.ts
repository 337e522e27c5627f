import {
  type CallOptions,
  checkInteger,
  checkKey,
  definePort,
  type FakeContext,
  type Port,
  PortError,
} from 'portside'
import { Fake } from 'portside/fakes'

/** The warehouse's API: someone else's, so an unbounded port of your own. */
export interface Inventory {
  /** How many are left; `undefined` for an item nobody knows. */
  stock(item: string, options?: CallOptions): Promise<number | undefined>
  /** Takes `count` out; fewer in stock is `precondition-failed` and takes none. */
  take(item: string, count: number, options?: CallOptions): Promise<void>
}

export const Inventory: Port<Inventory> = definePort<Inventory>({
  name: 'inventory',
  operations: {
    stock: {
      kind: 'call',
      effect: 'read',
      idempotent: true,
      arity: 1,
      check: (item) => checkKey('item', item, 64),
      subject: (item) => item,
    },
    take: {
      kind: 'call',
      effect: 'write',
      idempotent: false,
      arity: 2,
      check: (item, count) => {
        checkKey('item', item, 64)
        checkInteger('count', count, { min: 1, max: 1_000 })
      },
      subject: (item) => item,
    },
  },
})

/** Checks, deadline, cancellation, journal and fault scripts come with `Fake`. */
export class FakeInventory extends Fake<Inventory> implements Inventory {
  #stock = new Map<string, number>()

  constructor(context: FakeContext = {}) {
    super(Inventory, context)
  }

  async stock(item: string): Promise<number | undefined> {
    return this.#stock.get(item)
  }

  async take(item: string, count: number): Promise<void> {
    const left = (this.#stock.get(item) ?? 0) - count
    if (left < 0) throw new PortError({ code: 'precondition-failed', message: 'there are not that many' })
    this.#stock.set(item, left)
    this.journal.effect(`${left} of ${item} left`)
  }

  /** Puts items on the shelf. */
  seed(stock: Readonly<Record<string, number>>): void {
    for (const [item, count] of Object.entries(stock)) this.#stock.set(item, count)
  }

  protected clear(): void {
    this.#stock.clear()
  }
}
