/** boto3, in Debian's build, unmodified on the emulator. */
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { bucket, type ClientPlace, describeClient, type ForeignClient } from './fixtures/client-behaviours.ts'
import { runProgram, runSuccessfully } from './fixtures/program.ts'

const script = fileURLToPath(new URL('./fixtures/boto3_client.py', import.meta.url))
const debianPackage = 'python3-boto3'

async function call(place: ClientPlace, name: string, ...args: readonly string[]): Promise<unknown> {
  const env = { HOME: place.folder, AWS_EC2_METADATA_DISABLED: 'true', PYTHONDONTWRITEBYTECODE: '1' }
  const request = JSON.stringify({ place, call: name, args })
  return JSON.parse(await runSuccessfully('python3', [script, request], { debianPackage, env }))
}

async function connect(place: ClientPlace): Promise<ForeignClient> {
  const { status } = await runProgram('python3', ['-c', 'import boto3'], { debianPackage })
  if (status !== 0) throw new Error(`boto3 is not installed; as root: apt-get install ${debianPackage}`)
  return {
    makeBucket: (...args) => call(place, 'makeBucket', ...args),
    removeBucket: (...args) => call(place, 'removeBucket', ...args),
    put: (...args) => call(place, 'put', ...args),
    putWithMetadata: (...args) => call(place, 'putWithMetadata', ...args),
    get: (...args) => call(place, 'get', ...args),
    copy: (...args) => call(place, 'copy', ...args),
    remove: (...args) => call(place, 'remove', ...args),
    list: async (...args) => (await call(place, 'list', ...args)) as readonly string[],
    syncUp: (...args) => call(place, 'syncUp', ...args),
    syncDown: (...args) => call(place, 'syncDown', ...args),
    presign: async (...args) => (await call(place, 'presign', ...args)) as string,
  }
}

describeClient({ name: 'boto3', connect, copiesLargeWith: 'UploadPartCopy' }, (bench) => {
  test('makes URLs that write, with the type that was signed and with no other', async () => {
    const { place, storage } = bench()
    const url = (await call(place, 'presignPut', bucket, 'k', 'text/plain')) as string
    const put = (type: string): Promise<Response> =>
      fetch(url, { method: 'PUT', body: 'x', headers: { 'content-type': type } })
    expect((await put('text/html')).status).toBe(403)
    expect((await put('text/plain')).status).toBe(200)
    expect(storage.objects.get('k')).toMatchObject({ text: 'x', info: { contentType: 'text/plain' } })
  })

  test('is told by name that forms are not implemented', async () => {
    const { url, fields } = (await call(bench().place, 'presignPost', bucket, 'k')) as {
      readonly url: string
      readonly fields: Readonly<Record<string, string>>
    }
    const form = new FormData()
    for (const [name, value] of Object.entries(fields)) form.set(name, value)
    form.set('file', new Blob(['x']))
    const answer = await fetch(url, { method: 'POST', body: form })
    expect(answer.status).toBe(501)
    expect(await answer.text()).toMatch(/<Code>NotImplemented<\/Code>.*PostObject/)
  })

  test('is told what became of its conditions', async () => {
    const { place, storage } = bench()
    storage.seed({ k: 'x' })
    expect(await call(place, 'conditions', bucket, 'k')).toEqual([200, 412, 304, 416])
  })
})
