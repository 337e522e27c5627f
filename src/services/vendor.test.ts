import { expect, test } from 'vitest'
import { loadVendor } from './vendor.ts'

const missing = (name: string): Error =>
  Object.assign(new Error(`Cannot find package '${name}' imported from /app/x.js`), {
    code: 'ERR_MODULE_NOT_FOUND',
  })

test('a vendor that is not installed is unsupported, with the command that installs all it needs', async () => {
  const loaded = loadVendor(() => Promise.reject(missing('pg-cursor')), ['pg', 'pg-cursor'])
  await expect(loaded).rejects.toMatchObject({
    code: 'unsupported',
    detail: 'the package "pg-cursor" is not installed; run: npm install pg pg-cursor',
    details: { missing: 'pg-cursor' },
  })
})

test('any other failure to load stays what it is', async () => {
  const other = missing('left-pad')
  await expect(loadVendor(() => Promise.reject(other), ['pg'])).rejects.toBe(other)
  const broken = new SyntaxError('Unexpected token')
  await expect(loadVendor(() => Promise.reject(broken), ['pg'])).rejects.toBe(broken)
})

test('an installed vendor is what the import gives', async () => {
  expect(await loadVendor(async () => ({ open: 1 }), ['pg'])).toEqual({ open: 1 })
})
