/**
 * Reads what PostgreSQL says of a check (`pg_get_expr`) far enough to know the common ones. Casts are left out:
 * what they change is for the server to judge.
 */

export type Expression =
  | { readonly kind: 'column'; readonly name: string }
  | { readonly kind: 'literal'; readonly text: string; readonly quoted: boolean }
  | { readonly kind: 'list'; readonly items: readonly Expression[] }
  | { readonly kind: 'call'; readonly name: string; readonly args: readonly Expression[] }
  | {
      readonly kind: 'compare'
      readonly operator: string
      readonly left: Expression
      readonly right: Expression
      readonly any: boolean
    }
  | { readonly kind: 'and' | 'or'; readonly terms: readonly Expression[] }
  | { readonly kind: 'not'; readonly term: Expression }
  | { readonly kind: 'null-test'; readonly term: Expression; readonly isNull: boolean }

/** `undefined` where it is of a kind that is not known here. */
export function readExpression(text: string): Expression | undefined {
  const tokens = tokensOf(text)
  if (tokens === undefined) return undefined
  const reader = new Reader(tokens)
  try {
    const found = reader.expression()
    return reader.done ? found : undefined
  } catch (error) {
    if (error instanceof NotUnderstood) return undefined
    throw error
  }
}

/** The texts and numbers that stand in `text`: values that it may ask for. */
export function literalsIn(text: string): readonly string[] {
  const found = (tokensOf(text) ?? []).flatMap((token) =>
    token.kind === 'string' || token.kind === 'number' ? [token.text] : [],
  )
  return [...new Set(found)]
}

/** The names that stand in `text`, of columns among others. */
export function namesIn(text: string): readonly string[] {
  return (tokensOf(text) ?? []).flatMap((token) => (token.kind === 'name' ? [token.text] : []))
}

/** `text` with the value of a domain, which its checks call VALUE, by the name of a column. */
export function withValueNamed(text: string, name: string): string {
  let renamed = ''
  let at = 0
  for (const token of tokensOf(text) ?? []) {
    if (token.kind !== 'name' || token.text !== 'VALUE' || text[token.at] === '"') continue
    renamed += text.slice(at, token.at) + name
    at = token.at + 'VALUE'.length
  }
  return renamed + text.slice(at)
}

class NotUnderstood extends Error {}

interface Token {
  readonly kind: 'name' | 'string' | 'number' | 'sign'
  readonly text: string
  readonly at: number
}

const shape =
  /\s*(?:(?<quoted>"(?:[^"]|"")+")|(?<string>E?'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*')|(?<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?<name>[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)|(?<sign>::|[-+*/<>=~!@#%^&|`?]+|[()[\],.]))/suy

function tokensOf(text: string): readonly Token[] | undefined {
  const tokens: Token[] = []
  shape.lastIndex = 0
  while (shape.lastIndex < text.trimEnd().length) {
    const found = shape.exec(text)
    if (found === null) return undefined
    const { quoted, string, number, name, sign } = found.groups as Record<string, string | undefined>
    const at = shape.lastIndex
    const push = (kind: Token['kind'], raw: string, value = raw): void => {
      tokens.push({ kind, text: value, at: at - raw.length })
    }
    if (quoted !== undefined) push('name', quoted, quoted.slice(1, -1).replaceAll('""', '"'))
    else if (string !== undefined) push('string', string, unquote(string))
    else if (number !== undefined) push('number', number)
    else if (name !== undefined) push('name', name)
    else if (sign !== undefined) push('sign', sign)
  }
  return tokens
}

/** With standard_conforming_strings a backslash is escaped only in E'…', which PostgreSQL then prints. */
function unquote(text: string): string {
  const escaped = text.startsWith('E')
  const inner = text.slice(escaped ? 2 : 1, -1).replaceAll("''", "'")
  return escaped ? inner.replaceAll(/\\(.)/gs, '$1') : inner
}

const comparisons = new Set(['=', '<>', '!=', '<', '<=', '>', '>=', '~', '~*', '~~', '~~*', '!~', '!~~'])

