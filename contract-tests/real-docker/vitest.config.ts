/** For `run.sh`: the tests that need a container engine, and those only. */
import { defineConfig, type ViteUserConfig } from 'vitest/config'

const config: ViteUserConfig = defineConfig({
  test: {
    include: ['contract-tests/*.docker.test.ts'],
    globalSetup: ['contract-tests/real-docker/pull.setup.ts'],
    // They mostly wait, for the engine and for what runs in it.
    maxWorkers: 2,
    // Of a machine that is busy with other things: nothing is told by it.
    testTimeout: 300_000,
    hookTimeout: 120_000,
  },
})

// biome-ignore lint/style/noDefaultExport: vitest reads its configuration from the default export
export default config
