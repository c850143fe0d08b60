import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { openDatastore } from '@k3s/datastore'
import { afterAll, expect, it } from 'vitest'

const directory = mkdtempSync(join(tmpdir(), 'datastore-crash-'))
afterAll(() => rmSync(directory, { recursive: true }))

/** Runs the writer and kills it `delayMs` after its first answer; resolves with the answers that it printed. */
async function crash(dsn: string, round: number, delayMs: number): Promise<readonly string[]> {
  const writer = spawn(process.execPath, ['--conditions=@k3s/source', join(import.meta.dirname, 'crash-writer.ts'), dsn, `${round}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const answers: string[] = []
  let timer: NodeJS.Timeout | undefined
  for await (const line of createInterface(writer.stdout)) {
    timer ??= setTimeout(() => writer.kill('SIGKILL'), delayMs)
    answers.push(line)
  }
  clearTimeout(timer)
  // The last line may be cut off by the kill.
  return answers.filter((line) => /^\d+ put \S+=\d+\.\d+$/.test(line)).slice(0, -1)
}

it('an answered write is there after kill -9, the revision does not go back, and no lock is left', async () => {
  const dsn = `sqlite://${join(directory, 'crash.db')}`
  let newest = 1
  for (let round = 0; round < 10; round++) {
    const answers = await crash(dsn, round, 20 + Math.random() * 250)
    expect(answers.length).toBeGreaterThan(0)
    await using store = await openDatastore(dsn)
    const revision = await store.currentRevision()
    const log = new Map<number, string>()
    for await (const batch of store.watch({ start: Uint8Array.of(0), end: new Uint8Array(0) }, { fromRevision: newest + 1 })) {
      for (const { item } of batch.events)
        log.set(
          item.modRevision,
          `${item.modRevision} put ${Buffer.from(item.key).toString()}=${Buffer.from(item.value).toString().trim()}`,
        )
      if (batch.revision >= revision) break
    }
    expect([...log.keys()]).toEqual(Array.from({ length: revision - newest }, (_, index) => newest + 1 + index))
    for (const answer of answers) expect(log.get(Number.parseInt(answer, 10))).toBe(answer)
    newest = revision
  }
})
