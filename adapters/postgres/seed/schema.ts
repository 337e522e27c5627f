/** What a database holds, as far as rows that fit it must know. */
import type pg from 'pg'
import { namesIn, withValueNamed } from './expression.ts'

export interface Schema {
  /** In the order of their names; no partitions, nothing that belongs to an extension or to the migrations. */
  readonly tables: readonly Table[]
  readonly types: ReadonlyMap<number, Type>
}

export interface Table {
  readonly oid: number
  /** `orders`, or `sales.orders` outside of the schema `public`. */
  readonly name: string
  /** Quoted, with its schema. */
  readonly sqlName: string
  readonly columns: readonly Column[]
  readonly keys: readonly Key[]
  readonly foreignKeys: readonly ForeignKey[]
  readonly checks: readonly Check[]
  readonly hasRows: boolean
  /** Why no row can be written, as the end of a sentence. */
  readonly closed: string | undefined
}

export interface Column {
  readonly number: number
  readonly name: string
  readonly type: Type
  /** Of a domain, that of what it is made of. Of `varchar(20)`: 24. */
  readonly modifier: number
  readonly notNull: boolean
  readonly hasDefault: boolean
  /** Its own default's expression, not its domain's. */
  readonly default: string | undefined
  /** The expression of a generated column. */
  readonly generated: string | undefined
  readonly sequence: Sequence | undefined
}

export interface Sequence {
  readonly name: string
  readonly start: bigint
  readonly increment: bigint
  /** How many values it has. */
  readonly size: number
}

/** A type that is no domain. */
export interface Type {
  readonly oid: number
  readonly name: string
  readonly kind: 'base' | 'enum' | 'range' | 'multirange' | 'composite' | 'other'
  readonly labels: readonly string[]
  /** Of an array. */
  readonly element: number | undefined
  /** Of a range or multirange: what it is a range of. */
  readonly subtype: number | undefined
  /** As SQL names it. */
  readonly sqlName: string
}

export interface Key {
  readonly name: string
  /** The numbers of its columns. */
  readonly columns: readonly number[]
  /** For the rows alone that meet this. */
  readonly predicate: Check | undefined
  /** An exclusion constraint. */
  readonly exclusion: boolean
}

export interface ForeignKey {
  readonly name: string
  readonly columns: readonly number[]
  readonly table: number
  readonly referenced: readonly number[]
}

export interface Check {
  readonly name: string
  /** An expression over the table's columns. */
  readonly text: string
  /** What it was before a domain's VALUE was given the column's name, for messages. */
  readonly shown: string
  readonly columns: readonly number[]
}

interface TypeRow {
  oid: number
  name: string
  typtype: string
  base: number
  modifier: number
  element: number
  notNull: boolean
  hasDefault: boolean
  sqlName: string
  labels: string[] | null
  subtype: number | null
}

const tablesQuery = `
  SELECT c.oid::int8::text AS oid, n.nspname AS schema, c.relname AS name,
    quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS "sqlName",
    CASE
      WHEN NOT (has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'SELECT'))
        THEN 'is not to be read and written by this role: seed as its owner'
      WHEN row_security_active(c.oid) THEN 'is under row security for this role, which COPY has no way around: seed as its owner, or as a role with BYPASSRLS where it is forced on the owner'
      WHEN c.relkind = 'p' AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhparent = c.oid)
        THEN 'has no partition, so no row has a place: make one, or say in the seed file that it stays empty'
    END AS closed
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
    AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
    AND c.relname <> 'pgmigrations' AND has_schema_privilege(n.oid, 'USAGE')
    AND NOT EXISTS (SELECT FROM pg_depend e
      WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')
  ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"`

