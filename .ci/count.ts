/** Prints `N passed, N failed, N skipped` from vitest's own JSON reports. */
import { readFileSync } from 'node:fs'

interface Report {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly numTodoTests: number
  readonly numFailedTestSuites: number
}

const files = process.argv.slice(2)
if (files.length === 0) throw new Error('usage: count.ts REPORT.json…')
const reports = files.map((file) => JSON.parse(readFileSync(file, 'utf8')) as Report)
const sum = (of: (report: Report) => number): number =>
  reports.reduce((total, report) => total + of(report), 0)
// A file that could not be loaded has no tests to count, yet it failed.
const failed = sum((each) => Math.max(each.numFailedTests, each.numFailedTestSuites > 0 ? 1 : 0))
const skipped = sum((each) => each.numPendingTests + each.numTodoTests)
process.stdout.write(`${sum((each) => each.numPassedTests)} passed, ${failed} failed, ${skipped} skipped\n`)
