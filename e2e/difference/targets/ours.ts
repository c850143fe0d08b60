import { createApiServer, builtInParts, SigningKeys, staticTokenAuthenticator } from '@k3s/apiserver'
import { openDatastore } from '@k3s/datastore'
import { generateKey } from '@k3s/pki'
import type { Target } from '../client.ts'

const token = 'difference'

/** Our API server on a datastore in memory, listening on loopback. */
export async function startOurs(): Promise<Target & AsyncDisposable> {
  const datastore = await openDatastore('memory:')
  const server = await createApiServer({
    datastore,
    ...builtInParts({
      serviceCidrs: ['10.43.0.0/16'],
      serviceAccounts: {
        keys: new SigningKeys([await generateKey()]),
        issuers: ['https://kubernetes.default.svc.cluster.local'],
        baseUrl: 'https://127.0.0.1:6443',
      },
      tokens: [staticTokenAuthenticator(`${token},admin,,"system:masters"`)],
    }),
  })
  const listening = await server.listen({ port: 0 })
  return {
    name: 'ours',
    url: listening.url,
    token,
    [Symbol.asyncDispose]: async () => {
      await server.close({ graceMs: 100 })
      await datastore[Symbol.asyncDispose]()
    },
  }
}
