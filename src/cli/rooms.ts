/**
 * The other rooms of the house that the command line needs. The one file of `src/` that may name them, and only
 * lazily: what an app imports never loads a contract or a fake, and a command loads no more than it runs.
 */
import { loadVendor } from '../services/vendor.ts'

export interface Verification {
  readonly verifying: Pick<typeof import('../../contract-tests/verify.ts'), 'verify'>
  readonly connecting: Pick<typeof import('../../contract-tests/connection.ts'), 'connectTo'>
  readonly contracts: typeof import('../../contract-tests/contract.ts')
  readonly divergences: typeof import('../../contract-tests/divergences.ts')
  readonly evidence: typeof import('../../contract-tests/evidence.ts')
  readonly places: Pick<typeof import('../../contract-tests/places/index.ts'), 'onService' | 'placeMakerOf'>
}

/** What verifies a service, for `portside verify`. */
export async function verification(): Promise<Verification> {
  // By name what nothing else imports, so that it is seen to be used.
  const { verify } = await import('../../contract-tests/verify.ts')
  const { connectTo } = await import('../../contract-tests/connection.ts')
  const { onService, placeMakerOf } = await import('../../contract-tests/places/index.ts')
  const contracts = await import('../../contract-tests/contract.ts')
  const divergences = await import('../../contract-tests/divergences.ts')
  const evidence = await import('../../contract-tests/evidence.ts')
  return {
    verifying: { verify },
    connecting: { connectTo },
    contracts,
    divergences,
    evidence,
    places: { onService, placeMakerOf },
  }
}

// biome-ignore lint/suspicious/noExplicitAny: a contract is of the port that the service declares
export type AnyContract = import('../../contract-tests/contract.ts').Contract<any>

const contracts: Readonly<Record<string, () => Promise<AnyContract>>> = {
  'sql-database': async () => (await import('../../contract-tests/sql-database.ts')).sqlDatabaseContract,
  'key-value-store': async () =>
    (await import('../../contract-tests/key-value-store.ts')).keyValueStoreContract,
  'object-storage': async () =>
    (await import('../../contract-tests/object-storage.ts')).objectStorageContract,
  mailer: async () => (await import('../../contract-tests/mailer.ts')).mailerContract,
  'social-publisher': async () =>
    (await import('../../contract-tests/social-publisher.ts')).socialPublisherContract,
}

/**
 * The contract that this package has for a port; `undefined` for a port of the app's own.
 * @throws PortError `unsupported` where fast-check, which contracts need, is not installed
 */
export async function contractOf(port: string): Promise<AnyContract | undefined> {
  const load = Object.hasOwn(contracts, port) ? contracts[port] : undefined
  return load === undefined ? undefined : await loadVendor(load, ['fast-check'])
}

/** Emulators of other people's services, with what keeps and controls them. */
export function emulators(): Promise<typeof import('../../fakes/emulators/emulation.ts')> {
  return import('../../fakes/emulators/emulation.ts')
}
