/** The kit of all contracts, for contracts of your own ports. Needs no test runner. */
export { commonBehaviours, type SampleCall, type SampleCalls } from './common.ts'
export {
  type Behaviour,
  type BehaviourContext,
  type Contract,
  defineContract,
  type Means,
  type OpenSubject,
  type Subject,
} from './contract.ts'
export { collect, type ExpectedError, expectPortError } from './expect.ts'
export { type BehaviourResult, runBehaviour, runContract } from './run.ts'
