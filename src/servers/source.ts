/**
 * Where the programs of a server come from: a package, the PATH, the system's package manager. Another source
 * (a container's image, say) is one more of these beside the others.
 */
import { access, constants } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import type { StartOptions } from '../adapter.ts'
import { PortError } from '../errors.ts'
import { pinHolds } from '../services/pin.ts'

/** Programs of a server on this machine. */
export interface Programs {
  /** The version of the server, as its program says. */
  readonly version: string
  /** The path of one of them. */
  program(name: string): string
  /** Variables they need to run. */
  readonly env: Readonly<Record<string, string>>
}

export type SourceContext = Pick<StartOptions, 'signal' | 'onProgress'>

export interface ServerSource {
  /** As a message names it: `the PATH`. */
  readonly name: string
  /** Programs of the pinned version, or a sentence that says what it has instead. */
  find(pin: string, context: SourceContext): Promise<Programs | string>
}

/**
 * Asks the sources, in order, for the pinned version.
 * @throws PortError `unsupported` that says what each has
 */
export async function findPrograms(
  title: string,
  sources: readonly ServerSource[],
  pin: string,
  context: SourceContext,
): Promise<Programs> {
  const findings: string[] = []
  for (const source of sources) {
    const found = await source.find(pin, context)
    if (typeof found !== 'string') return found
    findings.push(`${source.name}: ${found}`)
  }
  throw new PortError({
    code: 'unsupported',
    message:
      `${title} ${pin} is pinned and cannot be had here\n${findings.map((finding) => `  - ${finding}`).join('\n')}\n` +
      `  install ${title} ${pin}, or pin a version that can be had, or set the service's URL to a server you run`,
    details: { pinned: pin },
  })
}

/** The version, where it is the pinned one; else the sentence of a source that has another. */
export function wrongVersion(pin: string, version: string, where: string): string | undefined {
  return pinHolds(pin, version) ? undefined : `found ${version} in ${where}`
}

/** Every program called `name` in the folders of the PATH. */
export async function onPath(name: string): Promise<readonly string[]> {
  const found: string[] = []
  for (const folder of new Set((process.env.PATH ?? '').split(delimiter))) {
    if (folder === '') continue
    const path = join(folder, name)
    const runs = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (runs) found.push(path)
  }
  return found
}
