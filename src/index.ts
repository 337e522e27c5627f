/** What app code imports: ports, declare, attach, errors. Loads no vendor. */

// For apps: to declare services, attach them, call them, and tell what went wrong.

export type { CallEvent } from './calls/guard.ts'
export { defaultRetry, noRetry, type RetryPolicy } from './calls/retry.ts'
export { type Outcome, PortError, type PortErrorCode, portErrorCodes } from './errors.ts'
export type { Author, BuildInfo, Tools } from './parity/build.ts'
export { diffParity, type ParityDiff, type UnknownFact } from './parity/diff.ts'
export type { EvidenceSummary } from './parity/evidence.ts'
export { type ParityHandlerOptions, parityHandler, type RequestLike } from './parity/handler.ts'
export type {
  Drift,
  ParityOptions,
  ParityReport,
  PersonnelGap,
  ServiceParity,
  TimeGap,
  ToolsGap,
} from './parity/report.ts'
export type { CallOptions } from './port.ts'
export type { BulkItem, BulkResult } from './ports/bulk.ts'
export {
  type DeleteOptions,
  type IncrementOptions,
  type KeyExpiry,
  type KeyValueInput,
  KeyValueStore,
  keyValueLimits,
  type SetManyOptions,
  type SetOptions,
} from './ports/key-value-store.ts'
export {
  type KeyValueNamespace,
  namespace,
  type TypedSetOptions,
  type TypedView,
  type TypedViewOptions,
  typedView,
  type UpdateOptions,
} from './ports/key-value-views.ts'
export { mailLimits } from './ports/mail-message.ts'
export {
  type MailAddress,
  type MailAttachment,
  Mailer,
  type MailMessage,
  type MailReceipt,
  type MailRefusal,
} from './ports/mailer.ts'
export * from './ports/object-storage.ts'
export {
  longestPost,
  type PublishedPost,
  type SocialPost,
  SocialPublisher,
  weightedLength,
} from './ports/social-publisher.ts'
export { type SqlJson, type SqlStatement, type SqlValue, sql } from './ports/sql.ts'
export {
  type SqlCopyTarget,
  SqlDatabase,
  type SqlIsolation,
  type SqlQueries,
  type SqlRow,
  type SqlStreamOptions,
  SqlTransaction,
  type SqlTransactionOptions,
} from './ports/sql-database.ts'
export {
  type Attached,
  type AttachedControls,
  type AttachOptions,
  attach,
  type Fakes,
  type Health,
  type PortOf,
  type ServiceDescription,
} from './services/attach.ts'
export { type Config, type ConfigSources, type Externals, readConfig } from './services/config.ts'
export {
  type BoundedService,
  bounded,
  defineServices,
  type FakeContext,
  type FakeFactory,
  type FakeLike,
  type FakeModule,
  type SeedDeclaration,
  type Services,
  type UnboundedService,
  unbounded,
  urlFlag,
  urlVariable,
} from './services/declare.ts'
export { type Native, native } from './services/native.ts'
export { preflight } from './services/preflight.ts'
export {
  type PreflightOptions,
  type PreflightReport,
  type PreflightRung,
  type PreflightStep,
  preflightRungs,
} from './services/preflight-ladder.ts'

// For authors of ports, adapters and fakes. The built-in adapters use no more of src/calls and src/services than this.

export type {
  Adapter,
  Classification,
  CodeTable,
  DatastoreAdapter,
  DatastoreDriver,
  DatastoreSeeder,
  DatastoreServer,
  Driver,
  Fact,
  FactDrift,
  Fingerprint,
  MigrateOptions,
  MigrationReport,
  MigrationState,
  NetworkEndpoint,
  OpenContext,
  RunningServer,
  SeedableAdapter,
  SeedOptions,
  SeedProgress,
  SeedReport,
  ServerIdentity,
  Severity,
  StartOptions,
} from './adapter.ts'
export { untilAborted } from './calls/abort.ts'
export {
  byteLength,
  checkBytes,
  checkDate,
  checkFields,
  checkInteger,
  checkKey,
  checkText,
  compareUtf8,
  typeName,
} from './calls/arguments.ts'
export { type ByteSource, isByteStream, readBytes, untilAbortedBytes } from './calls/bytes.ts'
export { type Clock, systemClock, VirtualClock } from './calls/clock.ts'
export {
  type Guarded,
  type GuardOptions,
  guard,
  type Intercept,
  type InterceptedCall,
} from './calls/guard.ts'
export { openPageToken, type PageQuery, sealPageToken } from './calls/page-token.ts'
export { invalidArgument, type PortErrorInit } from './errors.ts'
export { type CallScope, definePort, type Operation, type Operations, type Port } from './port.ts'
export { brandedBulk, bulkResult } from './ports/bulk.ts'
export { addressOf, mailRecipients, mailSize, sameAddress } from './ports/mail-message.ts'
export { isLoopback, ServiceUrl, type UrlParameter, type UrlParameters } from './services/url.ts'
export { loadVendor } from './services/vendor.ts'
