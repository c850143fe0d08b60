import type { HostAlias } from '@k3s/api/types/core/v1'

const header = '# Kubernetes-managed hosts file.\n'
const hostNetworkHeader = '# Kubernetes-managed hosts file (host network).\n'

/** /etc/hosts of a pod with its own network. `domain` is empty for pods without a subdomain. */
export function podHostsFile(podIps: readonly string[], hostname: string, domain: string, aliases: readonly HostAlias[] = []): string {
  const names = domain === '' ? hostname : `${hostname}.${domain}\t${hostname}`
  return [
    header,
    '127.0.0.1\tlocalhost\n',
    '::1\tlocalhost ip6-localhost ip6-loopback\n',
    'fe00::0\tip6-localnet\n',
    'fe00::0\tip6-mcastprefix\n',
    'fe00::1\tip6-allnodes\n',
    'fe00::2\tip6-allrouters\n',
    ...podIps.map((ip) => `${ip}\t${names}\n`),
    aliasLines(aliases),
  ].join('')
}

/** /etc/hosts of a pod on the host's network: the host's own with the pod's aliases below. */
export function hostNetworkHostsFile(hostFile: string, aliases: readonly HostAlias[] = []): string {
  return hostNetworkHeader + hostFile + aliasLines(aliases)
}

function aliasLines(aliases: readonly HostAlias[]): string {
  if (aliases.length === 0) return ''
  return `\n# Entries added by HostAliases.\n${aliases.map(({ ip, hostnames }) => `${ip}\t${(hostnames ?? []).join('\t')}\n`).join('')}`
}
