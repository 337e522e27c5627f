/** The file in which an app says more of its synthetic data than its schema does. */
import type { Faker } from '@faker-js/faker'

/** What a column's own function is told. */
export interface SeedRow {
  /** English names, texts and the like, seeded for this very value: use no other chance, so that it can be made again. */
  readonly faker: Faker
  /** Counts from 0. */
  readonly row: number
  /** How many rows the table gets. */
  readonly rows: number
  /** What counts as now. */
  readonly referenceDate: Date
}

/** A value of a column: bytes, instants and JSON as such, a range and what else there is as PostgreSQL writes it. */
export type SeedValue =
  | string
  | number
  | bigint
  | boolean
  | Date
  | Uint8Array
  | readonly SeedValue[]
  | { readonly [name: string]: unknown }
  | null
  | undefined

/** How a column is filled. */
export type SeedColumn<Value = SeedValue> =
  /** One of these. Named twice, twice as often. */
  | readonly Value[]
  /** Between these; both may come up. */
  | { readonly min?: Value; readonly max?: Value }
  /** A value a row. Called again for the same row where another table refers to it, so it must answer the same. */
  | ((row: SeedRow) => Value | null | undefined)

export interface SeedTable<Row = Readonly<Record<string, SeedValue>>> {
  /** @default what the command line says */
  readonly rows?: number
  readonly columns?: { readonly [Name in keyof Row]?: SeedColumn<Row[Name]> }
}

export interface SeedDefinition<Tables = Readonly<Record<string, Readonly<Record<string, SeedValue>>>>> {
  /** What counts as now, so that the same command gives the same rows next year. @default 2025-01-01T00:00:00Z */
  readonly referenceDate?: Date | string
  /** To be raised when something that this file imports has changed: it counts for what `seedHash` answers. */
  readonly version?: number | string
  /** By the tables' names; `sales.orders` outside of the schema `public`. `false` leaves one empty. */
  readonly tables?: { readonly [Name in keyof Tables]?: SeedTable<Tables[Name]> | false }
}

/**
 * Types the default export of a seed file. With a type of the app's tables, names and values are checked by it:
 * `defineSeed<{ events: { id: string; price_cents: number } }>({ … })`.
 */
export function defineSeed<Tables = Readonly<Record<string, Readonly<Record<string, SeedValue>>>>>(
  definition: SeedDefinition<Tables>,
): SeedDefinition<Tables> {
  return definition
}
