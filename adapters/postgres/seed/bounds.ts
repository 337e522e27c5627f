/** What the checks of a column admit, as far as their text says it. */
import { type Expression, literalsIn, readExpression } from './expression.ts'
import { type Language, languageOf, likeLanguage } from './pattern.ts'
import type { Check, Column, Table } from './schema.ts'

/** What a column's values must be. Numbers as they are, instants and days as milliseconds since 1970. */
export interface Bounds {
  readonly least: number
  readonly leastExcluded: boolean
  readonly greatest: number
  readonly greatestExcluded: boolean
  readonly oneOf: readonly string[] | undefined
  readonly language: Language | undefined
  readonly shortest: number
  readonly longest: number
  readonly letterCase: 'lower' | 'upper' | undefined
  /** Values that a check names which was not understood: worth a try. */
  readonly hints: readonly string[]
  /** Columns whose value in the same row this one's must not be below, or above. */
  readonly notBelow: readonly number[]
  readonly notAbove: readonly number[]
}

export interface TableBounds {
  readonly columns: ReadonlyMap<number, Bounds>
  /** Checks that are not met by keeping to the bounds. */
  readonly open: readonly Check[]
}

type Draft = { -readonly [Field in keyof Bounds]: Bounds[Field] }

/** What the checks of `table` say; `trusted` tells which columns will keep to it. */
export function boundsOf(table: Table, trusted: (column: Column) => boolean): TableBounds {
  const drafts = new Map(table.columns.map((column) => [column.number, unbounded(column)]))
  const named = new Map(table.columns.map((column) => [column.name, column]))
  const terms = new Terms(named, drafts)
  const checks = table.checks.map((check) => ({ check, expression: readExpression(check.text) }))
  // Twice: how long a text is to be may stand after the pattern that it is to be of.
  for (const { expression } of checks) if (expression !== undefined) terms.apply(expression)
  for (const draft of drafts.values()) {
    Object.assign(draft, { language: undefined, letterCase: undefined, notBelow: [], notAbove: [] })
  }
  const open: Check[] = []
  for (const { check, expression } of checks) {
    const met =
      expression !== undefined &&
      terms.apply(expression) &&
      check.columns.every((number) => {
        const column = table.columns.find((each) => each.number === number)
        return column !== undefined && trusted(column)
      })
    if (met) continue
    open.push(check)
    const hints = literalsIn(check.text)
    for (const number of check.columns) {
      const draft = drafts.get(number)
      if (draft !== undefined) draft.hints = [...new Set([...draft.hints, ...hints])]
    }
  }
  return { columns: drafts, open }
}

function unbounded(column: Column): Draft {
  return {
    least: Number.NEGATIVE_INFINITY,
    leastExcluded: false,
    greatest: Number.POSITIVE_INFINITY,
    greatestExcluded: false,
    oneOf: undefined,
    language: undefined,
    shortest: 0,
    longest: longestText(column),
    letterCase: undefined,
    hints: [],
    notBelow: [],
    notAbove: [],
  }
}

/** How many characters `varchar(n)` and `char(n)` hold. */
function longestText({ type, modifier }: Column): number {
  const limited = /^_?(varchar|bpchar)$/.test(type.name) && modifier > 4
  return limited ? modifier - 4 : Number.POSITIVE_INFINITY
}

/** `time` in milliseconds of the day; days and instants since 1970. `undefined` for what is written another way. */
export function readTime(type: string, text: string): number | undefined {
  const day = /^(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)(Z|[+-]\d\d(?::\d\d)?)?)?$/
  if (type === 'time') {
    const found = /^(\d\d):(\d\d):(\d\d)(?:\.\d+)?$/.exec(text)
    return found === null
      ? undefined
      : (Number(found[1]) * 3600 + Number(found[2]) * 60 + Number(found[3])) * 1000
  }
  const [, date, time = '00:00', zone = 'Z'] = day.exec(text) ?? []
  if (date === undefined) return undefined
  const at = Date.parse(`${date}T${time}${/^[+-]\d\d$/.test(zone) ? `${zone}:00` : zone}`)
  return Number.isNaN(at) ? undefined : at
}

