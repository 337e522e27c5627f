/** What holds for lists: order, pages, prefixes, delimiters, tokens. */
import assert from 'node:assert/strict'
import { compareUtf8 } from '../../src/calls/arguments.ts'
import type { ListPageOptions, ObjectStorage } from '../../src/ports/object-storage.ts'
import { collect, expectPortError } from '../expect.ts'
import { type ObjectBehaviour, overOnePartBytes, pattern, putAll } from './samples.ts'

/** All pages of a list, each checked for its size. */
async function pages(
  port: ObjectStorage,
  options: ListPageOptions,
  between: () => Promise<void> = async () => {},
): Promise<{ keys: string[]; prefixes: string[]; count: number }> {
  const keys: string[] = []
  const prefixes: string[] = []
  let pageToken: string | undefined
  let count = 0
  do {
    const page = await port.list(pageToken === undefined ? options : { ...options, pageToken })
    const entries = page.objects.length + page.prefixes.length
    assert.ok(entries <= (options.pageSize ?? 1_000), 'the page is too long')
    keys.push(...page.objects.map(({ key }) => key))
    prefixes.push(...page.prefixes)
    pageToken = page.nextPageToken
    count += 1
    if (pageToken !== undefined) await between()
  } while (pageToken !== undefined)
  return { keys, prefixes, count }
}

// UTF-16 order would put the emoji before the full-width letter, a locale would mix cases.
const unordered = ['b', 'a', 'B', 'Z', '_', '😀', 'Ａ', 'é', 'z', 'a/b', 'a-b', 'a0', 'ÿ', '~', '퟿', '\ue000']

