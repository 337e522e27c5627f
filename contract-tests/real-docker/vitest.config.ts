/** For `run.sh`: the tests that need a container engine, and those only. */
import { defineConfig, type ViteUserConfig } from 'vitest/config'

const config: ViteUserConfig = defineConfig({
  test: {
    include: ['contract-tests/*.docker.test.ts'],
    // They mostly wait, for the engine and for what runs in it.
    maxWorkers: 2,
    testTimeout: 120_000,
    // On an ordinary machine this is where the images are pulled.
    hookTimeout: 600_000,
  },
})

// biome-ignore lint/style/noDefaultExport: vitest reads its configuration from the default export
export default config