const columnsQuery = `
  SELECT a.attrelid::int8::text AS "table", a.attnum::int AS number, a.attname AS name, a.atttypid::int8::text AS type,
    a.atttypmod AS modifier, a.attnotnull AS "notNull", a.attidentity AS identity,
    a.attgenerated <> '' AS generated, pg_get_expr(d.adbin, d.adrelid) AS "default",
    s.sequence, s.start, s.increment, s.last
  FROM pg_attribute a
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  LEFT JOIN LATERAL (
    SELECT quote_ident(sn.nspname) || '.' || quote_ident(sc.relname) AS sequence,
      q.seqstart::text AS start, q.seqincrement::text AS increment,
      CASE WHEN q.seqincrement > 0 THEN q.seqmax ELSE q.seqmin END::text AS last
    FROM pg_depend p
    JOIN pg_class sc ON sc.relkind = 'S' AND sc.oid = CASE WHEN a.attidentity = '' THEN p.refobjid ELSE p.objid END
    JOIN pg_namespace sn ON sn.oid = sc.relnamespace
    JOIN pg_sequence q ON q.seqrelid = sc.oid
    WHERE CASE WHEN a.attidentity = ''
      THEN p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid AND p.refclassid = 'pg_class'::regclass
        AND pg_get_expr(d.adbin, d.adrelid) ~ '^nextval\\('
      ELSE p.classid = 'pg_class'::regclass AND p.refclassid = 'pg_class'::regclass AND p.deptype = 'i'
        AND p.refobjid = a.attrelid AND p.refobjsubid = a.attnum END
    LIMIT 1) s ON true
  WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid = ANY ($1::oid[])
  ORDER BY a.attrelid, a.attnum`

const typesQuery = `
  SELECT t.oid::int8::text AS oid, t.typname AS name, t.typtype, t.typbasetype::int8::text AS base,
    t.typtypmod AS modifier, CASE WHEN t.typcategory = 'A' THEN t.typelem ELSE 0 END::int8::text AS element,
    t.typnotnull AS "notNull", t.typdefault IS NOT NULL AS "hasDefault", format_type(t.oid, NULL) AS "sqlName",
    (SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid) AS labels,
    (SELECT r.rngsubtype::int8::text FROM pg_range r WHERE t.oid IN (r.rngtypid, r.rngmultitypid)) AS subtype
  FROM pg_type t`

const keysQuery = `
  SELECT i.indrelid::int8::text AS "table", c.relname AS name,
    (i.indkey::int2[])[0:i.indnkeyatts - 1]::int[] AS columns, pg_get_expr(i.indpred, i.indrelid) AS predicate, i.indisexclusion AS exclusion,
    (SELECT array_agg(DISTINCT p.refobjsubid ORDER BY p.refobjsubid) FROM pg_depend p
      WHERE p.classid = 'pg_class'::regclass AND p.objid = i.indexrelid AND p.refobjid = i.indrelid
        AND p.refobjsubid > 0) AS used
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
  WHERE (i.indisunique OR i.indisexclusion) AND i.indrelid = ANY ($1::oid[])
  ORDER BY i.indrelid, NOT i.indisprimary, c.relname COLLATE "C"`

const constraintsQuery = `
  SELECT o.contype AS kind, o.conname AS name, o.conrelid::int8::text AS "table", o.contypid::int8::text AS type,
    o.conkey::int[] AS columns, o.confrelid::int8::text AS referenced, o.confkey::int[] AS "referencedColumns",
    CASE WHEN o.contype = 'c' THEN pg_get_expr(o.conbin, o.conrelid) END AS text
  FROM pg_constraint o
  WHERE (o.contype = 'c' AND (o.conrelid = ANY ($1::oid[]) OR o.contypid <> 0))
    OR (o.contype = 'f' AND o.conparentid = 0 AND o.conrelid = ANY ($1::oid[]))
  ORDER BY o.contype, o.conname COLLATE "C"`

/** What the partitions that hold rows take, also those of partitions. */
const partitionsQuery = `
  SELECT root::int8::text AS "table", pg_get_partition_constraintdef(t.relid) AS text
  FROM unnest($1::oid[]) AS root, pg_partition_tree(root) t
  WHERE t.isleaf AND t.relid <> root ORDER BY t.relid`

