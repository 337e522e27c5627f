import { Container } from 'inversify'
import { expect, expectTypeOf, test } from 'vitest'
import { Fake } from '../fakes/fake.ts'
import type { Adapter } from './adapter.ts'
import { attachedModule, serviceIdentifiers } from './inversify.ts'
import { type CallOptions, definePort, type Port } from './port.ts'
import { attach } from './services/attach.ts'
import { defineServices, type FakeContext, unbounded } from './services/declare.ts'

interface Greeter {
  greet(name: string, options?: CallOptions): Promise<string>
}
const Greeter: Port<Greeter> = definePort<Greeter>({
  name: 'greeter',
  operations: { greet: { kind: 'call', effect: 'read', idempotent: true, arity: 1 } },
})
class FakeGreeter extends Fake<Greeter> implements Greeter {
  constructor(context: FakeContext = {}) {
    super(Greeter, context)
  }
  async greet(name: string): Promise<string> {
    return `Hello, ${name}`
  }
  protected clear(): void {}
}
const adapter: Adapter<Greeter> = {
  name: 'http',
  port: Greeter,
  schemes: ['greet'],
  example: 'greet://example.org',
  parameters: {},
  open: () => Promise.reject(new Error('never opened here')),
}
const declare = () =>
  defineServices({
    greeter: unbounded(Greeter, {
      adapters: [adapter],
      fake: async () => ({
        fake: { port: Greeter, create: (context: FakeContext) => new FakeGreeter(context) },
      }),
    }),
  })
const services = declare()

class Doorman {
  readonly #greeter: Greeter
  constructor(greeter: Greeter) {
    this.#greeter = greeter
  }
  welcome(name: string): Promise<string> {
    return this.#greeter.greet(name)
  }
}

test('an attached service is bound under its typed identifier, without decorators', async () => {
  await using app = await attach(services, { env: { PORTSIDE_EXTERNALS: 'fake' }, args: [] })
  const { greeter } = serviceIdentifiers(services)
  const container = new Container()
  await container.load(attachedModule(services, app))
  container.bind(Doorman).toResolvedValue((port) => new Doorman(port), [greeter])

  expectTypeOf(container.get(greeter)).toEqualTypeOf<Greeter>()
  expect(container.get(greeter)).toBe(app.greeter)
  expect(await container.get(Doorman).welcome('Ada')).toBe('Hello, Ada')
})

test('identifiers are stable for one declaration and never shared by two', () => {
  expect(serviceIdentifiers(services).greeter).toBe(serviceIdentifiers(services).greeter)
  expect(serviceIdentifiers(declare()).greeter).not.toBe(serviceIdentifiers(services).greeter)
})

test('unloading the module leaves the services open: closing them is the app’s', async () => {
  await using app = await attach(services, { env: { PORTSIDE_EXTERNALS: 'fake' }, args: [] })
  const container = new Container()
  const module = attachedModule(services, app)
  await container.load(module)
  await container.unload(module)
  expect(await app.greeter.greet('Bo')).toBe('Hello, Bo')
})
