import { isIP } from 'node:net'
import { join, resolve } from 'node:path'
import type { DatabaseServerOptions } from '@k3s/datastore'
import type { ClusterConfig } from '@k3s/node-registration'
import type { FlagValues } from '../config/parse.ts'
import { UsageError } from '../errors.ts'
import { readIfThere } from '../files.ts'
import { parseApiServerArgs, type ApiServerArgs } from './apiserver-args/arguments.ts'

/** What `k3s server` does, read from its flags. */
export interface ServerOptions {
  readonly dataDir: string
  readonly bindAddress: string
  readonly httpsPort: number
  readonly advertiseAddress: string | undefined
  readonly advertisePort: number
  readonly tlsSans: readonly string[]
  readonly nodePortRange: { readonly first: number; readonly last: number }
  readonly cluster: ClusterConfig
  readonly datastore: DatastoreOptions
  readonly token: string | undefined
  readonly agentToken: string | undefined
  readonly kubeconfig: { readonly file: string | undefined; readonly mode: number }
  readonly apiServerArgs: ApiServerArgs
  readonly secretsEncryption: { readonly isWanted: boolean; readonly cipher: 'aescbc' | 'secretbox' }
  readonly runs: { readonly agent: boolean; readonly scheduler: boolean; readonly controllers: boolean; readonly cloudController: boolean }
}

const disableable = ['coredns', 'servicelb', 'traefik', 'local-storage', 'metrics-server', 'runtimes']

function parseCidr(flag: string, text: string): string {
  const slash = text.indexOf('/')
  const bits = Number(text.slice(slash + 1))
  if (slash < 0 || isIP(text.slice(0, slash)) !== 4 || !Number.isInteger(bits) || bits < 8 || bits > 28)
    throw new UsageError(`Cannot use "${text}" for --${flag}: an IPv4 network such as 10.42.0.0/16 is needed`)
  return text
}

