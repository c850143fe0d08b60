import { hasReason } from '@k3s/api'
import { services, type Service } from '@k3s/api/types/core/v1'
import type { Client } from '@k3s/client'

/** The Service by which pods know cluster DNS. It has no endpoints: every node answers its address itself. */
function dnsService(clusterIP: string): Service {
  return {
    metadata: {
      name: 'kube-dns',
      namespace: 'kube-system',
      labels: { 'k8s-app': 'kube-dns', 'kubernetes.io/cluster-service': 'true', 'kubernetes.io/name': 'CoreDNS' },
    },
    spec: {
      clusterIP,
      clusterIPs: [clusterIP],
      ports: [
        { name: 'dns', port: 53, protocol: 'UDP', targetPort: 53 },
        { name: 'dns-tcp', port: 53, protocol: 'TCP', targetPort: 53 },
      ],
    },
  }
}

/** Makes the Service if there is none. One that is there with another address stays: pods were given that one. */
export async function ensureDnsService(client: Client, clusterIp: string, signal: AbortSignal): Promise<void> {
  const all = client.resource(services)
  const wanted = dnsService(clusterIp)
  const { namespace = '', name } = wanted.metadata
  // Asked first: a second create of an address that is taken is Invalid before it is a name that exists.
  const isThere = await all.get(name, { namespace, signal }).then(
    () => true,
    (error: unknown) => {
      if (hasReason(error, 'NotFound')) return false
      throw error
    },
  )
  if (!isThere) await all.create(wanted, { signal })
}
