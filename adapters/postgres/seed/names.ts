/** What a column is likely to hold, by its name. */
import type { Faker } from '@faker-js/faker'

type Text = (faker: Faker) => string

/** The first that fits wins: what is more particular stands before what is less. */
const texts: readonly (readonly [name: RegExp, text: Text])[] = [
  [/e_?mail/, (faker) => faker.internet.email({ provider: 'example.com' }).toLowerCase()],
  [
    /^(user|login|nick|account|screen|display)_?(name)?$|username/,
    (faker) => faker.internet.username().toLowerCase(),
  ],
  [/(first|given|fore)_?name/, (faker) => faker.person.firstName()],
  [/(last|family|sur)_?name/, (faker) => faker.person.lastName()],
  [
    /(buyer|customer|owner|author|person|contact|full|recipient|employee|member|patient|guest|sender)(_?name)?$/,
    (faker) => faker.person.fullName(),
  ],
  [/phone|mobile|^tel$|fax/, (faker) => faker.phone.number({ style: 'international' })],
  [/company|organi[sz]ation|vendor|supplier|brand|employer/, (faker) => faker.company.name()],
  [/job|profession|occupation/, (faker) => faker.person.jobTitle()],
  [/department/, (faker) => faker.commerce.department()],
  [/product|item_?name|article/, (faker) => faker.commerce.productName()],
  [/street|address_?(line)?_?1?$/, (faker) => faker.location.streetAddress()],
  [/city|town/, (faker) => faker.location.city()],
  [/country_?(code|iso)|^iso/, (faker) => faker.location.countryCode()],
  [/country|nation/, (faker) => faker.location.country()],
  [/state|province|region|county/, (faker) => faker.location.state()],
  [/zip|post(al)?_?code/, (faker) => faker.location.zipCode()],
  [/time_?zone|^tz$/, (faker) => faker.location.timeZone()],
  [/locale|lang/, (faker) => faker.helpers.arrayElement(['en', 'de', 'fr', 'es', 'it', 'nl', 'pt', 'pl'])],
  [/currency/, (faker) => faker.finance.currencyCode()],
  [/iban/, (faker) => faker.finance.iban()],
  [/bic|swift/, (faker) => faker.finance.bic()],
  [
    /(avatar|image|photo|picture|thumbnail|logo)/,
    (faker) => `https://example.com/images/${faker.string.alphanumeric(12)}.jpg`,
  ],
  [/url|website|link|homepage|href/, (faker) => `https://example.com/${faker.lorem.slug()}`],
  [/domain|host/, (faker) => `${faker.internet.domainWord()}.example.com`],
  [/slug/, (faker) => faker.lorem.slug()],
  [/user_?agent/, (faker) => faker.internet.userAgent()],
  [
    /ip_?(addr(ess)?)?$/,
    (faker) => `10.${faker.number.int(255)}.${faker.number.int(255)}.${faker.number.int(255)}`,
  ],
  [/colou?r/, (faker) => faker.color.human()],
  [/mime|content_?type|media_?type/, (faker) => faker.system.mimeType()],
  [/file_?name|^file$/, (faker) => faker.system.commonFileName()],
  [/path/, (faker) => `/${faker.lorem.slug().replaceAll('-', '/')}`],
  [
    /password|secret|token|hash|digest|fingerprint|checksum|signature|api_?key/,
    (faker) => faker.string.hexadecimal({ length: 32, casing: 'lower', prefix: '' }),
  ],
  [
    /sku|code|reference|^ref|number|^no$|key/,
    (faker) => faker.string.alphanumeric({ length: 8, casing: 'upper' }),
  ],
  [/status|state/, (faker) => faker.helpers.arrayElement(['new', 'active', 'done', 'closed'])],
  [/type|kind|category|group|tag|label|level/, (faker) => faker.word.noun()],
  [/gender|sex/, (faker) => faker.helpers.arrayElement(['female', 'male', 'other'])],
  [/error/, (faker) => faker.hacker.phrase()],
  [/title|subject|headline|summary/, (faker) => capital(faker.lorem.words({ min: 2, max: 5 }))],
  [/description|content|body|text|comment|note|message|bio|about|remark/, (faker) => faker.lorem.sentence()],
  [/name/, (faker) => capital(`${faker.word.adjective()} ${faker.word.noun()}`)],
]

/** How a text of a column of this name is made. */
export function textNamed(name: string): Text {
  return (
    texts.find(([pattern]) => pattern.test(name.toLowerCase()))?.[1] ??
    ((faker) => faker.lorem.words({ min: 1, max: 3 }))
  )
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}

const numbers: readonly (readonly [name: RegExp, least: number, greatest: number])[] = [
  [/price|amount|total|cost|fee|balance|cents|salary|revenue|budget|paid/, 100, 50_000],
  [/(^|_)age$/, 18, 90],
  [/year/, 2000, 2024],
  [/month/, 1, 12],
  [/(^|_)day(_of_month)?$/, 1, 28],
  [/hour/, 0, 23],
  [/minute|second/, 0, 59],
  [/rating|stars|score/, 1, 5],
  [/percent|pct|discount|ratio|share/, 0, 100],
  [/lat(itude)?$/, -60, 70],
  [/(lon|lng|long)(gitude)?$/, -180, 180],
  [/quantity|qty|(^|_)count$/, 1, 20],
  [/stock|seats|capacity|available/, 0, 500],
  [/attempt|retr(y|ies)|version|revision/, 0, 5],
  [/rank|position|priority|sort|order|level|line_?no|sequence|ordinal/, 1, 100],
  [/port$/, 1024, 65_535],
  [/weight|height|width|depth|size|length|duration|bytes|_ms$/, 1, 5000],
]

/** Between what a number of a column of this name is likely to be. */
export function numberNamed(name: string): readonly [least: number, greatest: number] {
  const [, least, greatest] = numbers.find(([pattern]) => pattern.test(name.toLowerCase())) ?? [
    undefined,
    0,
    1000,
  ]
  return [least, greatest]
}

const day = 86_400_000

/** Between which ends, from the reference date on, an instant of a column of this name is likely to be, in milliseconds. */
export function timeNamed(name: string): readonly [least: number, greatest: number] {
  const lower = name.toLowerCase()
  if (/birth|born|dob/.test(lower)) return [-80 * 365 * day, -18 * 365 * day]
  if (/expire|expiry|until|valid_?to|deadline|renew/.test(lower)) return [30 * day, 730 * day]
  if (/end|finish|check_?out/.test(lower)) return [91 * day, 180 * day]
  if (/start|begin|due|schedul|next|check_?in|departure/.test(lower)) return [1 * day, 90 * day]
  if (/updat|modif|chang|last|seen|ship|deliver|paid|complet|clos|cancel|delet|arriv/.test(lower))
    return [-90 * day, -1 * day]
  return [-730 * day, -91 * day]
}

/** How often a column of this name that may be NULL is. */
export function nullsNamed(name: string): number {
  if (/delet|cancel|archiv|revoked|error|fail|refund|closed|ended/.test(name.toLowerCase())) return 0.9
  return 0.1
}

/** How likely a boolean of this name is true. */
export function truthNamed(name: string): number {
  if (/delet|archiv|block|bann|locked|suspend|disabled|admin|cancel|spam|fraud/.test(name.toLowerCase()))
    return 0.05
  if (/active|enabled|verified|confirmed|valid|visible|public|paid/.test(name.toLowerCase())) return 0.85
  return 0.5
}
