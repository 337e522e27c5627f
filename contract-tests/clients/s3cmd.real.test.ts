/** s3cmd, in Debian's build, unmodified on the emulator. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { bucket, type ClientPlace, describeClient, type ForeignClient } from './fixtures/client-behaviours.ts'
import { runSuccessfully } from './fixtures/program.ts'

async function connect(place: ClientPlace): Promise<ForeignClient> {
  const config = join(place.folder, `s3cfg-${place.accessKeyId}-${place.secretAccessKey.length}`)
  const host = `127.0.0.1:${place.port}`
  await writeFile(
    config,
    `[default]
access_key = ${place.accessKeyId}
secret_key = ${place.secretAccessKey}
host_base = ${host}
host_bucket = ${host}
bucket_location = us-east-1
use_https = False
multipart_chunk_size_mb = 5
multipart_copy_chunk_size_mb = 5
`,
  )
  const s3cmd = (...args: readonly string[]): Promise<string> =>
    runSuccessfully('s3cmd', ['--config', config, '--no-progress', ...args], {
      debianPackage: 's3cmd',
      env: { HOME: place.folder },
    })
  const uri = (bucket: string, key: string): string => `s3://${bucket}/${key}`
  return {
    makeBucket: (bucket) => s3cmd('mb', `s3://${bucket}`),
    removeBucket: (bucket) => s3cmd('rb', `s3://${bucket}`),
    put: (file, bucket, key) => s3cmd('put', file, uri(bucket, key)),
    putWithMetadata: (file, bucket, key, name, value) =>
      s3cmd('put', `--add-header=x-amz-meta-${name}:${value}`, file, uri(bucket, key)),
    get: (bucket, key, file) => s3cmd('get', '--force', uri(bucket, key), file),
    copy: (bucket, from, to) => s3cmd('cp', uri(bucket, from), uri(bucket, to)),
    remove: (bucket, key) => s3cmd('rm', uri(bucket, key)),
    async list(bucket, prefix) {
      const text = await s3cmd('ls', '--recursive', uri(bucket, prefix))
      const start = `s3://${bucket}/`
      return text
        .split('\n')
        .filter((line) => line.includes(start))
        .map((line) => line.slice(line.indexOf(start) + start.length))
    },
    syncUp: (folder, bucket, prefix) =>
      s3cmd('sync', '--delete-removed', `${folder}/`, uri(bucket, `${prefix}/`)),
    syncDown: (bucket, prefix, folder) => s3cmd('sync', uri(bucket, `${prefix}/`), `${folder}/`),
    // It signs URLs by Version 2 only.
    presign: async () => undefined,
  }
}

describeClient({ name: 's3cmd', connect, copiesLargeWith: 'UploadPartCopy' }, (bench) => {
  test('is told that its URLs, of Version 2, are none, as by S3 in most regions', async () => {
    const { place, storage } = bench()
    storage.seed({ k: 'x' })
    const config = join(place.folder, `s3cfg-${place.accessKeyId}-${place.secretAccessKey.length}`)
    const url = await runSuccessfully('s3cmd', ['--config', config, 'signurl', `s3://${bucket}/k`, '+60'], {
      debianPackage: 's3cmd',
      env: { HOME: place.folder },
    })
    const answer = await fetch(url.trim())
    expect(answer.status).toBe(400)
    expect(await answer.text()).toContain('Please use AWS4-HMAC-SHA256.')
  })
})
