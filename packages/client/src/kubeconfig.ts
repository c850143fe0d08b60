import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { parse, stringify } from 'yaml'
import type { TlsCredentials } from './rest/connection-pool.ts'
import type { RestTransportOptions } from './rest/rest-transport.ts'

/** What a kubeconfig says of how to reach a server; pass it to `createRestTransport`, with more options beside it. */
export type KubeconfigOptions = Pick<
  RestTransportOptions,
  'server' | 'ca' | 'cert' | 'key' | 'reload' | 'token' | 'serverName' | 'insecureSkipTlsVerify'
>

type Fields = Readonly<Record<string, unknown>>

/** How long a token file's content is used before it is read again: client-go's minute, as kubelets renew tokens long before they expire. */
const tokenFileMs = 60_000

/**
 * Reads a kubeconfig. Certificates, keys and tokens that it names by file are read again for each new connection (a token every minute);
 * relative names start at the kubeconfig's directory. Not supported, and refused: `exec`, `auth-provider`, user names, proxies.
 *
 * @param source a path, or the text itself (which has more than one line).
 * @param context which context to use; default its `current-context`.
 */
export async function loadKubeconfig(source: string, context?: string): Promise<KubeconfigOptions> {
  const isText = source.includes('\n')
  const text = isText ? source : await readFile(source, 'utf8')
  const label = isText ? 'kubeconfig' : `kubeconfig "${source}"`
  const directory = isText ? '.' : dirname(resolve(source))
  const config: unknown = parse(text)
  const contextName = context ?? stringField(asFields(config), 'current-context')
  const chosen = named(config, 'contexts', contextName, 'context', label)
  const cluster = named(config, 'clusters', stringField(chosen, 'cluster'), 'cluster', label)
  const user = stringField(chosen, 'user') === undefined ? {} : named(config, 'users', stringField(chosen, 'user'), 'user', label)
  for (const field of ['exec', 'auth-provider', 'username'])
    if (user[field] !== undefined) throw new Error(`Cannot use ${label}: user field "${field}" is not supported`)
  if (cluster['proxy-url'] !== undefined) throw new Error(`Cannot use ${label}: cluster field "proxy-url" is not supported`)
  const server = stringField(cluster, 'server')
  if (server === undefined) throw new Error(`Cannot use ${label}: cluster of context "${contextName}" has no server`)

  const read = async (fields: Fields, name: string): Promise<string | undefined> => {
    const data = stringField(fields, `${name}-data`)
    if (data !== undefined) return Buffer.from(data, 'base64').toString('utf8')
    const file = stringField(fields, name)
    return file === undefined ? undefined : readFile(resolve(directory, file), 'utf8')
  }
  const reload = async (): Promise<TlsCredentials> => ({
    ca: await read(cluster, 'certificate-authority'),
    cert: await read(user, 'client-certificate'),
    key: await read(user, 'client-key'),
  })
  const tokenFile = stringField(user, 'tokenFile')
  const token = stringField(user, 'token')
  return {
    server,
    ...(await reload()),
    reload,
    serverName: stringField(cluster, 'tls-server-name'),
    insecureSkipTlsVerify: cluster['insecure-skip-tls-verify'] === true,
    token: token ?? (tokenFile === undefined ? undefined : fileToken(resolve(directory, tokenFile))),
  }
}

/** A token function over a file that something else renews. */
function fileToken(path: string): () => Promise<string> {
  let known: { readonly token: string; readonly readAt: number } | undefined
  return async () => {
    if (known === undefined || performance.now() - known.readAt > tokenFileMs)
      known = { token: (await readFile(path, 'utf8')).trim(), readAt: performance.now() }
    return known.token
  }
}

const asFields = (value: unknown): Fields => (typeof value === 'object' && value !== null ? { ...value } : {})

function stringField(fields: Fields, name: string): string | undefined {
  const value = fields[name]
  return typeof value === 'string' && value !== '' ? value : undefined
}

function named(config: unknown, list: string, name: string | undefined, field: string, label: string): Fields {
  const entries = asFields(config)[list]
  const found = Array.isArray(entries) ? entries.map(asFields).find((entry) => entry['name'] === name) : undefined
  if (found === undefined) throw new Error(`Cannot use ${label}: no ${field} "${name ?? ''}"`)
  return asFields(found[field])
}

export interface RenderKubeconfigOptions {
  /** `https://127.0.0.1:6443` */
  readonly server: string
  /** PEM of the server's CA. */
  readonly ca: string
  /** PEM of the client certificate and its key. */
  readonly cert?: string | undefined
  readonly key?: string | undefined
  readonly token?: string | undefined
}

const base64 = (text: string): string => Buffer.from(text).toString('base64')

/** A kubeconfig in the layout of K3s's own: cluster, user and context are all named `default`, and everything is inline. */
export function renderKubeconfig({ server, ca, cert, key, token }: RenderKubeconfigOptions): string {
  return stringify(
    {
      apiVersion: 'v1',
      clusters: [{ cluster: { 'certificate-authority-data': base64(ca), server }, name: 'default' }],
      contexts: [{ context: { cluster: 'default', user: 'default' }, name: 'default' }],
      'current-context': 'default',
      kind: 'Config',
      users: [
        {
          name: 'default',
          user: {
            ...(cert === undefined ? {} : { 'client-certificate-data': base64(cert) }),
            ...(key === undefined ? {} : { 'client-key-data': base64(key) }),
            ...(token === undefined ? {} : { token }),
          },
        },
      ],
    },
    { lineWidth: 0, indentSeq: false },
  )
}
