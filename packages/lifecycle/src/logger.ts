/** Structured fields of a log line. Never secrets, tokens or object bodies. */
export type LogFields = Readonly<Record<string, unknown>>

/** What libraries log to; pino satisfies it. Messages are constant sentences, data goes into fields. */
export interface Logger {
  debug(fields: LogFields, message: string): void
  info(fields: LogFields, message: string): void
  warn(fields: LogFields, message: string): void
  error(fields: LogFields, message: string): void
  child(fields: LogFields): Logger
}

/** Logs nothing: the default of every library. */
export const noLogger: Logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => noLogger }
