/** How a mock fails a test. */
import { testFailure } from '../calls/scope.ts'

/**
 * A call came that the mock was not told to expect, or not how to answer. No `PortError`, so that code which handles
 * the failures of a service does not take it for one; where it is swallowed all the same, `verify` throws again. Its
 * message shows the arguments: a mock is given a test's own data, so let that hold no real secret.
 */
export class UnexpectedCallError extends Error {
  override readonly name = 'UnexpectedCallError'
  readonly operation: string

  constructor(operation: string, message: string) {
    super(message)
    this.operation = operation
    Object.defineProperty(this, testFailure, { value: true })
  }
}

/** Expected calls did not come, or others did. The first of these is the `cause` where it is an error. */
export class MockVerificationError extends Error {
  override readonly name = 'MockVerificationError'
  /** One text each, in the order in which they came about; missing calls last. */
  readonly problems: readonly string[]

  constructor(problems: readonly string[], cause: unknown) {
    const [first = ''] = problems
    const listed = problems.map((problem, index) => `${index + 1}. ${problem}`).join('\n\n')
    super(
      problems.length === 1 ? first : `${problems.length} problems:\n\n${listed}`,
      cause === undefined ? undefined : { cause },
    )
    this.problems = problems
    Object.defineProperty(this, testFailure, { value: true })
  }
}
