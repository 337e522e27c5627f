/**
 * What no contract is to judge, for Stryker to leave alone: the words of messages and journal entries, and the controls
 * of a fake (inspection, seeding, saving) and tables of codes, which tests of their own hold. Everything else is fair game.
 */

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
  'refuse',
  'refusalOf',
  'limitSize',
  'maxBytes',
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
const tables = new Set(['codes', 'meanings', 'replies', 'statuses'])
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
    if (tables.has(name)) return 'a table of the vendor’s codes'
    return undefined
  },
}

function calleeOf(node: Path['node'] | undefined): string | undefined {
  if (node?.type === 'ExpressionStatement') return calleeOf(node.expression)
  return node?.type === 'CallExpression' ? (node.callee?.property?.name ?? node.callee?.name) : undefined
}

export const strykerPlugins: readonly unknown[] = [{ kind: 'Ignore', name: 'wording', value: ignorer }]
