/** How a mock of a port is told what to expect, and what it tells of the calls that came: types alone. */
import type { Matching } from './match.ts'
import type { Rejection, Times } from './mock-expectation.ts'

type NameOf<T extends object> = Extract<keyof T, string>
type MethodOf<T extends object, Name extends keyof T> = Extract<T[Name], (...args: never[]) => unknown>
type ArgsOf<T extends object, Name extends keyof T> = Parameters<MethodOf<T, Name>>
type MatchingAll<Args extends readonly unknown[]> = { [Index in keyof Args]: Matching<Args[Index]> }
type AnswerOf<T extends object, Name extends keyof T> = ReturnType<MethodOf<T, Name>>

/** What is common to expected calls of both kinds. */
interface Expected<Args extends readonly unknown[], Result> {
  /** Fails with this error, as a service does: the guard adds service, operation and subject. */
  rejects(error: Rejection): this
  /**
   * Answers with what `answer` does. It is given what an adapter would be: arguments checked and wrapped, and a
   * signal among the options. What it throws that is no `PortError` fails the test, as an unexpected call does.
   */
  runs(answer: (...args: Args) => Result): this
  /** How often it is expected. @default once */
  times(times: Times): this
}

/** An expected call, which needs an answer: `resolves`, `rejects` or `runs`. */
export interface ExpectedCall<Args extends readonly unknown[], Result>
  extends Expected<Args, Promise<Result> | Result> {
  /** Answers with a copy of `value`. A stream in it is read once: with `times`, use `runs`. */
  resolves(...value: undefined extends Result ? [value?: Result] : [value: Result]): this
}

/** An expected stream, which needs an answer: `yields`, `rejects` or `runs`. */
export interface ExpectedStream<Args extends readonly unknown[], Item>
  extends Expected<Args, AsyncIterable<Item>> {
  /** Gives copies of the items, and then ends, or fails with `failure`. */
  yields(items: readonly Item[], failure?: Rejection): this
}

/** One function an operation, which tells the mock to expect a call of it. */
export type Expectations<T extends object> = {
  /**
   * Expects a call with these arguments, compared deeply. An argument left out matches one left out; options left
   * out match a call without options. `signal` and `timeoutMs` count only where they are named.
   */
  readonly [Name in NameOf<T>]: (
    ...args: MatchingAll<ArgsOf<T, Name>>
  ) => AnswerOf<T, Name> extends Promise<infer Result>
    ? ExpectedCall<ArgsOf<T, Name>, Result>
    : AnswerOf<T, Name> extends AsyncIterable<infer Item>
      ? ExpectedStream<ArgsOf<T, Name>, Item>
      : never
}

type ResultOf<Value> =
  Value extends Promise<infer Result>
    ? Result
    : Value extends AsyncIterable<infer Item>
      ? readonly Item[]
      : never

/** One call that was made on a mock. */
export type MockCall<T extends object> = {
  readonly [Name in NameOf<T>]: {
    readonly operation: Name
    /** As the caller gave them, copied where they are plain data. */
    readonly args: ArgsOf<T, Name>
    readonly state: 'pending' | 'resolved' | 'rejected'
    /** What the caller got; of a stream, the items so far. */
    readonly result: ResultOf<AnswerOf<T, Name>> | undefined
    /** What the caller was thrown. */
    readonly error: unknown
  }
}[NameOf<T>]
