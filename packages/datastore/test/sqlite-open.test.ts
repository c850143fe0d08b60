import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'

// Ended while it loads the addon, a thread takes the whole process with it: in a process of its own, so that this can be told.
it('an opening that is refused or given up at any moment never ends the process', () => {
  const directory = mkdtempSync(join(tmpdir(), 'datastore-open-'))
  try {
    const { status, signal, stderr } = spawnSync(
      process.execPath,
      ['--conditions=@k3s/source', join(import.meta.dirname, 'open-often.ts'), directory],
      {
        encoding: 'utf8',
        timeout: 50_000,
      },
    )
    expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: '' })
  } finally {
    rmSync(directory, { recursive: true })
  }
})
