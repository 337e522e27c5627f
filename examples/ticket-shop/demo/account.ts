/** The demo's account for a person to read. */
import type { ServiceDescription } from 'portside'
import { formatMoney } from '../shop/receipt.ts'
import type { Facts, Invariant } from './invariants.ts'
import type { Story } from './run.ts'

export function accountOf(
  attached: readonly ServiceDescription[],
  story: Story,
  facts: Facts,
  invariants: readonly Invariant[],
): string {
  const sections = [
    ['Services', serviceTable(attached)],
    ['Sold', sold(facts, story)],
    ['What the fakes hold', held(facts)],
    ['What was forced, and how the shop came through', forced(story, facts)],
    ['Invariants', invariants.flatMap(verdict)],
  ] as const
  return sections
    .map(([title, lines]) => `\n${title}\n${lines.map((line) => `  ${line}\n`).join('')}`)
    .join('')
}

function serviceTable(attached: readonly ServiceDescription[]): string[] {
  const rows = attached.map(({ service, port, boundary, implementation, server, pin }) => [
    service,
    port,
    boundary,
    implementation,
    server === undefined ? '-' : `${server.engine} ${server.version} (pinned ${pin})`,
  ])
  return table([['service', 'port', 'boundary', 'implementation', 'version'], ...rows])
}

function sold({ events, orders }: Facts, { buyersWithoutSeat }: Story): string[] {
  const totalCents = orders.reduce((sum, order) => sum + order.totalCents, 0)
  return [
    ...events.map(
      ({ name, seatsTotal, seatsLeft }) => `${name}: ${seatsTotal - seatsLeft} of ${seatsTotal} seats`,
    ),
    `${orders.length} orders for ${formatMoney(totalCents, 'EUR')}; ${buyersWithoutSeat} buyers went home without a seat`,
  ]
}

function held({ receipts, mails, prints, posts }: Facts): string[] {
  return [
    `receipts  ${receipts.length} objects`,
    `mail      ${mails.length} mails`,
    `social    ${posts.length} posts`,
    `printer   ${prints.length} jobs, ${prints.reduce((sum, job) => sum + job.seats.length, 0)} tickets`,
  ]
}

function forced({ mailsRefused, postAttempts, retries }: Story, { mails, posts, outbox }: Facts): string[] {
  return [
    `mail outage: ${mailsRefused} attempts refused, ${mails.length} mails arrived in the end`,
    `lost answer of a mail: ${outbox.uncertain ?? 0} waits for a person, and was not sent again`,
    `lost answer of a post: attempts ended as ${postAttempts.join(', ')}; ${posts.length} posts are there`,
    `PostgreSQL and Redis killed: ${retries} requests had to be sent again by their buyers`,
  ]
}

function verdict({ sentence, violations }: Invariant): string[] {
  return [`${violations.length === 0 ? '✓' : '✗'} ${sentence}`, ...violations.map((text) => `    ${text}`)]
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? []
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}
