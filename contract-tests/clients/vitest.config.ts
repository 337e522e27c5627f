/** The tests that need programs of others as clients: `npx vitest run --config contract-tests/clients/vitest.config.ts`. */
import { defineConfig, type ViteUserConfig } from 'vitest/config'

const config: ViteUserConfig = defineConfig({
  test: {
    include: ['contract-tests/clients/*.real.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})

// biome-ignore lint/style/noDefaultExport: vitest reads its configuration from the default export
export default config
