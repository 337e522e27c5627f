/** What must not compile, and what must, of mocks: checked by the compiler, never run. */
import { Mailer, type MailMessage, type MailReceipt } from '../ports/mailer.ts'
import { type ListedObject, ObjectStorage } from '../ports/object-storage.ts'
import { sql } from '../ports/sql.ts'
import { SqlDatabase, SqlTransaction } from '../ports/sql-database.ts'
import { any, like, mock, type sequence } from './index.ts'

declare const message: MailMessage
declare const receipt: MailReceipt
declare const listed: ListedObject
declare const shared: ReturnType<typeof sequence>

const mail = mock(Mailer, { service: 'mail', sequence: shared })
const objects = mock(ObjectStorage, { inAnyOrder: true })

mail.expect.send(message).resolves(receipt).times(2)
mail.expect.send(message).times({ min: 0, max: 3 }).rejects({ code: 'unavailable', outcome: 'unknown' })
mail.expect.send(any()).runs(async (sent, options) => {
  const text: string = sent.subject
  const signal: AbortSignal | undefined = options?.signal
  return { messageId: text, accepted: [], refused: [], signal }
})
mail.expect.send(like({ to: ['ada@example.com'], subject: /^Your order/ })).resolves(receipt)
mail.expect.send(like({ subject: (subject) => subject.length > 3 })).resolves(receipt)
mail.expect.send(({ subject }) => subject.startsWith('Your')).resolves(receipt)
mail.expect.send({ from: any(), to: [/@example\.com$/], subject: 'Hello' }).resolves(receipt)
const apart = like({ subject: 'made apart' })
mail.expect.send(apart).resolves(receipt)
objects.expect.put('key', any(), like({ ifAbsent: true })).resolves({ key: 'key', size: 1, etag: '"1"' })
objects.expect.put(/^receipts\//, 'text').resolves({ key: 'key', size: 1, etag: '"1"' })
objects.expect.delete('key').resolves()
objects.expect.get('key').resolves(undefined)
objects.expect.listAll({ prefix: 'a/' }).yields([listed], { code: 'unavailable' })
objects.expect.listAll().runs(async function* () {
  yield listed
})
mock(SqlDatabase)
  .expect.transaction(any())
  .runs((work) => work(mock(SqlTransaction).port))
mock(SqlDatabase)
  .expect.query(sql`select 1`)
  .resolves([{ one: 1 }])

// @ts-expect-error no operation of the port
mail.expect.deliver(message)
// @ts-expect-error a message is an object
mail.expect.send('hello')
// @ts-expect-error a message without a subject
mail.expect.send({ from: 'shop@example.com' })
// @ts-expect-error a field that a message does not have
mail.expect.send(like({ sender: 'shop@example.com' }))
// @ts-expect-error a regular expression is for text
objects.expect.put('key', 'text', { size: /1/ })
// @ts-expect-error an argument too few
objects.expect.copy('key')
// @ts-expect-error an option that put does not have
objects.expect.put('key', 'text', { ifMissing: true })
// @ts-expect-error the answer is a receipt
mail.expect.send(message).resolves({ messageId: 1 })
// @ts-expect-error the answer is a receipt
mail.expect.send(message).resolves()
// @ts-expect-error no code of a PortError
mail.expect.send(message).rejects({ code: 'broken' })
// @ts-expect-error a call yields nothing
mail.expect.send(message).yields([receipt])
// @ts-expect-error a stream resolves with nothing
objects.expect.listAll().resolves([listed])
// @ts-expect-error items of another type
objects.expect.listAll().yields([1])
// @ts-expect-error what runs answers with a receipt
mail.expect.send(message).runs(async () => 'sent')
// @ts-expect-error the controls of a mock are not on the port
mail.port.verify()
// @ts-expect-error a port, not an interface's name
mock('mailer')

for (const call of objects.calls) {
  if (call.operation === 'put') {
    const [key]: readonly [string, ...unknown[]] = call.args
    const etag: string | undefined = call.result?.etag
    void [key, etag]
  }
  if (call.operation === 'listAll') {
    const items: readonly ListedObject[] | undefined = call.result
    // @ts-expect-error a listing takes options alone
    const [first]: readonly [string] = call.args
    void [items, first]
  }
}
