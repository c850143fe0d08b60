/** How long an outage, or a member that hangs, may hold others up. Milliseconds. */
export interface SqlTimeouts {
  /** After this time in an outage writes fail instead of being tried again. */
  readonly writeGiveUpMs: number
  /** For the answer to one exchange of a write: waiting for the lock of another member, or for the disk of the database. */
  readonly writeAnswerMs: number
  /** For the answer to a read of one key, of a lease, or of the log's position. */
  readonly readAnswerMs: number
  /** For the answer to a read of many keys or of the log, and to a slice of compaction. */
  readonly scanAnswerMs: number
  /** For a free connection of the pool. */
  readonly acquireMs: number
}

/** Longer than the databases let a member hold the lock without a word (2 s), shorter than clients wait for an answer. */
export const defaultSqlTimeouts: SqlTimeouts = {
  writeGiveUpMs: 4000,
  writeAnswerMs: 5000,
  readAnswerMs: 5000,
  scanAnswerMs: 20_000,
  acquireMs: 5000,
}
