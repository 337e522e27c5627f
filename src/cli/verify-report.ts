/** What `portside verify` prints of a run. */
import { exitCodes, type Terminal } from './command.ts'
import type { Verification } from './rooms.ts'

type Report = Awaited<ReturnType<Verification['verifying']['verify']>>
type Result = Report['results'][number]

/** A result as it comes. */
export function lineOf(result: Result): string {
  switch (result.outcome) {
    case 'passed':
      return `passed   ${result.id}`
    case 'skipped':
      return `skipped  ${result.id}: ${result.reason}`
    case 'diverged':
      return `diverged ${result.id}: ${result.divergence.difference} (${result.divergence.reason})`
    case 'failed':
      return `FAILED   ${result.id}: ${messageOf(result.error)}`
  }
}

/** A `PortError`'s message holds no secret; an assertion's shows what the contract itself put there. */
function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The whole run; answers the exit code. */
export function tellReport(
  name: string,
  report: Report,
  json: boolean,
  { print, tell }: Terminal,
  stoppedCode: number,
): number {
  const count = (outcome: Result['outcome']): number =>
    report.results.filter((result) => result.outcome === outcome).length
  const counts = {
    passed: count('passed'),
    failed: count('failed'),
    diverged: count('diverged'),
    skipped: count('skipped'),
  }
  const { server, problems, evidence, interrupted } = report
  if (json) {
    const results = report.results.map((result) => {
      const { id, outcome } = result
      if (result.outcome === 'failed') return { id, outcome, reason: messageOf(result.error) }
      if (result.outcome === 'diverged') return { id, outcome, reason: result.divergence.difference }
      return result.outcome === 'skipped' ? { id, outcome, reason: result.reason } : { id, outcome }
    })
    const { subject, kind, contract } = report
    const about = { subject, kind, server, contract, interrupted }
    print(JSON.stringify({ ...about, counts, results, problems, evidence }))
  } else {
    const on =
      report.kind === 'emulator'
        ? 'an emulator, which confirms nothing of a real server'
        : server === undefined
          ? 'a server that does not say which it is'
          : `${server.product} ${server.version}`
    const parts = Object.entries(counts).map(([outcome, number]) => `${number} ${outcome}`)
    print(`${name} on ${on}: ${parts.join(', ')}`)
    if (evidence !== undefined) print(`evidence: ${evidence}`)
  }
  for (const problem of problems) tell(problem)
  if (interrupted) {
    tell('cut short; its place was removed; go on with --resume')
    return stoppedCode
  }
  return counts.failed > 0 || problems.length > 0 ? exitCodes.failed : exitCodes.ok
}
