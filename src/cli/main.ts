#!/usr/bin/env node
/** The `portside` command. */
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'
import { cacheFolder } from '../servers/cache.ts'

// Before anything else is loaded: compiling would be a third of what `up` takes when all is up. Not in Node's own
// place for it, a folder that every user of the machine can write to.
enableCompileCache(join(cacheFolder(), 'compiled'))
const { run } = await import('./run.ts')

process.exitCode = await run(process.argv.slice(2), {
  print: (line) => void process.stdout.write(`${line}\n`),
  tell: (line) => void process.stderr.write(`portside: ${line}\n`),
})
