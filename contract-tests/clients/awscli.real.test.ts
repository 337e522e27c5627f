/** AWS's command line, in Debian's build, unmodified on the emulator. */
import { type ClientPlace, describeClient, type ForeignClient } from './fixtures/client-behaviours.ts'
import { runSuccessfully } from './fixtures/program.ts'

async function connect(place: ClientPlace): Promise<ForeignClient> {
  const env = {
    HOME: place.folder,
    AWS_ACCESS_KEY_ID: place.accessKeyId,
    AWS_SECRET_ACCESS_KEY: place.secretAccessKey,
    AWS_DEFAULT_REGION: 'us-east-1',
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_PAGER: '',
  }
  const aws = (...args: readonly string[]): Promise<string> =>
    runSuccessfully('aws', ['--endpoint-url', place.origin, ...args], { debianPackage: 'awscli', env })
  const s3 = (command: string, ...args: readonly string[]): Promise<string> => aws('s3', command, ...args)
  return {
    makeBucket: (bucket) => s3('mb', `s3://${bucket}`),
    removeBucket: (bucket) => s3('rb', `s3://${bucket}`),
    put: (file, bucket, key) => s3('cp', file, `s3://${bucket}/${key}`),
    putWithMetadata: (file, bucket, key, name, value) =>
      s3('cp', file, `s3://${bucket}/${key}`, '--metadata', JSON.stringify({ [name]: value })),
    get: (bucket, key, file) => s3('cp', `s3://${bucket}/${key}`, file),
    copy: (bucket, from, to) => s3('cp', `s3://${bucket}/${from}`, `s3://${bucket}/${to}`),
    remove: (bucket, key) => s3('rm', `s3://${bucket}/${key}`),
    async list(bucket, prefix) {
      const query = ['--query', 'Contents[].Key', '--output', 'json']
      const text = await aws('s3api', 'list-objects-v2', '--bucket', bucket, '--prefix', prefix, ...query)
      return JSON.parse(text) as string[]
    },
    syncUp: (folder, bucket, prefix) => s3('sync', folder, `s3://${bucket}/${prefix}`, '--delete'),
    syncDown: (bucket, prefix, folder) => s3('sync', `s3://${bucket}/${prefix}`, folder),
    presign: async (bucket, key) => (await s3('presign', `s3://${bucket}/${key}`)).trim(),
  }
}

describeClient({ name: 'awscli', connect, copiesLargeWith: 'UploadPartCopy' })
