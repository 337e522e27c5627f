/** Servers in containers for tests, where there is an engine to run them; else the tests say that they were not run. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'vitest'
import type { DatastoreServer, RunningServer, StartOptions } from '../../src/adapter.ts'
import { discardContainer, findEngine } from '../../src/servers/docker-engine.ts'

/** Set by `run.sh`, which has brought an engine: then it is a failure that there is none. */
const isRequired = process.env.PORTSIDE_TEST_DOCKER === 'required'

/** Declares the tests where there is an engine, else one that is skipped and says why. */
export async function whereContainersRun(declare: () => void): Promise<void> {
  const engine = await findEngine()
  if (typeof engine !== 'string') return declare()
  test('containers', ({ skip }) => {
    if (isRequired) throw new Error(engine)
    skip(`not run: ${engine}`)
  })
}

export interface OwnContainer extends AsyncDisposable {
  readonly server: RunningServer
  readonly directory: string
  /** Removes the container, its data and its folder. Twice resolves. */
  dispose(): Promise<void>
}

/** A folder for a server, whose container goes with it. */
export async function containerFolder(): Promise<{ readonly directory: string } & AsyncDisposable> {
  const directory = await mkdtemp(join(tmpdir(), 'portside-container-'))
  return {
    directory,
    async [Symbol.asyncDispose]() {
      await discardContainer(directory)
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** Starts a server of the test's own in a container. */
export async function startContainer(
  recipe: DatastoreServer,
  options: Pick<StartOptions, 'version' | 'durable'>,
): Promise<OwnContainer> {
  const folder = await containerFolder()
  const { directory } = folder
  let server: RunningServer
  try {
    server = await recipe.start({ durable: false, ...options, directory })
  } catch (error) {
    await folder[Symbol.asyncDispose]()
    throw error
  }
  let disposing: Promise<void> | undefined
  const dispose = (): Promise<void> => {
    disposing ??= server.stop().finally(() => folder[Symbol.asyncDispose]())
    return disposing
  }
  return { server, directory, dispose, [Symbol.asyncDispose]: dispose }
}
