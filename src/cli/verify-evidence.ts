/** `portside verify --max-age`: does the evidence that there is still prove what it says? Runs nothing. */
import { join } from 'node:path'
import { evidenceFolder, readAllEvidence } from '../parity/evidence.ts'
import { type AnyService, type Services, urlFlag } from '../services/declare.ts'
import { exitCodes, type Terminal, UsageError } from './command.ts'
import { contractOf, verification } from './rooms.ts'

export interface EvidenceCheck {
  readonly services: Services
  /** Only this one's. */
  readonly service: string | undefined
  readonly maxAgeDays: number
  readonly out?: string | undefined
  readonly subject?: string | undefined
  readonly json?: boolean | undefined
}

/**
 * Every service of the declaration needs evidence of its own; without a declaration all that is in the folder is
 * checked. Fails on what is missing, too old, of another contract, or of failures.
 */
export async function checkEvidence(check: EvidenceCheck, { print, tell }: Terminal): Promise<number> {
  const { evidence: room } = await verification()
  const folder = check.out ?? evidenceFolder
  const all = new Map(readAllEvidence(folder).map((evidence) => [evidence.subject, evidence]))
  if (check.subject !== undefined && check.service === undefined) {
    throw new UsageError('--subject is for one service; name it')
  }
  const names = check.service === undefined ? Object.keys(check.services) : [check.service]
  const subjects =
    names.length === 0
      ? [...all.keys()]
      : names.map((name) => check.subject ?? urlFlag(name).slice(2, -'-url'.length))
  const problems = new Map<string, readonly string[]>()
  for (const [index, subject] of subjects.entries()) {
    const evidence = all.get(subject)
    const service: AnyService | undefined = check.services[names[index] ?? '']
    if (evidence === undefined) {
      problems.set(subject, [`there is no ${join(folder, `${subject}.json`)}`])
      continue
    }
    const contract = await contractOf(evidence.port)
    if (service !== undefined && service.port.name !== evidence.port) {
      problems.set(subject, [`it is of the port "${evidence.port}"`])
    } else if (contract === undefined) {
      problems.set(subject, [
        `"${evidence.port}" is no port of this package, so its contract is not known here`,
      ])
    } else {
      problems.set(subject, room.evidenceProblems(evidence, contract, { maxAgeDays: check.maxAgeDays }))
    }
  }
  if (subjects.length === 0) problems.set(folder, ['there is no evidence at all'])
  const failed = [...problems].filter(([, found]) => found.length > 0)
  if (check.json) print(JSON.stringify(Object.fromEntries(problems)))
  else {
    for (const [subject, found] of problems) {
      if (found.length === 0) print(`${subject}: of ${all.get(subject)?.date}, in force`)
      for (const problem of found) tell(`${subject}: ${problem}`)
    }
  }
  return failed.length > 0 ? exitCodes.failed : exitCodes.ok
}
