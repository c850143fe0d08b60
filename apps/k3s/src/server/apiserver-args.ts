import { AuditFile, EncryptionAtRest, parseAuditPolicy, type AuditOptions, type AuditSink } from '@k3s/apiserver'
import type { Logger } from '@k3s/lifecycle'
import { UsageError } from '../errors.ts'
import { readIfThere } from '../files.ts'

/** What `--kube-apiserver-arg` may say: kube-apiserver's own flags that mean something here. */
export interface ApiServerArgs {
  readonly auditPolicyFile: string | undefined
  /** `-`: standard output. */
  readonly auditLogPath: string | undefined
  readonly auditLogMaxAgeDays: number
  readonly auditLogMaxBackups: number
  readonly auditLogMaxSizeMb: number
  readonly encryptionConfigFile: string | undefined
}

// Upstream looks once a minute when it is not told of changes.
const reloadIntervalMs = 5000

const names = [
  'audit-policy-file',
  'audit-log-path',
  'audit-log-maxage',
  'audit-log-maxbackup',
  'audit-log-maxsize',
  'encryption-provider-config',
] as const

/** Reads `NAME=VALUE` arguments; the last of a name counts. Throws a {@link UsageError}. */
export function parseApiServerArgs(args: readonly string[]): ApiServerArgs {
  const values = new Map<string, string>()
  for (const arg of args) {
    const [, name = '', value = ''] = /^(?:--)?([^=]+)=(.*)$/s.exec(arg) ?? []
    if (!names.some((known) => known === name))
      throw new UsageError(`Cannot use "${arg}" for --kube-apiserver-arg: NAME=VALUE is needed, of ${names.join(', ')}`)
    values.set(name, value)
  }
  const text = (name: (typeof names)[number]): string | undefined => (values.get(name) === '' ? undefined : values.get(name))
  const count = (name: (typeof names)[number]): number => {
    const value = text(name) ?? '0'
    if (!/^\d{1,9}$/.test(value)) throw new UsageError(`Cannot use "${value}" for --kube-apiserver-arg=${name}: a whole number is needed`)
    return Number(value)
  }
  return {
    auditPolicyFile: text('audit-policy-file'),
    auditLogPath: text('audit-log-path'),
    auditLogMaxAgeDays: count('audit-log-maxage'),
    auditLogMaxBackups: count('audit-log-maxbackup'),
    auditLogMaxSizeMb: count('audit-log-maxsize'),
    encryptionConfigFile: text('encryption-provider-config'),
  }
}

function read(flag: string, file: string): string {
  const text = readIfThere(file)
  if (text === undefined) throw new UsageError(`Cannot read "${file}" for --kube-apiserver-arg=${flag}: the file does not exist`)
  return text
}

/** Opens the audit log; undefined when nothing is to be audited. Rejects with a {@link UsageError} for a policy that is missing or wrong. */
export async function openAudit(
  args: ApiServerArgs,
  io: { readonly stdout: { write(text: string): unknown }; readonly logger: Logger; readonly stack: AsyncDisposableStack },
): Promise<AuditOptions | undefined> {
  const { auditLogPath: path, auditPolicyFile } = args
  // As upstream: without a policy nothing is logged, without a log nobody is told.
  if (path === undefined || auditPolicyFile === undefined) return undefined
  const text = read('audit-policy-file', auditPolicyFile)
  let policy: AuditOptions['policy']
  try {
    policy = parseAuditPolicy(text)
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : String(error)} ("${auditPolicyFile}")`)
  }
  if (path === '-') {
    const toStdout: AuditSink = {
      write: (event) => {
        io.stdout.write(`${event}\n`)
        return true
      },
    }
    return { policy, sinks: [toStdout] }
  }
  const { auditLogMaxSizeMb: maxSizeMb, auditLogMaxBackups: maxBackups, auditLogMaxAgeDays: maxAgeDays } = args
  const file = io.stack.use(await AuditFile.open({ path, maxSizeMb, maxBackups, maxAgeDays, logger: io.logger }))
  return { policy, sinks: [file] }
}

/** The encryption that `encryption-provider-config` names, which follows changes of the file; undefined without it. Throws a {@link UsageError}. */
export function openEncryptionConfig(
  { encryptionConfigFile: file }: ApiServerArgs,
  { logger, stack }: { readonly logger: Logger; readonly stack: AsyncDisposableStack },
): EncryptionAtRest | undefined {
  if (file === undefined) return undefined
  try {
    let known = read('encryption-provider-config', file)
    const encryption = new EncryptionAtRest(known)
    const reload = (): void => {
      try {
        const text = read('encryption-provider-config', file)
        if (text === known) return
        // What is wrong with it is said once.
        known = text
        encryption.replace(text)
        logger.info({ file }, 'Encryption configuration is read anew')
      } catch (error) {
        logger.error({ file, err: error }, 'Encryption configuration cannot be read anew; the old one stays')
      }
    }
    const timer = setInterval(reload, reloadIntervalMs).unref()
    stack.defer(() => clearInterval(timer))
    return encryption
  } catch (error) {
    if (error instanceof UsageError) throw error
    throw new UsageError(`${error instanceof Error ? error.message : String(error)} ("${file}")`)
  }
}
