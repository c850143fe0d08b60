import { readdirSync } from 'node:fs'
import { basename } from 'node:path'
import { defineConfig } from 'vitest/config'

const members = [...readdirSync('packages').map((name) => `packages/${name}`), 'apps/k3s', 'e2e']

/** One project a package, resolved to its sources; integration tests live in `test/`, unit tests beside the source. */
export default defineConfig({
  ssr: { resolve: { conditions: ['@k3s/source', 'node', 'import', 'default'] } },
  test: {
    pool: 'forks',
    execArgv: ['--conditions=@k3s/source'],
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    projects: members.map((root) => ({
      extends: true as const,
      root,
      test: {
        name: basename(root),
        include: root === 'e2e' ? ['*.test.ts'] : ['src/**/*.test.ts', 'test/**/*.test.ts'],
        isolate: root === 'e2e',
        fileParallelism: root !== 'e2e',
      },
    })),
  },
})
