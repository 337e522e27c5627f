/**
 * Installs the packed tarball in an empty project, as a stranger would: first with one vendor only, then with all.
 * What an app imports must load without the vendors it does not use; what is made for one package must say so.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const { exports, peerDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  readonly exports: Readonly<Record<string, unknown>>
  readonly peerDependencies: Readonly<Record<string, string>>
}
const entries = Object.keys(exports)
  .filter((entry) => entry !== './package.json')
  .map((entry) => `portside${entry.slice(1)}`)
const vendorOnly = 'pg'
/** What app code and its tests import whatever they attach: needs no vendor. */
const always =
  /^portside(\/(testing|servers|fakes|contract-tests|adapters\/[^/]+|fakes\/(?!emulators)[^/]+))?$/

const project = mkdtempSync(join(tmpdir(), 'portside-smoke-'))
function run(command: string, ...args: readonly string[]): string {
  return execFileSync(command, args, { cwd: project, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
}

/** What importing each entry came to: `loaded`, or the package that was missing. */
function importAll(): Readonly<Record<string, string>> {
  const script = `
    const results = {}
    for (const entry of ${JSON.stringify(entries)}) {
      results[entry] = await import(entry).then(
        (module) => (Object.keys(module).length > 0 ? 'loaded' : 'exports nothing'),
        (error) => /Cannot find package '([^']+)'/.exec(error.message)?.[1] ?? String(error),
      )
    }
    console.log(JSON.stringify(results))`
  return JSON.parse(run(process.execPath, '--input-type=module', '--eval', script)) as Record<string, string>
}

function check(holds: boolean, message: string): void {
  if (!holds) throw new Error(message)
}

/** A stranger's adapter: object storage in memory, written with what the package exports and nothing else. */
const strangersAdapter = `
import { createHash } from 'node:crypto'
import { bulkResult, compareUtf8, isByteStream, openPageToken, pageQuery, PortError, readBytes, sealPageToken, untilAbortedBytes } from 'portside'

const failed = (reason) => new PortError({ code: 'precondition-failed', message: 'the condition does not hold', ...(reason && { reason }) })
const attributesOf = ({ contentType = 'application/octet-stream', metadata = {}, cacheControl, contentDisposition, contentEncoding, contentLanguage } = {}) =>
  structuredClone(Object.fromEntries(Object.entries({ contentType, metadata, cacheControl, contentDisposition, contentEncoding, contentLanguage }).filter(([, value]) => value !== undefined)))

export function inMemory({ forgetsConditions = false } = {}) {
  const stored = new Map()
  const store = (key, bytes, attributes) => {
    const etag = '"' + createHash('md5').update(bytes).digest('hex') + '"'
    stored.set(key, { bytes, etag, lastModified: new Date(Math.floor(Date.now() / 1000) * 1000), attributes })
    return { key, etag, size: bytes.length }
  }
  const listed = (key) => ({ key, size: stored.get(key).bytes.length, etag: stored.get(key).etag, lastModified: new Date(stored.get(key).lastModified) })
  const infoOf = (key) => ({ ...structuredClone(stored.get(key).attributes), ...listed(key) })
  const cut = (length, { start, end, suffix }) => {
    const range = suffix === undefined ? { start, end: Math.min(end ?? length - 1, length - 1) } : { start: Math.max(0, length - suffix), end: length - 1 }
    if (range.start <= range.end) return range
    throw new PortError({ code: 'invalid-argument', message: 'no byte of it is there', reason: 'range-not-satisfiable' })
  }
  const page = ({ prefix = '', delimiter, startAfter }, after) => {
    const names = new Set()
    for (const key of [...stored.keys()].filter((key) => key.startsWith(prefix))) {
      const at = delimiter === undefined ? -1 : key.indexOf(delimiter, prefix.length)
      names.add(at === -1 ? key : key.slice(0, at + delimiter.length))
    }
    const isAfter = (name, other) => other === undefined || compareUtf8(name, other) > 0
    return [...names].filter((name) => isAfter(name, startAfter) && isAfter(name, after)).sort(compareUtf8)
  }
  const isPrefix = (name, { prefix = '', delimiter }) => delimiter !== undefined && name.indexOf(delimiter, prefix.length) !== -1
  const calls = {
    async put(key, body, { ifAbsent, signal, ...attributes }) {
      const bytes = isByteStream(body) ? await readBytes(untilAbortedBytes(body, signal)) : Uint8Array.from(Buffer.from(body))
      if (ifAbsent && !forgetsConditions && stored.has(key)) throw failed()
      return store(key, bytes, attributesOf(attributes))
    },
    async get(key, { range, ifMatch, ifNoneMatch, ifModifiedSince, ifUnmodifiedSince }) {
      const object = stored.get(key)
      if (object === undefined) return undefined
      if (ifMatch !== undefined ? ifMatch !== object.etag : ifUnmodifiedSince < object.lastModified) throw failed()
      if (ifNoneMatch !== undefined ? ifNoneMatch === object.etag : ifModifiedSince >= object.lastModified) throw failed('not-modified')
      const part = range && cut(object.bytes.length, range)
      const bytes = part ? object.bytes.slice(part.start, part.end + 1) : object.bytes.slice()
      return { info: infoOf(key), range: part, body: (async function* () { for (let at = 0; at < bytes.length; at += 65_536) yield bytes.slice(at, at + 65_536) })() }
    },
    head: async (key) => (stored.has(key) ? infoOf(key) : undefined),
    delete: async (key) => void stored.delete(key),
    deleteMany: async (keys) => bulkResult(keys.map((key) => (stored.delete(key), { key, error: undefined }))),
    async copy(source, destination, { attributes }) {
      const object = stored.get(source)
      if (object === undefined) throw new PortError({ code: 'not-found', message: 'there is no such object' })
      const { size: _, ...copy } = store(destination, object.bytes, attributes ? attributesOf(attributes) : structuredClone(object.attributes))
      return copy
    },
    async list({ pageSize = 1000, pageToken, ...query }) {
      const names = page(query, pageToken && openPageToken(pageQuery(query), pageToken))
      const own = names.slice(0, pageSize)
      return {
        objects: own.filter((name) => !isPrefix(name, query)).map(listed),
        prefixes: own.filter((name) => isPrefix(name, query)),
        nextPageToken: names.length > own.length ? sealPageToken(pageQuery(query), own.at(-1)) : undefined,
      }
    },
    async *listAll(query) {
      for (const name of page(query)) if (!isPrefix(name, query) && stored.has(name)) yield listed(name)
    },
    signUrl: async () => { throw new Error('it was not declared') },
  }
  return { calls, capabilities: [], ping: async () => {}, close: async () => {} }
}
`

/** The ten lines in which a stranger holds an adapter to the contract. */
const strangersTest = `
import { guard, ObjectStorage } from 'portside'
import { describeContract } from 'portside/contract-tests/node-test'
import { objectStorageContract } from 'portside/contract-tests/object-storage'
import { inMemory } from './adapter.js'

describeContract(objectStorageContract, {
  name: 'in memory',
  kind: 'real',
  open: async () => ({ guarded: guard(ObjectStorage, inMemory(OPTIONS)) }),
})
`

/** A good adapter passes the contract by plain `node`; one that forgets a condition fails what is about that. */
function holdStrangersAdapter(): void {
  writeFileSync(join(project, 'adapter.js'), strangersAdapter)
  const [good, broken] = ['{}', '{ forgetsConditions: true }'].map((options) => {
    writeFileSync(join(project, 'adapter.test.js'), strangersTest.replace('OPTIONS', options))
    const args = ['--test-reporter=tap', 'adapter.test.js']
    const { status, stdout } = spawnSync(process.execPath, args, {
      cwd: project,
      encoding: 'utf8',
      maxBuffer: 1e8,
    })
    const ok = [...stdout.matchAll(/^ {4}ok \d+ - (.*)$/gm)].map(([, name = '']) => name)
    const failed = [...stdout.matchAll(/^ {4}not ok \d+ - (.*)$/gm)].map(([, name = '']) => name)
    return { status, failed, passed: ok.filter((name) => !name.includes('# SKIP')).length }
  })
  check(good?.status === 0 && good.failed.length === 0, `a good adapter fails: ${good?.failed.join('\n')}`)
  check((good?.passed ?? 0) > 40, `a good adapter passes ${good?.passed} behaviours only`)
  check(
    broken?.status === 1 && broken.failed.some((name) => name.includes('absent')),
    'a broken adapter passes',
  )
  process.stdout.write(
    `a stranger's adapter passes ${good?.passed} behaviours; a broken one fails ${broken?.failed.length}\n`,
  )
}

try {
  execFileSync('npm', ['pack', '--silent', '--pack-destination', project], { cwd: root })
  const tarball = readdirSync(project).find((name) => name.endsWith('.tgz')) ?? ''
  writeFileSync(join(project, 'package.json'), '{ "name": "smoke", "private": true, "type": "module" }')
  const install = ['install', '--silent', '--no-audit', '--no-fund']
  run('npm', ...install, `./${tarball}`, `${vendorOnly}@${peerDependencies[vendorOnly]}`)

  const alone = Object.entries(importAll())
  for (const [entry, result] of alone) {
    const missing = result !== vendorOnly && result in peerDependencies
    check(result === 'loaded' || missing, `${entry}: ${result}`)
    check(result === 'loaded' || !always.test(entry), `${entry} needs ${result}, which not every app has`)
  }
  const loaded = alone.filter(([, result]) => result === 'loaded').length
  check(
    alone.some(([entry]) => entry === 'portside/adapters/s3'),
    'the list of entries is wrong',
  )

  const absent = `
    import { s3 } from 'portside/adapters/s3'
    import { ServiceUrl } from 'portside'
    const { url } = ServiceUrl.parse('s3://bucket?region=eu-central-1', s3.parameters)
    await s3.open(url, {}).catch((error) => console.log(error.code, error.detail))`
  const said = run(process.execPath, '--input-type=module', '--eval', absent)
  check(/^unsupported .*npm install @aws-sdk\/client-s3/.test(said), `an absent vendor is told as: ${said}`)
  run(process.execPath, 'node_modules/portside/dist/src/cli/main.js', '--version')

  const peers = Object.entries(peerDependencies).map(([name, version]) => `${name}@${version}`)
  run('npm', ...install, ...peers)
  for (const [entry, result] of Object.entries(importAll())) {
    // vitest's own functions work under vitest alone.
    if (!entry.endsWith('/vitest')) check(result === 'loaded', `${entry} with all peers: ${result}`)
  }
  holdStrangersAdapter()
  process.stdout.write(
    `${loaded} of ${entries.length} entries of the tarball load with ${vendorOnly} alone, all with every peer\n`,
  )
} finally {
  rmSync(project, { recursive: true, force: true })
}
