import { closeSync, createReadStream, openSync, writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Moment, RecordedEntry } from '../src/conformance/recorded.ts'

/** The present moment, for all processes of this machine. */
export function machineMoment(): Moment {
  return { order: Number(process.hrtime.bigint()) / 1e6, ms: Date.now() }
}

/** Entries in a file, which a killed process leaves as far as they were written: calls always are before they are made, answers soon after. */
export class EntryFile {
  readonly #file: number
  #waiting = ''

  constructor(path: string) {
    this.#file = openSync(path, 'a')
  }

  readonly write = (entry: RecordedEntry): void => {
    const isUrgent = entry.type === 'call' || entry.type === 'watch'
    if (this.#waiting === '' && !isUrgent) setTimeout(() => this.flush(), 3)
    this.#waiting += `${JSON.stringify(entry)}\n`
    if (isUrgent) this.flush()
  }

  flush(): void {
    for (let rest = Buffer.from(this.#waiting); rest.length > 0;) rest = rest.subarray(writeSync(this.#file, rest))
    this.#waiting = ''
  }

  close(): void {
    this.flush()
    closeSync(this.#file)
  }
}

/** The whole lines of a file. */
export async function* readEntries(path: string): AsyncGenerator<RecordedEntry, void, void> {
  for await (const line of createInterface({ input: createReadStream(path) })) {
    try {
      yield JSON.parse(line) as RecordedEntry // EntryFile wrote it
    } catch {
      return // cut off by a kill
    }
  }
}
