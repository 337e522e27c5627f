/** For `run.sh`: the tests whose length is only a matter of time. */
import { defineConfig, type ViteUserConfig } from 'vitest/config'

const config: ViteUserConfig = defineConfig({
  test: {
    include: ['contract-tests/*.model.test.ts'],
    globalSetup: ['contract-tests/servers.setup.ts'],
    // The time is the script's to choose.
    testTimeout: 0,
    hookTimeout: 60_000,
  },
})

// biome-ignore lint/style/noDefaultExport: vitest reads its configuration from the default export
export default config
