/** What every publisher of posts does. */
import { SocialPublisher } from '../src/ports/social-publisher.ts'
import { outageBehaviours } from './common/outage.ts'
import { commonBehaviours, type SampleCalls } from './common.ts'
import { type Contract, defineContract } from './contract.ts'
import { badArguments } from './social-publisher/bad-arguments.ts'
import { failures } from './social-publisher/failures.ts'
import { interruptions } from './social-publisher/interruptions.ts'
import { limits } from './social-publisher/limits.ts'
import { oddAnswers } from './social-publisher/odd-answers.ts'
import { publishing } from './social-publisher/publishing.ts'
import { readsAndDeletes } from './social-publisher/reads-and-deletes.ts'
import { replies } from './social-publisher/replies.ts'
import { absentId, freshText } from './social-publisher/samples.ts'

export type { OddAnswer, SocialPublisherInside } from './social-publisher/samples.ts'

const samples: SampleCalls<SocialPublisher> = {
  publish: (port, options) => port.publish({ text: freshText() }, options),
  get: (port, options) => port.get(absentId, options),
  delete: (port, options) => port.delete(absentId, options),
}

/** The contract of {@link SocialPublisher}. */
export const socialPublisherContract: Contract<SocialPublisher> = defineContract(SocialPublisher, [
  ...commonBehaviours(SocialPublisher, samples),
  ...outageBehaviours(SocialPublisher, samples, {
    async leave({ port }) {
      const { id } = await port.publish({ text: freshText() })
      return () => port.get(id)
    },
  }),
  ...publishing,
  ...replies,
  ...readsAndDeletes,
  ...badArguments,
  ...limits,
  ...failures,
  ...interruptions,
  ...oddAnswers,
])
