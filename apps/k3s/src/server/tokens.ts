import { rmSync, symlinkSync } from 'node:fs'
import { basename, join } from 'node:path'
import { formatToken, generatePassword, parseToken } from '@k3s/pki'
import { FatalError, UsageError } from '../errors.ts'
import { readIfThere, writeAtomically, writeIfChanged } from '../files.ts'

/** Passwords of the users `server` and `node`. */
export interface ClusterPasswords {
  readonly server: string
  readonly node: string
}

function passwordOf(flag: string, token: string, user: 'server' | 'node'): string {
  let credentials: ReturnType<typeof parseToken>['credentials']
  try {
    credentials = parseToken(token, user).credentials
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : String(error)} (--${flag})`)
  }
  if (credentials.type !== 'basic') throw new UsageError(`Cannot use a bootstrap token for --${flag}: give a password`)
  return credentials.password
}

/**
 * Settles the cluster's passwords and writes them where K3s has them: `cred/passwd`, `token`, `node-token` and `agent-token` under `serverDir`.
 * A password that was there before stays; giving another one is an error, since nodes joined with it.
 */
export function ensureTokens(
  serverDir: string,
  serverCa: string,
  given: { readonly token: string | undefined; readonly agentToken: string | undefined },
): ClusterPasswords {
  const file = join(serverDir, 'cred/passwd')
  const known = new Map(
    (readIfThere(file) ?? '')
      .split('\n')
      .map((line) => line.split(','))
      .map(([password = '', user = '']) => [user, password]),
  )
  const wanted = given.token === undefined ? undefined : passwordOf('token', given.token, 'server')
  const existing = known.get('server')
  if (existing !== undefined && wanted !== undefined && existing !== wanted) {
    throw new FatalError(
      `Cannot use the given --token: this cluster has another one, in "${join(serverDir, 'token')}"; leave --token out or give that one`,
    )
  }
  const server = existing ?? wanted ?? generatePassword()
  const node = given.agentToken === undefined ? (known.get('node') ?? server) : passwordOf('agent-token', given.agentToken, 'node')
  writeIfChanged(file, `${server},server,server,k3s:server\n${node},node,node,k3s:agent\n`)
  const tokenFile = join(serverDir, 'token')
  writeIfChanged(tokenFile, `${formatToken(serverCa, 'server', server)}\n`)
  link(tokenFile, join(serverDir, 'node-token'))
  const agentToken = join(serverDir, 'agent-token')
  if (node === server) link(tokenFile, agentToken)
  else {
    rmSync(agentToken, { force: true })
    writeAtomically(agentToken, `${formatToken(serverCa, 'node', node)}\n`)
  }
  return { server, node }
}

/** Both stand in one folder, and the link says so: it goes on working where the folder is mounted or copied to. */
function link(target: string, path: string): void {
  rmSync(path, { force: true })
  symlinkSync(basename(target), path)
}
