import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { pino } from 'pino'
import type { Logger } from '@k3s/lifecycle'

/** One JSON line a message, to standard error or to a file. Synchronous: what was logged before a crash is there. */
export function createLogger(options: { readonly isDebug: boolean; readonly file?: string | undefined }): Logger {
  if (options.file !== undefined) mkdirSync(dirname(options.file), { recursive: true })
  return pino(
    {
      level: options.isDebug ? 'debug' : 'info',
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (level) => ({ level }) },
    },
    pino.destination({ dest: options.file ?? 2, sync: true }),
  )
}
