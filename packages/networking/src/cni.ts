export interface CniOptions {
  /** This node's part of the cluster network, such as `10.42.1.0/24`. */
  readonly podCidr: string
  /** The network of all pods. */
  readonly clusterCidr: string
  readonly mtu: number
}

/**
 * The CNI network list for a bridge `cni0` with host-local addresses. Follows what flannel's plugin delegates to in K3s;
 * the bridge plugin is named directly, since distributions ship no flannel plugin.
 */
export function renderCniConfig({ podCidr, clusterCidr, mtu }: CniOptions): string {
  const config = {
    cniVersion: '0.4.0',
    name: 'cbr0',
    plugins: [
      {
        type: 'bridge',
        bridge: 'cni0',
        isGateway: true,
        isDefaultGateway: true,
        hairpinMode: true,
        forceAddress: true,
        ipMasq: false,
        mtu,
        // The default route comes from isDefaultGateway: naming it here as well fails with "file exists".
        ipam: { type: 'host-local', ranges: [[{ subnet: podCidr }]], routes: [{ dst: clusterCidr }] },
      },
      { type: 'portmap', capabilities: { portMappings: true }, snat: true },
      { type: 'bandwidth', capabilities: { bandwidth: true } },
    ],
  }
  return `${JSON.stringify(config, undefined, 2)}\n`
}
