/** Runs behaviours on a subject, without any test runner. */
import {
  type Behaviour,
  type BehaviourContext,
  type Contract,
  type OpenSubject,
  type Subject,
  subjectId,
} from './contract.ts'
import { type Divergence, divergenceFor } from './divergences.ts'
import { expectPortError } from './expect.ts'

export type BehaviourResult =
  | { readonly id: string; readonly outcome: 'passed' }
  | { readonly id: string; readonly outcome: 'failed'; readonly error: unknown }
  | { readonly id: string; readonly outcome: 'skipped'; readonly reason: string }
  /** Failed as a reviewed entry says it does on this subject. */
  | {
      readonly id: string
      readonly outcome: 'diverged'
      readonly divergence: Divergence
      readonly error: unknown
    }

export interface RunOptions {
  /** @default none */
  readonly divergences?: readonly Divergence[] | undefined
  /** The day that decides which divergences are in force. @default today */
  readonly now?: Date | undefined
}

export interface RunContractOptions extends RunOptions {
  /** Called with each result as it comes. */
  readonly onResult?: ((result: BehaviourResult) => void) | undefined
}

/** Runs every behaviour of `contract` on `subject`, one after another. Never rejects. */
export async function runContract<T extends object>(
  contract: Contract<T>,
  subject: Subject<T>,
  { onResult = () => {}, ...options }: RunContractOptions = {},
): Promise<readonly BehaviourResult[]> {
  const results: BehaviourResult[] = []
  for (const behaviour of contract.behaviours) {
    const result = await runBehaviour(contract, behaviour, subject, options)
    results.push(result)
    onResult(result)
  }
  return results
}

/** Runs one behaviour on a freshly opened subject and closes that again, whatever happens. Never rejects. */
export async function runBehaviour<T extends object>(
  contract: Contract<T>,
  behaviour: Behaviour<T>,
  subject: Subject<T>,
  { divergences = [], now }: RunOptions = {},
): Promise<BehaviourResult> {
  const id = `${contract.port.name}/${behaviour.id}`
  let result: BehaviourResult
  let open: OpenSubject<T> | undefined
  try {
    open = await subject.open()
    result = await judge(id, behaviour, subject, open)
    const limitation = open.limitation?.()
    // It passed without the service having been asked, so that proves nothing.
    if (limitation !== undefined) result = { id, outcome: 'skipped', reason: limitation }
  } catch (error) {
    const limitation = open?.limitation?.()
    const divergence = open && divergenceFor(divergences, subjectId(subject), id, now)
    if (limitation !== undefined) result = { id, outcome: 'skipped', reason: limitation }
    else if (divergence !== undefined) result = { id, outcome: 'diverged', divergence, error }
    else result = { id, outcome: 'failed', error }
  }
  await open?.guarded.close().catch(() => {
    // What a behaviour left half open is that behaviour's own finding; the next one gets a new place.
  })
  try {
    await open?.dispose?.()
  } catch (error) {
    // A place that stays behind may spoil the next run; the first failure says more.
    if (result.outcome !== 'failed') result = { id, outcome: 'failed', error }
  }
  return result
}

async function judge<T extends object>(
  id: string,
  behaviour: Behaviour<T>,
  subject: Subject<T>,
  open: OpenSubject<T>,
): Promise<BehaviourResult> {
  const { guarded } = open
  const { capability, undeclared, needs } = behaviour
  const context: BehaviourContext<T> = {
    ...open,
    port: guarded.port,
    capabilities: guarded.capabilities,
    subject,
  }
  // First of all: what is not declared is refused whatever else a subject lacks.
  if (capability !== undefined && undeclared !== undefined && !guarded.capabilities.has(capability)) {
    await expectPortError(undeclared(context), 'unsupported')
    return { id, outcome: 'skipped', reason: `${subject.name} does not declare ${capability}` }
  }
  const missing = needs?.find((means) =>
    means === 'openUnreachable' ? subject.openUnreachable === undefined : open[means] === undefined,
  )
  if (missing !== undefined) return { id, outcome: 'skipped', reason: `${subject.name} has no ${missing}` }
  await behaviour.check(context)
  return { id, outcome: 'passed' }
}
