/** For `run.sh`: the contract of one port on every local subject, and nothing else, is the judge. */
import { defineConfig, type ViteUserConfig } from 'vitest/config'

const port = process.env.PORTSIDE_MUTATED_PORT ?? '*'

const config: ViteUserConfig = defineConfig({
  test: {
    include: [`contract-tests/${port}*.test.ts`],
    exclude: ['**/*.real.test.ts', '**/*.cluster.test.ts', '**/node_modules/**'],
    globalSetup: ['contract-tests/servers.setup.ts'],
    // Many times what the slowest behaviour takes: what ends no sooner is held to hang, not to be slow.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})

// biome-ignore lint/style/noDefaultExport: vitest reads its configuration from the default export
export default config
