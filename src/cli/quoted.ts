/** Values as a shell reads them. */

/** `value`, quoted where a shell would not take it as it is. */
export function quoted(value: string): string {
  return /^[\w:/.@+-]*$/.test(value) ? value : `'${value.replaceAll("'", "'\\''")}'`
}
