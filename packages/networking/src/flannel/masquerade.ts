/** Rules that give pods' traffic to the outside the node's address. One transaction; replaces what stood before. */
export function renderMasquerade(clusterCidr: string): string {
  const isV6 = clusterCidr.includes(':')
  const ip = isV6 ? 'ip6' : 'ip'
  const table = `${ip} k3s-masquerade`
  return [
    `add table ${table}`,
    `delete table ${table}`,
    `add table ${table}`,
    `add chain ${table} postrouting { type nat hook postrouting priority 110; }`,
    `add rule ${table} postrouting ${ip} saddr ${clusterCidr} ${ip} daddr != { ${clusterCidr}, ${isV6 ? 'ff00::/8' : '224.0.0.0/4'} } masquerade fully-random`,
    '',
  ].join('\n')
}
