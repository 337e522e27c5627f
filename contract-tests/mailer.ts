/** What every mailer does. */
import assert from 'node:assert/strict'
import { Mailer } from '../src/ports/mailer.ts'
import { networkBehaviours } from './common/network.ts'
import { outageBehaviours } from './common/outage.ts'
import { commonBehaviours, type SampleCalls } from './common.ts'
import { type Contract, defineContract } from './contract.ts'
import { badInput } from './mailer/bad-input.ts'
import { content } from './mailer/content.ts'
import { delivery } from './mailer/delivery.ts'
import { failures } from './mailer/failures.ts'
import { recipients } from './mailer/recipients.ts'
import { ada, hello } from './mailer/samples.ts'
import { size } from './mailer/size.ts'
import { stages } from './mailer/stages.ts'

export {
  type MailerInside,
  type MailStage,
  mailerMeans,
  type ReceivedMail,
  type StageReply,
} from './mailer/samples.ts'

const samples: SampleCalls<Mailer> = { send: (port, options) => port.send(hello, options) }

/** The contract of {@link Mailer}. */
export const mailerContract: Contract<Mailer> = defineContract(Mailer, [
  ...commonBehaviours(Mailer, samples),
  ...delivery,
  ...content,
  ...recipients,
  ...size,
  ...badInput,
  ...failures,
  ...stages,
  // In SMTP an answer is one of many: which of them was lost is what "errors/lost-answer-is-unknown" and the stages tell.
  ...networkBehaviours(Mailer, samples).filter(({ id }) => id !== 'network/lost-answer'),
  ...outageBehaviours(Mailer, samples, {
    async leave({ port }) {
      const receipt = await port.send({ ...hello, messageId: '<kept@example.com>' })
      assert.deepEqual(receipt.accepted, [ada])
      // What was sent cannot be read by the port: that it is taken again is what can be seen.
      return async () => (await port.send(hello)).accepted
    },
  }),
])
