/** The folder of one server: its data, its log, its passwords, and who runs it now. */
import { createHash, randomBytes } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join, resolve } from 'node:path'
import { PortError } from '../errors.ts'
import { tail } from './command.ts'
import type { ProcessId } from './processes.ts'

/** What a folder remembers of the server that ran on it last. */
export interface LastRun {
  readonly port: number
  /** The server's process while it runs; absent after it was stopped. */
  readonly process?: ProcessId | undefined
  /** Written once the server is ready, where it is to outlive whoever started it. */
  readonly kept?: Kept | undefined
}

/** What others must know of a server that outlived whoever started it. */
export interface Kept {
  readonly engine: string
  readonly title: string
  readonly version: string
  readonly durable: boolean
  readonly stopSignal: NodeJS.Signals
  /** The source it is from. */
  readonly from: string
  /** Why those asked before it were not used. */
  readonly passedOver: readonly string[]
  /** It is a container, which the engine knows by what the folder remembers; not a process of this machine. */
  readonly container?: true
}

export class ServerFolder {
  readonly path: string

  /** @throws PortError `permission-denied` where it cannot be made or written to; `quota-exceeded` on a full disk */
  constructor(path: string) {
    this.path = resolve(path)
    checkOwner(this.path)
    try {
      mkdirSync(this.path, { recursive: true })
      closeSync(openSync(this.log, 'a', 0o600))
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException
      throwIfFull(this.path, cause)
      throw new PortError({
        code: 'permission-denied',
        message: `the server's folder ${this.path} cannot be written to (${code}); another user may have made it: remove it or choose another`,
        cause,
      })
    }
  }

  get data(): string {
    return join(this.path, 'data')
  }

  get log(): string {
    return join(this.path, 'server.log')
  }

  get lock(): string {
    return join(this.path, 'lock')
  }

  file(name: string): string {
    return join(this.path, name)
  }

  /**
   * The password called `name`, made the first time it is asked for. Readable by its owner only.
   * @param make @default 24 random bytes
   */
  password(name: string, make: () => string = randomPassword): string {
    const passwords = this.#readJson<Record<string, string>>('passwords.json') ?? {}
    const known = passwords[name]
    if (known !== undefined) return known
    const made = make()
    this.#writeJson('passwords.json', { ...passwords, [name]: made })
    return made
  }

  /**
   * The name or number of the place that belongs to `service`, chosen by `choose` the first time.
   * @param choose is given the places that others have
   */
  placeOf<P extends string | number>(service: string, choose: (taken: readonly P[]) => P): P {
    const places = this.#readJson<Record<string, P>>('places.json') ?? {}
    const known = Object.hasOwn(places, service) ? places[service] : undefined
    if (known !== undefined) return known
    const chosen = choose(Object.values(places))
    this.#writeJson('places.json', { ...places, [service]: chosen })
    return chosen
  }

  get lastRun(): LastRun | undefined {
    return this.recall<LastRun>('server')
  }

  set lastRun(run: LastRun) {
    this.remember('server', run)
  }

  /** What was remembered under `name`; `undefined` where nothing was. */
  recall<T>(name: string): T | undefined {
    return this.#readJson<T>(`${name}.json`)
  }

  /** Remembers `value` under `name`: whole or not at all. */
  remember(name: string, value: unknown): void {
    this.#writeJson(`${name}.json`, value)
  }

  /** Whether a server has put anything into the data folder. */
  get hasData(): boolean {
    return existsSync(this.data) && readdirSync(this.data).length > 0
  }

  /** The passwords, as what tells one from another and gives none away: they are long and random. */
  get passwordPrints(): Readonly<Record<string, string>> {
    const passwords = this.#readJson<Record<string, string>>('passwords.json') ?? {}
    return Object.fromEntries(
      Object.entries(passwords).map(([name, password]) => [
        name,
        createHash('sha256').update(password).digest('hex').slice(0, 16),
      ]),
    )
  }

  /** The end of the server's log, without any of its passwords. */
  logTail(): string {
    const file = openSync(this.log, 'r')
    try {
      const { size } = fstatSync(file)
      const bytes = Buffer.alloc(Math.min(size, 8192))
      readSync(file, bytes, 0, bytes.length, size - bytes.length)
      let text = tail(bytes.toString('utf8'))
      for (const secret of Object.values(this.#readJson<Record<string, string>>('passwords.json') ?? {})) {
        text = text.replaceAll(secret, '[redacted]')
      }
      return text
    } finally {
      closeSync(file)
    }
  }

  #readJson<T>(name: string): T | undefined {
    return readJson<T>(this.path, name)
  }

  #writeJson(name: string, value: unknown): void {
    // Renamed into place: a crash leaves the old file or the new one, never half of it.
    const whole = this.file(`${name}.tmp`)
    try {
      rmSync(whole, { force: true })
      writeFileSync(whole, `${JSON.stringify(value, undefined, 2)}\n`, { mode: 0o600 })
      chmodSync(whole, 0o600)
      renameSync(whole, this.file(name))
    } catch (error) {
      rmSync(whole, { force: true })
      throwIfFull(this.path, error)
      throw error
    }
  }
}

/** What {@link ServerFolder.remember} wrote under `name`, for who only looks: nothing is made. */
export function recallIn<T>(path: string, name: string): T | undefined {
  return readJson<T>(path, `${name}.json`)
}

function readJson<T>(folder: string, name: string): T | undefined {
  const path = join(folder, name)
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as T
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return undefined
    if (code === 'EACCES' || code === 'EPERM') {
      throw new PortError({
        code: 'permission-denied',
        message: `${path} belongs to another user and cannot be read (${code}); run as that user, or choose another folder`,
        cause: error,
      })
    }
    throw new PortError({
      code: 'corrupt',
      outcome: 'not-applied',
      message: `${path} cannot be read; remove ${folder} to start afresh, which loses the data in it`,
      cause: error,
    })
  }
}

/** Whether a program says that the disk is full. */
export function saysFull(text: string): boolean {
  return /No space left on device|disk quota exceeded/i.test(text)
}

/** @throws PortError `quota-exceeded` where `error` says that the disk is full */
export function throwIfFull(path: string, error: unknown): void {
  const { code } = error as NodeJS.ErrnoException
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return
  throw new PortError({
    code: 'quota-exceeded',
    outcome: 'not-applied',
    message: `the disk is full: ${path} cannot be written to (${code}); free some space and run it again, what is there stays`,
    cause: error,
  })
}

/**
 * Root could go on in another user's folder, and would leave files there that shut the user out of it.
 * @throws PortError `permission-denied`
 */
function checkOwner(path: string): void {
  const owner = statSync(path, { throwIfNoEntry: false })?.uid
  if (owner === undefined || owner === 0 || process.geteuid?.() !== 0) return
  throw new PortError({
    code: 'permission-denied',
    message: `the server's folder ${path} belongs to another user (id ${owner}); run as that user, or choose another folder`,
  })
}

function randomPassword(): string {
  return randomBytes(24).toString('base64url')
}
