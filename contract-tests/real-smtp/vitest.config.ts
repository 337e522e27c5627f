/** For `run.sh`: the tests that need a real mail server, and those only. */
import { defineConfig, type ViteUserConfig } from 'vitest/config'

const config: ViteUserConfig = defineConfig({
  test: {
    include: ['contract-tests/mailer.real.test.ts'],
    testTimeout: 120_000,
    hookTimeout: 60_000,
  },
})

// biome-ignore lint/style/noDefaultExport: vitest reads its configuration from the default export
export default config
