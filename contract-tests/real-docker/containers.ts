/** Servers in containers for tests, where there is an engine to run them; else the tests say that they were not run. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'vitest'
import type { DatastoreServer, RunningServer, StartOptions } from '../../src/adapter.ts'
import { discardContainer, findEngine } from '../../src/servers/docker-engine.ts'

/** Set by `run.sh`, which has brought an engine: then it is a failure that there is none. */
const isRequired = process.env.PORTSIDE_TEST_DOCKER === 'required'

/**
 * Declares the tests where there is an engine, else one that is skipped and says why.
 * @param image pulled where it is not there; one that cannot be had is a reason, too
 */
export async function whereContainersRun(declare: () => void, image?: string): Promise<void> {
  const engine = await findEngine()
  const found = typeof engine === 'string' || image === undefined ? engine : await engine.findImage(image, {})
  if (typeof found !== 'string') return declare()
  test(image === undefined ? 'containers' : `containers of ${image}`, ({ skip }) => {
    if (isRequired && typeof engine === 'string') throw new Error(engine)
    skip(`not run: ${found}`)
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
