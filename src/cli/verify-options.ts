/** What the options of `portside verify` say. */
import type { AnyService } from '../services/declare.ts'
import { UsageError } from './command.ts'

/** Consent to effects on others. */
export interface Really {
  readonly sender?: string | undefined
  readonly recipient?: string | undefined
  readonly account?: string | undefined
}

/** Consent must name what it is for, and nothing else. */
export function reallyOf(
  values: Really & { readonly really?: boolean | undefined },
  { port }: AnyService,
): Really | undefined {
  const { really = false, sender, recipient, account } = values
  const given = [sender, recipient, account].some((value) => value !== undefined)
  if (!really) {
    if (given) throw new UsageError('--sender, --recipient and --account are for --really')
    return undefined
  }
  if (port.name === 'mailer') {
    if (sender === undefined || recipient === undefined || account !== undefined) {
      throw new UsageError('--really sends real mail: name --sender and --recipient, addresses of your own')
    }
    for (const address of [sender, recipient]) {
      if (!/^[^\s@<>]+@[^\s@<>]+$/.test(address))
        throw new UsageError('--sender and --recipient are bare addresses')
    }
  } else if (port.name === 'social-publisher') {
    if (account === undefined || sender !== undefined || recipient !== undefined) {
      throw new UsageError('--really publishes real posts: name the account with --account')
    }
  } else if (given) throw new UsageError(`--sender, --recipient and --account mean nothing to "${port.name}"`)
  return { sender, recipient, account }
}

/** `--server` */
export function serverOf(text: string): { readonly product: string; readonly version: string } {
  const [, product, told] = /^([a-z0-9][a-z0-9-]{0,60})@([\w.:+~-]{1,60})$/.exec(text) ?? []
  if (product !== undefined && told !== undefined) return { product, version: told }
  throw new UsageError('--server is PRODUCT@VERSION, such as ceph-rgw@16.2.15')
}

/** `--rate` */
export function rateOf(text: string): number {
  const rate = Number(/^(\d{1,6}(?:\.\d{1,3})?)(?:\/s)?$/.exec(text)?.[1])
  if (rate > 0) return rate
  throw new UsageError('--rate is a number of calls a second, such as 20/s')
}

/** `--max-age` */
export function daysOf(text: unknown): number {
  const days = Number(/^(\d{1,5})d$/.exec(String(text))?.[1])
  if (Number.isNaN(days)) throw new UsageError('--max-age is a number of days, such as 30d')
  return days
}
