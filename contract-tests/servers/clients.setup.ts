/** Clients of the servers that tests start, open for one piece of work. */
import { Redis } from 'ioredis'
import pg from 'pg'

export async function withPostgres<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  // A server that is killed meanwhile fails the call; without a listener it would fail the process.
  client.on('error', () => {})
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

/** The rows of one statement; none of several. */
export function query<T extends pg.QueryResultRow>(url: string, text: string): Promise<T[]> {
  return withPostgres(url, async (client) => {
    const result = (await client.query<T>(text)) as pg.QueryResult<T> | readonly pg.QueryResult<T>[]
    return 'rows' in result ? result.rows : []
  })
}

/** Fails at once where the server does not answer. */
export async function withRedis<T>(url: string, work: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(url, {
    ...{ lazyConnect: true, enableReadyCheck: false, maxRetriesPerRequest: 0 },
    retryStrategy: () => null,
  })
  client.on('error', () => {})
  try {
    await client.connect()
    return await work(client)
  } finally {
    client.disconnect()
  }
}