export const lists: readonly ObjectBehaviour[] = [
  {
    id: 'list/empty',
    sentence: 'A list without matches is empty and has no next page.',
    async check({ port }) {
      const empty = { objects: [], prefixes: [], nextPageToken: undefined }
      assert.deepEqual(await port.list(), empty)
      await port.put('a', 'x')
      assert.deepEqual(await port.list({ prefix: 'b' }), empty)
      assert.deepEqual(await port.list({ prefix: 'a/', delimiter: '/' }), empty)
      assert.deepEqual(await collect(port.listAll({ prefix: 'b' })), [])
    },
  },
  {
    id: 'list/utf8-order',
    sentence: 'Lists are in the order of UTF-8 bytes.',
    async check({ port }) {
      await putAll(port, unordered)
      const expected = unordered.toSorted(compareUtf8)
      assert.deepEqual((await pages(port, {})).keys, expected)
      assert.deepEqual((await pages(port, { pageSize: 3 })).keys, expected)
      assert.deepEqual(
        (await collect(port.listAll())).map(({ key }) => key),
        expected,
      )
    },
  },
  {
    id: 'list/prefix',
    sentence: 'A prefix is text, not a folder: it takes every key that begins with it, that very key too.',
    async check({ port }) {
      await putAll(port, ['a', 'a/', 'a/b', 'a/c/d', 'aa', 'A', 'b', 'a%', 'a*', 'a?b'])
      const keys = async (prefix: string): Promise<string[]> => (await pages(port, { prefix })).keys
      assert.deepEqual(await keys('a'), ['a', 'a%', 'a*', 'a/', 'a/b', 'a/c/d', 'a?b', 'aa'])
      assert.deepEqual(await keys('a/'), ['a/', 'a/b', 'a/c/d'])
      assert.deepEqual(await keys('a/b'), ['a/b'])
      assert.deepEqual(await keys('a*'), ['a*'])
      assert.deepEqual(await keys('a%'), ['a%'])
      assert.deepEqual(await keys('a?'), ['a?b'])
      assert.deepEqual((await keys('')).length, 10)
    },
  },
  {
    id: 'list/shows-what-head-shows',
    sentence: 'Size, etag and time in a list are those that head shows.',
    async check({ port }) {
      await port.put('listed/a', 'content')
      await port.put('listed/b', '')
      await port.put('listed/long', pattern(overOnePartBytes))
      await port.copy('listed/long', 'listed/copy')
      for (const listed of (await port.list({ prefix: 'listed/' })).objects) {
        const { key, size, etag, lastModified } = (await port.head(listed.key)) ?? assert.fail()
        assert.deepEqual(listed, { key, size, etag, lastModified })
      }
    },
  },
  {
    id: 'list/page-sizes',
    sentence: 'Any page size gives the same entries in the same order, each once, and ends.',
    async check({ port }) {
      const keys = Array.from({ length: 7 }, (_, index) => `p/${index}`)
      await putAll(port, [...keys, 'other'])
      for (const pageSize of [1, 2, 3, 4, 5, 6, 7, 8, 1_000]) {
        const listed = await pages(port, { prefix: 'p/', pageSize })
        assert.deepEqual(listed.keys, keys, `page size ${pageSize}`)
        assert.equal(listed.count, Math.ceil(keys.length / pageSize), `pages of ${pageSize}`)
      }
    },
  },
  {
    id: 'list/more-than-a-page',
    sentence:
      'More than 1 000 keys, or common prefixes, come in pages of at most 1 000, and from listAll as one sequence.',
    async check({ port }) {
      const folders = Array.from({ length: 1_003 }, (_, index) => `many/${String(index).padStart(4, '0')}/`)
      const keys = folders.map((folder) => `${folder}x`)
      await putAll(port, keys)
      const first = await port.list()
      assert.equal(first.objects.length, 1_000)
      assert.ok(first.nextPageToken)
      assert.deepEqual(
        (await collect(port.listAll({ prefix: 'many/' }))).map(({ key }) => key),
        keys,
      )
      const query = { prefix: 'many/', delimiter: '/' }
      assert.equal((await port.list(query)).prefixes.length, 1_000)
      assert.deepEqual(await pages(port, query), { keys: [], prefixes: folders, count: 2 })
      const deleted = await port.deleteMany([...keys, 'absent', 'many/0000/x'])
      assert.ok(deleted.ok)
      assert.deepEqual(
        deleted.items.map(({ key }) => key),
        [...keys, 'absent', 'many/0000/x'],
      )
      assert.deepEqual((await port.list()).objects, [])
    },
  },
  {
    id: 'list/delimiter',
    sentence:
      'With a delimiter, keys below a common prefix come once as that prefix, in order beside the objects.',
    async check({ port }) {
      await putAll(port, [
        'a',
        'b/1',
        'b/2',
        'b/c/3',
        'b/',
        'b-/x',
        'c',
        'd::e::f',
        'd::g',
        'd:h',
        '/',
        '/x',
        'é/1',
      ])
      const listed = async (prefix: string, delimiter: string): Promise<unknown> => {
        const whole = await pages(port, { prefix, delimiter })
        for (const pageSize of [1, 2, 3]) {
          const { keys, prefixes } = await pages(port, { prefix, delimiter, pageSize })
          assert.deepEqual([keys, prefixes], [whole.keys, whole.prefixes], `page size ${pageSize}`)
        }
        return [whole.keys, whole.prefixes]
      }
      assert.deepEqual(await listed('', '/'), [
        ['a', 'c', 'd::e::f', 'd::g', 'd:h'],
        ['/', 'b-/', 'b/', 'é/'],
      ])
      assert.deepEqual(await listed('b/', '/'), [['b/', 'b/1', 'b/2'], ['b/c/']])
      assert.deepEqual(await listed('b', '/'), [[], ['b-/', 'b/']])
      assert.deepEqual(await listed('b/', '-'), [['b/', 'b/1', 'b/2', 'b/c/3'], []])
      assert.deepEqual(await listed('d', '::'), [['d:h'], ['d::']])
      assert.deepEqual(await listed('d::', '::'), [['d::g'], ['d::e::']])
    },
  },
  {
    id: 'list/prefixes-count-towards-the-page',
    sentence: 'A common prefix counts as one entry of a page, and is not repeated on the next.',
    async check({ port }) {
      await putAll(port, ['t-/x', 't-/y', 't/x', 't/y', 't/z', 'u'])
      const first = await port.list({ delimiter: '/', pageSize: 1 })
      assert.deepEqual([first.objects, first.prefixes], [[], ['t-/']])
      const { keys, prefixes, count } = await pages(port, { delimiter: '/', pageSize: 1 })
      assert.deepEqual([keys, prefixes, count], [['u'], ['t-/', 't/'], 3])
    },
  },
  {
    id: 'list/start-after',
    sentence: 'startAfter leaves out that key and all before it, whether or not it is there.',
    async check({ port }) {
      await putAll(port, ['a', 'b', 'c', 'é', '😀'])
      const after = async (startAfter: string): Promise<string[]> =>
        (await pages(port, { startAfter, pageSize: 2 })).keys
      assert.deepEqual(await after('b'), ['c', 'é', '😀'])
      assert.deepEqual(await after('bb'), ['c', 'é', '😀'])
      assert.deepEqual(await after('Ａ'), ['😀'])
      assert.deepEqual(await after('😀'), [])
      assert.deepEqual((await pages(port, { startAfter: 'a', prefix: 'b' })).keys, ['b'])
      assert.deepEqual(
        (await collect(port.listAll({ startAfter: 'b' }))).map(({ key }) => key),
        ['c', 'é', '😀'],
      )
    },
  },
  {
    id: 'list/start-after-with-delimiter',
    sentence: 'startAfter compares with common prefixes as with keys.',
    async check({ port }) {
      await putAll(port, ['a/1', 'a/2', 'b/1', 'c'])
      const after = async (startAfter: string): Promise<unknown> => {
        const { keys, prefixes } = await pages(port, { startAfter, delimiter: '/', pageSize: 1 })
        return [keys, prefixes]
      }
      assert.deepEqual(await after('a/'), [['c'], ['b/']])
      assert.deepEqual(await after('a/1'), [['c'], ['b/']])
      assert.deepEqual(await after('a'), [['c'], ['a/', 'b/']])
    },
  },
  {
    id: 'list/changes-between-pages',
    sentence: 'What comes and goes between pages disturbs no other key: none twice, none left out.',
    async check({ port }) {
      const keys = Array.from({ length: 10 }, (_, index) => `k${index}`)
      await putAll(port, keys)
      let turn = 0
      const listed = await pages(port, { pageSize: 2 }, async () => {
        turn += 1
        if (turn === 1) await port.delete('k0')
        if (turn === 2) await port.put('k00', '')
        if (turn === 3) await port.delete('k5')
      })
      assert.deepEqual(listed.keys, keys)
    },
  },
  {
    id: 'list/delete-while-listing',
    sentence: 'Deleting each key as listAll gives it deletes all.',
    async check({ port }) {
      await putAll(
        port,
        Array.from({ length: 30 }, (_, index) => `gone/${index}`),
      )
      for await (const { key } of port.listAll({ prefix: 'gone/' })) await port.delete(key)
      assert.deepEqual((await port.list()).objects, [])
    },
  },
  {
    id: 'list/foreign-page-token',
    sentence: 'A page token of another query, altered, or none at all is invalid-argument.',
    async check({ port }) {
      await putAll(port, ['a/1', 'a/2', 'a/3', 'b/1'])
      const { nextPageToken: token } = await port.list({ prefix: 'a/', pageSize: 1 })
      assert.ok(token)
      const repeated = await port.list({ prefix: 'a/', pageSize: 5, pageToken: token })
      assert.deepEqual(
        repeated.objects.map(({ key }) => key),
        ['a/2', 'a/3'],
      )
      for (const query of [
        {},
        { prefix: 'b/' },
        { prefix: 'a/', delimiter: '/' },
        { prefix: 'a/', startAfter: 'a/1' },
      ]) {
        await expectPortError(port.list({ ...query, pageToken: token }), 'invalid-argument')
      }
      for (const pageToken of [
        '',
        'garbage',
        `${token}x`,
        token.slice(1),
        '\ud800',
        7 as never,
        'k'.repeat(10_000),
      ]) {
        await expectPortError(port.list({ prefix: 'a/', pageToken }), 'invalid-argument')
      }
    },
  },
  {
    id: 'list/bad-arguments-are-refused',
    sentence:
      'A page size outside 1 to 1 000, an empty delimiter and text that is no UTF-8 are invalid-argument.',
    async check({ port }) {
      for (const pageSize of [0, -1, 1_001, 0.5, Number.NaN, '5' as never]) {
        await expectPortError(port.list({ pageSize }), 'invalid-argument')
      }
      for (const options of [
        { delimiter: '' },
        { prefix: '\ud800' },
        { prefix: 'a\0' },
        { prefix: 'p'.repeat(1_025) },
        { startAfter: '' },
        { prefix: 7 as never },
      ]) {
        await expectPortError(port.list(options), 'invalid-argument')
        await expectPortError(collect(port.listAll(options)), 'invalid-argument')
      }
      await expectPortError(collect(port.listAll({ pageSize: 5 } as never)), 'invalid-argument')
    },
  },
]
