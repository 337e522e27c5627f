/** The kit of all fakes, for fakes of your own ports. */
export { Fake, type OperationName } from './fake.ts'
export { type Fault, type FaultRule, Faults, type PendingFault } from './faults.ts'
export { Journal, type JournalEntry } from './journal.ts'
export { seededRandom } from './random.ts'
