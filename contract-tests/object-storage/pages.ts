/** What holds for pages of lists: the same entries in any size, whatever comes and goes between them. */
import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import { compareUtf8 } from '../../src/calls/arguments.ts'
import type { ListPageOptions, ObjectStorage } from '../../src/ports/object-storage.ts'
import { expectPortError } from '../expect.ts'
import { type ObjectBehaviour, putAll } from './samples.ts'

interface Listed {
  readonly keys: readonly string[]
  readonly prefixes: readonly string[]
}

/** All pages, none of them longer than asked for or empty before the last, in order within and between them. */
async function pagesOf(
  port: ObjectStorage,
  options: ListPageOptions,
  between: (last: string) => Promise<unknown> = async () => {},
): Promise<Listed> {
  const keys: string[] = []
  const prefixes: string[] = []
  let last = ''
  let pageToken: string | undefined
  do {
    const page = await port.list(pageToken === undefined ? options : { ...options, pageToken })
    const entries = [...page.objects.map(({ key }) => key), ...page.prefixes].toSorted(compareUtf8)
    assert.ok(entries.length <= (options.pageSize ?? 1_000), 'a page is too long')
    for (const entry of entries) {
      assert.ok(compareUtf8(last, entry) < 0, `${JSON.stringify(entry)} is out of order or repeated`)
      last = entry
    }
    keys.push(...page.objects.map(({ key }) => key))
    prefixes.push(...page.prefixes)
    pageToken = page.nextPageToken
    if (pageToken !== undefined) await between(last)
  } while (pageToken !== undefined)
  return { keys, prefixes }
}

/** What a list of `keys` must answer, in the simplest words. */
function expectedOf(
  keys: readonly string[],
  { prefix = '', delimiter, startAfter = '' }: ListPageOptions,
): Listed {
  const below = keys.filter((key) => key.startsWith(prefix))
  const sharedOf = (key: string): string | undefined => {
    const at = delimiter === undefined ? -1 : key.indexOf(delimiter, prefix.length)
    return at === -1 ? undefined : key.slice(0, at + (delimiter ?? '').length)
  }
  const isAfter = (name: string): boolean => compareUtf8(name, startAfter) > 0
  const shared = new Set(below.map(sharedOf).filter((name) => name !== undefined))
  return {
    keys: below.filter((key) => sharedOf(key) === undefined && isAfter(key)).toSorted(compareUtf8),
    prefixes: [...shared].filter(isAfter).toSorted(compareUtf8),
  }
}

// Short keys of few pieces, so that they share beginnings, nest, and meet delimiters at their edges.
const piece = fc.constantFrom('a', 'b', 't', '/', '//', '-', '::', ':', 'é', '😀', 'Ａ', ' ', '%2F', '+')
const someKeys = fc.uniqueArray(
  fc.array(piece, { minLength: 1, maxLength: 4 }).map((pieces) => pieces.join('')),
  { minLength: 1, maxLength: 14 },
)
const query = fc.record({
  prefix: fc.oneof(fc.constant(''), piece),
  delimiter: fc.constantFrom(undefined, '/', '::', ':', '-', 'a', '😀', '%2F', 'b/'),
  startAfter: fc.oneof(
    fc.constant(undefined),
    fc.array(piece, { minLength: 1, maxLength: 2 }).map((pieces) => pieces.join('')),
  ),
})

