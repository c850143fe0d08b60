import { JobThread, type JobThreadOptions } from '../off-loop/job-thread.ts'

/** A YAML document as JSON. */
export interface YamlAsJson {
  readonly json: Buffer
  /** Keys that were there more than once, in upstream's words. */
  readonly duplicates: readonly string[]
}

export type YamlReaderOptions = Pick<JobThreadOptions, 'workerUrl' | 'idleMs' | 'maxMs' | 'maxWaiting'>

/** What the thread answers. */
export interface YamlOutput {
  readonly json: Uint8Array
  readonly duplicates: readonly string[]
}

/** Reads YAML in a thread of its own, one document after the other: the reader needs up to 2 ms for a KiB and lets nobody else have a turn. */
export class YamlReader {
  readonly #thread: JobThread

  constructor(options: YamlReaderOptions = {}) {
    const refusal: JobThreadOptions['refusal'] = (why) =>
      `error converting YAML to JSON: yaml: the document ${why === 'is too large' ? why : 'takes too long to read'}`
    this.#thread = new JobThread({ ...options, name: 'yaml', refusal })
  }

  /** There is a thread. */
  get isRunning(): boolean {
    return this.#thread.isRunning
  }

  /** Resolves with the document. Rejects with a BadRequest for what is no YAML, TooManyRequests when too many wait, and the signal's reason. */
  async read(bytes: Buffer, signal: AbortSignal): Promise<YamlAsJson> {
    const output = await this.#thread.run('yaml', bytes, signal)
    const { json, duplicates } = output as YamlOutput // what the job answers
    return { json: Buffer.from(json.buffer, json.byteOffset, json.byteLength), duplicates }
  }

  /** Ends the thread. What waits is refused. */
  close(): Promise<void> {
    return this.#thread.close()
  }
}