/** Reads the schema that `client`'s role sees. */
export async function readSchema(client: pg.ClientBase): Promise<Schema> {
  const ask = async <Row>(text: string, values: readonly unknown[] = []): Promise<Row[]> =>
    (await client.query(text, [...values])).rows as Row[]
  const named = await ask<TableRow>(tablesQuery)
  const oids = [named.map(({ oid }) => oid)]
  const typeRows = (await ask<Record<string, unknown>>(typesQuery)).map(
    (row) =>
      ({
        ...row,
        oid: Number(row.oid),
        base: Number(row.base),
        element: Number(row.element),
        subtype: row.subtype === null ? null : Number(row.subtype),
      }) as unknown as TypeRow,
  )
  const allTypes = new Map(typeRows.map((row) => [row.oid, row]))
  const columnRows = await ask<ColumnRow>(columnsQuery, oids)
  const keyRows = await ask<KeyRow>(keysQuery, oids)
  const constraints = await ask<ConstraintRow>(constraintsQuery, oids)
  const partitions = await ask<PartitionRow>(partitionsQuery, oids)
  const types = new Map(
    typeRows.filter(({ typtype }) => typtype !== 'd').map((row) => [row.oid, typeOf(row)] as const),
  )
  const domainsOf = (oid: number): TypeRow[] => {
    const row = allTypes.get(oid)
    return row?.typtype === 'd' ? [row, ...domainsOf(row.base)] : []
  }
  const tables: Table[] = []
  for (const { oid, schema, name, sqlName, closed } of named) {
    const own = columnRows.filter(({ table }) => table === oid)
    const columns = own.map((row) => columnOf(row, domainsOf(Number(row.type)), types))
    const mine = constraints.filter(({ table }) => table === oid)
    const readable = closed === null || !closed.startsWith('is not to be read')
    const [found] = readable
      ? await ask<{ has: boolean }>(`SELECT EXISTS (SELECT FROM ${sqlName}) AS has`)
      : []
    tables.push({
      oid: Number(oid),
      name: schema === 'public' ? name : `${schema}.${name}`,
      sqlName,
      columns,
      hasRows: found?.has ?? false,
      closed: closed ?? undefined,
      keys: keyRows.filter(({ table }) => table === oid).map((row) => keyOf(row, columns)),
      foreignKeys: mine
        .filter(({ kind }) => kind === 'f')
        .map((row) => ({
          name: row.name,
          columns: row.columns ?? [],
          table: Number(row.referenced),
          referenced: row.referencedColumns ?? [],
        })),
      checks: [
        ...mine
          .filter(({ kind }) => kind === 'c')
          .map((row) => ({
            name: row.name,
            text: row.text ?? 'true',
            shown: row.text ?? '',
            columns: row.columns ?? [],
          })),
        ...own.flatMap((row) => domainChecks(row, domainsOf(Number(row.type)), constraints)),
        ...partitionCheck(
          partitions.filter(({ table }) => table === oid),
          columns,
        ),
      ],
    })
  }
  return { tables, types }
}

interface TableRow {
  oid: string
  schema: string
  name: string
  sqlName: string
  closed: string | null
}

interface ColumnRow {
  table: string
  number: number
  name: string
  type: string
  modifier: number
  notNull: boolean
  identity: string
  generated: boolean
  default: string | null
  sequence: string | null
  start: string
  increment: string
  last: string
}

interface KeyRow {
  table: string
  name: string
  columns: number[]
  predicate: string | null
  exclusion: boolean
  used: number[] | null
}

interface PartitionRow {
  table: string
  text: string | null
}

interface ConstraintRow {
  kind: 'c' | 'f'
  name: string
  table: string
  type: string
  columns: number[] | null
  referenced: string
  referencedColumns: number[] | null
  text: string | null
}

