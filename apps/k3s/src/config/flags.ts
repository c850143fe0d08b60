/**
 * Every flag of `k3s server` and `k3s agent`, and those that all of `k3s datastore ...` have, once: commander, `--help`, the environment and the configuration file are fed from here.
 * Names, variables and defaults are K3s's.
 */

import { apiServerArguments } from '../server/apiserver-args/table.ts'

/** Commands that take flags of the table. */
export type FlagCommand = 'server' | 'agent' | 'datastore'

export type FlagType = 'string' | 'boolean' | 'integer' | 'list'

export interface Flag {
  /** Without dashes: also its key in the configuration file. */
  readonly name: string
  readonly short?: string | undefined
  readonly env?: string | undefined
  readonly type: FlagType
  readonly default?: string | number | boolean | undefined
  readonly group: 'listener' | 'data' | 'networking' | 'client' | 'cluster' | 'datastore' | 'components' | 'node' | 'runtime' | 'logging'
  readonly commands: readonly FlagCommand[]
  readonly help: string
  /** Of a list: each value is taken whole. */
  readonly keepsCommas?: boolean | undefined
  /** Why it cannot be used yet: giving it is refused with this. */
  readonly unsupported?: string | undefined
}

const server = ['server'] as const
const agent = ['agent'] as const
const both = ['server', 'agent'] as const
const stored = ['server', 'datastore'] as const
const all = ['server', 'agent', 'datastore'] as const

const embeddedEtcd = 'embedded etcd is not there yet; use --datastore-endpoint for several servers'

