/** Pulls the images before the tests, where the engine does not have them: a test has less time than that may take. */
import { findEngine } from '../../src/servers/docker-engine.ts'

export async function setup(): Promise<void> {
  const engine = await findEngine()
  if (typeof engine === 'string') return
  const onProgress = (message: string): void => void process.stderr.write(`${message}\n`)
  for (const image of ['postgres:17.10', 'redis:7.0', 'valkey/valkey:8.1']) {
    const found = await engine.findImage(image, { onProgress })
    // The tests that need it say so as well.
    if (typeof found === 'string') onProgress(found)
  }
}
