/** How far a long step is: a bar in a terminal, and lines where there is none. */
import type { SeedProgress } from '../adapter.ts'
import type { Terminal } from './command.ts'

const width = 30
/** How often a bar is drawn anew. */
const everyMs = 100

export interface ProgressBar {
  show(progress: SeedProgress): void
  /** Leaves nothing of it in the terminal. */
  clear(): void
}

/** A bar in a terminal; elsewhere a line for every tenth of the way. */
export function progressBar(
  stream: { readonly isTTY?: boolean; write(text: string): unknown },
  terminal: Pick<Terminal, 'tell'>,
  now: () => number = Date.now,
): ProgressBar {
  let drawnAt = Number.NEGATIVE_INFINITY
  let drawn = false
  let tenth = 0
  const clear = (): void => {
    if (drawn) stream.write('\r\x1b[K')
    drawn = false
  }
  const show = ({ table: name, done, total }: SeedProgress): void => {
    const share = total === 0 ? 1 : done / total
    const percent = `${Math.floor(share * 100)} %`
    if (stream.isTTY !== true) {
      if (Math.floor(share * 10) === tenth) return
      tenth = Math.floor(share * 10)
      terminal.tell(`${percent}: ${done} of ${total} rows, ${name}`)
      return
    }
    if (now() - drawnAt < everyMs) return
    drawnAt = now()
    drawn = true
    const full = Math.round(share * width)
    const bar = '█'.repeat(full) + '░'.repeat(width - full)
    stream.write(`\r\x1b[K${bar} ${percent} ${done}/${total} ${name.slice(0, 30)}`)
  }
  return { show, clear }
}
