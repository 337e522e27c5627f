/** Loads a vendor's client only where a URL asks for it, so that the others need not be installed. */
import { PortError } from '../errors.ts'

/**
 * Runs `load`, an import of a module that needs `packages`.
 * @throws PortError `unsupported` that says what to install, where one of the packages is missing
 */
export async function loadVendor<Module>(
  load: () => Promise<Module>,
  packages: readonly [string, ...string[]],
): Promise<Module> {
  try {
    return await load()
  } catch (error) {
    const missing = packages.find((name) => isMissing(error, name))
    if (missing === undefined) throw error
    throw new PortError({
      code: 'unsupported',
      message: `the package "${missing}" is not installed; run: npm install ${packages.join(' ')}`,
      details: { missing },
      cause: error,
    })
  }
}

function isMissing(error: unknown, name: string): boolean {
  if (!(error instanceof Error)) return false
  const { code } = error as NodeJS.ErrnoException
  return code === 'ERR_MODULE_NOT_FOUND' && error.message.includes(`'${name}'`)
}
