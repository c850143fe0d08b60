import { configmaps } from '@k3s/api/types/core/v1'
import type { CertificateBundle } from '../authentication/client-certificate.ts'
import type { RequestHeaderOptions } from '../authentication/request-header.ts'
import { createIfMissing } from '../bootstrap/system-namespaces.ts'
import { equalJson } from '../json.ts'
import type { ApiCore } from '../pipeline/api-core.ts'

/** Whom clients of aggregated servers are authenticated by. */
export interface AuthenticationTrust {
  readonly clientCa: CertificateBundle | undefined
  readonly requestHeader: RequestHeaderOptions | undefined
}

type Data = Readonly<Record<string, string>>

const at = { namespace: 'kube-system', name: 'extension-apiserver-authentication' }
const certificatePattern = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g

/**
 * What the ConfigMap must say, so that aggregated servers know the cluster's clients and its front proxies. Other API servers of the cluster
 * may have CAs and headers of their own: what is `present` stays, but certificates that have expired.
 */
export function trustData(present: Data, { clientCa, requestHeader }: AuthenticationTrust, isExpired: (pem: string) => boolean): Data {
  const data: Record<string, string> = {}
  const bundle = (name: string, own: string | undefined): string => {
    const all = [...(present[name]?.match(certificatePattern) ?? []), ...(own?.match(certificatePattern) ?? [])]
    const valid = [...new Set(all)].filter((pem) => !isExpired(pem))
    return valid.map((pem) => `${pem}\n`).join('')
  }
  const clients = bundle('client-ca-file', clientCa?.())
  if (clients !== '') data['client-ca-file'] = clients
  const proxies = bundle('requestheader-client-ca-file', requestHeader?.clientCa())
  if (proxies === '') return data
  const list = (name: string, own: readonly string[]): string[] => [...new Set([...listIn(present[name]), ...own])]
  const headers = (own: readonly string[] = []): string[] => own.map(headerCase)
  data['requestheader-client-ca-file'] = proxies
  const allowed = 'requestheader-allowed-names'
  data[allowed] = JSON.stringify(list(allowed, requestHeader?.allowedNames ?? []))
  const named: readonly (readonly [string, readonly string[] | undefined])[] = [
    ['requestheader-username-headers', requestHeader?.usernameHeaders],
    ['requestheader-group-headers', requestHeader?.groupHeaders],
    ['requestheader-extra-headers-prefix', requestHeader?.extraHeaderPrefixes],
  ]
  for (const [name, own] of named) data[name] = JSON.stringify(list(name, headers(own)))
  const uids = list('requestheader-uid-headers', headers(requestHeader?.uidHeaders))
  if (uids.length > 0) data['requestheader-uid-headers'] = JSON.stringify(uids)
  return data
}

function listIn(text: string | undefined): readonly string[] {
  if (text === undefined || text === '') return []
  try {
    const list: unknown = JSON.parse(text)
    return Array.isArray(list) ? list.filter((item) => typeof item === 'string') : []
  } catch {
    return [] // somebody else's mistake is overwritten
  }
}

/** `x-remote-user` as people write it. */
function headerCase(name: string): string {
  return name.replace(/(^|-)([a-z])/g, (_match, dash: string, letter: string) => dash + letter.toUpperCase())
}

/** Writes the ConfigMap `kube-system/extension-apiserver-authentication` where it does not say what it must. */
export async function keepTrustConfig(
  { objects, operations }: Pick<ApiCore, 'objects' | 'operations'>,
  trust: AuthenticationTrust,
  isExpired: (pem: string) => boolean,
): Promise<void> {
  const present = objects.get(configmaps, at.namespace, at.name)
  const data = trustData(present?.data ?? {}, trust, isExpired)
  if (present === undefined) {
    if (Object.keys(data).length > 0) await createIfMissing(() => operations.create(configmaps, { metadata: { ...at }, data: { ...data } }))
  } else if (!equalJson(present.data ?? {}, data)) {
    await operations.guaranteedUpdate(configmaps, at, (config) => {
      config.data = { ...trustData(config.data ?? {}, trust, isExpired) }
    })
  }
}