export const timeTypes: ReadonlySet<string> = new Set(['date', 'timestamp', 'timestamptz', 'time'])
export const textTypes: ReadonlySet<string> = new Set(['text', 'varchar', 'bpchar', 'citext'])
export const integerTypes: ReadonlySet<string> = new Set(['int2', 'int4', 'int8'])
export const numberTypes: ReadonlySet<string> = new Set([...integerTypes, 'numeric', 'float4', 'float8'])

const mirrored: Readonly<Record<string, string>> = {
  '<': '>',
  '<=': '>=',
  '>': '<',
  '>=': '<=',
  '=': '=',
  '<>': '<>',
}

class Terms {
  readonly #named: ReadonlyMap<string, Column>
  readonly #drafts: ReadonlyMap<number, Draft>

  constructor(named: ReadonlyMap<string, Column>, drafts: ReadonlyMap<number, Draft>) {
    this.#named = named
    this.#drafts = drafts
  }

  /** Narrows the bounds to what `term` says; `true` where keeping to them is all that it asks for. */
  apply(term: Expression): boolean {
    switch (term.kind) {
      case 'and':
        // Each one, also behind one that is not understood.
        return term.terms.map((each) => this.apply(each)).every(Boolean)
      case 'or':
        return this.#either(term.terms)
      case 'null-test':
        return false
      case 'compare':
        return this.#compare(term)
      default:
        return false
    }
  }

  /** `x IS NULL OR …`: a check is met by NULL anyway. */
  #either(terms: readonly Expression[]): boolean {
    const rest = terms.filter((term) => term.kind !== 'null-test' || !term.isNull)
    const [only] = rest
    if (rest.length === 1 && only !== undefined) {
      const nulls = terms.filter((term) => term !== only)
      return this.#sameColumn([...nulls, only]) && this.apply(only)
    }
    return false
  }

  #sameColumn(terms: readonly Expression[]): boolean {
    const names = new Set(terms.flatMap(columnsIn))
    return names.size === 1
  }

  #compare(term: Extract<Expression, { kind: 'compare' }>): boolean {
    const { left, right, operator, any } = term
    if (any) return this.#anyOf(left, right, operator)
    if (left.kind === 'literal' && right.kind !== 'literal') {
      const turned = mirrored[operator]
      return turned !== undefined && this.#compare({ ...term, left: right, right: left, operator: turned })
    }
    if (right.kind === 'literal') return this.#withLiteral(left, operator, right.text)
    const [a, b] = [this.#column(left), this.#column(right)]
    if (a !== undefined && b !== undefined) this.#relate(a, b, operator)
    if (a !== undefined && operator === '=' && right.kind === 'call') return this.#cased(a, right)
    if (b !== undefined && operator === '=' && left.kind === 'call') return this.#cased(b, left)
    return false
  }

  #cased(column: Column, { name, args }: Extract<Expression, { kind: 'call' }>): boolean {
    const draft = this.#draft(column)
    const [first] = args
    if (first === undefined || this.#column(first) !== column || !textTypes.has(column.type.name))
      return false
    if ((name !== 'lower' && name !== 'upper') || draft.language !== undefined || draft.oneOf !== undefined)
      return false
    draft.letterCase = name
    return true
  }

  #relate(a: Column, b: Column, operator: string): void {
    const comparable = [numberTypes, timeTypes].some(
      (types) => types.has(a.type.name) && types.has(b.type.name),
    )
    if (!comparable) return
    const [low, high] = operator.startsWith('<') && operator !== '<>' ? [a, b] : [b, a]
    if (!['<', '<=', '>', '>='].includes(operator)) return
    // The one that comes first in the table is made first.
    if (low.number < high.number) this.#draft(high).notBelow = [...this.#draft(high).notBelow, low.number]
    else this.#draft(low).notAbove = [...this.#draft(low).notAbove, high.number]
  }

  #anyOf(left: Expression, right: Expression, operator: string): boolean {
    const column = this.#column(left)
    if (column === undefined || operator !== '=' || right.kind !== 'list') return false
    const texts = right.items.map((item) => (item.kind === 'literal' ? item.text : undefined))
    if (texts.includes(undefined)) return false
    return this.#choose(column, texts as string[])
  }

  #choose(column: Column, texts: readonly string[]): boolean {
    const draft = this.#draft(column)
    if (!textTypes.has(column.type.name) && !numberTypes.has(column.type.name) && column.type.kind !== 'enum')
      return false
    draft.oneOf = draft.oneOf === undefined ? texts : draft.oneOf.filter((each) => texts.includes(each))
    return true
  }

  #withLiteral(left: Expression, operator: string, text: string): boolean {
    const column = this.#column(left)
    if (column === undefined) return this.#derived(left, operator, text)
    const draft = this.#draft(column)
    const type = column.type.name
    if (operator === '=') return this.#choose(column, [text])
    if (numberTypes.has(type)) return narrow(draft, operator, text === '' ? Number.NaN : Number(text))
    if (timeTypes.has(type)) return narrow(draft, operator, readTime(type, text) ?? Number.NaN)
    if (!textTypes.has(type)) return false
    if (operator === '<>' && text === '') {
      draft.shortest = Math.max(draft.shortest, 1)
      return agrees(draft)
    }
    if (draft.language !== undefined) return false
    // A text that matches as it is written matches in any case as well.
    if (operator === '~' || operator === '~*')
      draft.language = languageOf(text, draft.longest, draft.shortest)
    else if (operator === '~~') draft.language = likeLanguage(text, draft.longest, draft.shortest)
    return draft.language !== undefined && agrees(draft)
  }

  /** `length(x) > 3`, `btrim(x) <> ''`. */
  #derived(left: Expression, operator: string, text: string): boolean {
    if (left.kind !== 'call' || left.args.length !== 1) return false
    const [inner] = left.args as [Expression]
    const trims = (term: Expression): Expression =>
      term.kind === 'call' && term.name === 'btrim' && term.args.length === 1
        ? trims(term.args[0] as Expression)
        : term
    // No text that is made here begins or ends with a blank.
    const column = this.#column(trims(left.name === 'btrim' ? left : inner))
    if (column === undefined || !textTypes.has(column.type.name)) return false
    const draft = this.#draft(column)
    if (left.name === 'btrim') {
      if (operator !== '<>' || text !== '') return false
      draft.shortest = Math.max(draft.shortest, 1)
      return agrees(draft)
    }
    if (!/^(length|char_length|character_length)$/.test(left.name)) return false
    const length = Number(text)
    if (!Number.isInteger(length)) return false
    if (operator === '>' || operator === '>=' || operator === '=')
      draft.shortest = Math.max(draft.shortest, operator === '>' ? length + 1 : length)
    if (operator === '<' || operator === '<=' || operator === '=')
      draft.longest = Math.min(draft.longest, operator === '<' ? length - 1 : length)
    return ['>', '>=', '=', '<', '<='].includes(operator) && agrees(draft)
  }

  #column(term: Expression): Column | undefined {
    return term.kind === 'column' ? this.#named.get(term.name) : undefined
  }

  #draft(column: Column): Draft {
    return this.#drafts.get(column.number) as Draft
  }
}

