import { z } from 'zod'

/** What a server tells agents of the cluster: values that every node must share. No secrets. */
export interface ClusterConfig {
  readonly clusterCidr: string
  readonly serviceCidr: string
  readonly clusterDns: string
  readonly clusterDomain: string
  readonly flannelBackend: 'vxlan' | 'host-gw' | 'none'
  readonly egressSelectorMode: string
  readonly httpsPort: number
  readonly disableKubeProxy: boolean
  readonly disableDns: boolean
}

const schema = z.object({
  ClusterIPRange: z.string(),
  ServiceIPRange: z.string(),
  ClusterDNS: z.string(),
  ClusterDomain: z.string(),
  FlannelBackend: z.enum(['vxlan', 'host-gw', 'none']),
  EgressSelectorMode: z.string(),
  HTTPSPort: z.number().int(),
  DisableKubeProxy: z.boolean(),
  DisableDNS: z.boolean().default(false),
})

/** The wire form of `/v1-k3s/config`; keys as K3s's control config has them. */
export function renderClusterConfig(config: ClusterConfig): string {
  const wire: z.input<typeof schema> = {
    ClusterIPRange: config.clusterCidr,
    ServiceIPRange: config.serviceCidr,
    ClusterDNS: config.clusterDns,
    ClusterDomain: config.clusterDomain,
    FlannelBackend: config.flannelBackend,
    EgressSelectorMode: config.egressSelectorMode,
    HTTPSPort: config.httpsPort,
    DisableKubeProxy: config.disableKubeProxy,
    DisableDNS: config.disableDns,
  }
  return JSON.stringify(wire)
}

/** Reads the wire form. Throws with one sentence when a value is missing or of the wrong kind. */
export function parseClusterConfig(input: unknown): ClusterConfig {
  const parsed = schema.safeParse(input)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw new Error(`Cannot read the cluster's configuration: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`)
  }
  const { data } = parsed
  return {
    clusterCidr: data.ClusterIPRange,
    serviceCidr: data.ServiceIPRange,
    clusterDns: data.ClusterDNS,
    clusterDomain: data.ClusterDomain,
    flannelBackend: data.FlannelBackend,
    egressSelectorMode: data.EgressSelectorMode,
    httpsPort: data.HTTPSPort,
    disableKubeProxy: data.DisableKubeProxy,
    disableDns: data.DisableDNS,
  }
}
