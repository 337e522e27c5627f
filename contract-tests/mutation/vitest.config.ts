/** For `run.sh`: the contracts on every local subject, and nothing else, are the judges. */
import { defineConfig, type ViteUserConfig } from 'vitest/config'

const config: ViteUserConfig = defineConfig({
  test: {
    include: [
      'contract-tests/{key-value-store,mailer,object-storage,social-publisher,sql-database}*.test.ts',
    ],
    exclude: ['**/*.real.test.ts', '**/*.cluster.test.ts', '**/node_modules/**'],
    globalSetup: ['contract-tests/servers.setup.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
})

// biome-ignore lint/style/noDefaultExport: vitest reads its configuration from the default export
export default config
