/** A fake's state as a file: written whole or not at all, and refused where it is not what was written. */
import { createHash, randomUUID } from 'node:crypto'
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { PortError } from '../src/errors.ts'
import { fromPlain, toPlain } from './plain.ts'

/** The file of a saved state in its folder. It is written last, so what it speaks of is there. */
export const stateFileName = 'state.json'

/** What was saved: the state, and the time on the fake's clock. */
export interface SavedState {
  readonly nowMs: number
  readonly state: unknown
}

// Raised when what is written changes in a way that an older reader would misread.
const version = 1

/** Writes `state.json` into `folder`, which is made where absent: first under another name, then by one rename. */
export async function writeStateFile(folder: string, port: string, saved: SavedState): Promise<void> {
  const state = toPlain(saved.state)
  const text = JSON.stringify({ version, port, nowMs: saved.nowMs, sha256: digestOf(state), state })
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const half = join(folder, `${stateFileName}.${randomUUID()}`)
  try {
    const file = await open(half, 'wx', 0o600)
    try {
      await file.writeFile(`${text}\n`)
      // Else a power cut may leave the new name on an empty file.
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(half, join(folder, stateFileName))
  } catch (error) {
    await rm(half, { force: true })
    throw error
  }
}

/**
 * Reads `state.json` of `folder`.
 * @throws PortError `not-found` where there is none; `corrupt` where it is not as it was written, of another version
 * or another port's
 */
export async function readStateFile(folder: string, port: string): Promise<SavedState> {
  const path = join(folder, stateFileName)
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT')
      throw new PortError({ code: 'not-found', message: `there is no saved state ${path}`, cause })
    throw new PortError({
      code: 'unavailable',
      message: `${path} cannot be read (${code})`,
      outcome: 'not-applied',
      cause,
    })
  }
  const found = parse(path, text)
  if (found.version !== version)
    throw corruptState(path, `it is of version ${Number(found.version)}; version ${version} is known here`)
  if (found.port !== port) throw corruptState(path, `it is not the state of a fake of "${port}"`)
  if (typeof found.nowMs !== 'number' || found.sha256 !== digestOf(found.state))
    throw corruptState(path, 'it is not as it was written')
  try {
    return { nowMs: found.nowMs, state: fromPlain(found.state) }
  } catch (cause) {
    throw corruptState(path, 'it holds what no state has', cause)
  }
}

/** The error for a saved state that cannot be used. */
export function corruptState(path: string, why: string, cause?: unknown): PortError {
  return new PortError({
    code: 'corrupt',
    message: `the saved state ${path} cannot be used: ${why}; take the folder away to begin anew`,
    outcome: 'not-applied',
    cause,
  })
}

function parse(path: string, text: string): Readonly<Record<string, unknown>> {
  let found: unknown
  try {
    found = JSON.parse(text)
  } catch (cause) {
    throw corruptState(path, 'it is no JSON', cause)
  }
  if (typeof found !== 'object' || found === null) throw corruptState(path, 'it is no JSON object')
  return found as Readonly<Record<string, unknown>>
}

function digestOf(state: unknown): string {
  return createHash('sha256')
    .update(JSON.stringify(state) ?? '')
    .digest('hex')
}
