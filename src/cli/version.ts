/** Which version of this package runs. */
import { readFileSync } from 'node:fs'

/** From this package's own package.json, which is two folders up from the sources and three from what is built. */
export function version(): string {
  for (const up of ['../../package.json', '../../../package.json']) {
    try {
      const found = JSON.parse(readFileSync(new URL(up, import.meta.url), 'utf8')) as {
        name?: string
        version?: string
      }
      if (found.name === 'portside' && found.version !== undefined) return found.version
    } catch {
      // Not there: the other one is.
    }
  }
  return 'unknown'
}
