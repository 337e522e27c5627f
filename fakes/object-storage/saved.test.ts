import { mkdtempSync, readdirSync, rmSync, statSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { expectPortError } from '../../contract-tests/expect.ts'
import { bytesOf, pattern, streamOf } from '../../contract-tests/object-storage/samples.ts'
import { FakeObjectStorage } from '../object-storage.ts'

const folders: string[] = []

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'portside-saved-'))
  folders.push(folder)
  return folder
}

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

const long = pattern(3_000_000)

async function filled(): Promise<FakeObjectStorage> {
  const storage = new FakeObjectStorage()
  await storage.put('short', 'content', { contentType: 'text/plain', metadata: { a: 'b' } })
  await storage.put('empty', '')
  await storage.put('middle', long.subarray(0, 100_000))
  await storage.put('long', streamOf(long))
  await storage.copy('long', 'copy')
  return storage
}

test('what was saved is there again, in another fake, also when the first is closed', async () => {
  const folder = newFolder()
  const storage = await filled()
  await storage.save(folder)
  const objects = [...storage.objects].map(([key, { info }]) => [key, info])
  await storage.guarded.close()
  const again = new FakeObjectStorage()
  await again.put('other', 'goes')
  await again.load(folder)
  expect([...again.objects].map(([key, { info }]) => [key, info])).toEqual(objects)
  expect(again.objects.get('short')?.text).toBe('content')
  for (const key of ['long', 'copy'])
    expect(Buffer.compare(await bytesOf(await again.get(key)), long)).toBe(0)
  await again.guarded.close()
})

test('a second save writes only what is new, and takes away what is gone', async () => {
  const folder = newFolder()
  const storage = await filled()
  await storage.save(folder)
  const contents = join(folder, 'contents')
  const before = readdirSync(contents)
  expect(before).toHaveLength(2)
  const inodes = before.map((name) => statSync(join(contents, name)).ino)
  await storage.delete('copy')
  await storage.save(folder)
  expect(before.map((name) => statSync(join(contents, name)).ino)).toEqual(inodes)
  await storage.delete('long')
  await storage.save(folder)
  expect(readdirSync(contents)).toHaveLength(1)
  // What was loaded is the same content still.
  const again = new FakeObjectStorage()
  await again.load(folder)
  await again.save(folder)
  expect(readdirSync(contents)).toHaveLength(1)
  await Promise.all([storage, again].map(({ guarded }) => guarded.close()))
})

test('what changes while it is saved is saved as it was', async () => {
  const folder = newFolder()
  const storage = await filled()
  const saving = storage.save(folder)
  await storage.put('long', 'short now')
  await storage.delete('copy')
  await saving
  const again = new FakeObjectStorage()
  await again.load(folder)
  expect(Buffer.compare(await bytesOf(await again.get('long')), long)).toBe(0)
  await Promise.all([storage, again].map(({ guarded }) => guarded.close()))
})

test('a content that is not as long as it was is corrupt, and the state stays', async () => {
  const folder = newFolder()
  const storage = await filled()
  await storage.save(folder)
  await storage.guarded.close()
  const contents = join(folder, 'contents')
  truncateSync(join(contents, readdirSync(contents)[0] ?? ''), 10)
  const again = new FakeObjectStorage()
  await again.put('mine', 'stays')
  await expectPortError(again.load(folder), 'corrupt')
  expect([...again.objects.keys()]).toEqual(['mine'])
  await again.guarded.close()
})
