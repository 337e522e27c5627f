/** What the shop refuses, as words that clients may rely on. */

export type ShopErrorCode =
  | 'bad-request'
  | 'not-logged-in'
  | 'not-allowed'
  | 'not-found'
  | 'sold-out'
  | 'seats-taken'
  | 'key-reused'

export class ShopError extends Error {
  override readonly name = 'ShopError'
  readonly code: ShopErrorCode
  /** One sentence a field that is wrong. */
  readonly problems: readonly string[]

  constructor(code: ShopErrorCode, message: string, problems: readonly string[] = []) {
    super(message)
    this.code = code
    this.problems = problems
  }
}
