/** What the shop is told by its environment, besides its services' URLs. */
import { z } from 'zod'

export interface Settings {
  /** @default '127.0.0.1' */
  readonly host: string
  /** 0 takes a free one. @default 3000 */
  readonly port: number
  /** The bearer token of who may create events. `undefined`: nobody may. */
  readonly adminToken: string | undefined
}

const Environment = z.object({
  HOST: z.string().min(1).default('127.0.0.1'),
  PORT: z.coerce.number().int().min(0).max(65_535).default(3000),
  SHOP_ADMIN_TOKEN: z.string().min(12, 'must be at least 12 characters long').optional(),
})

/** @throws Error that names every variable that is wrong, without its value */
export function readSettings(env: NodeJS.ProcessEnv): Settings {
  // A variable that is set to nothing is one that is not set.
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''))
  const read = Environment.safeParse(given)
  if (!read.success) {
    const problems = read.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)
    throw new Error(`the settings are wrong: ${problems.join('; ')}`)
  }
  const { HOST, PORT, SHOP_ADMIN_TOKEN } = read.data
  return { host: HOST, port: PORT, adminToken: SHOP_ADMIN_TOKEN }
}
