/** rclone, in Debian's build, unmodified on the emulator. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import {
  bucket,
  type ClientPlace,
  type ClientSubject,
  describeClient,
  type ForeignClient,
} from './fixtures/client-behaviours.ts'
import { runProgram, runSuccessfully } from './fixtures/program.ts'

const debianPackage = 'rclone'

function settings(place: ClientPlace): Readonly<Record<string, string>> {
  return {
    HOME: place.folder,
    RCLONE_CONFIG: join(place.folder, 'no-rclone.conf'),
    RCLONE_CONFIG_S_TYPE: 's3',
    RCLONE_CONFIG_S_PROVIDER: 'Other',
    RCLONE_CONFIG_S_ENDPOINT: place.origin,
    RCLONE_CONFIG_S_REGION: 'us-east-1',
    RCLONE_CONFIG_S_ACCESS_KEY_ID: place.accessKeyId,
    RCLONE_CONFIG_S_SECRET_ACCESS_KEY: place.secretAccessKey,
    RCLONE_S3_UPLOAD_CUTOFF: '8M',
    RCLONE_S3_CHUNK_SIZE: '5M',
    RCLONE_S3_COPY_CUTOFF: '8M',
  }
}

async function connect(place: ClientPlace): Promise<ForeignClient> {
  const env = settings(place)
  const rclone = (...args: readonly string[]): Promise<string> =>
    runSuccessfully('rclone', [...args], { debianPackage, env })
  return {
    makeBucket: (bucket) => rclone('mkdir', `S:${bucket}`),
    removeBucket: (bucket) => rclone('rmdir', `S:${bucket}`),
    // It would make a bucket that is not there.
    put: (file, bucket, key) => rclone('copyto', file, `S:${bucket}/${key}`, '--s3-no-check-bucket'),
    putWithMetadata: (file, bucket, key, name, value) =>
      rclone('copyto', file, `S:${bucket}/${key}`, '--metadata', '--metadata-set', `${name}=${value}`),
    get: (bucket, key, file) => rclone('copyto', `S:${bucket}/${key}`, file),
    copy: (bucket, from, to) => rclone('copyto', `S:${bucket}/${from}`, `S:${bucket}/${to}`),
    remove: (bucket, key) => rclone('deletefile', `S:${bucket}/${key}`),
    async list(bucket, prefix) {
      const text = await rclone('lsf', '--recursive', '--files-only', '--fast-list', `S:${bucket}/${prefix}`)
      const names = text.split('\n').filter((line) => line !== '')
      return names.map((name) => `${prefix}${name}`).toSorted()
    },
    syncUp: (folder, bucket, prefix) => rclone('sync', folder, `S:${bucket}/${prefix}`),
    syncDown: (bucket, prefix, folder) => rclone('sync', `S:${bucket}/${prefix}`, folder),
    presign: async (bucket, key) => (await rclone('link', `S:${bucket}/${key}`, '--expire', '1m')).trim(),
  }
}

const rclone: ClientSubject = {
  name: 'rclone',
  connect,
  copiesLargeWith: 'UploadPartCopy',
  takesAbsentForEmptyFolder: true,
}

describeClient(rclone, (bench) => {
  test('checks that folder and prefix are the same, by their hashes', async () => {
    const { client, folder, place, storage } = bench()
    for (const name of ['one', 'two']) await writeFile(join(folder, name), name)
    await client.syncUp(folder, bucket, 'checked')
    const check = (): ReturnType<typeof runProgram> =>
      runProgram('rclone', ['check', folder, `S:${bucket}/checked`], { debianPackage, env: settings(place) })
    const same = await check()
    expect(same.stderr).toContain('0 differences found')
    expect(same.status).toBe(0)
    storage.seed({ 'checked/two': 'TWO' })
    const different = await check()
    expect(different.stderr).toMatch(/two: .*(md5|sizes) differ/)
    expect(different.status).toBe(1)
  })
})