export const flags: readonly Flag[] = [
  {
    name: 'config',
    short: 'c',
    env: 'K3S_CONFIG_FILE',
    type: 'string',
    default: '/etc/rancher/k3s/config.yaml',
    group: 'data',
    commands: all,
    help: 'Load configuration from this file',
  },
  {
    name: 'data-dir',
    short: 'd',
    env: 'K3S_DATA_DIR',
    type: 'string',
    default: '/var/lib/rancher/k3s',
    group: 'data',
    commands: all,
    help: 'Folder to hold state',
  },

  { name: 'bind-address', type: 'string', default: '0.0.0.0', group: 'listener', commands: server, help: 'Address to listen on' },
  {
    name: 'https-listen-port',
    type: 'integer',
    default: 6443,
    group: 'listener',
    commands: server,
    help: 'HTTPS port of API server and supervisor',
  },
  {
    name: 'advertise-address',
    type: 'string',
    group: 'listener',
    commands: server,
    help: 'Address that is told to the members of the cluster (default: node-external-ip, else node-ip)',
  },
  {
    name: 'advertise-port',
    type: 'integer',
    group: 'listener',
    commands: server,
    help: 'Port that is told to the members of the cluster (default: https-listen-port)',
  },
  {
    name: 'tls-san',
    type: 'list',
    group: 'listener',
    commands: server,
    help: 'Additional host names or addresses in the serving certificate',
  },

  { name: 'cluster-cidr', type: 'string', default: '10.42.0.0/16', group: 'networking', commands: server, help: 'Network of the pods' },
  { name: 'service-cidr', type: 'string', default: '10.43.0.0/16', group: 'networking', commands: server, help: 'Network of the services' },
  {
    name: 'service-node-port-range',
    type: 'string',
    default: '30000-32767',
    group: 'networking',
    commands: server,
    help: 'Ports for services of type NodePort',
  },
  {
    name: 'cluster-dns',
    type: 'string',
    group: 'networking',
    commands: server,
    help: 'Address of the cluster DNS service (default: the tenth of service-cidr)',
  },
  {
    name: 'cluster-domain',
    type: 'string',
    default: 'cluster.local',
    group: 'networking',
    commands: server,
    help: 'Domain of the cluster',
  },
  {
    name: 'flannel-backend',
    type: 'string',
    default: 'vxlan',
    group: 'networking',
    commands: server,
    help: 'How pods reach other nodes: vxlan, host-gw or none',
  },
  {
    name: 'egress-selector-mode',
    type: 'string',
    default: 'agent',
    group: 'networking',
    commands: server,
    help: 'How the API server reaches nodes: agent or disabled',
  },

  {
    name: 'write-kubeconfig',
    short: 'o',
    env: 'K3S_KUBECONFIG_OUTPUT',
    type: 'string',
    group: 'client',
    commands: server,
    help: 'Write the admin kubeconfig to this file',
  },
  {
    name: 'write-kubeconfig-mode',
    env: 'K3S_KUBECONFIG_MODE',
    type: 'string',
    default: '0600',
    group: 'client',
    commands: server,
    help: 'Mode of that file, octal',
  },

  {
    name: 'token',
    short: 't',
    env: 'K3S_TOKEN',
    type: 'string',
    group: 'cluster',
    commands: both,
    help: 'Shared secret that servers and agents join with',
  },
  { name: 'token-file', env: 'K3S_TOKEN_FILE', type: 'string', group: 'cluster', commands: both, help: 'File that holds the token' },
  {
    name: 'agent-token',
    env: 'K3S_AGENT_TOKEN',
    type: 'string',
    group: 'cluster',
    commands: server,
    help: 'Shared secret that lets agents join, but not servers',
  },
  {
    name: 'agent-token-file',
    env: 'K3S_AGENT_TOKEN_FILE',
    type: 'string',
    group: 'cluster',
    commands: server,
    help: 'File that holds the agent token',
  },
  {
    name: 'server',
    short: 's',
    env: 'K3S_URL',
    type: 'string',
    group: 'cluster',
    commands: agent,
    help: 'Server to join, such as https://10.0.0.1:6443',
  },
  {
    name: 'cluster-init',
    env: 'K3S_CLUSTER_INIT',
    type: 'boolean',
    group: 'cluster',
    commands: server,
    help: 'Start a new cluster on embedded etcd',
    unsupported: embeddedEtcd,
  },
  {
    name: 'cluster-reset',
    env: 'K3S_CLUSTER_RESET',
    type: 'boolean',
    group: 'cluster',
    commands: server,
    help: 'Make this server the only member',
    unsupported: embeddedEtcd,
  },

  {
    name: 'datastore-endpoint',
    env: 'K3S_DATASTORE_ENDPOINT',
    type: 'string',
    group: 'datastore',
    commands: stored,
    help: 'Datastore, such as sqlite:///path/state.db (default: SQLite in the data directory)',
  },
  {
    name: 'datastore-cafile',
    env: 'K3S_DATASTORE_CAFILE',
    type: 'string',
    group: 'datastore',
    commands: stored,
    help: 'Authority that signs the certificate of the database server',
  },
  {
    name: 'datastore-certfile',
    env: 'K3S_DATASTORE_CERTFILE',
    type: 'string',
    group: 'datastore',
    commands: stored,
    help: 'Certificate to show to the database server',
  },
  {
    name: 'datastore-keyfile',
    env: 'K3S_DATASTORE_KEYFILE',
    type: 'string',
    group: 'datastore',
    commands: stored,
    help: 'Key of that certificate',
  },

  {
    name: 'disable',
    type: 'list',
    group: 'components',
    commands: server,
    help: 'Built-in parts to leave out: coredns, servicelb, traefik, local-storage, metrics-server, runtimes',
  },
  { name: 'disable-agent', type: 'boolean', default: false, group: 'components', commands: server, help: 'Run no node on this server' },
  { name: 'disable-scheduler', type: 'boolean', default: false, group: 'components', commands: server, help: 'Run no scheduler' },
  {
    name: 'disable-controller-manager',
    type: 'boolean',
    default: false,
    group: 'components',
    commands: server,
    help: 'Run no controllers',
  },
  {
    name: 'disable-cloud-controller',
    type: 'boolean',
    default: false,
    group: 'components',
    commands: server,
    help: 'Run no built-in cloud controller',
  },
  {
    name: 'disable-kube-proxy',
    type: 'boolean',
    default: false,
    group: 'components',
    commands: server,
    help: 'Program no service rules on nodes',
  },
  {
    name: 'kube-apiserver-arg',
    type: 'list',
    group: 'components',
    commands: server,
    keepsCommas: true,
    help: `NAME=VALUE of the API server, may be repeated: ${apiServerArguments.map(({ name }) => name).join(', ')}`,
  },
  {
    name: 'secrets-encryption',
    type: 'boolean',
    default: false,
    group: 'components',
    commands: server,
    help: 'Encrypt Secrets in the datastore',
  },
  {
    name: 'secrets-encryption-provider',
    type: 'string',
    default: 'aescbc',
    group: 'components',
    commands: server,
    help: 'How Secrets are encrypted: aescbc or secretbox',
  },
  {
    name: 'disable-apiserver',
    type: 'boolean',
    group: 'components',
    commands: server,
    help: 'Run no API server',
    unsupported: embeddedEtcd,
  },

  {
    name: 'node-name',
    env: 'K3S_NODE_NAME',
    type: 'string',
    group: 'node',
    commands: both,
    help: 'Name of this node (default: the host name)',
  },
  { name: 'with-node-id', type: 'boolean', default: false, group: 'node', commands: both, help: 'Append a random id to the node name' },
  { name: 'node-label', type: 'list', group: 'node', commands: both, help: 'Labels to register the node with' },
  { name: 'node-taint', type: 'list', group: 'node', commands: both, help: 'Taints to register the node with' },
  {
    name: 'node-ip',
    short: 'i',
    type: 'list',
    group: 'node',
    commands: both,
    help: 'Address of this node (default: that of the default route)',
  },
  {
    name: 'node-external-ip',
    env: 'K3S_NODE_EXTERNAL_IP',
    type: 'list',
    group: 'node',
    commands: both,
    help: 'External address of this node',
  },
  {
    name: 'resolv-conf',
    env: 'K3S_RESOLV_CONF',
    type: 'string',
    group: 'node',
    commands: both,
    help: 'resolv.conf that pods and cluster DNS build on',
  },
  {
    name: 'flannel-iface',
    type: 'string',
    group: 'node',
    commands: both,
    help: 'Interface for traffic between nodes (default: that of node-ip)',
  },
  {
    name: 'lb-server-port',
    env: 'K3S_LB_SERVER_PORT',
    type: 'integer',
    default: 6444,
    group: 'node',
    commands: both,
    help: 'Loopback port of the client-side load balancer',
  },
  { name: 'kubelet-port', type: 'integer', default: 10250, group: 'node', commands: both, help: 'Port of the kubelet on this node' },

  {
    name: 'container-runtime-endpoint',
    type: 'string',
    group: 'runtime',
    commands: both,
    help: 'Use this CRI socket instead of a containerd of our own',
  },
  {
    name: 'pause-image',
    type: 'string',
    default: 'rancher/mirrored-pause:3.6',
    group: 'runtime',
    commands: both,
    help: 'Image of pod sandboxes; the default is built in',
  },
  {
    name: 'private-registry',
    type: 'string',
    default: '/etc/rancher/k3s/registries.yaml',
    group: 'runtime',
    commands: both,
    help: 'Registry configuration',
  },
  { name: 'snapshotter', type: 'string', default: 'overlayfs', group: 'runtime', commands: both, help: 'containerd snapshotter' },

  { name: 'debug', env: 'K3S_DEBUG', type: 'boolean', default: false, group: 'logging', commands: both, help: 'Log more' },
  { name: 'log', short: 'l', type: 'string', group: 'logging', commands: both, help: 'Log to this file' },
]

/** The flags of one command. */
export function flagsOf(command: FlagCommand): readonly Flag[] {
  return flags.filter((flag) => flag.commands.includes(command))
}
