/** Statements: text and parameters kept apart, so that no value is ever read as SQL. */

/** What a parameter may be. `undefined` is SQL's NULL. */
export type SqlValue =
  | string
  | number
  | bigint
  | boolean
  | Date
  | Uint8Array
  | undefined
  | readonly SqlValue[]
  | { readonly [key: string]: unknown }

/** A statement or a part of one. Made by the `sql` tag only. */
export interface SqlStatement {
  /** The text with `$1`, `$2` … for the parameters. */
  readonly text: string
  readonly values: readonly SqlValue[]
}
