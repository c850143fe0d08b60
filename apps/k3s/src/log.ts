import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { pino } from 'pino'
import type { Logger } from '@k3s/lifecycle'

/** An error's messages along its causes: stacks are for debugging. */
function brief(error: unknown): unknown {
  const messages: string[] = []
  for (let one: unknown = error; one !== undefined && messages.length < 5; one = one instanceof Error ? one.cause : undefined) {
    const message = one instanceof Error ? one.message : String(one)
    if (!messages.some((other) => other.includes(message))) messages.push(message)
  }
  return messages.join(': ')
}

/** One JSON line a message, to standard error or to a file. Synchronous: what was logged before a crash is there. */
export function createLogger(options: { readonly isDebug: boolean; readonly file?: string | undefined }): Logger {
  if (options.file !== undefined) mkdirSync(dirname(options.file), { recursive: true })
  return pino(
    {
      level: options.isDebug ? 'debug' : 'info',
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { err: options.isDebug ? pino.stdSerializers.err : brief },
      formatters: { level: (level) => ({ level }) },
    },
    pino.destination({ dest: options.file ?? 2, sync: true }),
  )
}

/**
 * Writes what ends the process by surprise to the log as well, before node ends it. Nothing is caught: what is half done must not go on, every write
 * that was answered is on disk, and the next start takes pods over as they are.
 */
export function logCrashes(logger: Logger, target: NodeJS.EventEmitter = process): void {
  target.on('uncaughtExceptionMonitor', (error: unknown, origin: string) =>
    logger.error({ err: error, origin, stack: stackOf(error) }, 'Crashed'),
  )
}

const stackOf = (error: unknown): string | undefined => (error instanceof Error ? error.stack : undefined)
