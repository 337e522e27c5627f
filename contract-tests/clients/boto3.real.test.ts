/** boto3, in Debian's build, unmodified on the emulator. */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, test } from 'vitest'
import { bucket, type ClientPlace, describeClient, type ForeignClient } from './fixtures/client-behaviours.ts'
import { ClientFailure } from './fixtures/program.ts'

const script = fileURLToPath(new URL('./fixtures/boto3_client.py', import.meta.url))
const debianPackage = 'python3-boto3'

/** Loading boto3 takes longer than any test, so that one process makes all calls of a client. */
class Boto3 {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>
  readonly #answers: AsyncIterator<string>

  constructor(place: ClientPlace) {
    const env = { PATH: '/usr/bin:/bin', HOME: place.folder, LC_ALL: 'C.UTF-8', PYTHONDONTWRITEBYTECODE: '1' }
    const args = [script, JSON.stringify(place)]
    this.#process = spawn('python3', args, { env, stdio: ['pipe', 'pipe', 'inherit'] })
    this.#answers = createInterface(this.#process.stdout)[Symbol.asyncIterator]()
  }

  /** One call after another. */
  async call(name: string, ...args: readonly string[]): Promise<unknown> {
    this.#process.stdin.write(`${JSON.stringify([name, ...args])}\n`)
    const line = await this.#answers.next()
    if (line.done) throw new Error(`python3 ended; is boto3 there? As root: apt-get install ${debianPackage}`)
    const answer = JSON.parse(line.value) as { readonly result?: unknown; readonly failure?: string }
    if (answer.failure !== undefined) throw new ClientFailure(answer.failure)
    return answer.result
  }

  /** At the end of its input it ends. */
  close(): void {
    this.#process.stdin.end()
  }
}

let opened: readonly Boto3[] = []
afterEach(() => {
  for (const boto3 of opened) boto3.close()
  opened = []
})

function open(place: ClientPlace): Boto3 {
  const boto3 = new Boto3(place)
  opened = [...opened, boto3]
  return boto3
}

async function connect(place: ClientPlace): Promise<ForeignClient> {
  const boto3 = open(place)
  return {
    makeBucket: (...args) => boto3.call('makeBucket', ...args),
    removeBucket: (...args) => boto3.call('removeBucket', ...args),
    put: (...args) => boto3.call('put', ...args),
    putWithMetadata: (...args) => boto3.call('putWithMetadata', ...args),
    get: (...args) => boto3.call('get', ...args),
    copy: (...args) => boto3.call('copy', ...args),
    remove: (...args) => boto3.call('remove', ...args),
    list: async (...args) => (await boto3.call('list', ...args)) as readonly string[],
    syncUp: (...args) => boto3.call('syncUp', ...args),
    syncDown: (...args) => boto3.call('syncDown', ...args),
    presign: async (...args) => (await boto3.call('presign', ...args)) as string,
  }
}

describeClient({ name: 'boto3', connect, copiesLargeWith: 'UploadPartCopy' }, (bench) => {
  test('makes URLs that write, with the type that was signed and with no other', async () => {
    const { place, storage } = bench()
    const url = (await open(place).call('presignPut', bucket, 'k', 'text/plain')) as string
    const put = (type: string): Promise<Response> =>
      fetch(url, { method: 'PUT', body: 'x', headers: { 'content-type': type } })
    expect((await put('text/html')).status).toBe(403)
    expect((await put('text/plain')).status).toBe(200)
    expect(storage.objects.get('k')).toMatchObject({ text: 'x', info: { contentType: 'text/plain' } })
  })

  test('is told by name that forms are not implemented', async () => {
    const { url, fields } = (await open(bench().place).call('presignPost', bucket, 'k')) as {
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
    expect(await open(place).call('conditions', bucket, 'k')).toEqual([200, 412, 304, 416])
  })
})
