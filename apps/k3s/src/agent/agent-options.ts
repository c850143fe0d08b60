import { resolve } from 'node:path'
import { parseToken } from '@k3s/pki'
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
  if (!URL.canParse(server) || new URL(server).protocol !== 'https:')
    throw new UsageError(`Cannot join "${server}": only https URLs are supported, such as https://192.0.2.1:6443`)
  const dataDir = resolve(values.string('data-dir') ?? '/var/lib/rancher/k3s')
  const tokenFile = values.string('token-file')
  const token = tokenFile === undefined ? values.string('token') : readIfThere(tokenFile)?.trim()
  if (tokenFile !== undefined && (token === undefined || token === ''))
    throw new UsageError(`Cannot read the token from "${tokenFile}": the file does not exist or is empty`)
  if (token === undefined && readIfThere(`${dataDir}/agent/client-kubelet.crt`) === undefined)
    throw new UsageError('--token is required: the content of the file server/node-token in the server’s data directory')
  try {
    if (token !== undefined) parseToken(token, 'node')
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
  return { dataDir, server, token, lbPort: values.integer('lb-server-port') ?? 6444 }
}
