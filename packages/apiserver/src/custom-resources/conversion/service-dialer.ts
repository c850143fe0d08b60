import { connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { services } from '@k3s/api/types/core/v1'
import { endpointslices } from '@k3s/api/types/discovery/v1'
import type { NodeConnector } from '../../connect/node-connector.ts'
import type { ObjectReader } from '../../registry/strategy.ts'
import type { WebhookDialer } from './webhook-converter.ts'

/** Reaches Services by their ready endpoints, as kube-proxy would: the server itself need not be on a node. */
export function serviceDialer(objects: ObjectReader, connector: NodeConnector | undefined, random: () => number): WebhookDialer {
  return {
    async dialService({ namespace, name, port }, signal) {
      const service = objects.get(services, namespace, name)
      if (service === undefined) throw new Error(`service "${name}" not found`)
      if (service.spec.type === 'ExternalName') return dial(connector, service.spec.externalName ?? '', port, signal)
      const wanted = (service.spec.ports ?? []).find((one) => one.port === port)
      if (wanted === undefined) throw new Error(`no service port ${port} found for service "${name}"`)
      const addresses = objects
        .list(endpointslices, namespace)
        .filter(({ metadata }) => metadata.labels?.['kubernetes.io/service-name'] === name)
        .flatMap(({ endpoints = [], ports = [] }) => {
          const target = ports.find((one) => (one.name ?? '') === (wanted.name ?? ''))?.port
          return target === undefined
            ? []
            : endpoints
                .filter(({ conditions }) => conditions?.ready !== false)
                .flatMap((endpoint) => endpoint.addresses.map((host) => ({ host, port: target })))
        })
      const chosen = addresses[Math.floor(random() * addresses.length)]
      if (chosen === undefined) throw new Error(`no endpoints available for service "${name}"`)
      return dial(connector, chosen.host, chosen.port, signal)
    },
  }
}

function dial(connector: NodeConnector | undefined, host: string, port: number, signal: AbortSignal): Promise<Duplex> {
  if (connector?.dialAddress !== undefined) return connector.dialAddress(host, port, signal)
  return new Promise<Socket>((resolve, reject) => {
    const socket = connect({ host, port, signal })
    socket.once('connect', () => resolve(socket))
    socket.once('error', reject)
  })
}
