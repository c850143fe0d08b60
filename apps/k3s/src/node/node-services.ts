import { once } from 'node:events'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { createInformerFactory, type Client } from '@k3s/client'
import { createCriClient } from '@k3s/cri-client'
import { createClusterView, createDnsServer } from '@k3s/dns'
import { createContainerdService, createKubelet, type TlsMaterial } from '@k3s/kubelet'
import type { Logger, MetricsRegistry, Service } from '@k3s/lifecycle'
import { createPodNetwork, createServiceProxy, ensureLocalAddress, runCommand } from '@k3s/networking'
import type { ClusterConfig } from '@k3s/node-registration'
import { explainListening } from '../explain.ts'
import { readIfThere } from '../files.ts'
import { createKubeletAccess } from './kubelet-access.ts'
import type { NodeOptions } from './node-options.ts'
import { readRegistries } from './registries.ts'

export interface NodeServicesOptions {
  readonly node: NodeOptions
  readonly cluster: ClusterConfig
  /** `DATA-DIR/agent`. */
  readonly agentDir: string
  /** One client for each user that a node has. */
  readonly clients: { readonly kubelet: Client; readonly kubeProxy: Client; readonly k3sController: Client }
  readonly kubeletTls: () => TlsMaterial
  readonly version: string
  readonly metrics: MetricsRegistry
  readonly renderMetrics: () => Promise<string>
  readonly logger: Logger
}

const runtimeState = '/run/k3s/containerd'
const cniBinaries = ['/opt/cni/bin', '/usr/lib/cni', '/usr/libexec/cni']

/**
 * The services of one node, in the order in which they start: caches, containerd (unless another runtime is given), kubelet,
 * pod network, service rules, cluster DNS. Pods and containerd go on when they stop.
 */
export function createNodeServices(options: NodeServicesOptions): readonly Service[] {
  const { node, cluster, agentDir, clients, logger } = options
  const part = (name: string): Logger => logger.child({ component: name })
  const cniConfigDirectory = join(agentDir, 'etc/cni/net.d')
  const staticPodDir = join(agentDir, 'pod-manifests')
  mkdirSync(staticPodDir, { recursive: true, mode: 0o750 })
  const services: Service[] = []

  const kubeletInformers = createInformerFactory(clients.kubelet, { logger: part('kubelet') })
  const networkInformers = createInformerFactory(clients.k3sController, { logger: part('network') })
  const proxyInformers = createInformerFactory(clients.kubeProxy, { logger: part('service-proxy') })

  let endpoint: string
  if (node.runtimeEndpoint !== undefined) endpoint = node.runtimeEndpoint
  else {
    const containerd = createContainerdService({
      paths: {
        root: join(agentDir, 'containerd'),
        state: runtimeState,
        socket: join(runtimeState, 'containerd.sock'),
        config: join(agentDir, 'etc/containerd/config.toml'),
        log: join(agentDir, 'containerd/containerd.log'),
      },
      pauseImage: node.pauseImage,
      cniBinaryDirectories: cniBinaries.filter((folder) => existsSync(folder)),
      cniConfigDirectory,
      imagesDirectory: join(agentDir, 'images'),
      registries: readRegistries(node.registriesFile),
      snapshotter: node.snapshotter,
      template: readIfThere(join(agentDir, 'etc/containerd/config.toml.tmpl')),
      logger: part('containerd'),
    })
    services.push(containerd)
    endpoint = containerd.endpoint
  }
  const cri = createCriClient({ endpoint, logger: part('cri') })
  services.push({
    // It stops after the kubelet, whose calls need it to the end.
    name: 'cri-connection',
    async run({ signal, ready }) {
      ready()
      if (!signal.aborted) await once(signal, 'abort')
      await cri[Symbol.asyncDispose]()
    },
  })
  services.push(kubeletInformers, networkInformers, proxyInformers)
  services.push(
    explainListening(
      createKubelet({
        nodeName: node.nodeName,
        client: clients.kubelet,
        informers: kubeletInformers,
        cri,
        logger: part('kubelet'),
        metrics: options.metrics,
        version: options.version,
        staticPodDir,
        clusterDns: cluster.disableDns ? [] : [cluster.clusterDns],
        clusterDomain: cluster.clusterDomain,
        resolvConf: node.resolvConf,
        nodeIps: node.nodeIps,
        nodeLabels: { ...node.labels, 'node.kubernetes.io/instance-type': 'k3s' },
        nodeAnnotations: { 'k3s.io/hostname': node.nodeName, 'k3s.io/internal-ip': node.nodeIps.join(',') },
        nodeTaints: node.taints,
        providerId: `k3s://${node.nodeName}`,
        port: node.kubeletPort,
        tls: { current: options.kubeletTls },
        authorize: createKubeletAccess(clients.kubelet, node.nodeName),
        renderMetrics: options.renderMetrics,
      }),
      { host: '0.0.0.0', port: node.kubeletPort, portFlag: '--kubelet-port', addressFlag: '--node-ip' },
    ),
  )
  const [nodeIp = ''] = node.nodeIps
  if (cluster.flannelBackend !== 'none') {
    services.push(
      createPodNetwork({
        client: clients.k3sController,
        informers: networkInformers,
        nodeName: node.nodeName,
        nodeIp,
        clusterCidr: cluster.clusterCidr,
        backend: cluster.flannelBackend,
        interfaceName: node.interfaceName,
        cniConfigFile: join(cniConfigDirectory, '10-flannel.conflist'),
        logger: part('pod-network'),
      }),
    )
  }
  if (!cluster.disableKubeProxy) {
    services.push(
      createServiceProxy({
        informers: proxyInformers,
        nodeName: node.nodeName,
        clusterCidrs: [cluster.clusterCidr],
        ownServiceIps: cluster.disableDns ? [] : [cluster.clusterDns],
        logger: part('service-proxy'),
        metrics: options.metrics,
      }),
    )
  }
  if (!cluster.disableDns) {
    const dns = createDnsServer({
      view: createClusterView(networkInformers),
      clusterDomain: cluster.clusterDomain,
      address: cluster.clusterDns,
      resolvConf: node.resolvConf,
      logger: part('dns'),
      metrics: options.metrics,
    })
    services.push({
      name: dns.name,
      async run(run) {
        await ensureLocalAddress(runCommand, cluster.clusterDns)
        await dns.run(run)
      },
    })
  }
  return services
}
