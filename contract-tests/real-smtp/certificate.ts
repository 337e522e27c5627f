/** For `start.sh`: writes a certificate for this machine, and its key, into a directory. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { selfSignedCertificate } from '../../fakes/emulators/smtp/certificate.ts'

const [directory] = process.argv.slice(2)
if (directory === undefined) throw new Error('usage: certificate.ts DIRECTORY')
const { key, cert } = selfSignedCertificate()
writeFileSync(join(directory, 'key.pem'), key)
writeFileSync(join(directory, 'cert.pem'), cert)
