/** The place that each built-in port has on a service. */
import type { PlaceMaker } from './place.ts'

export { onService } from './place.ts'

// biome-ignore lint/suspicious/noExplicitAny: each is of the port whose name it stands under
type AnyPlaceMaker = PlaceMaker<any>

const makers: Readonly<Record<string, () => Promise<AnyPlaceMaker>>> = {
  'sql-database': async () => (await import('./sql-database.ts')).sqlDatabasePlace,
  'key-value-store': async () => (await import('./key-value-store.ts')).keyValueStorePlace,
  'object-storage': async () => (await import('./object-storage.ts')).objectStoragePlace,
  mailer: async () => (await import('./mailer.ts')).mailerPlace,
  'social-publisher': async () => (await import('./social-publisher.ts')).socialPublisherPlace,
}

/** `undefined` for a port of someone's own. */
export async function placeMakerOf(port: string): Promise<AnyPlaceMaker | undefined> {
  return Object.hasOwn(makers, port) ? makers[port]?.() : undefined
}
