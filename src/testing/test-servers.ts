/**
 * The servers that tests run on: of the pinned versions, found again by every worker, file and run, and kept apart from
 * those of development. What is in them is for tests alone and may be removed at any time.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { DatastoreServer, KeptServer, RunningServer, StartOptions } from '../adapter.ts'
import { systemClock } from '../calls/clock.ts'
import { PortError } from '../errors.ts'

/** Where servers for tests are kept, from the working directory. */
export const testServersFolder = join('.portside', 'tests')

/** How long to wait for another process that is starting the same server, which may have to fetch it first. */
const othersStartMs = 240_000

export interface TestServer {
  readonly server: RunningServer | KeptServer
  /** Stops it where nobody else can use it. */
  close(): Promise<void>
}

/** The server of one engine and pin, started unless it runs. */
export async function testServer(
  datastore: DatastoreServer,
  options: Pick<StartOptions, 'version' | 'signal' | 'onProgress'> & { readonly directory: string },
): Promise<TestServer> {
  const { directory, ...rest } = options
  await mkdir(directory, { recursive: true })
  // Data and passwords belong in no repository.
  await writeFile(join(directory, '.gitignore'), '*\n')
  const key = `${datastore.engine}-${options.version}`
  if (datastore.keep === undefined) {
    const own = join(directory, `${key}-${process.pid}`)
    const server = await datastore.start({ ...rest, directory: own, durable: false })
    return { server, close: () => server.stop() }
  }
  const end = Date.now() + othersStartMs
  for (;;) {
    try {
      const server = await datastore.keep({ ...rest, directory: join(directory, key), durable: false })
      return { server, close: async () => {} }
    } catch (error) {
      // Another worker is starting it at this moment.
      if (!PortError.is(error) || error.code !== 'conflict' || Date.now() > end) throw error
      await systemClock.sleep(200, options.signal)
    }
  }
}
