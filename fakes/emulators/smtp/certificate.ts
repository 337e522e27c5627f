/**
 * A certificate for this machine alone, signed by its own key, so that an emulator speaks TLS without any setup. Node makes
 * keys and signatures but no certificates: this writes the few fields of X.509 (RFC 5280) that are needed, in DER.
 */
import { generateKeyPairSync, randomBytes, sign, X509Certificate } from 'node:crypto'
import { isIPv4 } from 'node:net'

/** What a TLS server needs, in PEM. */
export interface Certificate {
  readonly key: string
  readonly cert: string
}

const dayMs = 86_400_000
const oids = {
  commonName: '550403',
  subjectAltName: '551d11',
  basicConstraints: '551d13',
  ecdsaWithSha256: '2a8648ce3d040302',
} as const

/**
 * A new key and a certificate of it for `hosts` (names and IPv4 addresses), good from the day before `now` for a year.
 * @param hosts @default localhost and 127.0.0.1
 */
export function selfSignedCertificate(
  hosts: readonly string[] = ['localhost', '127.0.0.1'],
  now: Date = new Date(),
): Certificate {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const algorithm = sequence(oid(oids.ecdsaWithSha256))
  const name = sequence(
    der(0x31, sequence(oid(oids.commonName), der(0x0c, Buffer.from('portside emulator')))),
  )
  const validity = sequence(time(now.getTime() - dayMs), time(now.getTime() + 365 * dayMs))
  const names = sequence(
    ...hosts.map((host) =>
      isIPv4(host) ? der(0x87, Buffer.from(host.split('.').map(Number))) : der(0x82, Buffer.from(host)),
    ),
  )
  const extensions = sequence(
    // Its own authority: a client that is given the certificate itself trusts it.
    sequence(
      oid(oids.basicConstraints),
      der(0x01, Buffer.of(0xff)),
      octets(sequence(der(0x01, Buffer.of(0xff)))),
    ),
    sequence(oid(oids.subjectAltName), octets(names)),
  )
  // The first byte keeps it positive and without a leading zero.
  const serial = der(0x02, Buffer.concat([Buffer.of(0x40), randomBytes(15)]))
  const body = sequence(
    der(0xa0, der(0x02, Buffer.of(2))),
    serial,
    algorithm,
    name,
    validity,
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, extensions),
  )
  const signature = der(0x03, Buffer.concat([Buffer.of(0), sign('sha256', body, privateKey)]))
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    cert: new X509Certificate(sequence(body, algorithm, signature)).toString(),
  }
}

/** One value: its tag, its length, itself. */
function der(tag: number, content: Uint8Array): Buffer {
  const { length } = content
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.of(tag, ...size), content])
}

function sequence(...values: readonly Uint8Array[]): Buffer {
  return der(0x30, Buffer.concat(values))
}

function octets(content: Uint8Array): Buffer {
  return der(0x04, content)
}

function oid(hex: string): Buffer {
  return der(0x06, Buffer.from(hex, 'hex'))
}

/** UTCTime up to 2049, as RFC 5280 has it, and GeneralizedTime from then on. */
function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/\.\d+/, '').replace(/[-:T]/g, '')
  const isLate = new Date(ms).getUTCFullYear() > 2049
  return isLate ? der(0x18, Buffer.from(digits)) : der(0x17, Buffer.from(digits.slice(2)))
}
