#!/usr/bin/env node
/** The `portside` command. */
import { run } from './run.ts'

process.exitCode = await run(process.argv.slice(2), {
  print: (line) => void process.stdout.write(`${line}\n`),
  tell: (line) => void process.stderr.write(`portside: ${line}\n`),
})
