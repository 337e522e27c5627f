import { afterAll, beforeAll, expect, test } from 'vitest'
import { contained } from '../adapters/postgres/server.ts'
import type { PortErrorCode } from '../src/errors.ts'
import type { SqlDatabase } from '../src/ports/sql-database.ts'
import type { Subject } from './contract.ts'
import { type OwnContainer, startContainer, whereContainersRun } from './real-docker/containers.ts'
import { sqlDatabaseCodes } from './sql-database/limits.ts'
import { empty, openNowhere, openOn } from './sql-database.setup.ts'
import { sqlDatabaseContract } from './sql-database.ts'
import { describeContract } from './vitest.ts'

const version = '17.10'

await whereContainersRun(() => {
  let own: OwnContainer
  let url: string
  beforeAll(async () => {
    own = await startContainer(contained, { version, durable: true })
    url = await own.server.provision('orders')
  })
  afterAll(() => own?.dispose())

  const seen = new Set<PortErrorCode>()
  let opened = 0
  const inContainer: Subject<SqlDatabase> = {
    name: `pg on PostgreSQL ${version} in a container`,
    id: 'postgres-on-postgresql-container',
    kind: 'real',
    adapter: 'postgres',
    server: async () => ({ product: own.server.identity.engine, version: own.server.identity.version }),
    openUnreachable: () => openNowhere(seen),
    async open() {
      await empty(url)
      opened += 1
      return { ...(await openOn(url, { admin: own.server.adminUrl(), seen })), server: own.server }
    },
  }
  describeContract(sqlDatabaseContract, inContainer)

  test('every code that a database in a container can fail with was provoked, and no other', ({ skip }) => {
    if (opened < sqlDatabaseContract.behaviours.length) skip('only a part of the behaviours was run')
    expect([...seen].toSorted()).toEqual(sqlDatabaseCodes)
  })
})
