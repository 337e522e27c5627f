/**
 * Runs a contract on whatever a service's URL points at, without a test runner: in a place of its own, to be cut
 * short at any time, and to go on where it stopped. What `portside verify` does.
 */
import { appendFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { invalidArgument, PortError } from '../src/errors.ts'
import type { ServerProduct } from '../src/parity/evidence.ts'
import type { OwnedConnection } from './connection.ts'
import type { Contract, Subject } from './contract.ts'
import { type Divergence, divergenceProblems } from './divergences.ts'
import { contractHash, makeEvidence, writeEvidence } from './evidence.ts'
import type { Place, PlaceMaker } from './places/place.ts'
import { type BehaviourResult, runBehaviour } from './run.ts'

export interface VerifyOptions<T extends object> {
  readonly contract: Contract<T>
  /** Makes the connection for a place of this name. */
  readonly connect: (placeName: string) => Promise<OwnedConnection<T>>
  readonly makePlace: PlaceMaker<T>
  /** The subject's id. */
  readonly subject: string
  readonly adapter: string
  /** Which server it is, where the driver does not say itself. */
  readonly server?: ServerProduct | undefined
  readonly divergences: readonly Divergence[]
  /** Only behaviours whose id, with or without the port, begins so. No evidence is written then. */
  readonly only?: string | undefined
  /** Go on where an earlier run stopped; its failures are tried again. */
  readonly resume: boolean
  /** Where evidence and progress are written. */
  readonly folder: string
  /** This package's version. */
  readonly portside: string
  /** Cuts the run short: the behaviour under way is ended, the place removed. */
  readonly signal: AbortSignal
  /** A part of the place's name that no other run has: lower-case letters and digits. */
  readonly token: string
  readonly onPlace?: (description: string) => void
  readonly onResult?: (result: BehaviourResult, position: number, total: number) => void
}

export interface VerifyReport {
  readonly subject: string
  readonly kind: Subject<object>['kind']
  readonly server: ServerProduct | undefined
  readonly contract: string
  readonly results: readonly BehaviourResult[]
  /** What fails the run besides failed behaviours. */
  readonly problems: readonly string[]
  /** The file of evidence; `undefined` where none was written. */
  readonly evidence: string | undefined
  readonly interrupted: boolean
}

/** The first line of a progress file; the others are results. */
interface Progress {
  /** The process that wrote it. */
  readonly pid: number
  readonly place: string
  readonly contract: string
  readonly server: ServerProduct | undefined
}

/**
 * Runs the contract. Rejects only where no place can be made or removed, or the server does not say who it is when
 * asked; whatever the behaviours do is in the report.
 */
export async function verify<T extends object>(options: VerifyOptions<T>): Promise<VerifyReport> {
  const { contract, signal, only, divergences } = options
  // A part is no step of the whole.
  const file = join(options.folder, `${options.subject}${only === undefined ? '' : '.part'}.progress`)
  const earlier = readProgress(file)
  if (earlier !== undefined && isRunning(earlier.head.pid)) {
    throw new PortError({
      code: 'conflict',
      message: `${options.subject} is being verified by process ${earlier.head.pid}; wait for it, or remove ${file}`,
    })
  }
  // One that an earlier run could not remove is taken over, so that nothing stays behind for good.
  const placeName = earlier?.head.place ?? `portside-verify-${options.token}`
  const connection = await options.connect(placeName)
  const server = await identify(connection, options)
  const head: Progress = { pid: process.pid, place: placeName, contract: contractHash(contract), server }
  const known =
    options.resume && earlier !== undefined && isSameRun(earlier.head, head) ? earlier.results : []
  const results = new Map(known.map((result) => [result.id, result]))
  const whole = `${contract.port.name}/`
  const chosen = contract.behaviours.filter(
    ({ id }) => only === undefined || id.startsWith(only) || (whole + id).startsWith(only),
  )

  mkdirSync(options.folder, { recursive: true })
  const lines = [head, ...results.values()].map((line) => `${JSON.stringify(line)}\n`)
  writeFileSync(file, lines.join(''))
  const place = await options.makePlace(connection)
  options.onPlace?.(place.description)
  const subject = subjectOf(options, connection, place, server)
  const end = (): void => void connection.closeAll()
  signal.addEventListener('abort', end, { once: true })
  // What no one waits for any more must not end the process, and leave the place behind.
  let stray: { readonly error: unknown } | undefined
  const onStray = (error: unknown): void => {
    stray ??= { error }
  }
  process.on('unhandledRejection', onStray)
  try {
    for (const [index, behaviour] of chosen.entries()) {
      if (signal.aborted) break
      if (results.has(whole + behaviour.id)) continue
      stray = undefined
      const judged = await runBehaviour(contract, behaviour, subject, { divergences })
      // What it left open would hold up the removal of its place, and is no longer of any use.
      await connection.closeAll()
      // Cut short, it says nothing about the service.
      if (signal.aborted) break
      const result = withStray(judged, stray)
      results.set(result.id, result)
      if (result.outcome !== 'failed')
        appendFileSync(file, `${JSON.stringify({ ...result, error: undefined })}\n`)
      options.onResult?.(result, index + 1, chosen.length)
    }
  } finally {
    signal.removeEventListener('abort', end)
    await place.remove()
    await connection.closeAll()
    process.removeListener('unhandledRejection', onStray)
  }
  const found = [...results.values()]
  const report = {
    subject: options.subject,
    kind: subject.kind,
    server,
    contract: head.contract,
    results: found,
  }
  if (signal.aborted) return { ...report, problems: [], evidence: undefined, interrupted: true }
  rmSync(file, { force: true })
  const problems = divergenceProblems(contract, subject, divergences, found)
  const evidence =
    only === undefined
      ? writeEvidence(evidenceOf(options, subject, server, found), options.folder)
      : undefined
  return { ...report, problems, evidence, interrupted: false }
}

function subjectOf<T extends object>(
  { subject: id, adapter }: VerifyOptions<T>,
  { isEmulated }: OwnedConnection<T>,
  place: Place<T>,
  server: ServerProduct | undefined,
): Subject<T> {
  return {
    id,
    name: id,
    kind: isEmulated ? 'emulator' : 'real',
    adapter,
    server: async () => server,
    open: () => place.open(),
    openUnreachable: place.openUnreachable,
  }
}

function evidenceOf<T extends object>(
  { contract, subject, adapter, portside }: VerifyOptions<T>,
  { kind }: Subject<T>,
  server: ServerProduct | undefined,
  results: readonly BehaviourResult[],
): Parameters<typeof writeEvidence>[0] {
  return makeEvidence({
    contract,
    subject,
    kind,
    adapter,
    server,
    results,
    portside,
    date: new Date(),
  })
}

/** What was said wins: a gateway may answer for what is behind it. */
async function identify<T extends object>(
  connection: OwnedConnection<T>,
  { server, signal }: VerifyOptions<T>,
): Promise<ServerProduct | undefined> {
  if (server !== undefined) return server
  const driver = await connection.open()
  try {
    const identity = await driver.identify?.({ signal })
    return identity && { product: identity.engine, version: identity.version }
  } finally {
    await driver.close()
  }
}

/** A behaviour that leaves a failure to no one has failed, unless it proves nothing anyway. */
function withStray(result: BehaviourResult, stray: { readonly error: unknown } | undefined): BehaviourResult {
  if (stray === undefined || result.outcome !== 'passed') return result
  return { id: result.id, outcome: 'failed', error: stray.error }
}

/** Whether the contract and the server are those of the run that stopped. */
function isSameRun(earlier: Progress, now: Progress): boolean {
  const of = ({ contract, server }: Progress): string => JSON.stringify([contract, server])
  return of(earlier) === of(now)
}

function isRunning(pid: number): boolean {
  if (pid === process.pid) return false
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** `undefined` where there is no file, or it was cut short before it said anything. */
function readProgress(
  file: string,
): { readonly head: Progress; readonly results: readonly BehaviourResult[] } | undefined {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  // The last line may have been cut short with the run.
  const [head, ...results] = text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as unknown)
  if (head === undefined) return undefined
  // What it names is going to be removed.
  if (!/^portside-verify-[a-z0-9]+$/.test((head as Progress).place)) {
    throw invalidArgument(`${file} is no record of a run; remove it`)
  }
  return { head: head as Progress, results: results as readonly BehaviourResult[] }
}
