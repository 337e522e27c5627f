/**
 * Which of S3's operations a request is: all that there are, by method, by what it is about, and by the names in its
 * query. `operations.test.ts` holds the table to the commands of AWS's own client.
 */
import { S3Error } from './errors.ts'

type ByMethod = Readonly<Partial<Record<string, string>>>

/** By the name in the query that says what of a bucket is meant; the first that is there counts. */
const ofBucket = {
  abac: { GET: 'GetBucketAbac', PUT: 'PutBucketAbac' },
  accelerate: { GET: 'GetBucketAccelerateConfiguration', PUT: 'PutBucketAccelerateConfiguration' },
  acl: { GET: 'GetBucketAcl', PUT: 'PutBucketAcl' },
  analytics: {
    GET: 'GetBucketAnalyticsConfiguration',
    PUT: 'PutBucketAnalyticsConfiguration',
    DELETE: 'DeleteBucketAnalyticsConfiguration',
    list: 'ListBucketAnalyticsConfigurations',
  },
  cors: { GET: 'GetBucketCors', PUT: 'PutBucketCors', DELETE: 'DeleteBucketCors' },
  delete: { POST: 'DeleteObjects' },
  encryption: { GET: 'GetBucketEncryption', PUT: 'PutBucketEncryption', DELETE: 'DeleteBucketEncryption' },
  'intelligent-tiering': {
    GET: 'GetBucketIntelligentTieringConfiguration',
    PUT: 'PutBucketIntelligentTieringConfiguration',
    DELETE: 'DeleteBucketIntelligentTieringConfiguration',
    list: 'ListBucketIntelligentTieringConfigurations',
  },
  inventory: {
    GET: 'GetBucketInventoryConfiguration',
    PUT: 'PutBucketInventoryConfiguration',
    DELETE: 'DeleteBucketInventoryConfiguration',
    list: 'ListBucketInventoryConfigurations',
  },
  lifecycle: {
    GET: 'GetBucketLifecycleConfiguration',
    PUT: 'PutBucketLifecycleConfiguration',
    DELETE: 'DeleteBucketLifecycle',
  },
  location: { GET: 'GetBucketLocation' },
  logging: { GET: 'GetBucketLogging', PUT: 'PutBucketLogging' },
  metadataAnnotationTable: { PUT: 'UpdateBucketMetadataAnnotationTableConfiguration' },
  metadataConfiguration: {
    GET: 'GetBucketMetadataConfiguration',
    POST: 'CreateBucketMetadataConfiguration',
    DELETE: 'DeleteBucketMetadataConfiguration',
  },
  metadataInventoryTable: { PUT: 'UpdateBucketMetadataInventoryTableConfiguration' },
  metadataJournalTable: { PUT: 'UpdateBucketMetadataJournalTableConfiguration' },
  metadataTable: {
    GET: 'GetBucketMetadataTableConfiguration',
    POST: 'CreateBucketMetadataTableConfiguration',
    DELETE: 'DeleteBucketMetadataTableConfiguration',
  },
  metrics: {
    GET: 'GetBucketMetricsConfiguration',
    PUT: 'PutBucketMetricsConfiguration',
    DELETE: 'DeleteBucketMetricsConfiguration',
    list: 'ListBucketMetricsConfigurations',
  },
  notification: { GET: 'GetBucketNotificationConfiguration', PUT: 'PutBucketNotificationConfiguration' },
  'object-lock': { GET: 'GetObjectLockConfiguration', PUT: 'PutObjectLockConfiguration' },
  ownershipControls: {
    GET: 'GetBucketOwnershipControls',
    PUT: 'PutBucketOwnershipControls',
    DELETE: 'DeleteBucketOwnershipControls',
  },
  policy: { GET: 'GetBucketPolicy', PUT: 'PutBucketPolicy', DELETE: 'DeleteBucketPolicy' },
  policyStatus: { GET: 'GetBucketPolicyStatus' },
  publicAccessBlock: {
    GET: 'GetPublicAccessBlock',
    PUT: 'PutPublicAccessBlock',
    DELETE: 'DeletePublicAccessBlock',
  },
  replication: {
    GET: 'GetBucketReplication',
    PUT: 'PutBucketReplication',
    DELETE: 'DeleteBucketReplication',
  },
  requestPayment: { GET: 'GetBucketRequestPayment', PUT: 'PutBucketRequestPayment' },
  session: { GET: 'CreateSession' },
  tagging: { GET: 'GetBucketTagging', PUT: 'PutBucketTagging', DELETE: 'DeleteBucketTagging' },
  uploads: { GET: 'ListMultipartUploads' },
  versioning: { GET: 'GetBucketVersioning', PUT: 'PutBucketVersioning' },
  versions: { GET: 'ListObjectVersions' },
  website: { GET: 'GetBucketWebsite', PUT: 'PutBucketWebsite', DELETE: 'DeleteBucketWebsite' },
} as const

