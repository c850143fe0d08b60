import type { Clock, Logger, MetricsRegistry } from '@k3s/lifecycle'
import { backoffDelay } from '@k3s/lifecycle'
import { DatastoreError, isDatastoreError } from '../../errors.ts'
import { WatchHub } from '../../engine/watch-hub.ts'
import type { Connection } from './connection.ts'
import { LogReader } from './log-reader.ts'
import { readLogStream } from './log-stream.ts'

/** Between tries to get the tail back: recovery is to take no longer than two seconds. */
const retry = { initialMs: 50, maxMs: 1000 }

export interface LogTailOptions {
  readonly connection: Connection
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: MetricsRegistry
  /** Linearizable. */
  readonly readRevision: () => Promise<number>
}

/**
 * Feeds all watches of this process from one watch of everything.
 *
 * Every revision of etcd has an event, so a watch of everything shows by itself how far it is: progress needs no notifications, which etcd before
 * 3.4.25 and 3.5.8 sends ahead of events. A missing revision is noticed, and what is missing is read again.
 */
export class LogTail {
  readonly #options: LogTailOptions
  readonly #reader: LogReader
  readonly #running: Promise<void>
  readonly #begun = Promise.withResolvers<void>()
  #hub: WatchHub

  /** Delivers what follows `revision`. Runs until the connection closes. */
  constructor(options: LogTailOptions, revision: number) {
    this.#options = options
    this.#reader = new LogReader(options.connection, options.clock, options.logger)
    this.#hub = this.#startHub(revision, 0)
    this.#running = this.#run()
  }

  /** Of the present; watches keep theirs. */
  get hub(): WatchHub {
    return this.#hub
  }

  /** Resolves when etcd watches for us for the first time: from then on no compaction can take away what comes. */
  get begun(): Promise<void> {
    return this.#begun.promise
  }

  /** Resolves when the connection was closed and the tail has ended. */
  get ended(): Promise<void> {
    return this.#running
  }

  #startHub(revision: number, compactRevision: number): WatchHub {
    const hub: WatchHub = new WatchHub(
      { opened: { revision, compactRevision }, readLog: (request) => this.#reader.read(request, hub.revision) },
      this.#options.clock,
      this.#options.metrics,
    )
    return hub
  }

  async #run(): Promise<void> {
    const { connection, clock, logger } = this.#options
    const signal = connection.closing
    let attempt = 0
    while (!signal.aborted) {
      try {
        await this.#follow(() => {
          if (attempt > 0) logger.info({ revision: this.#hub.revision }, 'Connection to etcd is back: watches go on')
          attempt = 0
          this.#begun.resolve()
        })
      } catch (error) {
        if (signal.aborted) return
        if (attempt++ === 0) logger.warn({ revision: this.#hub.revision, err: error }, 'Connection to etcd was lost: watches wait')
        await this.#recover(error)
        await clock.sleep(backoffDelay(attempt, retry), signal).catch(() => {}) // closed: seen above
      }
    }
  }

  async #follow(onBegun: () => void): Promise<never> {
    const hub = this.#hub
    const { connection } = this.#options
    const options = { from: hub.revision + 1, previous: true, isForLog: false, signal: connection.closing, onBegun }
    for await (const revisions of readLogStream(connection, options)) hub.append(revisions, 0)
    throw new Error('Invariant broken: the stream of the log ends with an error')
  }

  /** Ends the watches if they cannot go on where they are. */
  async #recover(error: unknown): Promise<void> {
    const { readRevision, logger } = this.#options
    if (isDatastoreError(error) && error.code === 'Compacted') return this.#restart(error, error.revision ?? 0)
    const revision = await readRevision().catch(() => undefined) // not back yet
    if (revision === undefined || revision >= this.#hub.revision) return
    logger.error({ revision, expectedRevision: this.#hub.revision }, 'Revision of etcd went back: it was restored from a backup')
    await this.#restart(
      new DatastoreError(
        'Damaged',
        `The revision of etcd went back from ${this.#hub.revision} to ${revision}: it was restored from a backup`,
        {
          hint: 'Start everything that uses this datastore anew',
        },
      ),
      0,
    )
  }

  async #restart(error: DatastoreError, compactRevision: number): Promise<void> {
    const revision = await this.#options.readRevision().catch(() => undefined) // tried again with the next round
    if (revision === undefined) return
    this.#hub.close(error)
    this.#hub = this.#startHub(revision, compactRevision)
  }
}
