import type { Service } from '@k3s/api/types/core/v1'

const variable = (text: string): string => text.toUpperCase().replaceAll('-', '_')

/** Hosts in URLs and variables: IPv6 addresses in brackets. */
const joinHostPort = (host: string, port: number): string => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`)

const hasClusterIp = (service: Service): boolean =>
  service.spec.clusterIP !== undefined && service.spec.clusterIP !== '' && service.spec.clusterIP !== 'None'

/**
 * Variables that tell a container of services: `NAME_SERVICE_HOST`, `NAME_SERVICE_PORT` and Docker's link variables.
 *
 * @param links false leaves only the API server's own service, which is always told of.
 */
export function serviceEnv(services: readonly Service[], namespace: string, links: boolean): Map<string, string> {
  const isMaster = (service: Service): boolean => service.metadata.namespace === 'default' && service.metadata.name === 'kubernetes'
  const chosen = new Map<string, Service>()
  for (const service of services) {
    if (!hasClusterIp(service)) continue
    if (isMaster(service) && !chosen.has('kubernetes')) chosen.set('kubernetes', service)
    if (links && service.metadata.namespace === namespace) chosen.set(service.metadata.name, service)
  }
  const env = new Map<string, string>()
  for (const [name, service] of [...chosen].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const prefix = variable(name)
    const host = service.spec.clusterIP ?? ''
    const ports = service.spec.ports ?? []
    const first = ports[0]
    if (first === undefined) continue
    env.set(`${prefix}_SERVICE_HOST`, host)
    env.set(`${prefix}_SERVICE_PORT`, String(first.port))
    for (const port of ports)
      if (port.name !== undefined && port.name !== '') env.set(`${prefix}_SERVICE_PORT_${variable(port.name)}`, String(port.port))
    for (const [index, port] of ports.entries()) {
      const protocol = port.protocol ?? 'TCP'
      const url = `${protocol.toLowerCase()}://${joinHostPort(host, port.port)}`
      const link = `${prefix}_PORT_${port.port}_${protocol}`
      if (index === 0) env.set(`${prefix}_PORT`, url)
      env.set(link, url)
      env.set(`${link}_PROTO`, protocol.toLowerCase())
      env.set(`${link}_PORT`, String(port.port))
      env.set(`${link}_ADDR`, host)
    }
  }
  return env
}
