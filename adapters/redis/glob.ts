/** Patterns of keys, as SCAN takes them. */

/** A prefix as a pattern that matches itself alone: https://redis.io/docs/latest/commands/keys/ */
export function escapeGlob(prefix: string): string {
  return prefix.replace(/[*?[\]\\^-]/g, '\\$&')
}
