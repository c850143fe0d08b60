import type { Service } from '@k3s/lifecycle'
import { isDatastoreError } from '@k3s/datastore'
import { FatalError } from './errors.ts'

const fileReasons: Readonly<Record<string, string>> = {
  EACCES: 'this user may not write there',
  EPERM: 'this user may not write there',
  EROFS: 'the file system is read-only',
  ENOENT: 'the path does not exist and cannot be made',
  ENOTDIR: 'a part of the path is a file',
  EEXIST: 'a part of the path is a file',
  ENOSPC: 'no space is left on the device',
  EDQUOT: 'the quota of this user is used up',
}

const listenReasons: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the port is taken; stop the program that has it or give another one with',
  EACCES: 'this user may not use that port; run as root or give another one with',
}

/** Node's code of a failed system call; undefined for other errors. */
function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && 'syscall' in error ? error.code : undefined
}

/** The sentence for a failed system call under the data directory; any other error as it is. */
export function dataDirError(dataDir: string, cause: unknown): unknown {
  const code = codeOf(cause)
  if (code === undefined) return cause
  return new FatalError(`Cannot use data directory "${dataDir}": ${fileReasons[code] ?? code}; give another one with --data-dir`, { cause })
}

/** The sentence for a failure of a datastore, with what to do about it; any other error as it is. */
export function datastoreError(cause: unknown): unknown {
  if (!isDatastoreError(cause)) return cause
  const { message, hint } = cause
  return new FatalError(hint === undefined ? message : `${message}; ${hint.charAt(0).toLowerCase()}${hint.slice(1)}`, { cause })
}

/** A port, and the flags that change it. */
export interface Listening {
  readonly host: string
  readonly port: number
  readonly portFlag: string
  readonly addressFlag: string
}

/** The sentence for a port that cannot be listened on; any other error as it is. */
export function listenError({ host, port, portFlag, addressFlag }: Listening, cause: unknown): unknown {
  const [root] = rootsOf(cause)
  const code =
    root instanceof Error && 'syscall' in root && (root.syscall === 'listen' || root.syscall === 'bind') ? codeOf(root) : undefined
  if (code === undefined) return cause
  const reason = listenReasons[code]
  const why =
    reason !== undefined
      ? `${reason} ${portFlag}`
      : code === 'EADDRNOTAVAIL'
        ? `no interface has that address; give another one with ${addressFlag}`
        : code
  return new FatalError(`Cannot listen on ${host}:${port}: ${why}`, { cause })
}

/** The same service, whose failure to listen becomes one sentence. */
export function explainListening(service: Service, listening: Listening): Service {
  return {
    name: service.name,
    run: (run) =>
      service.run(run).catch((cause: unknown) => {
        throw listenError(listening, cause)
      }),
  }
}

/** What made services fail, below the errors that only name the services. */
export function rootsOf(error: unknown): readonly unknown[] {
  if (error instanceof AggregateError) return error.errors.flatMap(rootsOf)
  // Only `runAll` puts a service's name before a cause.
  if (error instanceof Error && error.cause instanceof Error && error.message.startsWith('Service "')) return rootsOf(error.cause)
  return [error]
}

/** One sentence for each thing that went wrong: where services failed, what made them fail, without the services' names, each once. */
export function sentencesOf(error: unknown): readonly string[] {
  return [...new Set(rootsOf(error).map((root) => (root instanceof Error ? root.message : String(root))))]
}
