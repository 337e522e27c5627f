import { type Mailer, type ObjectStorage, PortError, type SqlDatabase, sql } from 'portside'

/** Knows ports only: no vendor, no environment. */
export class Shop {
  readonly #orders: SqlDatabase
  readonly #receipts: ObjectStorage
  readonly #mail: Mailer

  constructor(orders: SqlDatabase, receipts: ObjectStorage, mail: Mailer) {
    this.#orders = orders
    this.#receipts = receipts
    this.#mail = mail
  }

  /** Takes an order; a mail that cannot be sent now does not undo it. */
  async order(buyer: string, cents: number): Promise<{ id: bigint; mailed: boolean }> {
    const { id } = await this.#orders.one<{ id: bigint }>(
      sql`insert into orders (buyer, cents) values (${buyer}, ${cents}) returning id`,
    )
    await this.#receipts.put(`receipts/${id}.txt`, `Order ${id}: ${cents} cents`, {
      contentType: 'text/plain',
    })
    return { id, mailed: await this.#tell(buyer, id) }
  }

  async #tell(buyer: string, id: bigint): Promise<boolean> {
    try {
      await this.#mail.send({
        from: 'shop@example.com',
        to: [buyer],
        subject: `Your order ${id}`,
        text: 'Thank you!',
      })
      return true
    } catch (error) {
      if (PortError.is(error) && error.retryable) return false
      throw error
    }
  }
}
