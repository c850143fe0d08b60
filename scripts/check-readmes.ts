/** Runs the TypeScript examples of every package's README, each in a process of its own. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
let failed = false
for (const name of readdirSync(join(root, 'packages'))) {
  const folder = join(root, 'packages', name)
  const readme = join(folder, 'README.md')
  if (!existsSync(readme)) continue
  for (const [, code = ''] of readFileSync(readme, 'utf8').matchAll(/^```ts\n([\s\S]*?)^```/gm)) {
    // Inside the package, so that a package may import itself and its dependencies by name.
    const temporary = mkdtempSync(join(folder, '.readme-'))
    try {
      const file = join(temporary, 'example.ts')
      writeFileSync(file, code)
      const { status, signal, stderr } = spawnSync(process.execPath, ['--conditions=@k3s/source', file], {
        encoding: 'utf8',
        timeout: 60_000,
      })
      if (status !== 0) {
        failed = true
        console.error(`packages/${name}/README.md: the example ended with ${status ?? signal}\n${stderr}`)
      }
    } finally {
      rmSync(temporary, { recursive: true })
    }
  }
}
process.exitCode = failed ? 1 : 0
