import { availableParallelism } from 'node:os'
import { defineConfig, type ViteUserConfig } from 'vitest/config'

const config: ViteUserConfig = defineConfig({
  test: {
    include: ['{src,adapters,fakes,contract-tests,examples}/**/*.test.ts'],
    // These need what is not on every machine: contract-tests/real-*/run.sh and contract-tests/clients/run.sh start it.
    exclude: ['**/*.real.test.ts', '**/*.docker.test.ts', '**/node_modules/**'],
    globalSetup: ['contract-tests/servers.setup.ts'],
    // The tests of servers mostly wait: with vitest's own choice, one fewer than there are cores, two cores stand idle.
    maxWorkers: Math.max(3, availableParallelism()),
    // This repository's own runs leave nothing behind for long.
    env: { PORTSIDE_TEST_LINGER_MS: '3000' },
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
})

// biome-ignore lint/style/noDefaultExport: vitest reads its configuration from the default export
export default config
