/** `portside stamp`: writes down, at build time, what a running release can no longer find out. */
import { renameSync, writeFileSync } from 'node:fs'
import { buildFile, deployerVariable, makeBuildInfo } from '../parity/build.ts'
import { type Command, exitCodes } from './command.ts'
import { parseCommandLine } from './declaration.ts'

export const stamp: Command = {
  usage: 'stamp [--file FILE] [--since REF] [--deployer NAME]',
  summary: `writes commit, authors, lockfile and tools of this build to ${buildFile}, for parity; ship it with the app`,
  async run(args, { print, tell }) {
    const { values } = parseCommandLine(args, {
      file: { type: 'string' },
      since: { type: 'string' },
      deployer: { type: 'string' },
    })
    const { file = buildFile, since, deployer } = values
    const info = await makeBuildInfo({ since, deployer })
    const part = `${file}.${process.pid}.part`
    writeFileSync(part, `${JSON.stringify(info, undefined, 2)}\n`)
    renameSync(part, file)
    const commits = `${info.commits} ${info.commits === 1 ? 'commit' : 'commits'}`
    const authors = `${info.authors.length} ${info.authors.length === 1 ? 'author' : 'authors'}`
    const range = info.since === undefined ? 'all' : `since ${info.since.slice(0, 12)}`
    print(`${file}: commit ${info.commit.slice(0, 12)}, ${commits} (${range}) by ${authors}`)
    if (info.dirty) tell('there are changes that are not committed: the build is not just that commit')
    if (info.truncated)
      tell('this clone is shallow, so authors are missing: fetch the whole history first (fetch-depth: 0)')
    if (deployer === undefined) tell(`who deploys it is for --deployer, or ${deployerVariable} where it runs`)
    return exitCodes.ok
  },
}