function columnOf(row: ColumnRow, domains: readonly TypeRow[], types: ReadonlyMap<number, Type>): Column {
  const base = domains.at(-1)?.base ?? Number(row.type)
  const type = types.get(base) as Type
  const sequence = row.sequence === null ? undefined : sequenceOf(row.sequence, row, type)
  return {
    number: row.number,
    name: row.name,
    type,
    modifier: domains.findLast(({ modifier }) => modifier !== -1)?.modifier ?? row.modifier,
    notNull: row.notNull || domains.some(({ notNull }) => notNull),
    hasDefault: row.default !== null || domains.some(({ hasDefault }) => hasDefault),
    default: row.generated ? undefined : (row.default ?? undefined),
    generated: row.generated ? (row.default ?? undefined) : undefined,
    sequence,
  }
}

const greatest: Readonly<Record<string, bigint>> = { int2: 32_767n, int4: 2_147_483_647n }

function sequenceOf(name: string, row: ColumnRow, type: Type): Sequence {
  const [start, increment, last] = [BigInt(row.start), BigInt(row.increment), BigInt(row.last)]
  const limit = greatest[type.name]
  const end = limit === undefined || increment < 0n || last < limit ? last : limit
  const size = (end - start) / increment + 1n
  return { name, start, increment, size: size < 2n ** 50n ? Number(size) : 2 ** 50 }
}

function typeOf(row: TypeRow): Type {
  const kinds: Readonly<Record<string, Type['kind']>> = {
    b: 'base',
    e: 'enum',
    r: 'range',
    m: 'multirange',
    c: 'composite',
  }
  return {
    oid: row.oid,
    name: row.name,
    kind: kinds[row.typtype] ?? 'other',
    labels: row.labels ?? [],
    element: row.element === 0 ? undefined : row.element,
    subtype: row.subtype ?? undefined,
    sqlName: row.sqlName,
  }
}

function keyOf({ name, columns, predicate, exclusion, used }: KeyRow, all: readonly Column[]): Key {
  const asked = predicate === null ? [] : numbersIn(predicate, all)
  const own = columns.includes(0) ? (used ?? []) : columns
  return {
    name,
    exclusion,
    predicate: predicate === null ? undefined : { name, text: predicate, shown: predicate, columns: asked },
    // Of an expression the columns that it is over: where those differ, so does it, more often than not.
    // So does a generated column, where those differ that it is made of.
    columns: [...new Set(own.flatMap((number) => sourcesOf(number, all)))],
  }
}

/** A column itself, or of a generated one what it is made of. */
export function sourcesOf(number: number, all: readonly Column[]): readonly number[] {
  const { generated } = all.find((column) => column.number === number) ?? {}
  if (generated === undefined) return [number]
  const found = numbersIn(generated, all)
  return found.length === 0 ? [number] : found
}

function domainChecks(
  { name, number }: ColumnRow,
  domains: readonly TypeRow[],
  constraints: readonly ConstraintRow[],
): Check[] {
  const own = constraints.filter(({ type }) => domains.some(({ oid }) => oid === Number(type)))
  return own.map(({ name: check, text }) => ({
    name: check,
    text: withValueNamed(text ?? 'true', `"${name.replaceAll('"', '""')}"`),
    shown: text ?? '',
    columns: [number],
  }))
}

/** A row of a partitioned table must belong to one of its partitions. */
function partitionCheck(partitions: readonly PartitionRow[], all: readonly Column[]): Check[] {
  if (partitions.length === 0 || partitions.some(({ text }) => text === null)) return []
  const text = partitions.map((partition) => `(${partition.text})`).join(' OR ')
  return [{ name: 'its partitions', text, shown: text, columns: numbersIn(text, all) }]
}

/** The columns that an expression names. */
function numbersIn(expression: string, all: readonly Column[]): readonly number[] {
  const names = new Set(namesIn(expression))
  return all.filter(({ name }) => names.has(name)).map(({ number }) => number)
}