const toNumber = (ip: string): number => ip.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
const toIp = (value: number): string => [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.')

/** Address number `at` of an IPv4 network; 0 is the network's own. */
export function addressOf(cidr: string, at: number): string {
  const [ip = '', bits = ''] = cidr.split('/')
  const size = 2 ** (32 - Number(bits))
  return toIp(Math.floor(toNumber(ip) / size) * size + at)
}

function contains(cidr: string, ip: string): boolean {
  return addressOf(cidr, 0) === addressOf(`${ip}/${cidr.split('/')[1] ?? ''}`, 0)
}

function readToken(values: FlagValues, flag: 'token' | 'agent-token'): string | undefined {
  const file = values.string(`${flag}-file`)
  if (file === undefined) return values.string(flag)
  const text = readIfThere(file)?.trim()
  if (text === undefined || text === '') throw new UsageError(`Cannot read the token from "${file}": the file does not exist or is empty`)
  return text
}

/** A datastore, and how it is reached. */
export interface DatastoreOptions {
  readonly dsn: string
  /** The file in the data directory, because no other datastore was asked for. */
  readonly isDefault: boolean
  readonly server: DatabaseServerOptions
}

/** Where the datastore is that a server with these flags has. */
export function readDatastoreOptions(values: FlagValues): DatastoreOptions {
  const dataDir = resolve(values.string('data-dir') ?? '/var/lib/rancher/k3s')
  const endpoint = values.string('datastore-endpoint')
  return {
    dsn: endpoint ?? `sqlite://${join(dataDir, 'server/db/state.db')}`,
    isDefault: endpoint === undefined,
    server: {
      caFile: values.string('datastore-cafile'),
      certFile: values.string('datastore-certfile'),
      keyFile: values.string('datastore-keyfile'),
    },
  }
}

/** Checks the flags of `k3s server`. Throws a {@link UsageError} that names the flag. */
export function readServerOptions(values: FlagValues): ServerOptions {
  const dataDir = resolve(values.string('data-dir') ?? '/var/lib/rancher/k3s')
  const port = values.integer('https-listen-port') ?? 6443
  if (port < 1 || port > 65_535) throw new UsageError(`Cannot use ${port} for --https-listen-port: 1 to 65535 is needed`)
  const range = /^(\d+)-(\d+)$/.exec(values.string('service-node-port-range') ?? '')
  const [first, last] = [Number(range?.[1]), Number(range?.[2])]
  if (range === null || first < 1 || last > 65_535 || first > last)
    throw new UsageError(
      `Cannot use "${values.string('service-node-port-range') ?? ''}" for --service-node-port-range: it must read FIRST-LAST`,
    )
  const clusterCidr = parseCidr('cluster-cidr', values.string('cluster-cidr') ?? '')
  const serviceCidr = parseCidr('service-cidr', values.string('service-cidr') ?? '')
  const clusterDns = values.string('cluster-dns') ?? addressOf(serviceCidr, 10)
  if (isIP(clusterDns) !== 4 || !contains(serviceCidr, clusterDns))
    throw new UsageError(`Cannot use "${clusterDns}" for --cluster-dns: it must be an address of --service-cidr ${serviceCidr}`)
  const flannelBackend = values.string('flannel-backend')
  if (flannelBackend !== 'vxlan' && flannelBackend !== 'host-gw' && flannelBackend !== 'none')
    throw new UsageError(`Cannot use "${flannelBackend ?? ''}" for --flannel-backend: vxlan, host-gw or none is needed`)
  const egressSelectorMode = values.string('egress-selector-mode') ?? 'agent'
  if (egressSelectorMode !== 'agent' && egressSelectorMode !== 'disabled')
    throw new UsageError(`Cannot use "${egressSelectorMode}" for --egress-selector-mode: agent or disabled is needed`)
  const disabled = values.list('disable')
  for (const name of disabled)
    if (!disableable.includes(name)) throw new UsageError(`Cannot use "${name}" for --disable: ${disableable.join(', ')} can be disabled`)
  const cipher = values.string('secrets-encryption-provider') ?? 'aescbc'
  if (cipher !== 'aescbc' && cipher !== 'secretbox')
    throw new UsageError(`Cannot use "${cipher}" for --secrets-encryption-provider: aescbc or secretbox is needed`)
  const apiServerArgs = parseApiServerArgs(values.list('kube-apiserver-arg'))
  if (apiServerArgs.encryptionConfigFile !== undefined && values.boolean('secrets-encryption'))
    throw new UsageError('Cannot use --secrets-encryption with --kube-apiserver-arg=encryption-provider-config: give one of them')
  const mode = values.string('write-kubeconfig-mode') ?? '0600'
  if (!/^[0-7]{3,4}$/.test(mode))
    throw new UsageError(`Cannot use "${mode}" for --write-kubeconfig-mode: an octal mode such as 0644 is needed`)
  return {
    dataDir,
    bindAddress: values.string('bind-address') ?? '0.0.0.0',
    httpsPort: port,
    advertiseAddress: values.string('advertise-address'),
    advertisePort: values.integer('advertise-port') ?? port,
    tlsSans: values.list('tls-san'),
    nodePortRange: { first, last },
    cluster: {
      clusterCidr,
      serviceCidr,
      clusterDns,
      clusterDomain: values.string('cluster-domain') ?? 'cluster.local',
      flannelBackend,
      egressSelectorMode,
      httpsPort: port,
      disableKubeProxy: values.boolean('disable-kube-proxy'),
      disableDns: disabled.includes('coredns'),
    },
    datastore: readDatastoreOptions(values),
    token: readToken(values, 'token'),
    agentToken: readToken(values, 'agent-token'),
    kubeconfig: { file: values.string('write-kubeconfig'), mode: Number.parseInt(mode, 8) },
    apiServerArgs,
    secretsEncryption: { isWanted: values.boolean('secrets-encryption'), cipher },
    runs: {
      agent: !values.boolean('disable-agent'),
      scheduler: !values.boolean('disable-scheduler'),
      controllers: !values.boolean('disable-controller-manager'),
      cloudController: !values.boolean('disable-cloud-controller'),
    },
  }
}