const ofObject = {
  acl: { GET: 'GetObjectAcl', PUT: 'PutObjectAcl' },
  annotation: {
    GET: 'GetObjectAnnotation',
    PUT: 'PutObjectAnnotation',
    DELETE: 'DeleteObjectAnnotation',
    list: 'ListObjectAnnotations',
  },
  attributes: { GET: 'GetObjectAttributes' },
  encryption: { PUT: 'UpdateObjectEncryption' },
  'legal-hold': { GET: 'GetObjectLegalHold', PUT: 'PutObjectLegalHold' },
  renameObject: { PUT: 'RenameObject' },
  restore: { POST: 'RestoreObject' },
  retention: { GET: 'GetObjectRetention', PUT: 'PutObjectRetention' },
  select: { POST: 'SelectObjectContent' },
  tagging: { GET: 'GetObjectTagging', PUT: 'PutObjectTagging', DELETE: 'DeleteObjectTagging' },
  torrent: { GET: 'GetObjectTorrent' },
  uploads: { POST: 'CreateMultipartUpload' },
  uploadId: {
    GET: 'ListParts',
    PUT: 'UploadPart',
    POST: 'CompleteMultipartUpload',
    DELETE: 'AbortMultipartUpload',
    copy: 'UploadPartCopy',
  },
} as const

/** Where the query names nothing of the kind. */
const plain = {
  service: { GET: 'ListBuckets' },
  bucket: {
    GET: 'ListObjects',
    PUT: 'CreateBucket',
    DELETE: 'DeleteBucket',
    HEAD: 'HeadBucket',
    POST: 'PostObject',
  },
  object: {
    GET: 'GetObject',
    PUT: 'PutObject',
    DELETE: 'DeleteObject',
    HEAD: 'HeadObject',
    copy: 'CopyObject',
  },
} as const

type Named<Table> = { [K in keyof Table]: Table[K][keyof Table[K]] }[keyof Table]

/** An operation of S3, and the two that its list does not have: the form of a browser, and its preflight. */
export type S3OperationName =
  | Extract<Named<typeof ofBucket> | Named<typeof ofObject> | Named<typeof plain>, string>
  | 'ListObjectsV2'
  | 'Preflight'
  | 'WriteGetObjectResponse'

/** What {@link operationOf} goes by. */
export interface OperationTarget {
  readonly bucket: string | undefined
  readonly key: string | undefined
  readonly query: ReadonlyMap<string, string>
}

/** @throws S3Error `MethodNotAllowed` for what is no operation */
export function operationOf(
  request: { readonly method: string; readonly headers: Readonly<Record<string, string>> },
  { bucket, key, query }: OperationTarget,
): S3OperationName {
  const { method, headers } = request
  if (method === 'OPTIONS') return 'Preflight'
  if (headers['x-amz-request-route'] !== undefined) return 'WriteGetObjectResponse'
  const level = bucket === undefined ? 'service' : key === undefined ? 'bucket' : 'object'
  const [name, found] = subresourceOf(level, query)
  const isCopy = method === 'PUT' && headers['x-amz-copy-source'] !== undefined
  const operation =
    (isCopy ? found.copy : undefined) ??
    (method === 'GET' && found.list !== undefined && !query.has(selectors[name] ?? 'id')
      ? found.list
      : undefined) ??
    (Object.hasOwn(found, method) ? found[method] : undefined)
  if (operation === 'ListObjects' && query.get('list-type') === '2') return 'ListObjectsV2'
  if (operation !== undefined) return operation as S3OperationName
  throw new S3Error('MethodNotAllowed', {
    fields: { Method: method, ResourceType: name === '' ? level.toUpperCase() : name.toUpperCase() },
  })
}

/** The name in the query that asks for one of many rather than for their list. */
const selectors: Readonly<Record<string, string>> = { annotation: 'annotationName' }

function subresourceOf(
  level: keyof typeof plain,
  query: ReadonlyMap<string, string>,
): readonly [name: string, byMethod: ByMethod] {
  const table: Readonly<Record<string, ByMethod>> =
    level === 'object' ? ofObject : level === 'bucket' ? ofBucket : {}
  const found = Object.entries(table).find(([name]) => query.has(name))
  return found ?? ['', plain[level]]
}
