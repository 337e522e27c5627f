import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { S3Error } from './errors.ts'
import { checkChildren, childrenOf, readXml, textOf, type XmlElement } from './read-xml.ts'
import { s3Namespace, writeXml, type XmlTree } from './xml.ts'

const read = (text: string, root = 'Root'): XmlElement => readXml(Buffer.from(text), { root })

/** Back to what was written: elements of one name as a list. */
function treeOf(element: XmlElement): unknown {
  if (element.children.length === 0) return element.text
  const names = [...new Set(element.children.map(({ name }) => name))]
  return Object.fromEntries(names.map((name) => [name, childrenOf(element, name).map(treeOf)]))
}

const text = fc
  .string({ unit: 'binary', maxLength: 20 })
  .filter((each) => !each.includes('\0') && each.isWellFormed())
const name = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9._-]{0,8}$/).filter((each) => each !== '__proto__')
const { tree } = fc.letrec<{ tree: unknown; node: unknown }>((tie) => ({
  node: fc.oneof({ depthSize: 'small', withCrossShrink: true }, text, tie('tree')),
  tree: fc.dictionary(name, fc.array(tie('node'), { minLength: 1, maxLength: 3 }), {
    minKeys: 1,
    maxKeys: 3,
  }),
}))

describe('XML', () => {
  test('reads back what was written, whatever the text is', () => {
    fc.assert(
      fc.property(tree, (given) => {
        const xml = writeXml('Root', given as XmlTree, s3Namespace)
        expect(treeOf(read(xml))).toEqual(JSON.parse(JSON.stringify(given)))
      }),
    )
  })

  test('is written in the form of S3', () => {
    const xml = writeXml('ListResult', {
      Name: 'a<b>&"c',
      KeyCount: 2,
      IsTruncated: false,
      Marker: '',
      NextMarker: undefined,
      Contents: [{ Key: '\u0001\r\n', LastModified: new Date(0) }, { Key: 'é' }],
    })
    expect(xml).toBe(
      '<?xml version="1.0" encoding="UTF-8"?>\n<ListResult><Name>a&lt;b&gt;&amp;&quot;c</Name><KeyCount>2</KeyCount>' +
        '<IsTruncated>false</IsTruncated><Marker/><Contents><Key>&#x1;&#xd;\n</Key>' +
        '<LastModified>1970-01-01T00:00:00.000Z</LastModified></Contents><Contents><Key>é</Key></Contents></ListResult>',
    )
  })

  test.each([
    ['no declaration', '<Root/>'],
    ['a declaration of its own', "<?xml version='1.0' encoding='utf-8' standalone='yes'?>\r\n<Root/>\n"],
    ['a byte order mark', '\ufeff<Root/>'],
    ['comments', '<!-- a - b --><Root><!----></Root><!-- c -->'],
    ['prefixes and attributes', `<s3:Root xmlns:s3="${s3Namespace}" a='1'></s3:Root >`],
  ])('is read with %s', (_, xml) => {
    expect(read(xml)).toEqual({ name: 'Root', text: '', children: [] })
  })

  test('knows the five entities, references, and sections of characters', () => {
    expect(read('<Root>&amp;&lt;&gt;&quot;&apos;&#65;&#x1F600;&#xA;<![CDATA[<&amp;]]></Root>').text).toBe(
      '&<>"\'A😀\n<&amp;',
    )
    expect(read('<Root>a\r\nb\rc</Root>').text).toBe('a\nb\nc')
  })

  test('tells children by name', () => {
    const root = read('<Root>\n <A>1</A><B>2</B><A>3</A> </Root>')
    expect(childrenOf(root, 'A').map((child) => child.text)).toEqual(['1', '3'])
    expect(textOf(root, 'B')).toBe('2')
    expect(textOf(root, 'C')).toBeUndefined()
    expect(() => textOf(root, 'A')).toThrow(S3Error)
    expect(() => checkChildren(root, ['A'])).toThrow(S3Error)
    expect(() => checkChildren(root, ['A', 'B'])).not.toThrow()
  })

  test.each([
    ['nothing', ''],
    ['text', 'Root'],
    ['another root', '<Other/>'],
    ['two roots', '<Root/><Root/>'],
    ['what follows the root', '<Root/>x'],
    ['an element that is not closed', '<Root><A></Root>'],
    ['elements that overlap', '<Root><A><B></A></B></Root>'],
    ['a document type', '<!DOCTYPE Root [<!ENTITY a "b">]><Root>&a;</Root>'],
    ['an unknown entity', '<Root>&nbsp;</Root>'],
    ['an entity of an object', '<Root>&constructor;</Root>'],
    ['a bare ampersand', '<Root>a & b</Root>'],
    ['an entity that does not end', '<Root>&amp</Root>'],
    ['a reference to nothing', '<Root>&#0;</Root>'],
    ['a reference to half a character', '<Root>&#xD800;</Root>'],
    ['a reference beyond all characters', '<Root>&#x110000;</Root>'],
    ['a processing instruction', '<Root><?php ?></Root>'],
    ['text between elements', '<Root>a<A/></Root>'],
    ['an attribute without a value', '<Root a></Root>'],
    ['an attribute without quotes', '<Root a=1></Root>'],
    ['an attribute twice', '<Root a="1" a="2"></Root>'],
    ['the end of a section of characters', '<Root>]]></Root>'],
    ['a name with a space before it', '< Root/>'],
    ['two dashes in a comment', '<Root><!-- a -- b --></Root>'],
    ['elements too deep', `${'<Root>'.repeat(40)}${'</Root>'.repeat(40)}`],
  ])('refuses %s', (_, xml) => {
    expect(() => read(xml)).toThrow(expect.objectContaining({ code: 'MalformedXML', status: 400 }))
  })

  test('refuses what is no UTF-8, and what is too long', () => {
    const broken = Buffer.concat([Buffer.from('<Root>'), Buffer.from([0xff]), Buffer.from('</Root>')])
    expect(() => readXml(broken, { root: 'Root' })).toThrow(expect.objectContaining({ code: 'MalformedXML' }))
    expect(() => readXml(Buffer.from('<Root/>'), { root: 'Root', maxBytes: 6 })).toThrow(
      expect.objectContaining({ code: 'MaxMessageLengthExceeded' }),
    )
  })

  test('says no to any garbage, and at once', () => {
    const garbage = fc.array(
      fc.constantFrom(
        '<Root>',
        '</Root>',
        '<',
        '>',
        '&',
        '<!--',
        '-->',
        '<![CDATA[',
        ']]>',
        'a',
        ' ',
        '"',
        '=',
      ),
      { maxLength: 400 },
    )
    fc.assert(
      fc.property(garbage, (pieces) => {
        try {
          read(pieces.join(''))
        } catch (error) {
          expect(error).toBeInstanceOf(S3Error)
        }
      }),
    )
    // A pattern that went back and forth would take hours over this.
    expect(() => read(`<Root>${'<!-- -'.repeat(20_000)}`)).toThrow(S3Error)
    expect(() => read(`<Root ${'a'.repeat(200_000)}`)).toThrow(S3Error)
  })
})
