import type { KubernetesObject } from '@k3s/api'
import { serviceaccounts } from '@k3s/api/types/core/v1'
import { createClient } from '@k3s/client'
import { generateKey } from '@k3s/pki'
import { type ApiServerOptions, builtInParts, SigningKeys, type UserInfo } from '../src/index.ts'
import { admin, startServer, type TestServer } from './start-server.ts'

export const issuer = 'https://issuer.example'

/** A server with the rules of all built-in resources. */
export async function startBuiltIn(options: Partial<ApiServerOptions> = {}): Promise<TestServer> {
  const serviceAccounts = { keys: new SigningKeys([await generateKey()]), issuers: [issuer], baseUrl: 'https://127.0.0.1:6443' }
  return startServer({ ...builtInParts({ serviceCidrs: ['10.43.0.0/16'], serviceAccounts }), ...options })
}

/** The same with the account that pods of the namespace `default` run as. */
export async function startCluster(): Promise<TestServer> {
  const cluster = await startBuiltIn()
  await cluster.client.resource(serviceaccounts).create({ metadata: { name: 'default', namespace: 'default' } })
  return cluster
}

/** Sends a body to a path that no typed client knows. */
export async function send<T = KubernetesObject>(
  { server }: TestServer,
  { method = 'POST', path, user = admin }: { readonly method?: 'POST' | 'PUT'; readonly path: string; readonly user?: UserInfo },
  body: unknown,
): Promise<T> {
  const { body: answer } = await createClient(server.transport(user)).transport.request({ method, path, body })
  // The shape is what each test goes on to check.
  return answer as T
}
