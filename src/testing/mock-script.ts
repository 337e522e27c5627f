/** What mocks were told to expect, in which order, and what became of it. */
import type { Difference } from './match.ts'
import { MockVerificationError, UnexpectedCallError } from './mock-errors.ts'
import {
  type Answer,
  callText,
  type Expectation,
  type GivenCall,
  type ScriptOwner,
} from './mock-expectation.ts'

/** An order of expected calls that several mocks share. Made by {@link sequence}. */
export interface Sequence extends Disposable {
  /** Verifies every mock that shares it. */
  verify(): void
}

/**
 * An order for the calls of several mocks: what is expected of any of them comes in the order in which it was told.
 * Give it to each as the option `sequence`. Disposing of it verifies them all.
 */
export function sequence(): Sequence {
  return new Script({ inAnyOrder: false })
}

interface Problem {
  readonly owner: ScriptOwner
  readonly error: Error
}

const mostDifferences = 12

export class Script implements Sequence {
  readonly #inAnyOrder: boolean
  readonly #expectations: Expectation[] = []
  readonly #problems: Problem[] = []
  /** What `verify` has thrown already: disposing need not throw it again, over the first one. */
  readonly #told = new Set<Error | Expectation>()
  #turn = 0

  constructor({ inAnyOrder }: { readonly inAnyOrder: boolean }) {
    this.#inAnyOrder = inAnyOrder
  }

  add(expectation: Expectation): void {
    this.#expectations.push(expectation)
  }

  /** The expectation that `call` meets, counted. Throws {@link UnexpectedCallError}, and remembers it, where there is none. */
  take(owner: ScriptOwner, call: GivenCall): Expectation & { readonly answer: Answer } {
    const met = this.#find(owner, call)
    if (met === undefined)
      throw this.fail(owner, new UnexpectedCallError(call.operation, this.#explain(owner, call)))
    met.count()
    if (met.answer === undefined) {
      const message = `${met} was expected, but not how to answer it: end the expectation with resolves(), yields(), rejects() or runs()`
      throw this.fail(owner, new UnexpectedCallError(call.operation, message))
    }
    return met as Expectation & { readonly answer: Answer }
  }

  /** Remembers an error for `verify`, whatever becomes of it where it is thrown. */
  fail<Failure extends Error>(owner: ScriptOwner, error: Failure): Failure {
    this.#problems.push({ owner, error })
    return error
  }

  /** Throws {@link MockVerificationError} where a call of `owner`, or of any, was unexpected or is missing. */
  verify(owner?: ScriptOwner): void {
    this.#verify(owner, () => true)
  }

  /** As `verify`, but for what it has thrown already. */
  dispose(owner?: ScriptOwner): void {
    this.#verify(owner, (each) => !this.#told.has(each))
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  #verify(owner: ScriptOwner | undefined, isNew: (each: Error | Expectation) => boolean): void {
    const of = (each: { readonly owner: ScriptOwner }): boolean => owner === undefined || each.owner === owner
    const failures = this.#problems.filter(of).map(({ error }) => error)
    const missing = this.#expectations.filter((each) => of(each) && !each.satisfied)
    if (![...failures, ...missing].some(isNew)) return
    for (const each of [...failures, ...missing]) this.#told.add(each)
    throw new MockVerificationError(
      [...failures.map(({ message }) => message), ...missing.map(missingText)],
      failures[0],
    )
  }

  #find(owner: ScriptOwner, call: GivenCall): Expectation | undefined {
    for (let at = this.#inAnyOrder ? 0 : this.#turn; at < this.#expectations.length; at += 1) {
      const each = this.#expectations[at] as Expectation
      if (each.isOf(owner, call) && !each.exhausted && each.differences(call).length === 0) {
        this.#turn = at
        return each
      }
      if (!this.#inAnyOrder && !each.satisfied) return undefined
    }
    return undefined
  }

  #explain(owner: ScriptOwner, call: GivenCall): string {
    const lines = [`unexpected call:\n${indented(callText(owner, call))}`]
    const [nearest] = this.#expectations
      .filter((each) => each.isOf(owner, call))
      .map((expectation) => ({ expectation, differences: expectation.differences(call) }))
      // Of those equally near, one that may still come says more than one that is done.
      .sort(
        (a, b) =>
          a.differences.length - b.differences.length ||
          Number(a.expectation.exhausted) - Number(b.expectation.exhausted),
      )
    const next = this.#next()
    if (nearest === undefined) lines.push(`no call of ${owner.label}.${call.operation} was expected`)
    else {
      const { expectation } = nearest
      const isNext = expectation === next ? ', which is next' : ''
      lines.push(
        `the nearest expected call${isNext} (came ${expectation.progress}):\n${indented(`${expectation}`)}`,
      )
      lines.push(this.#reason(expectation, nearest.differences))
    }
    if (next !== undefined && next !== nearest?.expectation) {
      lines.push(`expected next (came ${next.progress}):\n${indented(`${next}`)}`)
      if (next.isOf(owner, call)) lines.push(this.#reason(next, next.differences(call)))
    }
    return lines.join('\n')
  }

  #reason(expectation: Expectation, found: readonly Difference[]): string {
    if (found.length > 0) {
      const shown = found
        .slice(0, mostDifferences)
        .map(({ path, expected, actual }) => indented(`${path}: expected ${expected}, got ${actual}`))
      const rest = found.length - shown.length
      return ['it differs in:', ...shown, ...(rest > 0 ? [`  … and ${rest} more`] : [])].join('\n')
    }
    if (expectation.exhausted) return 'it is the same, but came as often as expected already'
    const passed = this.#expectations.indexOf(expectation) < this.#turn
    return passed
      ? 'it is the same, but what is expected after it has come already'
      : 'it is the same, but what is expected before it has not come yet'
  }

  /** The call that has to come before any other, where the order counts. */
  #next(): Expectation | undefined {
    if (this.#inAnyOrder) return undefined
    return this.#expectations.slice(this.#turn).find((each) => !each.satisfied)
  }
}

function missingText(expectation: Expectation): string {
  const { owner, operation, progress } = expectation
  const refusal = owner.refusalOf(operation)
  return [
    `an expected call did not come (came ${progress}):\n${indented(`${expectation}`)}`,
    ...(refusal === undefined ? [] : [`a call of it did not get past its checks: ${refusal}`]),
  ].join('\n')
}

function indented(text: string): string {
  return text.replaceAll(/^/gm, '  ')
}
