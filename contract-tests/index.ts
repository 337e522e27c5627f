/** The kit of all contracts, for contracts of your own ports. Needs no test runner. */
export {
  type BehaviourEvidence,
  type Evidence,
  readAllEvidence,
  readEvidence,
  type ServerProduct,
} from '../src/parity/evidence.ts'
export { networkBehaviours } from './common/network.ts'
export { type CommonOptions, commonBehaviours, type SampleCall, type SampleCalls } from './common.ts'
export {
  type Behaviour,
  type BehaviourContext,
  type Contract,
  defineContract,
  type Means,
  type OpenSubject,
  type Subject,
  subjectId,
} from './contract.ts'
export {
  type Divergence,
  divergenceProblems,
  loadDivergences,
  parseDivergences,
  strayDivergences,
} from './divergences.ts'
export {
  contractHash,
  evidenceProblems,
  makeEvidence,
  writeEvidence,
} from './evidence.ts'
export { collect, type ExpectedError, expectPortError } from './expect.ts'
export { type Network, networkTo } from './network.ts'
export type { Connection, OpenDriver, Place, PlaceMaker } from './places/place.ts'
export {
  type BehaviourResult,
  type RunContractOptions,
  type RunOptions,
  runBehaviour,
  runContract,
} from './run.ts'