class Reader {
  readonly #tokens: readonly Token[]
  #at = 0

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens
  }

  get done(): boolean {
    return this.#at === this.#tokens.length
  }

  expression(): Expression {
    return this.#joined('OR', 'or', () => this.#joined('AND', 'and', () => this.#negation()))
  }

  #joined(word: string, kind: 'and' | 'or', part: () => Expression): Expression {
    const terms = [part()]
    while (this.#take('name', word)) terms.push(part())
    return terms.length === 1 ? (terms[0] as Expression) : { kind, terms }
  }

  #negation(): Expression {
    return this.#take('name', 'NOT') ? { kind: 'not', term: this.#negation() } : this.#comparison()
  }

  #comparison(): Expression {
    const left = this.#operand()
    if (this.#take('name', 'IS')) {
      const isNull = !this.#take('name', 'NOT')
      if (!this.#take('name', 'NULL')) throw new NotUnderstood()
      return { kind: 'null-test', term: left, isNull }
    }
    const next = this.#tokens[this.#at]
    if (next?.kind !== 'sign' || !comparisons.has(next.text)) return left
    this.#at += 1
    if (!this.#take('name', 'ANY'))
      return { kind: 'compare', operator: next.text, left, right: this.#operand(), any: false }
    this.#expect('(')
    const right = this.#operand()
    this.#expect(')')
    return { kind: 'compare', operator: next.text, left, right, any: true }
  }

  #operand(): Expression {
    const found = this.#primary()
    while (this.#take('sign', '::')) this.#skipType()
    return found
  }

  #primary(): Expression {
    const token = this.#tokens[this.#at]
    this.#at += 1
    if (token === undefined) throw new NotUnderstood()
    if (token.kind === 'string') return { kind: 'literal', text: token.text, quoted: true }
    if (token.kind === 'number') return { kind: 'literal', text: token.text, quoted: false }
    if (token.kind === 'sign') {
      if (token.text === '(') {
        const inner = this.expression()
        this.#expect(')')
        return inner
      }
      const number = this.#tokens[this.#at]
      if (token.text !== '-' || number?.kind !== 'number') throw new NotUnderstood()
      this.#at += 1
      return { kind: 'literal', text: `-${number.text}`, quoted: false }
    }
    if (token.text === 'ARRAY' && this.#take('sign', '[')) return { kind: 'list', items: this.#items(']') }
    if (this.#take('sign', '(')) return { kind: 'call', name: token.text, args: this.#items(')') }
    if (/^(CASE|NULL|true|false|CURRENT_\w+)$/.test(token.text)) throw new NotUnderstood()
    return { kind: 'column', name: token.text }
  }

  #items(end: string): Expression[] {
    const items: Expression[] = []
    if (this.#take('sign', end)) return items
    do items.push(this.expression())
    while (this.#take('sign', ','))
    this.#expect(end)
    return items
  }

  /** `text`, `character varying(20)[]`, `timestamp with time zone`, `sales.kind`. */
  #skipType(): void {
    if (this.#tokens[this.#at]?.kind !== 'name') throw new NotUnderstood()
    this.#at += 1
    for (;;) {
      const token = this.#tokens[this.#at]
      if (token?.kind === 'name' && /^(varying|precision|with|without|time|zone)$/.test(token.text))
        this.#at += 1
      else if (token?.kind === 'sign' && token.text === '.') this.#at += 2
      else if (token?.kind === 'sign' && token.text === '[') {
        this.#at += 1
        this.#expect(']')
      } else if (token?.kind === 'sign' && token.text === '(') {
        while (this.#at < this.#tokens.length && !this.#take('sign', ')')) this.#at += 1
      } else return
    }
  }

  #take(kind: Token['kind'], text: string): boolean {
    const token = this.#tokens[this.#at]
    if (token?.kind !== kind || token.text !== text) return false
    this.#at += 1
    return true
  }

  #expect(sign: string): void {
    if (!this.#take('sign', sign)) throw new NotUnderstood()
  }
}
