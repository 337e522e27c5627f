/**
 * The part of a file that is exported: between two marks, so that the rest of it stays a person's own. The marks are
 * comments in every format, and what stands between them is indented as they are.
 */
import { invalidArgument } from '../../errors.ts'

const begin = (format: string): string =>
  `# portside:begin ${format} (made by "portside export ${format}"; change the declaration, not this)`
const end = '# portside:end'

interface Region {
  readonly first: number
  readonly last: number
  readonly indent: string
}

/** The region with its marks, as a file that holds nothing else. */
export function wholeFile(format: string, lines: readonly string[]): string {
  return `${[begin(format), ...lines, end].join('\n')}\n`
}

/**
 * `text` with `lines` in its region; with the line ends that it has.
 * @throws PortError `invalid-argument` where there is no region, or one without an end
 */
export function withRegion(text: string, format: string, lines: readonly string[]): string {
  const all = text.split('\n')
  const { first, last, indent } = regionOf(all, format)
  const eol = all[first]?.endsWith('\r') ? '\r' : ''
  const body = [begin(format), ...lines, end].map((line) => `${line === '' ? '' : indent}${line}${eol}`)
  return [...all.slice(0, first), ...body, ...all.slice(last + 1)].join('\n')
}

/** Whether `text` has a region of this format. */
export function hasRegion(text: string, format: string): boolean {
  return text.split('\n').some((line) => isBegin(line, format))
}

/** Lines of the region that are not, or no longer, what the declaration says; none where all is as it says. */
export function regionDrift(text: string, format: string, lines: readonly string[]): readonly string[] {
  const all = text.split('\n')
  const { first, last, indent } = regionOf(all, format)
  const there = all.slice(first + 1, last).map((line) => line.replace(/\r$/, ''))
  const wanted = lines.map((line) => (line === '' ? '' : indent + line))
  if (there.join('\n') === wanted.join('\n')) return []
  const surplus = without(there, wanted).map((line) => `- ${line.trim()}`)
  const missing = without(wanted, there).map((line) => `+ ${line.trim()}`)
  return surplus.length + missing.length === 0
    ? ['the same lines in another order']
    : [...surplus, ...missing]
}

/** What is in `lines` more often than in `others`. */
function without(lines: readonly string[], others: readonly string[]): readonly string[] {
  const left = [...others]
  return lines.filter((line) => {
    const at = left.indexOf(line)
    if (at !== -1) left.splice(at, 1)
    return at === -1
  })
}

function regionOf(lines: readonly string[], format: string): Region {
  const first = lines.findIndex((line) => isBegin(line, format))
  if (first === -1) {
    throw invalidArgument(`it has no line "# portside:begin ${format}" (and "${end}") to write between`)
  }
  const last = lines.findIndex((line, index) => index > first && line.trim() === end)
  const next = lines.findIndex((line, index) => index > first && line.trim().startsWith('# portside:begin'))
  if (last === -1 || (next !== -1 && next < last)) {
    throw invalidArgument(`its line ${first + 1}, "# portside:begin ${format}", has no "${end}" after it`)
  }
  if (lines.findIndex((line, index) => index > first && isBegin(line, format)) !== -1) {
    throw invalidArgument(`it has "# portside:begin ${format}" twice`)
  }
  return { first, last, indent: /^[ \t]*/.exec(lines[first] ?? '')?.[0] ?? '' }
}

function isBegin(line: string, format: string): boolean {
  const words = line.trim().split(/\s+/)
  return words[0] === '#' && words[1] === 'portside:begin' && words[2] === format
}
