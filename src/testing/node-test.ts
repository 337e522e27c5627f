/** Tests of `node:test` with an app's services. */
import { after, test as base, before, type TestContext, type TestOptions } from 'node:test'
import type { Services } from '../services/declare.ts'
import { type EgressGuard, installEgressGuard } from './egress.ts'
import { allowedHosts, PlacesSupply } from './places.ts'
import { LodgingOfFile, lodgingOfTests, Stay } from './stay.ts'
import { type ServiceFixtures, startTimeoutMs, type TestWithOptions } from './test-with.ts'

export type { DatastoreTestOptions, Seed } from './places.ts'
export type { ServiceFixtures, TestWithOptions } from './test-with.ts'

export type ServiceTestFunction<M extends Services> = (
  fixtures: ServiceFixtures<M>,
  context: TestContext,
) => void | Promise<void>

/** Declares one test, as `test` of `node:test` does. */
export interface DeclareServiceTest<M extends Services> {
  (name: string, fn: ServiceTestFunction<M>): Promise<void>
  (name: string, options: TestOptions, fn: ServiceTestFunction<M>): Promise<void>
}

export interface ServiceTest<M extends Services> extends DeclareServiceTest<M> {
  readonly only: DeclareServiceTest<M>
  readonly skip: DeclareServiceTest<M>
  readonly todo: DeclareServiceTest<M>
}

/**
 * A `test` whose functions are given `app`, `fakes` and `egress`, and then the context of `node:test`. Call it at the
 * top level of a test file or of a `describe`. Everything else is as `testWith` of `portside/testing/vitest` has it: a
 * database and a keyspace of its own for each test, new fakes, nothing reaches the outside, and what a failed test
 * leaves is kept and its URLs are printed. (A test fails by its own function; failed subtests alone keep nothing.)
 */
export function testWith<const M extends Services>(
  services: M,
  options: TestWithOptions<M> = {},
): ServiceTest<M> {
  const file = new FileOfTests(services, options)
  before(() => file.open(), { timeout: startTimeoutMs })
  after(() => file.close(), { timeout: startTimeoutMs })
  const declare =
    (
      test: (
        name: string,
        options: TestOptions,
        fn: (context: TestContext) => Promise<void>,
      ) => Promise<void>,
    ) =>
    (
      name: string,
      ...rest: [ServiceTestFunction<M>] | [TestOptions, ServiceTestFunction<M>]
    ): Promise<void> => {
      const [testOptions, fn] = rest.length === 1 ? [{}, rest[0]] : rest
      return test(name, testOptions, (context) => file.run(fn, context))
    }
  return Object.assign(declare(base), {
    only: declare(base.only),
    skip: declare(base.skip),
    todo: declare(base.todo),
  })
}

/** What the tests of one `testWith` share. */
class FileOfTests<M extends Services> {
  readonly #services: M
  readonly #options: TestWithOptions<M>
  #supply: PlacesSupply | undefined
  #file: LodgingOfFile | undefined
  #guard: EgressGuard | undefined

  constructor(services: M, options: TestWithOptions<M>) {
    this.#services = services
    this.#options = options
  }

  async open(): Promise<void> {
    const { egress = {} } = this.#options
    if (egress !== false) {
      this.#guard = installEgressGuard(egress)
      this.#guard.allow(...allowedHosts(this.#options))
    }
    this.#supply = await PlacesSupply.open(this.#services, this.#options)
    this.#file = new LodgingOfFile(this.#supply)
  }

  async run(fn: ServiceTestFunction<M>, context: TestContext): Promise<void> {
    const { isolation, egress } = this.#options
    if (this.#supply === undefined || this.#file === undefined) {
      throw new Error('a test of testWith runs outside of the file or describe where it was called')
    }
    const guard = installEgressGuard()
    if (egress === false) guard.uninstall()
    const stay = new Stay(
      this.#services,
      isolation === 'file' ? this.#file : lodgingOfTests(this.#supply),
      this.#options,
    )
    // A hook of its own, because a test that runs out of time does not come back here. One for all: what follows a
    // hook that fails is not run.
    context.after(async () => {
      const { passed } = context as { readonly passed?: boolean }
      const failed = passed === false || guard.attempts.length > 0
      try {
        await stay.end(failed ? context.fullName : undefined)
      } finally {
        try {
          guard.assertClean()
        } finally {
          guard.take()
          guard.uninstall()
        }
      }
    })
    const { app, fakes } = await stay.attached
    if (context.signal.aborted) return
    await fn({ app, fakes, egress: guard }, context)
  }

  async close(): Promise<void> {
    try {
      await this.#file?.close()
    } finally {
      await this.#supply?.close()
      this.#guard?.[Symbol.dispose]()
    }
  }
}