export const pages: readonly ObjectBehaviour[] = [
  {
    id: 'pages/any-keys-any-query',
    sentence:
      'For any keys, prefix, delimiter and startAfter, and in pages of any size, a list holds what it must, each once, in order.',
    async check({ port }) {
      let run = 0
      await fc.assert(
        fc.asyncProperty(someKeys, fc.array(query, { minLength: 3, maxLength: 3 }), async (keys, queries) => {
          run += 1
          const folder = `run-${run}/`
          const stored = keys.map((key) => folder + key).filter((key) => !key.split('/').includes('..'))
          await putAll(port, stored)
          for (const { prefix, delimiter, startAfter } of queries) {
            const options: ListPageOptions = {
              prefix: folder + prefix,
              ...(delimiter === undefined ? {} : { delimiter }),
              ...(startAfter === undefined ? {} : { startAfter: folder + startAfter }),
            }
            const expected = expectedOf(stored, options)
            for (const pageSize of [1, 2, 3, stored.length, 1_000]) {
              const listed = await pagesOf(port, { ...options, pageSize })
              assert.deepEqual(listed, expected, `${JSON.stringify(options)} in pages of ${pageSize}`)
            }
          }
        }),
        { numRuns: 12 },
      )
    },
  },
  {
    id: 'pages/come-and-go-around-the-cursor',
    sentence:
      'While keys come and go before, at and after the cursor, every key that stays is listed once, and none that went before its turn.',
    async check({ port }) {
      const name = (index: number): string => `k${String(index).padStart(2, '0')}`
      const all = Array.from({ length: 20 }, (_, index) => name(index * 2))
      for (const pageSize of [1, 3, 7]) {
        await port.deleteMany((await port.list()).objects.map(({ key }) => key))
        await putAll(port, all)
        const gone = new Set<string>()
        const came = new Set<string>()
        let turn = 0
        const { keys } = await pagesOf(port, { pageSize }, async (last) => {
          turn += 1
          // The key at the cursor itself goes: the next page begins after where it was.
          await port.delete(last)
          await port.put(`a-before-${turn}`, '')
          await port.put(`${last}-just-after`, '')
          came.add(`${last}-just-after`)
          const ahead = all.find((key) => key > last && !gone.has(key))
          if (turn % 2 === 0 && ahead !== undefined) {
            await port.delete(ahead)
            gone.add(ahead)
          }
        })
        const listed = keys.filter((key) => !came.has(key))
        assert.deepEqual(
          listed,
          all.filter((key) => !gone.has(key)),
          `pages of ${pageSize}`,
        )
        for (const key of came) {
          assert.ok(keys.includes(key) || key > (all.at(-1) ?? ''), `${key} was there before its page`)
        }
      }
    },
  },
  {
    id: 'pages/prefixes-come-and-go',
    sentence: 'Common prefixes that come and go between pages disturb no other: none twice, none left out.',
    async check({ port }) {
      const folders = ['t-', 't', 't0', 'u', 'v', 'w']
      await putAll(
        port,
        folders.flatMap((folder) => [`${folder}/x`, `${folder}/y`]),
      )
      const { prefixes } = await pagesOf(port, { delimiter: '/', pageSize: 1 }, async (last) => {
        // More below what was listed, and the whole of it gone: neither brings it back or hides the next.
        if (last === 't-/') await port.put('t-/z', '')
        if (last === 't/') await port.deleteMany(['t/x', 't/y'])
        if (last === 'u/') await port.deleteMany(['v/x', 'v/y'])
      })
      assert.deepEqual(prefixes, ['t-/', 't/', 't0/', 'u/', 'w/'])
    },
  },
  {
    id: 'pages/other-page-size-and-repeats',
    sentence:
      'A page token goes on in another page size, and gives the same page again when it is used again.',
    async check({ port }) {
      const keys = ['a', 'b', 'c', 'd', 'e']
      await putAll(port, keys)
      const { nextPageToken: pageToken = '' } = await port.list({ pageSize: 2 })
      for (const pageSize of [1, 2, 3, 1_000]) {
        const page = await port.list({ pageSize, pageToken })
        assert.deepEqual(
          page.objects.map(({ key }) => key),
          keys.slice(2, 2 + pageSize),
        )
        assert.deepEqual(await port.list({ pageSize, pageToken }), page)
      }
    },
  },
  {
    id: 'pages/token-of-a-second-client',
    sentence: 'A page token goes on with another client of the same place.',
    needs: ['openAnother'],
    async check({ port, openAnother }) {
      const other = (await openAnother?.()) ?? assert.fail()
      try {
        await putAll(port, ['a', 'b', 'c'])
        const { nextPageToken: pageToken = '' } = await port.list({ pageSize: 1 })
        const page = await other.port.list({ pageToken })
        assert.deepEqual(
          page.objects.map(({ key }) => key),
          ['b', 'c'],
        )
      } finally {
        await other.close()
      }
    },
  },
  {
    id: 'pages/altered-token',
    sentence: 'A page token altered at any place is invalid-argument: it never answers some other page.',
    async check({ port }) {
      await putAll(port, ['a/1', 'a/2', 'a/3'])
      const { nextPageToken: token = '' } = await port.list({ prefix: 'a/', pageSize: 1 })
      for (let at = 0; at < token.length; at += 1) {
        const pageToken = token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1)
        await expectPortError(port.list({ prefix: 'a/', pageToken }), 'invalid-argument', {
          outcome: 'not-applied',
        })
      }
      for (const pageToken of [token + token, token.slice(0, -4), token.slice(4), ` ${token}`, `${token}=`]) {
        await expectPortError(port.list({ prefix: 'a/', pageToken }), 'invalid-argument')
      }
    },
  },
]
