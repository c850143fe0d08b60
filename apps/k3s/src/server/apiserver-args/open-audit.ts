import {
  AuditFile,
  AuditWebhook,
  BlockingAuditWebhook,
  legacyFormat,
  openRemoteHook,
  parseAuditPolicy,
  type AuditOptions,
  type AuditSink,
} from '@k3s/apiserver'
import type { Logger, MetricsRegistry } from '@k3s/lifecycle'
import type { AuditArgs } from './arguments.ts'
import { readArgumentFile, usingFile } from './read-file.ts'

export interface AuditIo {
  readonly stdout: { write(text: string): unknown }
  readonly logger: Logger
  readonly metrics: MetricsRegistry
  readonly stack: AsyncDisposableStack
}

/** Opens where audit events go; undefined when nothing is to be audited. Rejects with a UsageError for a file that is missing or wrong. */
export async function openAudit({ policyFile, log, webhook }: AuditArgs, io: AuditIo): Promise<AuditOptions | undefined> {
  // As upstream: without a policy nothing is logged, without a place nobody is told.
  if ((log.path === undefined && webhook.configFile === undefined) || policyFile === undefined) return undefined
  const policy = await usingFile('audit-policy-file', policyFile, () => parseAuditPolicy(readArgumentFile('audit-policy-file', policyFile)))
  const sinks: AuditSink[] = []
  if (log.path !== undefined) {
    const lines = log.path === '-' ? toStdout(io) : await toFile(log.path, log, io)
    sinks.push(log.format === 'legacy' ? legacyFormat(lines) : lines)
  }
  const { configFile, mode, initialBackoffMs, batches } = webhook
  if (configFile !== undefined) {
    const { logger, metrics, stack } = io
    const hook = await usingFile('audit-webhook-config-file', configFile, () => openRemoteHook(configFile, { logger }))
    const sink =
      mode === 'batch'
        ? new AuditWebhook({ hook, batches, initialBackoffMs, logger, metrics })
        : new BlockingAuditWebhook({ hook, isStrict: mode === 'blocking-strict', initialBackoffMs, logger })
    sinks.push(stack.use(sink))
  }
  return { policy, sinks }
}

function toStdout({ stdout }: AuditIo): AuditSink {
  return {
    write: (event) => {
      stdout.write(`${event}\n`)
      return true
    },
  }
}

async function toFile(path: string, options: AuditArgs['log'], { logger, stack }: AuditIo): Promise<AuditSink> {
  const { maxSizeMb, maxBackups, maxAgeDays } = options
  return stack.use(await AuditFile.open({ path, maxSizeMb, maxBackups, maxAgeDays, logger }))
}
