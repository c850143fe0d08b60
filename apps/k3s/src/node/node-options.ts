import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { defaultAddress, runCommand } from '@k3s/networking'
import type { Taint } from '@k3s/api/types/core/v1'
import type { FlagValues } from '../config/parse.ts'
import { FatalError, UsageError } from '../errors.ts'
import { readIfThere, writeAtomically } from '../files.ts'

/** What the flags of `server` and `agent` say of this machine as a node. */
export interface NodeOptions {
  readonly nodeName: string
  readonly nodeIps: readonly string[]
  readonly externalIps: readonly string[]
  readonly labels: Readonly<Record<string, string>>
  readonly taints: readonly Taint[]
  readonly resolvConf: string | undefined
  readonly interfaceName: string | undefined
  readonly kubeletPort: number
  /** `unix://…` of a CRI runtime that somebody else runs. */
  readonly runtimeEndpoint: string | undefined
  readonly pauseImage: string
  readonly registriesFile: string
  readonly snapshotter: string
}

const namePattern = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/
const nodeIdFile = '/etc/rancher/node/id'
const effects = ['NoSchedule', 'PreferNoSchedule', 'NoExecute']

/** `key=value` texts as a map. Labels of Kubernetes' own prefixes are refused, as kubelets refuse them. */
function parseLabels(texts: readonly string[]): Readonly<Record<string, string>> {
  const labels: Record<string, string> = {}
  for (const text of texts) {
    const [key = '', ...rest] = text.split('=')
    if (key === '' || rest.length === 0) throw new UsageError(`Cannot use "${text}" for --node-label: it must read key=value`)
    const prefix = key.includes('/') ? key.slice(0, key.indexOf('/')) : ''
    const isReserved =
      /(^|\.)(kubernetes|k8s)\.io$/.test(prefix) &&
      !/^(node|kubelet)\.kubernetes\.io$|\.(node|kubelet)\.kubernetes\.io$/.test(prefix) &&
      !/^topology\.kubernetes\.io$/.test(prefix)
    if (isReserved)
      throw new UsageError(`Cannot use "${text}" for --node-label: labels under kubernetes.io and k8s.io are set by the cluster`)
    labels[key] = rest.join('=')
  }
  return labels
}

function parseTaints(texts: readonly string[]): readonly Taint[] {
  return texts.map((text) => {
    const match = /^([^=:]+)(?:=([^:]*))?:([A-Za-z]+)$/.exec(text)
    const [, key = '', value, effect = ''] = match ?? []
    if (match === null || !effects.includes(effect))
      throw new UsageError(`Cannot use "${text}" for --node-taint: it must read key=value:${effects.join('|')}`)
    return { key, effect, ...(value === undefined ? {} : { value }) }
  })
}

/** Reads the node's flags; the address is found by the default route when none is given. */
export async function readNodeOptions(values: FlagValues): Promise<NodeOptions> {
  let nodeName = (values.string('node-name') ?? hostname()).toLowerCase()
  if (values.boolean('with-node-id')) {
    const id = readIfThere(nodeIdFile)?.trim() ?? randomBytes(4).toString('hex')
    writeAtomically(nodeIdFile, id)
    nodeName = `${nodeName}-${id}`
  }
  if (!namePattern.test(nodeName) || nodeName.length > 253)
    throw new UsageError(
      `Cannot use "${nodeName}" as node name: lower-case letters, digits, "-" and "." are allowed; give another one with --node-name`,
    )
  const given = values.list('node-ip')
  const found = given.length > 0 ? undefined : await defaultAddress(runCommand).catch(() => undefined) // no iproute2: the sentence below tells what to do
  const nodeIps = given.length > 0 ? given : found === undefined ? [] : [found]
  if (nodeIps.length === 0)
    throw new FatalError('Cannot find the address of this machine: there is no default route; give it with --node-ip')
  return {
    nodeName,
    nodeIps,
    externalIps: values.list('node-external-ip'),
    labels: parseLabels(values.list('node-label')),
    taints: parseTaints(values.list('node-taint')),
    resolvConf: values.string('resolv-conf'),
    interfaceName: values.string('flannel-iface'),
    kubeletPort: values.integer('kubelet-port') ?? 10_250,
    runtimeEndpoint: values.string('container-runtime-endpoint'),
    pauseImage: values.string('pause-image') ?? 'rancher/mirrored-pause:3.6',
    registriesFile: values.string('private-registry') ?? '/etc/rancher/k3s/registries.yaml',
    snapshotter: values.string('snapshotter') ?? 'overlayfs',
  }
}
