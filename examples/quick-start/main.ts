import { attach } from 'portside'
import { services } from './services.ts'
import { Shop } from './shop.ts'

// Reads ORDERS_URL, SESSIONS_URL, RECEIPTS_URL and MAIL_URL; refuses to start on any that is missing or wrong.
await using app = await attach(services)
const shop = new Shop(app.orders, app.receipts, app.mail)
const { id, mailed } = await shop.order('ada@example.com', 4_200)
process.stdout.write(`order ${id} taken, mail ${mailed ? 'sent' : 'to be sent'}\n`)
