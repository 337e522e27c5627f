import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { cached, cacheFolder } from './cache.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'portside-cache-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

test('the cache is where the environment says, the user’s own folder otherwise', () => {
  expect(cacheFolder({ PORTSIDE_CACHE: '/a', XDG_CACHE_HOME: '/b' })).toBe('/a')
  expect(cacheFolder({ XDG_CACHE_HOME: '/b' })).toBe('/b/portside')
  expect(cacheFolder({})).toMatch(/\.cache\/portside$/)
})

test('what many ask for at once is built once, and nothing else is left', async () => {
  let built = 0
  const build = async (path: string): Promise<void> => {
    built += 1
    await new Promise((resolve) => setTimeout(resolve, 20))
    writeFileSync(join(path, 'file'), 'content')
  }
  const paths = await Promise.all(Array.from({ length: 8 }, () => cached(folder, 'thing', build)))
  expect(built).toBe(1)
  expect(new Set(paths)).toEqual(new Set([join(folder, 'thing')]))
  expect(readdirSync(folder)).toEqual(['thing'])
})

test('a build that fails leaves nothing, and the next one may succeed', async () => {
  const fail = async (path: string): Promise<void> => {
    writeFileSync(join(path, 'half'), '')
    throw new Error('no network')
  }
  await expect(cached(folder, 'thing', fail)).rejects.toThrow('no network')
  expect(readdirSync(folder)).toEqual([])
  await cached(folder, 'thing', async (path) => writeFileSync(join(path, 'whole'), ''))
  expect(readdirSync(join(folder, 'thing'))).toEqual(['whole'])
})

test('what a builder that was killed left behind is cleared away by the next', async () => {
  mkdirSync(join(folder, 'thing.1234.tmp'))
  writeFileSync(join(folder, 'thing.1234.tmp', 'half'), '')
  writeFileSync(join(folder, 'thing.lock'), JSON.stringify({ pid: 2 ** 22 + 1, startedAt: '1' }))
  await cached(folder, 'thing', async (path) => writeFileSync(join(path, 'whole'), ''))
  expect(readdirSync(folder)).toEqual(['thing'])
})

test('a cache that cannot be made says which variable moves it', async () => {
  writeFileSync(join(folder, 'file'), '')
  await expect(cached(join(folder, 'file', 'below'), 'thing', async () => {})).rejects.toMatchObject({
    code: 'permission-denied',
    message: expect.stringContaining('PORTSIDE_CACHE'),
  })
})
