/**
 * Texts that a regular expression or a LIKE pattern of a check admits, counted: the n-th of them can be made without
 * those before it, so that a column under a check can also be unique. What a pattern says beyond this (looking
 * around, going back to a group) is not understood; the check is then tried on the server instead.
 */

/** All texts of a pattern in some order, with an end to each repetition. */
export interface Language {
  /** How many there are; at most {@link most}. */
  readonly size: number
  /** How many characters the longest has. */
  readonly longest: number
  readonly shortest: number
  at(index: number): string
  /** Whether a text is one of them; absent where that is not known. */
  has?(text: string): boolean
}

/** Beyond this counts are not exact, and no one asks for so many. */
const most = 2 ** 50
/** How often `*`, `+` and `{n,}` repeat beyond their minimum: as often as the longest text that is asked for admits. */
const repetitions = [8, 4, 2, 1, 0]
/** How long a text is at least made for a check of its length. */
const mostLeast = 60
const letters = 'abcdefghijklmnopqrstuvwxyz'
const digits = '0123456789'
const plain = `${letters}${letters.toUpperCase()}${digits}`
const printable = `${plain} -_.,:;!?#%&'"()*+/<=>@[]^{|}~$\\\``
const classes: Readonly<Record<string, string>> = {
  alpha: `${letters}${letters.toUpperCase()}`,
  digit: digits,
  alnum: plain,
  upper: letters.toUpperCase(),
  lower: letters,
  space: ' ',
  xdigit: `${digits}abcdef`,
  punct: '-_.,:;!?',
}
const escapes: Readonly<Record<string, string>> = { d: digits, w: `${plain}_`, s: ' ' }

/**
 * The texts of at most `longest` characters of a POSIX regular expression, and where it has such of at least `shortest`;
 * `undefined` where it is not understood or has longer ones only.
 */
export function languageOf(
  pattern: string,
  longest: number = Number.POSITIVE_INFINITY,
  shortest = 0,
): Language | undefined {
  try {
    return fitting(shortest, longest, (least, unbounded) => {
      const reader = new Reader(pattern, least, unbounded)
      const language = reader.alternatives(true)
      if (!reader.done) throw new NotUnderstood()
      return { ...language, has: membership(pattern, language) }
    })
  } catch (error) {
    if (error instanceof NotUnderstood) return undefined
    throw error
  }
}

/** What is understood here means the same to JavaScript, where it knows the form at all: named classes it does not. */
function membership(pattern: string, { shortest, longest }: Language): (text: string) => boolean {
  if (pattern.includes('[:')) return () => false
  try {
    const expression = new RegExp(`^(?:${pattern})$`, 'u')
    return (text) => text.length >= shortest && text.length <= longest && expression.test(text)
  } catch {
    return () => false
  }
}

/** @param make texts in which what repeats does so `least` times where it may, and what has no end `unbounded` times more */
function fitting(
  shortest: number,
  longest: number,
  make: (least: number, unbounded: number) => Language,
): Language | undefined {
  for (const unbounded of repetitions) {
    for (let least = 0; least <= Math.min(shortest, mostLeast); least += 1) {
      const language = make(least, unbounded)
      if (language.longest > longest) break
      if (language.shortest >= shortest) return language
    }
  }
  return shortest === 0 ? undefined : fitting(0, longest, make)
}

/** The texts of a LIKE pattern: `%` for a few letters, `_` for one. */
export function likeLanguage(
  pattern: string,
  longest: number = Number.POSITIVE_INFINITY,
  shortest = 0,
): Language | undefined {
  return fitting(shortest, longest, (least, unbounded) => likeParts(pattern, least, unbounded))
}

function likeParts(pattern: string, least: number, unbounded: number): Language {
  const parts: Language[] = []
  for (let index = 0; index < pattern.length; index += 1) {
    const character = pattern[index] as string
    if (character === '%') parts.push(repeat(one(letters), least, least + unbounded))
    else if (character === '_') parts.push(one(letters))
    else {
      if (character === '\\') index += 1
      parts.push(one(pattern[index] ?? ''))
    }
  }
  return sequence(parts)
}

class NotUnderstood extends Error {}

class Reader {
  readonly #text: string
  readonly #least: number
  readonly #unbounded: number
  #at = 0

  constructor(text: string, least: number, unbounded: number) {
    this.#text = text
    this.#least = least
    this.#unbounded = unbounded
  }

  get done(): boolean {
    return this.#at >= this.#text.length
  }

