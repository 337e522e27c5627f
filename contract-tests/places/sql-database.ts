/**
 * A database of one's own beside the service's; where the role may make none, a schema of one's own in it, that
 * every connection is told to work in.
 */
import type { Driver } from '../../src/adapter.ts'
import { PortError } from '../../src/errors.ts'
import { sql } from '../../src/ports/sql.ts'
import type { SqlDatabase } from '../../src/ports/sql-database.ts'
import { administer, type Connection, onService, type Place } from './place.ts'

/**
 * A database, or where that is not permitted a schema, emptied each time it is opened.
 * @throws PortError `unsupported` where neither can be had
 */
export async function sqlDatabasePlace(connection: Connection<SqlDatabase>): Promise<Place<SqlDatabase>> {
  const name = connection.name.replaceAll('-', '_')
  const identifier = sql.identifier(name)
  const dropDatabase = sql`DROP DATABASE IF EXISTS ${identifier} WITH (FORCE)`
  try {
    await administer(connection, async (db) => {
      await db.execute(dropDatabase)
      await db.execute(sql`CREATE DATABASE ${identifier} ENCODING 'UTF8' TEMPLATE template0`)
    })
  } catch (error) {
    if (!PortError.is(error) || error.code !== 'permission-denied') throw error
    return schemaPlace(connection, name)
  }
  const open = (change?: (url: URL) => void): Promise<Driver<SqlDatabase>> =>
    connection.open((url) => {
      url.pathname = `/${name}`
      change?.(url)
    })
  return {
    description: `the database ${name}`,
    async open() {
      await emptied(connection, open, 'public')
      return onService(connection, open)
    },
    openUnreachable: connection.openUnreachable,
    remove: () => administer(connection, (db) => db.execute(dropDatabase)),
  }
}

async function schemaPlace(connection: Connection<SqlDatabase>, name: string): Promise<Place<SqlDatabase>> {
  const open = async (change?: (url: URL) => void): Promise<Driver<SqlDatabase>> => {
    const driver = await connection.open(change)
    if (setSearchPath(driver.native, name)) return driver
    await driver.close()
    throw new PortError({
      code: 'unsupported',
      message: `this role may not make a database, and the adapter "${connection.adapter}" cannot be told to work in a schema: let the role make databases, or verify on a server where it may`,
    })
  }
  const drop = sql`DROP SCHEMA IF EXISTS ${sql.identifier(name)} CASCADE`
  await administer(connection, (db) =>
    db.execute(sql`CREATE SCHEMA IF NOT EXISTS ${sql.identifier(name)}`),
  ).catch((cause: unknown) => {
    if (!PortError.is(cause) || cause.code !== 'permission-denied') throw cause
    throw new PortError({
      code: 'unsupported',
      message: 'this role may make neither a database nor a schema, so there is no place to verify in',
      cause,
    })
  })
  return {
    description: `the schema ${name} (the role may make no database)`,
    async open() {
      await emptied(connection, open, name)
      return onService(connection, open)
    },
    openUnreachable: connection.openUnreachable,
    remove: () => administer(connection, (db) => db.execute(drop)),
  }
}

function emptied(
  connection: Connection<SqlDatabase>,
  open: () => Promise<Driver<SqlDatabase>>,
  schema: string,
): Promise<void> {
  const identifier = sql.identifier(schema)
  const empty = (db: SqlDatabase): Promise<void> =>
    db.transaction(async (transaction) => {
      await transaction.execute(sql`SET LOCAL lock_timeout = '5s'`)
      await transaction.execute(sql`DROP SCHEMA IF EXISTS ${identifier} CASCADE`)
      await transaction.execute(sql`CREATE SCHEMA ${identifier}`)
    })
  return administer(connection, empty, open)
}

/** Tells a `pg.Pool` that has not connected yet what each of its connections begins with. */
function setSearchPath(native: unknown, schema: string): boolean {
  const options = (native as { readonly options?: { options?: unknown } } | undefined)?.options
  if (typeof options?.options !== 'string') return false
  options.options += ` -c search_path=${schema}`
  return true
}
