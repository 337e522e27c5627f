/**
 * Programs out of the packages of Debian and Ubuntu, without root and without installing anything: the system's
 * own package manager fetches and verifies them, and they are unpacked into the cache.
 */
import { existsSync } from 'node:fs'
import { chmod, mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PortError } from '../errors.ts'
import { pinHolds } from '../services/pin.ts'
import { cached, cacheFolder } from './cache.ts'
import { CommandError, run, tail } from './command.ts'
import { onPath, type SourceContext } from './source.ts'

export interface DebianPackages {
  /** The package whose version is the server's. */
  readonly main: string
  /** Others of the same source, unpacked with it even where the system has them installed. */
  readonly others: readonly string[]
}

/** Where the fetched packages were unpacked, or a sentence that says why they cannot be had. */
export async function debianPackages(
  { main, others }: DebianPackages,
  pin: string,
  { signal, onProgress }: SourceContext,
): Promise<{ readonly root: string } | string> {
  for (const tool of ['apt-get', 'apt-cache', 'dpkg']) {
    if ((await onPath(tool)).length === 0) return `there is no ${tool}; this is no Debian or Ubuntu`
  }
  const name = `${main}-${pin}-debian-${process.arch}`
  const known = join(cacheFolder(), name)
  if (existsSync(known)) return { root: known }
  try {
    return { root: await cached(cacheFolder(), name, fetchInto, waiting(signal, onProgress, main)) }
  } catch (error) {
    if (error instanceof NotToBeHad) return error.message
    if (!(error instanceof CommandError)) throw error
    throw new PortError({
      code: 'unavailable',
      outcome: 'not-applied',
      message:
        `${main} could not be fetched with apt-get; is there a network? Or install it: apt-get install ${main}\n` +
        `${error.message}\n${withoutCredentials(tail(error.output))}`,
    })
  }

  async function fetchInto(path: string): Promise<void> {
    onProgress?.(`fetching ${main} ${pin} from the system's package manager`)
    // Inside of what is being built, so that one clean-up serves both, whenever this is cut short.
    const work = join(path, '.apt')
    const apt = await Apt.create(work, signal)
    const updateFailure = await apt.update()
    const version = await apt.versionFor(main, pin, updateFailure)
    const wanted = [main, ...others].map((each) => `${each}=${version}`)
    const archives = await apt.download(wanted)
    for (const archive of archives) await run('dpkg', ['-x', archive, path], { signal, guarded: true })
    await rm(work, { recursive: true })
    // dpkg takes the mode of the root folder from the package.
    await chmod(path, 0o755)
  }
}

function waiting(
  signal: AbortSignal | undefined,
  onProgress: SourceContext['onProgress'],
  main: string,
): { signal: AbortSignal | undefined; onWait: () => void } {
  return { signal, onWait: () => onProgress?.(`waiting for another process to fetch ${main}`) }
}

/** The package manager works, and has no such version. */
class NotToBeHad extends Error {}

/** apt with lists and archives of its own, so that it needs no right and changes nothing of the system's. */
class Apt {
  readonly #folder: string
  readonly #signal: AbortSignal | undefined

  private constructor(folder: string, signal: AbortSignal | undefined) {
    this.#folder = folder
    this.#signal = signal
  }

  static async create(folder: string, signal: AbortSignal | undefined): Promise<Apt> {
    for (const each of ['lists/partial', 'archives/partial', 'download']) {
      await mkdir(join(folder, each), { recursive: true })
    }
    const settings = [
      `Dir::State::Lists "${folder}/lists";`,
      `Dir::Cache "${folder}";`,
      `Dir::Cache::Archives "${folder}/archives";`,
      'Dir::Cache::pkgcache "";',
      'Dir::Cache::srcpkgcache "";',
      // As root apt would change to an account that may not write here. Signatures are verified all the same.
      'APT::Sandbox::User "";',
      'Acquire::Languages "none";',
      'Acquire::Retries "2";',
      'Acquire::http::Timeout "20";',
      'Acquire::https::Timeout "20";',
      // What a system does after its own updates is not for this one.
      '#clear APT::Update::Pre-Invoke;',
      '#clear APT::Update::Post-Invoke;',
      '#clear APT::Update::Post-Invoke-Success;',
    ]
    await writeFile(join(folder, 'apt.conf'), `${settings.join('\n')}\n`)
    return new Apt(folder, signal)
  }

  /** One broken source among many is no failure yet: the answer tells it, for when a package is missing later. */
  async update(): Promise<CommandError | undefined> {
    try {
      const said = await this.#run('apt-get', ['update'])
      // apt ends with 0 where it could reach no source at all, and only warns.
      const failed = said.split('\n').filter((line) => /^(W|E|Err)[: ]/.test(line))
      return failed.length === 0
        ? undefined
        : new CommandError('apt-get update', 'could not reach a source', failed.join('\n'))
    } catch (error) {
      if (error instanceof CommandError) return error
      throw error
    }
  }

  /** The newest version of `name` that the pin allows, as apt writes it. */
  async versionFor(name: string, pin: string, updateFailure: CommandError | undefined): Promise<string> {
    const table = await this.#run('apt-cache', ['madison', name])
    const versions = table
      .split('\n')
      .map((line) => line.split('|')[1]?.trim())
      .filter((version) => version !== undefined)
    // 5:7.0.15-1~deb12u1: an epoch before the upstream version, the distribution's own revision after it.
    const chosen = versions.find((version) => pinHolds(pin, version.replace(/^\d+:/, '')))
    if (chosen !== undefined) return chosen
    if (updateFailure !== undefined) throw updateFailure
    const offered = [...new Set(versions)].join(', ')
    throw new NotToBeHad(offered === '' ? `it has no ${name}` : `it offers ${name} ${offered}`)
  }

  /** Fetches the packages, and those that they need and the system lacks. */
  async download(wanted: readonly string[]): Promise<readonly string[]> {
    const plan = await this.#run('apt-get', ['install', '--simulate', '--no-install-recommends', ...wanted])
    const named = new Set(wanted.map((each) => each.split('=')[0]))
    const needed = [...plan.matchAll(/^Inst (\S+) (?:\[\S+\] )?\((\S+)/gm)]
      .filter(([, name]) => !named.has(name))
      .map(([, name, version]) => `${name}=${version}`)
    const folder = join(this.#folder, 'download')
    await this.#run('apt-get', ['download', ...wanted, ...needed], folder)
    return (await readdir(folder)).filter((name) => name.endsWith('.deb')).map((name) => join(folder, name))
  }

  #run(tool: string, args: readonly string[], cwd = this.#folder): Promise<string> {
    const config = join(this.#folder, 'apt.conf')
    return run(tool, ['-q', '-c', config, ...args], { cwd, signal: this.#signal, guarded: true })
  }
}

function withoutCredentials(text: string): string {
  return text.replace(/:\/\/[^/\s@]*@/g, '://')
}
