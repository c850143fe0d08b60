/** Packs every publishable package and checks the tarball's manifest and types as a consumer would meet them. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const temporary = mkdtempSync(join(tmpdir(), 'k3s-pack-'))
let failed = false

function run(command: string, args: readonly string[], cwd: string): boolean {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: 'utf8', timeout: 300_000 })
  if (status === 0) return true
  console.error(`${command} ${args.join(' ')} (in ${cwd})\n${stdout ?? ''}${stderr ?? ''}${error?.message ?? ''}`)
  failed = true
  return false
}

try {
  for (const name of readdirSync(join(root, 'packages'))) {
    const folder = join(root, 'packages', name)
    const tarball = join(temporary, `${name}.tgz`)
    if (!run('pnpm', ['pack', '--out', tarball], folder)) continue
    run('publint', ['run', tarball, '--strict'], root)
    run('attw', [tarball, '--profile', 'esm-only', '--format', 'ascii', '--quiet'], root)
  }
} finally {
  rmSync(temporary, { recursive: true })
}
process.exitCode = failed ? 1 : 0
