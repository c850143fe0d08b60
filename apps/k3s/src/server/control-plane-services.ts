import type { ApiServer } from '@k3s/apiserver'
import { createInformerFactory, type Client, type InformerFactory } from '@k3s/client'
import { createControllers } from '@k3s/controllers'
import type { Logger, MetricsRegistry, Service } from '@k3s/lifecycle'
import { createNodePasswordCleaner } from '@k3s/node-registration'
import { createScheduler } from '@k3s/scheduler'
import type { NodeOptions } from '../node/node-options.ts'
import { clientAs, clientAsController, type ControlPlaneApi } from './api-server.ts'
import { createNodeRole } from './node-role.ts'
import type { ServerOptions } from './server-options.ts'
import type { ServerTls } from './server-tls.ts'

export interface ControlPlaneServicesOptions extends Pick<ControlPlaneApi, 'signSecretToken'> {
  readonly api: ApiServer
  readonly admin: Client
  readonly options: ServerOptions
  readonly node: NodeOptions
  readonly tls: ServerTls
  readonly logger: Logger
  readonly metrics: MetricsRegistry
}

/** What a server runs beside its API server, each part as a user of its own: registration's upkeep, controllers, scheduler. */
export function controlPlaneServices(given: ControlPlaneServicesOptions): readonly Service[] {
  const { api, admin, options, node, tls, logger, metrics } = given
  const services: Service[] = []
  const informersOf = (client: Client, component: string): InformerFactory => {
    const informers = createInformerFactory(client, { logger: logger.child({ component }) })
    services.push(informers)
    return informers
  }
  const supervisorInformers = informersOf(admin, 'supervisor')
  services.push(createNodePasswordCleaner({ client: admin, informers: supervisorInformers, logger }))
  if (options.runs.agent) services.push(createNodeRole({ client: admin, informers: supervisorInformers, nodeName: node.nodeName, logger }))
  if (options.runs.controllers) {
    services.push(
      createControllers({
        informers: informersOf(clientAs(api, 'system:kube-controller-manager'), 'controllers'),
        client: clientAs(api, 'system:kube-controller-manager'),
        clientFor: (name) => clientAsController(api, name),
        cloudClient: clientAs(api, 'k3s-cloud-controller-manager'),
        logger: logger.child({ component: 'controllers' }),
        metrics,
        options: {
          rootCa: tls.serverCa.cert,
          signToken: given.signSecretToken,
          certificateSigning: {
            cas: {
              'kubernetes.io/kube-apiserver-client': () => tls.clientCa,
              'kubernetes.io/kube-apiserver-client-kubelet': () => tls.clientCa,
              'kubernetes.io/kubelet-serving': () => tls.serverCa,
              'kubernetes.io/legacy-unknown': () => tls.serverCa,
            },
          },
          nodeIpam: { clusterCidrs: [options.cluster.clusterCidr], excludedCidrs: [options.cluster.serviceCidr] },
          cloudNode: options.runs.cloudController,
        },
      }),
    )
  }
  if (options.runs.scheduler) {
    const client = clientAs(api, 'system:kube-scheduler')
    services.push(
      createScheduler({ client, informers: informersOf(client, 'scheduler'), logger: logger.child({ component: 'scheduler' }), metrics }),
    )
  }
  return services
}
