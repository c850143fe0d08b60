import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const writes = 20

it('SQLite: what a write has put into the log is brought to disk before the write is answered (needs strace)', () => {
  const directory = mkdtempSync(join(tmpdir(), 'datastore-fsync-'))
  try {
    const trace = join(directory, 'trace')
    const program = [process.execPath, '--conditions=@k3s/source', join(import.meta.dirname, 'answer-writer.ts')]
    const strace = ['-f', '-y', '-e', 'trace=pwrite64,fdatasync,fsync,write', '-o', trace]
    const { status, stderr } = spawnSync('strace', [...strace, ...program, `sqlite://${join(directory, 'x.db')}`, `${writes}`], {
      encoding: 'utf8',
    })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const answers: { readonly hasWritten: boolean; readonly isOnDisk: boolean }[] = []
    let [hasWritten, isOnDisk] = [false, true]
    // A call that others interrupt is on two lines: what was asked for, and how it ended.
    const unfinished = new Map<string, string>()
    for (const line of readFileSync(trace, 'utf8').split('\n')) {
      const [, thread = '', text = ''] = /^(\d+) +(.*)$/.exec(line) ?? []
      if (text.endsWith('<unfinished ...>')) {
        unfinished.set(thread, text)
        continue
      }
      const call = text.startsWith('<...') ? `${unfinished.get(thread)} ${text}` : text
      if (call.startsWith('pwrite64') && call.includes('-wal>')) [hasWritten, isOnDisk] = [true, false]
      if (/^f(data)?sync/.test(call) && call.includes('-wal>') && call.endsWith('= 0')) isOnDisk = true
      if (call.startsWith('write') && call.includes('"answered ')) {
        answers.push({ hasWritten, isOnDisk })
        hasWritten = false
      }
    }
    expect(answers.slice(1)).toEqual(Array.from({ length: writes }, () => ({ hasWritten: true, isOnDisk: true })))
  } finally {
    rmSync(directory, { recursive: true })
  }
})
