/**
 * Unpacks PgBouncer from the packages of Debian or Ubuntu into the cache, by anyone, and prints the folder. Where it
 * cannot be had: status 3, and why.
 */
import { PortError } from '../../src/errors.ts'
import { debianPackages } from '../../src/servers/debian.ts'

const onProgress = (message: string): void => void process.stderr.write(`${message}\n`)
const found = await debianPackages({ main: 'pgbouncer', others: [] }, '1', { onProgress }).catch(
  (error: unknown) => {
    if (PortError.is(error)) return error.message
    throw error
  },
)
if (typeof found === 'string') {
  onProgress(found)
  process.exitCode = 3
} else process.stdout.write(`${found.root}\n`)