  /** @param whole where the pattern is not held to a text's begin or end, something may stand there: nothing does */
  alternatives(whole: boolean): Language {
    const found = [this.#sequence(whole)]
    while (this.#take('|')) found.push(this.#sequence(whole))
    return either(found)
  }

  #sequence(whole: boolean): Language {
    const parts: Language[] = []
    if (whole) this.#take('^')
    while (!this.done && !this.#sees('|') && !this.#sees(')')) {
      if (this.#sees('$')) {
        this.#at += 1
        if (whole && (this.done || this.#sees('|'))) break
        throw new NotUnderstood()
      }
      parts.push(this.#repeated(this.#atom()))
    }
    return sequence(parts)
  }

  #atom(): Language {
    const character = this.#next()
    switch (character) {
      case '(':
        return this.#group()
      case '[':
        return one(this.#set())
      case '.':
        return one(plain)
      case '\\':
        return one(this.#escape())
      case '^':
      case '*':
      case '+':
      case '?':
      case '{':
        throw new NotUnderstood()
      default:
        return one(character)
    }
  }

  #group(): Language {
    if (this.#take('?') && !this.#take(':')) throw new NotUnderstood()
    const inner = this.alternatives(false)
    if (!this.#take(')')) throw new NotUnderstood()
    return inner
  }

  #escape(): string {
    const character = this.#next()
    const known = escapes[character]
    if (known !== undefined) return known
    if (/[A-Za-z0-9]/.test(character)) throw new NotUnderstood()
    return character
  }

  #set(): string {
    const inverted = this.#take('^')
    let members = ''
    for (let first = true; first || !this.#sees(']'); first = false) {
      if (this.#take('[:')) {
        const name = /^[a-z]+(?=:\])/.exec(this.#text.slice(this.#at))?.[0] ?? ''
        const known = classes[name]
        if (known === undefined) throw new NotUnderstood()
        members += known
        this.#at += name.length + 2
        continue
      }
      const from = this.#next()
      if (from === '\\') {
        members += this.#escape()
        continue
      }
      const isRange =
        this.#sees('-') && this.#text[this.#at + 1] !== ']' && this.#text[this.#at + 1] !== undefined
      if (!isRange) {
        members += from
        continue
      }
      this.#at += 1
      const to = this.#next()
      if (to === '\\' || to === '[' || to < from) throw new NotUnderstood()
      for (let code = from.charCodeAt(0); code <= to.charCodeAt(0); code += 1)
        members += String.fromCharCode(code)
    }
    this.#at += 1
    const unique = new Set(members)
    const chosen = inverted ? [...printable].filter((each) => !unique.has(each)) : [...unique]
    // A control character or a lone half of a pair makes no text to show.
    const fit = chosen.filter((each) => each >= ' ' && (each < '\ud800' || each > '\udfff'))
    if (fit.length === 0) throw new NotUnderstood()
    return fit.join('')
  }

  #repeated(atom: Language): Language {
    const found = this.#quantified(atom)
    // Greedy or not is about which text is found, and not about which texts there are.
    if (found !== atom) this.#take('?')
    return found
  }

  #quantified(atom: Language): Language {
    if (this.#take('*')) return this.#endless(atom, 0)
    if (this.#take('+')) return this.#endless(atom, 1)
    if (this.#take('?')) return repeat(atom, 0, 1)
    if (!this.#sees('{')) return atom
    const [all, from = '', comma, to = ''] =
      /^\{(\d{1,3})(,?)(\d{0,3})\}/.exec(this.#text.slice(this.#at)) ?? []
    if (all === undefined) throw new NotUnderstood()
    this.#at += all.length
    const least = Number(from)
    if (comma === '' && to !== '') throw new NotUnderstood()
    if (comma !== '' && to === '') return this.#endless(atom, least)
    const greatest = comma === '' ? least : Number(to)
    if (greatest < least) throw new NotUnderstood()
    return repeat(atom, Math.min(greatest, Math.max(least, this.#least)), greatest)
  }

  #endless(atom: Language, atLeast: number): Language {
    const least = Math.max(atLeast, this.#least)
    return repeat(atom, least, least + this.#unbounded)
  }

  #sees(text: string): boolean {
    return this.#text.startsWith(text, this.#at)
  }

  #take(text: string): boolean {
    if (!this.#sees(text)) return false
    this.#at += text.length
    return true
  }

  #next(): string {
    const character = this.#text[this.#at]
    if (character === undefined) throw new NotUnderstood()
    this.#at += 1
    return character
  }
}

function one(members: string): Language {
  return { size: members.length, longest: 1, shortest: 1, at: (index) => members[index] ?? '' }
}

function sequence(parts: readonly Language[]): Language {
  return {
    size: parts.reduce((size, part) => Math.min(most, size * part.size), 1),
    longest: parts.reduce((sum, part) => sum + part.longest, 0),
    shortest: parts.reduce((sum, part) => sum + part.shortest, 0),
    at(index) {
      let rest = index
      let text = ''
      // The last part changes fastest, as one counts.
      for (const part of parts.toReversed()) {
        text = part.at(rest % part.size) + text
        rest = Math.floor(rest / part.size)
      }
      return text
    },
  }
}

function either(choices: readonly Language[]): Language {
  if (choices.length === 1) return choices[0] as Language
  return {
    size: choices.reduce((size, { size: more }) => Math.min(most, size + more), 0),
    longest: Math.max(...choices.map(({ longest }) => longest)),
    shortest: Math.min(...choices.map(({ shortest }) => shortest)),
    at(index) {
      let rest = index
      for (const choice of choices) {
        if (rest < choice.size) return choice.at(rest)
        rest -= choice.size
      }
      return ''
    },
  }
}

function repeat(part: Language, least: number, greatest: number): Language {
  const powers: Language[] = []
  for (let count = least; count <= greatest; count += 1) {
    const power = sequence(Array.from({ length: count }, () => part))
    powers.push(power)
    if (power.size >= most) break
  }
  return either(powers)
}
