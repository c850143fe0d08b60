import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { openDatastore } from '@k3s/datastore'
import { startWriter } from '../test/start-writer.ts'
import { readOptions } from './options.ts'
import { RunReport } from './report.ts'

/** Kills a process that writes to a SQLite file, at a random moment under load, again and again; looks each time whether all that was answered is there. */
export async function sqliteKill(args: readonly string[]): Promise<boolean> {
  const { rounds, folder } = readOptions(args, { rounds: 100, folder: process.cwd() })
  const directory = mkdtempSync(join(folder, '.faults-'))
  const dsn = `sqlite://${join(directory, 'kill.db')}`
  const report = new RunReport()
  let [newest, answered, missing, backwards, gaps] = [1, 0, 0, 0, 0]
  try {
    for (let round = 0; round < rounds; round++) {
      const writer = startWriter(dsn, round, join(directory, `answers-${round}`))
      await writer.answered(1 + Math.floor(Math.random() * 2000))
      const answers = await writer.kill()
      await using store = await openDatastore(dsn)
      const revision = await store.currentRevision()
      if (revision < newest) backwards++
      const log = new Map<number, string>()
      for await (const batch of store.watch({ start: Uint8Array.of(0), end: new Uint8Array(0) }, { fromRevision: newest + 1 })) {
        for (const { item } of batch.events)
          log.set(
            item.modRevision,
            `${item.modRevision} put ${Buffer.from(item.key).toString()}=${Buffer.from(item.value).toString().trim()}`,
          )
        if (batch.revision >= revision) break
      }
      gaps += revision - newest - log.size
      answered += answers.length
      missing += answers.filter((answer) => log.get(Number.parseInt(answer, 10)) !== answer).length
      newest = revision
      rmSync(join(directory, `answers-${round}`))
    }
  } finally {
    rmSync(directory, { recursive: true })
  }
  report.note('rounds', rounds)
  report.note('answered writes', answered)
  report.check('answered writes that are missing', missing, '0', missing === 0)
  report.check('rounds after which the revision was back', backwards, '0', backwards === 0)
  report.check('gaps in the log', gaps, '0', gaps === 0)
  return report.print('sqlite-kill: kill -9 under load')
}
