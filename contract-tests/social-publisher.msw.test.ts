/** The contract of publishers on the adapter as it is in production, at X's own address, which msw answers. */
import { setupServer } from 'msw/node'
import { afterAll, beforeAll } from 'vitest'
import { mswHandlers } from '../fakes/emulators/msw.ts'
import { xEmulator } from '../fakes/emulators/x.ts'
import { clientsAt, fakePublisher, meansOf, openUnreachable, token } from './social-publisher.setup.ts'
import { socialPublisherContract } from './social-publisher.ts'
import { describeContract } from './vitest.ts'

const server = setupServer()
// What no handler takes is a port of this machine where nothing listens: that it is refused is to be seen.
beforeAll(() => server.listen({ onUnhandledFrame: 'bypass' }))
afterAll(() => server.close())

describeContract(socialPublisherContract, {
  name: 'x on emulator (msw)',
  kind: 'emulator',
  adapter: 'x',
  async open() {
    const fake = fakePublisher()
    server.use(...mswHandlers(xEmulator(fake, { token }), 'https://api.x.com'))
    return {
      ...(await clientsAt({ scheme: 'x', authority: 'api.x.com' }, fake)),
      ...meansOf(fake),
      dispose: async () => server.resetHandlers(),
    }
  },
  openUnreachable,
})
