/**
 * Stops a container when the process that made it ends, however that ends. A shell could not ask the engine, whose
 * command need not be installed: so this one is a small Node, which waits at the other end of a pipe.
 */
import type { EngineAddress } from './docker-engine.ts'
import { type Guardian, waitingProgram } from './guardian.ts'

const script = `
const [address, id, seconds] = process.argv.slice(1)
for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM']) process.on(signal, () => {})
const stop = () => require('node:http')
  .request({ ...JSON.parse(address), method: 'POST', path: '/containers/' + id + '/stop?t=' + seconds })
  .on('error', () => {})
  .end()
process.stdin.on('close', stop).resume()
`

/** @param address without one, nothing is guarded: the next start finds what was left */
export function guardContainer(
  address: EngineAddress | undefined,
  id: string,
  stopTimeoutMs: number,
): Guardian {
  if (address === undefined) return { dismiss: () => {} }
  const args = [JSON.stringify(address), id, String(Math.ceil(stopTimeoutMs / 1000))]
  return waitingProgram(process.execPath, ['-e', script, ...args], {})
}
