import type { FlowSchema, PriorityLevelConfiguration, Subject } from '@k3s/api/types/flowcontrol/v1'

/** An object says by this annotation whether its spec follows this server's defaults. */
export const autoUpdateAnnotation = 'apf.kubernetes.io/autoupdate-spec'

const apiVersion = 'flowcontrol.apiserver.k8s.io/v1'
const metadataOf = (name: string) => ({ name, annotations: { [autoUpdateAnnotation]: 'true' } })

interface LevelData {
  readonly shares: number
  readonly lendable: number
  readonly queues: number
  readonly handSize: number
}

const queuedLevels: Readonly<Record<string, LevelData>> = {
  system: { shares: 30, lendable: 33, queues: 64, handSize: 6 },
  'node-high': { shares: 40, lendable: 25, queues: 64, handSize: 6 },
  'leader-election': { shares: 10, lendable: 0, queues: 16, handSize: 4 },
  'workload-high': { shares: 40, lendable: 50, queues: 128, handSize: 6 },
  'workload-low': { shares: 100, lendable: 90, queues: 128, handSize: 6 },
  'global-default': { shares: 20, lendable: 50, queues: 128, handSize: 6 },
}

const exemptLevel = (): PriorityLevelConfiguration => ({
  apiVersion,
  kind: 'PriorityLevelConfiguration',
  metadata: metadataOf('exempt'),
  spec: { type: 'Exempt', exempt: { nominalConcurrencyShares: 0, lendablePercent: 0 } },
})

const catchAllLevel = (): PriorityLevelConfiguration => ({
  apiVersion,
  kind: 'PriorityLevelConfiguration',
  metadata: metadataOf('catch-all'),
  spec: { type: 'Limited', limited: { nominalConcurrencyShares: 5, lendablePercent: 0, limitResponse: { type: 'Reject' } } },
})

const queuedLevel = ([name, { shares, lendable, queues, handSize }]: readonly [string, LevelData]): PriorityLevelConfiguration => ({
  apiVersion,
  kind: 'PriorityLevelConfiguration',
  metadata: metadataOf(name),
  spec: {
    type: 'Limited',
    limited: {
      nominalConcurrencyShares: shares,
      lendablePercent: lendable,
      limitResponse: { type: 'Queue', queuing: { queues, handSize, queueLengthLimit: 50 } },
    },
  },
})

type Distinguisher = 'ByUser' | 'ByNamespace'

interface SchemaData {
  readonly name: string
  readonly level: string
  readonly precedence: number
  readonly distinguisher?: Distinguisher
  readonly subjects: readonly Subject[]
  /** Verbs, group, resources, whether of the cluster; absent: everything. `[]`: none. */
  readonly resources?: readonly (readonly [verbs: string, group: string, resources: string, clusterScope: boolean])[]
  /** Absent: everything, as far as `resources` is absent too. */
  readonly paths?: readonly [verbs: string, paths: string]
}

const groups = (...names: readonly string[]): Subject[] => names.map((name) => ({ kind: 'Group', group: { name } }))
const user = (name: string): Subject => ({ kind: 'User', user: { name } })
const kubeSystemAccounts: Subject = { kind: 'ServiceAccount', serviceAccount: { namespace: 'kube-system', name: '*' } }
const everybody = groups('system:unauthenticated', 'system:authenticated')

const mandatoryData: readonly SchemaData[] = [
  { name: 'exempt', level: 'exempt', precedence: 1, subjects: groups('system:masters') },
  { name: 'catch-all', level: 'catch-all', precedence: 10_000, distinguisher: 'ByUser', subjects: everybody },
]

const suggestedData: readonly SchemaData[] = [
  { name: 'probes', level: 'exempt', precedence: 2, subjects: everybody, resources: [], paths: ['get', '/healthz /readyz /livez'] },
  {
    name: 'system-leader-election',
    level: 'leader-election',
    precedence: 100,
    distinguisher: 'ByUser',
    subjects: [user('system:kube-controller-manager'), user('system:kube-scheduler'), kubeSystemAccounts],
    resources: [['get create update', 'coordination.k8s.io', 'leases', false]],
  },
  {
    name: 'system-node-high',
    level: 'node-high',
    precedence: 400,
    distinguisher: 'ByUser',
    subjects: groups('system:nodes'),
    resources: [
      ['*', '', 'nodes nodes/status', true],
      ['*', 'coordination.k8s.io', 'leases', false],
    ],
  },
  { name: 'system-nodes', level: 'system', precedence: 500, distinguisher: 'ByUser', subjects: groups('system:nodes') },
  {
    name: 'kube-controller-manager',
    level: 'workload-high',
    precedence: 800,
    distinguisher: 'ByNamespace',
    subjects: [user('system:kube-controller-manager')],
  },
  {
    name: 'kube-scheduler',
    level: 'workload-high',
    precedence: 800,
    distinguisher: 'ByNamespace',
    subjects: [user('system:kube-scheduler')],
  },
  {
    name: 'kube-system-service-accounts',
    level: 'workload-high',
    precedence: 900,
    distinguisher: 'ByNamespace',
    subjects: [kubeSystemAccounts],
  },
  {
    name: 'service-accounts',
    level: 'workload-low',
    precedence: 9000,
    distinguisher: 'ByUser',
    subjects: groups('system:serviceaccounts'),
  },
  { name: 'global-default', level: 'global-default', precedence: 9900, distinguisher: 'ByUser', subjects: everybody },
]

const words = (list: string): string[] => list.split(' ')

function schemaOf({ name, level, precedence, distinguisher, subjects, resources, paths }: SchemaData): FlowSchema {
  const resourceRules = (resources ?? [['*', '*', '*', true] as const]).map(([verbs, group, names, clusterScope]) => ({
    verbs: words(verbs),
    apiGroups: [group],
    resources: words(names),
    ...(clusterScope ? { clusterScope } : {}),
    namespaces: ['*'],
  }))
  const ownPaths = paths ?? (resources === undefined ? (['*', '*'] as const) : undefined)
  return {
    apiVersion,
    kind: 'FlowSchema',
    metadata: metadataOf(name),
    spec: {
      priorityLevelConfiguration: { name: level },
      matchingPrecedence: precedence,
      ...(distinguisher === undefined ? {} : { distinguisherMethod: { type: distinguisher } }),
      rules: [
        {
          subjects: [...subjects],
          ...(resourceRules.length === 0 ? {} : { resourceRules }),
          ...(ownPaths === undefined ? {} : { nonResourceRules: [{ verbs: words(ownPaths[0]), nonResourceURLs: words(ownPaths[1]) }] }),
        },
      ],
    },
  }
}

/** Objects that a server cannot be without: they act even before they are stored. New copies each time. */
export function mandatoryObjects(): { readonly levels: readonly PriorityLevelConfiguration[]; readonly schemas: readonly FlowSchema[] } {
  return { levels: [exemptLevel(), catchAllLevel()], schemas: mandatoryData.map(schemaOf) }
}

/** Upstream's suggestions for 1.36, which an operator may change. New copies each time. */
export function suggestedObjects(): { readonly levels: readonly PriorityLevelConfiguration[]; readonly schemas: readonly FlowSchema[] } {
  return { levels: Object.entries(queuedLevels).map(queuedLevel), schemas: suggestedData.map(schemaOf) }
}
