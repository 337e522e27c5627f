/**
 * Where servers come from, in the order in which they are asked: a container engine, which runs the pinned version
 * itself; then programs on this machine: a package, the PATH, the system's package manager.
 */
import { access, constants } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import type { DatastoreServer, StartOptions } from '../adapter.ts'
import { invalidArgument, PortError } from '../errors.ts'
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

/** A place where the pinned version of a server may be had. */
export interface Source<F> {
  /** As a message names it: `the PATH`. */
  readonly name: string
  /** What there is of the pinned version, or a sentence that says what there is instead. */
  find(pin: string, context: SourceContext): Promise<F | string>
}

/** A source of programs, which are started on this machine. */
export type ServerSource = Source<Programs>

/** A source that runs whole servers: it starts, keeps and stops them in its own way. */
export type ContainerSource = Source<DatastoreServer>

/** The kinds of source: `docker` is a container engine, `local` are programs on this machine. */
export type SourceKind = 'docker' | 'local'

/**
 * The one kind of source that `PORTSIDE_SERVERS` allows; `undefined` where any will do.
 * @throws PortError `invalid-argument` where it holds something else
 */
export function forcedSource(
  env: Readonly<Record<string, string | undefined>> = process.env,
): SourceKind | undefined {
  const wanted = env.PORTSIDE_SERVERS?.trim() ?? ''
  if (wanted === '') return undefined
  if (wanted === 'docker' || wanted === 'local') return wanted
  throw invalidArgument('PORTSIDE_SERVERS must be "docker", "local", or unset for whichever can be had')
}

/** What was found, and which source it is from. */
export interface Found<F> {
  readonly found: F
  readonly from: string
}

/**
 * Asks the sources, in order, for the pinned version.
 * @param findings what sources asked before had to say; those asked here add to it
 * @throws PortError `unsupported` that says what each has
 */
export async function findFirst<F>(
  title: string,
  sources: readonly Source<F>[],
  pin: string,
  context: SourceContext,
  findings: string[] = [],
): Promise<Found<F>> {
  for (const source of sources) {
    const found = await source.find(pin, context)
    if (typeof found !== 'string') return { found, from: source.name }
    findings.push(`${source.name}: ${found}`)
  }
  throw cannotBeHad(title, pin, findings)
}

/** Like {@link findFirst}, for who does not ask where it is from. */
export async function findPrograms<F>(
  title: string,
  sources: readonly Source<F>[],
  pin: string,
  context: SourceContext,
): Promise<F> {
  return (await findFirst(title, sources, pin, context)).found
}

/** The error that lists what each source has instead of the pinned version. */
export function cannotBeHad(title: string, pin: string, findings: readonly string[]): PortError {
  return new PortError({
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
