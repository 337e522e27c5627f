/** A scope that ends in a verification and keeps every error readable. */
import { MockVerificationError } from './mock-errors.ts'

/** A mock, or a sequence for all that share it. */
export interface Verifiable {
  verify(): void
}

/**
 * Runs `body`, then verifies the mocks. What `body` throws is thrown as it is; where the mocks know of more than that
 * (a call that was unexpected, and swallowed), it becomes the error's `cause`. A `using` scope verifies as well, but
 * when it fails by itself the runtime wraps both errors in a `SuppressedError`, which test runners show badly.
 * @throws MockVerificationError with the problems of all the mocks
 */
export async function verifying<Result>(
  mocks: Verifiable | readonly Verifiable[],
  body: () => Promise<Result> | Result,
): Promise<Result> {
  let result: Result
  try {
    result = await body()
  } catch (error) {
    explain(error, failureOf(mocks))
    throw error
  }
  const failure = failureOf(mocks)
  if (failure !== undefined) throw failure
  return result
}

function failureOf(mocks: Verifiable | readonly Verifiable[]): Error | undefined {
  const failures = [mocks].flat().flatMap((each) => {
    try {
      ;(each as Verifiable).verify()
      return []
    } catch (error) {
      if (error instanceof MockVerificationError) return [error]
      throw error
    }
  })
  if (failures.length < 2) return failures[0]
  const cause = failures.find((failure) => failure.cause !== undefined)?.cause
  return new MockVerificationError(
    failures.flatMap(({ problems }) => problems),
    cause,
  )
}

/** That calls are missing where the body did not get to its end explains nothing; an unexpected one may be why. */
function explain(error: unknown, failure: Error | undefined): void {
  if (failure?.cause === undefined || failure.cause === error) return
  if (!(error instanceof Error) || !Object.isExtensible(error) || error.cause !== undefined) return
  Object.defineProperty(error, 'cause', { value: failure, configurable: true, writable: true })
}
