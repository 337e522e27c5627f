/** For `run.sh`: the tests that need PgBouncer, and those only. */
import { defineConfig, type ViteUserConfig } from 'vitest/config'

const config: ViteUserConfig = defineConfig({
  test: {
    include: ['contract-tests/pgbouncer*.real.test.ts'],
    globalSetup: ['contract-tests/servers.setup.ts'],
    testTimeout: 120_000,
    hookTimeout: 60_000,
  },
})

// biome-ignore lint/style/noDefaultExport: vitest reads its configuration from the default export
export default config
