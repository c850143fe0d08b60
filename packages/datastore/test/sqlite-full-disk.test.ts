import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'

it('on a full disk writes fail with NoSpace, reads go on, nothing answered is lost, and room makes writes work again (needs root)', () => {
  const folder = mkdtempSync(join(tmpdir(), 'datastore-full-'))
  // The small disk exists in a mount namespace of its own and goes with it.
  const script =
    'mount -t tmpfs -o size=12m none "$1" && head -c 4000000 /dev/zero >"$1/ballast" && exec "$2" --conditions=@k3s/source "$3" "$1"'
  const file = join(import.meta.dirname, 'full-disk.ts')
  const { status, stderr } = spawnSync('unshare', ['--mount', 'sh', '-c', script, 'sh', folder, process.execPath, file], {
    encoding: 'utf8',
  })
  rmdirSync(folder)
  expect(stderr).toBe('')
  expect(status).toBe(0)
})
