/**
 * What no contract is to judge, for Stryker to leave alone: the words of messages and journal entries, and the controls
 * of a fake (inspection, seeding, saving) and tables of codes, which tests of their own hold. Everything else is fair game.
 */
import { createHash } from 'node:crypto'

/** Babel's, as far as it is looked at here. */
interface Path {
  readonly node: {
    readonly type: string
    readonly key?: { readonly name?: string }
    readonly kind?: string
    readonly expression?: Path['node']
    readonly callee?: {
      readonly type: string
      readonly name?: string
      readonly property?: { readonly name?: string }
    }
    readonly declarations?: readonly { readonly id: { readonly name?: string } }[]
  }
  readonly parentPath?: Path | null
}

const controls = new Set([
  'seed',
  'objects',
  'outbox',
  'posts',
  'outboxOf',
  'refuse',
  'accept',
  'refusals',
  'refusalOf',
  'limitSize',
  'maxBytes',
  'limitRecipients',
  'maxRecipients',
  'greylist',
  'rateLimit',
  'dump',
  'restore',
  'save',
  'load',
  'clear',
  'reset',
  'release',
  'ping',
])
// Held by the table tests of `errors.ts`: no server can be made to say all of it.
const tables = new Set([
  'aboutCredentials',
  'advice',
  'answered',
  'badCommand',
  'byStatus',
  'certificateProblem',
  'clientErrors',
  'codes',
  'connectionLost',
  'generalReplies',
  'maybeSent',
  'meanings',
  'neverSent',
  'noTls',
  'notConnected',
  'notSent',
  'reasons',
  'replies',
  'statuses',
  'systemCodes',
  'uncertain',
])
const sayers = new Set(['invalidArgument', 'conditionFailed'])

const ignorer = {
  shouldIgnore({ node, parentPath }: Path): string | undefined {
    if (node.type === 'ObjectProperty' && node.key?.name === 'message') return 'the words of an error'
    if (calleeOf(node) === 'effect') return 'the words of the journal'
    const callee = calleeOf(parentPath?.node) ?? ''
    if ((sayers.has(callee) || /^check[A-Z]/.test(callee)) && /Literal$/.test(node.type)) return 'words'
    if (node.type === 'ClassMethod' && node.kind === 'constructor') return 'what it is made with'
    if (node.type === 'ClassMethod' && controls.has(node.key?.name ?? ''))
      return 'a control, not an operation'
    const [declared] = node.type === 'VariableDeclaration' ? (node.declarations ?? []) : []
    const name = declared?.id.name ?? ''
    if (name === 'fake') return 'what attach makes a fake with'
    if (tables.has(name)) return 'a table of the vendor’s codes, or of words for them'
    return undefined
  },
}

function calleeOf(node: Path['node'] | undefined): string | undefined {
  if (node?.type === 'ExpressionStatement') return calleeOf(node.expression)
  return node?.type === 'CallExpression' ? (node.callee?.property?.name ?? node.callee?.name) : undefined
}

export const strykerPlugins: readonly unknown[] = [{ kind: 'Ignore', name: 'wording', value: ignorer }]

/**
 * Of every `1 / share` changes one, the same ones for the same code and seed: a slow contract is judged by a sample.
 * Stryker can leave out files, lines and whole expressions, but not one change among several in one place, so what it
 * makes changes with is told here to make fewer. Internal to Stryker, whose version is locked.
 */
interface Mutator {
  readonly name: string
  mutate(path: Place, options: unknown): Iterable<unknown>
}
interface Place {
  readonly node: { readonly loc?: { readonly start: { readonly line: number; readonly column: number } } }
}

const share = Number(process.env.PORTSIDE_MUTATION_SAMPLE ?? '1')
const seed = process.env.PORTSIDE_MUTATION_SEED ?? '1'
if (share < 1) {
  const made = new URL(
    'node_modules/@stryker-mutator/instrumenter/dist/src/mutators/mutate.js',
    import.meta.url,
  )
  const { allMutators } = (await import(made.href)) as { readonly allMutators: readonly Mutator[] }
  for (const mutator of allMutators) {
    const all = mutator.mutate.bind(mutator)
    mutator.mutate = function* (path, options) {
      const { line, column } = path.node.loc?.start ?? { line: 0, column: 0 }
      let count = 0
      for (const change of all(path, options)) {
        count += 1
        if (chance(`${seed} ${mutator.name} ${line}:${column} ${count}`) < share) yield change
      }
    }
  }
}

/** From 0 to below 1, by the text alone: the start of its digest. */
function chance(text: string): number {
  return createHash('sha256').update(text).digest().readUInt32BE() / 2 ** 32
}
