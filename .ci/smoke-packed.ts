/**
 * Installs the packed tarball in an empty project, as a stranger would: first with one vendor only, then with all.
 * What an app imports must load without the vendors it does not use; what is made for one package must say so.
 */
import { execFileSync } from 'node:child_process'
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
  process.stdout.write(
    `${loaded} of ${entries.length} entries of the tarball load with ${vendorOnly} alone, all with every peer\n`,
  )
} finally {
  rmSync(project, { recursive: true, force: true })
}
