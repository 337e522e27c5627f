/** Real datastores for development and test, in containers or without; and what it takes to teach it another engine. */
export type { DatastoreServer, RunningServer, StartOptions } from '../adapter.ts'
export { canUse, isRoot, ownerOf, unprivilegedAccount } from './account.ts'
export { cached, cacheFolder, makeCache } from './cache.ts'
export { type Account, CommandError, run } from './command.ts'
export { debianPackages } from './debian.ts'
export {
  type ContainedEngine,
  type ContainerRecipe,
  type ContainerSetUp,
  containerServer,
  containerSource,
} from './docker.ts'
export { discardContainer } from './docker-engine.ts'
export type { ServerCommand, ServerEngine, ServerPlace } from './engine.ts'
export type { ServerFolder } from './folder.ts'
export { freePort } from './free-port.ts'
export {
  type PlaceOwner,
  type PlaceSupply,
  type PlaceTemplate,
  placeOwner,
  runsHere,
  type SupplyOptions,
  type TestIsolation,
  type TestPlace,
  type TestRights,
} from './isolation.ts'
export { datastoreServer } from './server.ts'
export {
  type ServersOf,
  type StartedServices,
  type StartServicesOptions,
  startServices,
} from './services.ts'
export { onPath, type Programs, type ServerSource, type SourceContext, wrongVersion } from './source.ts'
