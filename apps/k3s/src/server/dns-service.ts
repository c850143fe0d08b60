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
  try {
    await client.resource(services).create(dnsService(clusterIp), { signal })
  } catch (error) {
    if (!hasReason(error, 'AlreadyExists')) throw error
  }
}
