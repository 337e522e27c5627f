import { describe, expect, test } from 'vitest'
import { progressBar } from './progress-bar.ts'

/** What was written to the stream and what was told, step by step of the way. */
function watch(isTTY: boolean) {
  const written: string[] = []
  const told: string[] = []
  let time = 0
  const bar = progressBar(
    { isTTY, write: (text) => written.push(text) },
    { tell: (line) => void told.push(line) },
    () => time,
  )
  const show = (done: number, afterMs = 1_000, total = 200): void => {
    time += afterMs
    bar.show({ table: 'orders', done, total })
  }
  return { written, told, bar, show }
}

describe('in a terminal', () => {
  test('a bar is drawn over itself, and nothing of it stays', () => {
    const { written, told, bar, show } = watch(true)
    show(0)
    show(100)
    show(200)
    expect(written).toEqual([
      `\r\x1b[K${'░'.repeat(30)} 0 % 0/200 orders`,
      `\r\x1b[K${'█'.repeat(15)}${'░'.repeat(15)} 50 % 100/200 orders`,
      `\r\x1b[K${'█'.repeat(30)} 100 % 200/200 orders`,
    ])
    bar.clear()
    bar.clear()
    expect(written.slice(3)).toEqual(['\r\x1b[K'])
    expect(told).toEqual([])
  })

  test('it is drawn ten times a second at most', () => {
    const { written, show } = watch(true)
    for (let done = 0; done <= 200; done += 1) show(done, 10)
    expect(written.length).toBeGreaterThan(10)
    expect(written.length).toBeLessThanOrEqual(21)
  })
})

describe('elsewhere', () => {
  test('every tenth of the way is a line, once', () => {
    const { written, told, bar, show } = watch(false)
    for (let done = 1; done <= 200; done += 1) show(done, 0)
    bar.clear()
    expect(told).toHaveLength(10)
    expect(told[0]).toBe('10 %: 20 of 200 rows, orders')
    expect(told.at(-1)).toBe('100 %: 200 of 200 rows, orders')
    expect(written).toEqual([])
  })

  test('nothing to do is done', () => {
    const { told, show } = watch(false)
    show(0, 0, 0)
    expect(told).toEqual(['100 %: 0 of 0 rows, orders'])
  })
})
