/**
 * The folder of `--persist`: the state of each emulated service, kept up with its changes, and named snapshots. One
 * process at a time; each state is written whole or not at all.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { PortError } from '../../../src/errors.ts'
import { type Lock, takeLock } from '../../../src/servers/lock.ts'
import { stateFileName } from '../../state-file.ts'
import type { Emulation } from '../emulation/protocol.ts'

export interface StoreOptions {
  /** How long after a change its state is written at the latest, in milliseconds. @default 250 */
  readonly debounceMs?: number
  /** Told when a state cannot be written, and when it can again. */
  readonly onProgress?: (message: string) => void
}

/** A snapshot's name: also the name of a folder on any system. */
export const snapshotName = '^[a-z0-9][a-z0-9-]{0,63}$'

const markerName = 'portside-emulate.json'
const marker = { format: 'portside emulate', version: 1 }

export class EmulationStore {
  readonly folder: string
  readonly #lock: Lock
  readonly #debounceMs: number
  readonly #tell: (message: string) => void
  readonly #unsaved = new Map<Emulation, NodeJS.Timeout | undefined>()
  readonly #failing = new Set<Emulation>()
  // One after another, so that of two saves the newer one stands in the end.
  #work: Promise<unknown> = Promise.resolve()

  private constructor(folder: string, lock: Lock, { debounceMs = 250, onProgress }: StoreOptions) {
    this.folder = folder
    this.#lock = lock
    this.#debounceMs = debounceMs
    this.#tell = onProgress ?? (() => {})
  }

  /**
   * Opens the folder at `path`, which is made where absent.
   * @throws PortError `conflict` where another process has it; `invalid-argument` where it holds other things;
   * `permission-denied` where it cannot be written to
   */
  static async open(path: string, options: StoreOptions = {}): Promise<EmulationStore> {
    const folder = resolve(path)
    prepare(folder)
    const lock = await takeLock(join(folder, 'lock'), { waitMs: 0 })
    if ('holder' in lock) {
      throw new PortError({
        code: 'conflict',
        message: `${folder} is in use by process ${lock.holder.pid}; stop it, or give another folder`,
      })
    }
    return new EmulationStore(folder, lock, options)
  }

  /** Loads what was kept of the service; answers whether there was anything. */
  async restore(emulation: Emulation): Promise<boolean> {
    const folder = this.#stateFolder(emulation)
    if (!existsSync(join(folder, stateFileName))) return false
    await emulation.load(folder)
    return true
  }

  /** Has the state written soon. */
  changed(emulation: Emulation): void {
    // From the first change on: a service that never rests is written all the same.
    if (this.#unsaved.get(emulation) !== undefined) return
    this.#unsaved.set(
      emulation,
      setTimeout(() => void this.#save(emulation), this.#debounceMs),
    )
  }

  /** Writes what is not yet written; answers whether all of it could be. */
  async flush(): Promise<boolean> {
    for (const [emulation, timer] of this.#unsaved) {
      clearTimeout(timer)
      void this.#save(emulation)
    }
    await this.#work
    return this.#failing.size === 0
  }

  /** Writes what is not yet written and lets go of the folder; answers whether all could be written. */
  async close(): Promise<boolean> {
    try {
      return await this.flush()
    } finally {
      this.#lock.release()
    }
  }

  async saveSnapshot(emulation: Emulation, name: string): Promise<void> {
    await this.#inTurn(() => emulation.save(this.#snapshotFolder(emulation, name)))
  }

  /** @throws PortError `not-found` for a name that nothing was saved under */
  async loadSnapshot(emulation: Emulation, name: string): Promise<void> {
    await this.#inTurn(async () => {
      const folder = this.#snapshotFolder(emulation, name)
      if (!existsSync(join(folder, stateFileName)))
        throw new PortError({ code: 'not-found', message: `there is no snapshot "${name}"` })
      await emulation.load(folder)
    })
    this.changed(emulation)
  }

  /** The names under which states of the service were saved, in order. */
  async snapshots(emulation: Emulation): Promise<readonly string[]> {
    const folder = join(this.folder, 'snapshots', emulation.service)
    const names = await readdir(folder).catch(() => [])
    return names.filter((name) => existsSync(join(folder, name, stateFileName))).toSorted()
  }

  /** Absent is no error. */
  async deleteSnapshot(emulation: Emulation, name: string): Promise<void> {
    await this.#inTurn(() => rm(this.#snapshotFolder(emulation, name), { recursive: true, force: true }))
  }

  #save(emulation: Emulation): Promise<void> {
    return this.#inTurn(async () => {
      // Before it is read: what changes from here on is not in it.
      this.#unsaved.delete(emulation)
      try {
        await emulation.save(this.#stateFolder(emulation))
        if (this.#failing.delete(emulation)) this.#tell(`${emulation.service}: its state is written again`)
      } catch (error) {
        const why = PortError.is(error) ? error.detail : ((error as NodeJS.ErrnoException).code ?? error)
        if (!this.#failing.has(emulation))
          this.#tell(
            `${emulation.service}: its state cannot be written (${why}); it is tried again at the next change`,
          )
        this.#failing.add(emulation)
        this.#unsaved.set(emulation, undefined)
      }
    })
  }

  async #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#work.then(work)
    this.#work = turn.catch(() => {})
    return turn
  }

  #stateFolder({ service }: Emulation): string {
    return join(this.folder, 'state', service)
  }

  #snapshotFolder({ service }: Emulation, name: string): string {
    return join(this.folder, 'snapshots', service, name)
  }
}

/** Makes the folder, and marks it as one of these, so that no folder with other things in it is ever taken for one. */
function prepare(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const path = join(folder, markerName)
    if (!existsSync(path)) {
      if (readdirSync(folder).some((name) => !name.startsWith('lock'))) {
        throw new PortError({
          code: 'invalid-argument',
          message: `${folder} holds other things than states of emulators; give an empty folder, or a new one`,
        })
      }
      writeFileSync(path, `${JSON.stringify(marker)}\n`, { mode: 0o600 })
    }
    const found = readMarker(path)
    if (found?.format === marker.format && found.version === marker.version) return
    throw new PortError({
      code: 'corrupt',
      message: `${path} is not as this version of portside writes it; give another folder, or take this one away to begin anew`,
      outcome: 'not-applied',
    })
  } catch (cause) {
    if (PortError.is(cause)) throw cause
    const { code } = cause as NodeJS.ErrnoException
    throw new PortError({
      code: 'permission-denied',
      message: `the folder ${folder} cannot be used (${code}); give one that can be written to`,
      cause,
    })
  }
}

function readMarker(path: string): Partial<typeof marker> | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Partial<typeof marker>
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
