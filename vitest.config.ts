import { availableParallelism } from 'node:os'
import { defineConfig, type ViteUserConfig } from 'vitest/config'

const config: ViteUserConfig = defineConfig({
  test: {
    include: ['{src,adapters,fakes,contract-tests,examples}/**/*.test.ts'],
    // These need a server that is not ours to start everywhere: contract-tests/real-s3/run.sh.
    exclude: ['**/*.real.test.ts', '**/node_modules/**'],
    globalSetup: ['contract-tests/servers.setup.ts'],
    // The tests of servers mostly wait: with vitest's own choice, one fewer than there are cores, two cores stand idle.
    maxWorkers: Math.max(3, availableParallelism()),
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
})

// biome-ignore lint/style/noDefaultExport: vitest reads its configuration from the default export
export default config
