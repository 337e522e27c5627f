/** What holds for signed URLs, used by a bare HTTP client. */
import assert from 'node:assert/strict'
import type { ObjectStorage, SignUrlOptions } from '../../src/ports/object-storage.ts'
import { expectPortError } from '../expect.ts'
import { type ObjectBehaviour, textAt } from './samples.ts'

const minute = 60_000
const capability = 'signed-urls'
const undeclared = ({ port }: { readonly port: ObjectStorage }): Promise<URL> =>
  port.signUrl('key', { expiresInMs: minute })

const keys = [
  'plain.txt',
  '/leading',
  'a//b',
  'dir/é +%&?#\'"<>;=@,$!*()\\.txt',
  '日本/👍',
  'tab\t\u0001',
  'k'.repeat(1_024),
]

/** The statuses with which S3 and its like refuse a URL. */
function assertRefused(response: Response): void {
  assert.ok([400, 403, 404, 405].includes(response.status), `status ${response.status}`)
}

export const signedUrls: readonly ObjectBehaviour[] = [
  {
    id: 'signed-url/get',
    sentence: 'A URL for GET answers the object with its attributes, and ranges of it.',
    capability,
    undeclared,
    async check({ port }) {
      for (const key of keys) {
        await port.put(key, `content of ${key}`, { contentType: 'text/plain', metadata: { a: 'b' } })
        const url = await port.signUrl(key, { expiresInMs: minute })
        const response = await fetch(url)
        assert.equal(await response.text(), `content of ${key}`)
        assert.equal(response.status, 200)
        assert.equal(response.headers.get('content-type'), 'text/plain')
        assert.equal(response.headers.get('x-amz-meta-a'), 'b')
        assert.equal(response.headers.get('etag'), (await port.head(key))?.etag)
        const part = await fetch(url, { headers: { range: 'bytes=0-6' } })
        assert.deepEqual([part.status, await part.text()], [206, 'content'])
      }
    },
  },
  {
    id: 'signed-url/put',
    sentence: 'A URL for PUT stores what is sent, as often as it is used.',
    capability,
    undeclared,
    async check({ port }) {
      for (const key of keys) {
        const url = await port.signUrl(key, { expiresInMs: minute, method: 'PUT' })
        for (const body of ['first', 'the second one']) {
          const response = await fetch(url, { method: 'PUT', body })
          assert.equal(response.status, 200, await response.text())
          assert.equal(await textAt(port, key), body)
        }
      }
    },
  },
  {
    id: 'signed-url/head-and-delete',
    sentence: 'URLs for HEAD and DELETE do that and nothing else.',
    capability,
    undeclared,
    async check({ port }) {
      await port.put('there', 'content')
      const head = await fetch(await port.signUrl('there', { expiresInMs: minute, method: 'HEAD' }), {
        method: 'HEAD',
      })
      assert.deepEqual([head.status, head.headers.get('content-length'), await head.text()], [200, '7', ''])
      const url = await port.signUrl('there', { expiresInMs: minute, method: 'DELETE' })
      assert.equal((await fetch(url, { method: 'DELETE' })).status, 204)
      assert.equal(await port.head('there'), undefined)
      assert.equal((await fetch(url, { method: 'DELETE' })).status, 204)
    },
  },
  {
    id: 'signed-url/missing-key',
    sentence: 'Signing a missing key is possible; reading it answers 404 until it is there.',
    capability,
    undeclared,
    async check({ port }) {
      const url = await port.signUrl('later', { expiresInMs: minute })
      assert.equal((await fetch(url)).status, 404)
      await port.put('later', 'now')
      assert.equal(await (await fetch(url)).text(), 'now')
    },
  },
  {
    id: 'signed-url/other-method-is-refused',
    sentence: 'A URL works with the method it was signed for only.',
    capability,
    undeclared,
    async check({ port }) {
      await port.put('guarded', 'content')
      const methods = ['GET', 'PUT', 'DELETE'] as const
      for (const method of methods) {
        const url = await port.signUrl('guarded', { expiresInMs: minute, method })
        for (const other of methods) {
          if (other === method) continue
          const response = await fetch(url, { method: other, ...(other === 'PUT' ? { body: 'evil' } : {}) })
          assertRefused(response)
          await response.body?.cancel()
        }
      }
      assert.equal(await textAt(port, 'guarded'), 'content')
    },
  },
  {
    id: 'signed-url/altered-is-refused',
    sentence: 'A URL without its signature, or with key, expiry or signature altered, is refused.',
    capability,
    undeclared,
    async check({ port }) {
      await port.put('mine', 'content')
      await port.put('yours', 'secret')
      const url = await port.signUrl('mine', { expiresInMs: minute })
      const stripped = new URL(url)
      stripped.search = ''
      const other = new URL(url)
      other.pathname = url.pathname.replace('mine', 'yours')
      const altered = [...url.searchParams.keys()].map((name) => {
        const changed = new URL(url)
        const value = url.searchParams.get(name) ?? ''
        changed.searchParams.set(name, /^\d+$/.test(value) ? `${value}0` : `${value}x`)
        return changed
      })
      assert.ok(altered.length >= 2)
      for (const bad of [stripped, other, ...altered]) {
        const response = await fetch(bad)
        assertRefused(response)
        assert.ok(!(await response.text()).includes('secret'))
      }
      assert.equal((await fetch(url)).status, 200)
    },
  },
  {
    id: 'signed-url/content-type',
    sentence: 'A URL for PUT with a content type takes that one only, and stores it.',
    capability,
    undeclared,
    async check({ port }) {
      const url = await port.signUrl('typed', {
        expiresInMs: minute,
        method: 'PUT',
        contentType: 'image/png',
      })
      const put = (headers: Record<string, string>): Promise<Response> =>
        fetch(url, { method: 'PUT', body: Uint8Array.of(1), headers })
      assertRefused(await put({ 'content-type': 'text/html' }))
      assertRefused(await put({}))
      assert.equal(await port.head('typed'), undefined)
      assert.equal((await put({ 'content-type': 'image/png' })).status, 200)
      assert.equal((await port.head('typed'))?.contentType, 'image/png')
    },
  },
  {
    id: 'signed-url/expires',
    sentence: 'After its expiry a URL is refused.',
    capability,
    undeclared,
    needs: ['passTime'],
    async check({ port, passTime }) {
      await port.put('short', 'content')
      const url = await port.signUrl('short', { expiresInMs: 2_000 })
      assert.equal(await (await fetch(url)).text(), 'content')
      await passTime?.(3_500)
      const response = await fetch(url)
      assert.equal(response.status, 403)
      assert.match(await response.text(), /<Code>AccessDenied<\/Code>/)
    },
  },
  {
    id: 'signed-url/bad-arguments-are-refused',
    sentence:
      'An expiry outside 1 second to 7 days, another method, or a key that no URL can carry is refused.',
    capability,
    undeclared,
    async check({ port }) {
      const refused = async (key: string, options: unknown): Promise<void> => {
        await expectPortError(port.signUrl(key, options as SignUrlOptions), 'invalid-argument')
      }
      for (const expiresInMs of [
        undefined,
        0,
        -1,
        999,
        7 * 86_400_000 + 1,
        1_500.5,
        Number.NaN,
        Number.POSITIVE_INFINITY,
        '60',
      ]) {
        await refused('key', { expiresInMs })
      }
      await refused('key', undefined)
      await refused('key', { expiresInMs: minute, method: 'POST' })
      await refused('key', { expiresInMs: minute, contentType: 'image/png' })
      await refused('key', { expiresInMs: minute, method: 'PUT', contentType: 'a\r\nb' })
      for (const key of ['.', 'a/../b', 'a/./b', '']) await refused(key, { expiresInMs: minute })
      await port.signUrl('key', { expiresInMs: 7 * 86_400_000 })
      await port.signUrl('key', { expiresInMs: 1_000 })
    },
  },
]
