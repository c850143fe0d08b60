import { resolve } from 'node:path'
import type { FlagValues } from '../config/parse.ts'
import { UsageError } from '../errors.ts'
import { readIfThere } from '../files.ts'

/** What `k3s agent` does, besides being a node. */
export interface AgentOptions {
  readonly dataDir: string
  readonly server: string
  /** Absent for a node that joined before. */
  readonly token: string | undefined
  readonly lbPort: number
}

/** Checks the flags of `k3s agent`. Throws a {@link UsageError} that names the flag. */
export function readAgentOptions(values: FlagValues): AgentOptions {
  const server = values.string('server')
  if (server === undefined) throw new UsageError('--server is required: the URL of a server, such as https://192.0.2.1:6443')
  const dataDir = resolve(values.string('data-dir') ?? '/var/lib/rancher/k3s')
  const tokenFile = values.string('token-file')
  const token = tokenFile === undefined ? values.string('token') : readIfThere(tokenFile)?.trim()
  if (tokenFile !== undefined && (token === undefined || token === ''))
    throw new UsageError(`Cannot read the token from "${tokenFile}": the file does not exist or is empty`)
  if (token === undefined && readIfThere(`${dataDir}/agent/client-kubelet.crt`) === undefined)
    throw new UsageError('--token is required: the content of the file server/node-token in the server’s data directory')
  return { dataDir, server, token, lbPort: values.integer('lb-server-port') ?? 6444 }
}