/** Texts of a language are taken as they are: whether they keep to the rest, their lengths tell. */
function agrees({ language, shortest, longest, letterCase }: Draft): boolean {
  if (shortest > longest) return false
  if (language === undefined) return true
  return language.shortest >= shortest && language.longest <= longest && letterCase === undefined
}

function narrow(draft: Draft, operator: string, value: number): boolean {
  if (Number.isNaN(value)) return false
  const excluded = operator === '>' || operator === '<'
  if (operator === '>' || operator === '>=') {
    if (value > draft.least || (value === draft.least && excluded)) {
      draft.least = value
      draft.leastExcluded = excluded
    }
    return true
  }
  if (operator === '<' || operator === '<=') {
    if (value < draft.greatest || (value === draft.greatest && excluded)) {
      draft.greatest = value
      draft.greatestExcluded = excluded
    }
    return true
  }
  return false
}

function columnsIn(term: Expression): string[] {
  switch (term.kind) {
    case 'column':
      return [term.name]
    case 'literal':
      return []
    case 'list':
      return term.items.flatMap(columnsIn)
    case 'call':
      return term.args.flatMap(columnsIn)
    case 'compare':
      return [term.left, term.right].flatMap(columnsIn)
    case 'and':
    case 'or':
      return term.terms.flatMap(columnsIn)
    case 'not':
    case 'null-test':
      return columnsIn(term.term)
  }
}
