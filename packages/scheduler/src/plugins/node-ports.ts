import type { Plugin, Rejection } from '../framework.ts'

const rejection: Rejection = {
  plugin: 'NodePorts',
  reasons: ["node(s) didn't have free ports for the requested pod ports"],
  isResolvable: true,
}

/** A host port is used once for each protocol and address. */
export const nodePorts: Plugin = {
  name: 'NodePorts',
  prepareFilter({ hostPorts }) {
    if (hostPorts.length === 0) return undefined
    return { check: (node) => (hostPorts.some((port) => node.isPortUsed(port)) ? rejection : undefined) }
  },
  isWorthRetrying({ hostPorts }, event) {
    if (event.kind === 'nodeChanged') return event.previous === undefined
    if (event.kind !== 'podDeleted') return false
    return event.pod.hostPorts.some(({ port, protocol }) =>
      hostPorts.some((wanted) => wanted.port === port && wanted.protocol === protocol),
    )
  },
}
