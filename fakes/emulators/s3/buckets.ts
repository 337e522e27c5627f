/** Operations on buckets: create, list, delete, head, location, versioning, tags, cross-origin rules. */
import { compareUtf8 } from '../../../src/calls/arguments.ts'
import type { Bucket } from '../../object-storage/bucket.ts'
import type { HttpReply } from '../http.ts'
import { type Operation, type OperationTable, queryInteger, readBody, type S3Call, xmlReply } from './call.ts'
import { readCorsRules, writeCorsRules } from './cors.ts'
import { S3Error } from './errors.ts'
import { owner } from './lists.ts'
import { readXml, textOf } from './read-xml.ts'
import { readTags, tagTree } from './tags.ts'

/** The buckets there are, for the operations that are about them. */
export interface BucketRegistry {
  readonly names: readonly string[]
  bucket(name: string): Bucket | undefined
  /** Makes it, in that region. */
  create(name: string, region: string): void
  remove(name: string): Promise<void>
}

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html */
export function isBucketName(name: string): boolean {
  return (
    /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name) &&
    !/\.\.|^\d+\.\d+\.\d+\.\d+$/.test(name) &&
    !/^(xn--|sthree-|amzn-s3-demo-)/.test(name) &&
    !/(-s3alias|--ol-s3|\.mrap|--x-s3|--table-s3)$/.test(name)
  )
}

/** The region of a bucket. */
export function regionOf({ bucket, region }: Pick<S3Call, 'bucket' | 'region'>): string {
  return bucket.region ?? region
}

const headBucket: Operation = (call) => ({
  status: 200,
  headers: { 'x-amz-bucket-region': regionOf(call), 'x-amz-access-point-alias': 'false' },
})

const getBucketLocation: Operation = (call) => {
  const region = regionOf(call)
  return xmlReply('LocationConstraint', call.dialect.location ?? (region === 'us-east-1' ? '' : region))
}

/** Of a bucket that never had versions it says nothing. */
const getBucketVersioning: Operation = () => xmlReply('VersioningConfiguration', {})

const getBucketTagging: Operation = ({ bucket, bucketName }) => {
  if (bucket.tags.length === 0) throw new S3Error('NoSuchTagSet', { fields: { BucketName: bucketName } })
  return xmlReply('Tagging', tagTree(bucket.tags))
}

const putBucketTagging: Operation = async (call) => {
  const { bucket } = call
  bucket.tags = await readTags(call, 50)
  return { status: 204 }
}

const deleteBucketTagging: Operation = ({ bucket }) => {
  bucket.tags = []
  return { status: 204 }
}

const getBucketCors: Operation = ({ bucket, bucketName }) => {
  if (bucket.cors === undefined) {
    throw new S3Error('NoSuchCORSConfiguration', { fields: { BucketName: bucketName } })
  }
  return { status: 200, headers: { 'content-type': 'application/xml' }, body: writeCorsRules(bucket.cors) }
}

const putBucketCors: Operation = async (call) => {
  const { bucket } = call
  bucket.cors = readCorsRules(await readBody(call))
  return { status: 200 }
}

const deleteBucketCors: Operation = ({ bucket }) => {
  bucket.cors = undefined
  return { status: 204 }
}

export const bucketOperations: OperationTable = {
  HeadBucket: headBucket,
  GetBucketLocation: getBucketLocation,
  GetBucketVersioning: getBucketVersioning,
  GetBucketTagging: getBucketTagging,
  PutBucketTagging: putBucketTagging,
  DeleteBucketTagging: deleteBucketTagging,
  GetBucketCors: getBucketCors,
  PutBucketCors: putBucketCors,
  DeleteBucketCors: deleteBucketCors,
}

export async function createBucket(call: S3Call, registry: BucketRegistry): Promise<HttpReply> {
  const { bucketName, region } = call
  const body = await readBody(call)
  const asked =
    body.length === 0
      ? undefined
      : textOf(readXml(body, { root: 'CreateBucketConfiguration' }), 'LocationConstraint')
  if (!isBucketName(bucketName))
    throw new S3Error('InvalidBucketName', { fields: { BucketName: bucketName } })
  // us-east-1 is where a bucket is that names no region, and may not be named.
  const wanted = asked === undefined || asked === '' ? 'us-east-1' : asked
  if (asked === 'us-east-1') {
    throw new S3Error('InvalidLocationConstraint', { fields: { LocationConstraint: asked } })
  }
  // The endpoint of us-east-1 makes buckets anywhere, every other one in its own region.
  if (region !== 'us-east-1' && wanted !== region) {
    const message = `The ${asked === undefined ? 'unspecified' : asked} location constraint is incompatible for the region specific endpoint this request was sent to.`
    throw new S3Error('IllegalLocationConstraintException', { message })
  }
  if (registry.bucket(bucketName) === undefined) registry.create(bucketName, wanted)
  // There it is no error for historical reasons, as the documentation of CreateBucket says.
  else if (region !== 'us-east-1') {
    throw new S3Error('BucketAlreadyOwnedByYou', { fields: { BucketName: bucketName } })
  }
  return { status: 200, headers: { location: `/${bucketName}` } }
}

export async function deleteBucket(call: S3Call, registry: BucketRegistry): Promise<HttpReply> {
  const { bucket, bucketName } = call
  if (bucket.keys().length > 0) throw new S3Error('BucketNotEmpty', { fields: { BucketName: bucketName } })
  await registry.remove(bucketName)
  return { status: 204 }
}

export function listBuckets(call: S3Call, registry: BucketRegistry): HttpReply {
  const { query, region } = call
  const prefix = query.get('prefix') ?? ''
  const after = Buffer.from(query.get('continuation-token') ?? '', 'base64').toString()
  const most = queryInteger(call, 'max-buckets', 10_000, 10_000)
  const names = registry.names
    .filter((name) => name.startsWith(prefix) && compareUtf8(name, after) > 0)
    .toSorted(compareUtf8)
  const shown = names.slice(0, most)
  const last = shown.at(-1)
  const isTruncated = names.length > shown.length && last !== undefined
  const isPaged = query.has('max-buckets') || query.has('prefix')
  return xmlReply('ListAllMyBucketsResult', {
    Owner: owner,
    Buckets: {
      Bucket: shown.map((name) => ({
        Name: name,
        CreationDate: new Date(registry.bucket(name)?.createdMs ?? 0),
        ...(isPaged ? { BucketRegion: region } : {}),
      })),
    },
    ContinuationToken: isTruncated ? Buffer.from(last).toString('base64') : undefined,
    Prefix: prefix === '' ? undefined : prefix,
  })
}
