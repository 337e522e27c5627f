/** Prints `N passed, N failed, N skipped` from vitest's own JSON report. */
import { readFileSync } from 'node:fs'

interface Report {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly numTodoTests: number
  readonly numFailedTestSuites: number
}

const [file] = process.argv.slice(2)
if (file === undefined) throw new Error('usage: count.ts REPORT.json')
const report = JSON.parse(readFileSync(file, 'utf8')) as Report
// A file that could not be loaded has no tests to count, yet it failed.
const failed = Math.max(report.numFailedTests, report.numFailedTestSuites > 0 ? 1 : 0)
process.stdout.write(
  `${report.numPassedTests} passed, ${failed} failed, ${report.numPendingTests + report.numTodoTests} skipped\n`,
)
