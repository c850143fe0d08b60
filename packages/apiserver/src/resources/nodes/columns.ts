import type { Node } from '@k3s/api/types/core/v1'
import type { TableColumn } from '../../registry/strategy.ts'
import { ageColumn, column, nameColumn } from '../shared/columns.ts'

const rolePrefix = 'node-role.kubernetes.io/'

function status(node: Node): string {
  const ready = node.status?.conditions?.find(({ type }) => type === 'Ready')
  const words = [ready === undefined ? 'Unknown' : ready.status === 'True' ? 'Ready' : 'NotReady']
  if (node.spec.unschedulable === true) words.push('SchedulingDisabled')
  return words.join(',')
}

/** Roles by label: `node-role.kubernetes.io/ROLE` or the value of `kubernetes.io/role`, sorted. */
export function nodeRoles(node: Node): string[] {
  const roles = new Set<string>()
  for (const [key, value] of Object.entries(node.metadata.labels ?? {})) {
    if (key.startsWith(rolePrefix)) roles.add(key.slice(rolePrefix.length))
    else if (key === 'kubernetes.io/role') roles.add(value)
  }
  roles.delete('')
  return [...roles].toSorted()
}

const address = (node: Node, type: string): string =>
  node.status?.addresses?.find((candidate) => candidate.type === type)?.address ?? '<none>'

function kernel(node: Node): string {
  const { kernelVersion = '', architecture = '' } = node.status?.nodeInfo ?? {}
  return `${kernelVersion || '<unknown>'}${architecture === '' ? '' : ` (${architecture})`}`
}

/** Columns of `kubectl get nodes`. */
export const nodeColumns: readonly TableColumn<Node>[] = [
  nameColumn(),
  column('Status', status, { description: 'Whether the node takes pods' }),
  column('Roles', (node) => nodeRoles(node).join(',') || '<none>', { description: 'Roles by label' }),
  ageColumn(),
  column('Version', (node) => node.status?.nodeInfo?.kubeletVersion ?? '', { description: "Version of the node's kubelet" }),
  column('Internal-IP', (node) => address(node, 'InternalIP'), { wide: true }),
  column('External-IP', (node) => address(node, 'ExternalIP'), { wide: true }),
  column('OS-Image', (node) => node.status?.nodeInfo?.osImage || '<unknown>', { wide: true }),
  column('Kernel-Version', kernel, { wide: true }),
  column('Container-Runtime', (node) => node.status?.nodeInfo?.containerRuntimeVersion || '<unknown>', { wide: true }),
]
