import { spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

/** A writer in a process of its own. */
export interface RunningWriter {
  /** Waits until the writer has printed this many answers. Rejects when it ends before. */
  readonly answered: (count: number) => Promise<void>
  /** Kills it; resolves with its whole answers when it is gone. Rejects when something else has ended it. */
  readonly kill: () => Promise<readonly string[]>
}

/** Starts `crash-writer.ts`. Its answers go to a file, because a write to a full pipe fails, and would end the writer before the kill does. */
export function startWriter(dsn: string, round: number, answersPath: string): RunningWriter {
  const answersFile = openSync(answersPath, 'w')
  const writer = spawn(process.execPath, ['--conditions=@k3s/source', join(import.meta.dirname, 'crash-writer.ts'), dsn, `${round}`], {
    stdio: ['ignore', answersFile, 'inherit'],
  })
  closeSync(answersFile)
  const ended = new Promise<string>((resolve) => writer.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`)))
  // The line after the last line break may be cut off.
  const answers = (): readonly string[] => readFileSync(answersPath, 'utf8').split('\n').slice(0, -1)
  return {
    async answered(count) {
      while (answers().length < count) {
        const end = await Promise.race([ended, delay(5, undefined)])
        if (end !== undefined) throw new Error(`The writer ended by itself: ${end}`)
      }
    },
    async kill() {
      writer.kill('SIGKILL')
      const end = await ended
      if (end !== 'SIGKILL') throw new Error(`The writer ended by itself: ${end}`)
      return answers()
    },
  }
}
