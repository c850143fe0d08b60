import * as make from './manifests.ts'
import type { Manifest } from './manifests.ts'
import { itemsOf, newItem, step, type Item, type NamespaceAction } from './planning.ts'
import type { Random } from './random.ts'

const merge = 'application/merge-patch+json'

/** A kind that is made, changed and deleted again and again. */
interface Kind {
  readonly weight: number
  /** Of its names, which say the kind. */
  readonly prefix: string
  /** `/apis/apps/v1/namespaces/NS/deployments`, with the namespace for `NS`. */
  readonly path: string
  readonly kind: string
  /** In one namespace at once. */
  readonly most: number
  create(name: string, random: Random): Manifest
  /** Merge patches, one of which is sent. */
  readonly changes?: readonly ((random: Random, item: Item) => object)[]
  readonly propagation?: readonly ('Background' | 'Foreground' | 'Orphan')[]
}

const roll = (_random: Random, { turn }: Item): object => ({ spec: { template: { metadata: { annotations: { turn: String(turn) } } } } })
const scale =
  (most: number) =>
  (random: Random): object => ({ spec: { replicas: random.between(0, most) } })

const kinds: readonly Kind[] = [
  {
    weight: 14,
    prefix: 'dep',
    kind: 'Deployment',
    path: '/apis/apps/v1/namespaces/NS/deployments',
    most: 4,
    create: (name, random) => make.deployment(name, random.between(1, 4)),
    changes: [roll, scale(5), (random) => ({ spec: { paused: false, minReadySeconds: random.between(0, 2) } })],
    propagation: ['Background', 'Foreground'],
  },
  {
    weight: 6,
    prefix: 'sts',
    kind: 'StatefulSet',
    path: '/apis/apps/v1/namespaces/NS/statefulsets',
    most: 2,
    create: (name, random) => make.statefulSet(name, random.between(1, 3)),
    changes: [roll, scale(3)],
    propagation: ['Background', 'Foreground'],
  },
  {
    weight: 4,
    prefix: 'ds',
    kind: 'DaemonSet',
    path: '/apis/apps/v1/namespaces/NS/daemonsets',
    most: 1,
    create: (name) => make.daemonSet(name),
    changes: [roll],
    propagation: ['Background', 'Foreground'],
  },
  {
    weight: 3,
    prefix: 'rc',
    kind: 'ReplicationController',
    path: '/api/v1/namespaces/NS/replicationcontrollers',
    most: 1,
    create: (name, random) => make.replicationController(name, random.between(1, 3)),
    changes: [scale(3)],
    propagation: ['Background'],
  },
  {
    weight: 7,
    prefix: 'job',
    kind: 'Job',
    path: '/apis/batch/v1/namespaces/NS/jobs',
    most: 5,
    create: (name, random) =>
      make.job(name, { seconds: random.between(1, 6), exitCode: random.next() < 0.3 ? 1 : 0, parallelism: random.between(1, 3) }),
    propagation: ['Background', 'Foreground'],
  },
  {
    weight: 2,
    prefix: 'cj',
    kind: 'CronJob',
    path: '/apis/batch/v1/namespaces/NS/cronjobs',
    most: 1,
    create: (name) => make.cronJob(name),
    changes: [(random) => ({ spec: { suspend: random.next() < 0.5 } })],
    propagation: ['Background'],
  },
  {
    weight: 8,
    prefix: 'cm',
    kind: 'ConfigMap',
    path: '/api/v1/namespaces/NS/configmaps',
    most: 8,
    create: (name, random) => make.configMap(name, random.between(0, 999)),
    changes: [(_, { turn }) => ({ data: { turn: String(turn) } })],
  },
  {
    weight: 2,
    prefix: 'pod',
    kind: 'Pod',
    path: '/api/v1/namespaces/NS/pods',
    most: 3,
    create: (name) => make.pod(name),
    changes: [(_, { turn }) => ({ metadata: { labels: { turn: String(turn) } } })],
  },
  {
    weight: 1,
    prefix: 'quota',
    kind: 'ResourceQuota',
    path: '/api/v1/namespaces/NS/resourcequotas',
    most: 1,
    create: (name) => make.quota(name),
    changes: [(random) => ({ spec: { hard: { pods: String(random.between(50, 90)) } } })],
  },
  {
    weight: 1,
    prefix: 'limits',
    kind: 'LimitRange',
    path: '/api/v1/namespaces/NS/limitranges',
    most: 1,
    create: (name) => make.limitRange(name),
  },
  {
    weight: 2,
    prefix: 'sa',
    kind: 'ServiceAccount',
    path: '/api/v1/namespaces/NS/serviceaccounts',
    most: 3,
    create: (name) => ({ metadata: { name } }),
    changes: [(_, { turn }) => ({ metadata: { annotations: { turn: String(turn) } } })],
  },
]

const kindActions: readonly NamespaceAction[] = kinds.map((kind) => ({
  weight: kind.weight,
  plan(planner, namespace) {
    const { random } = planner
    const items = itemsOf(namespace.items, kind.prefix)
    const path = kind.path.replace('NS', namespace.name)
    const chance = random.next()
    if (items.length === 0 || (items.length < kind.most && chance < 0.4)) {
      const item = newItem(planner, `${kind.prefix}-`)
      items.push(item)
      const manifest = kind.create(item.name, random)
      return step(namespace, `create ${kind.kind}`, (side) => side.ask('POST', path, manifest))
    }
    const item = random.pick(items)
    if (kind.changes === undefined || chance > 0.75) {
      items.splice(items.indexOf(item), 1)
      const propagation = kind.propagation === undefined ? '' : `?propagationPolicy=${random.pick(kind.propagation)}`
      return step(namespace, `delete ${kind.kind}`, (side) => side.ask('DELETE', `${path}/${item.name}${propagation}`))
    }
    item.turn++
    const patch = random.pick(kind.changes)(random, item)
    return step(namespace, `change ${kind.kind}`, (side) => side.ask('PATCH', `${path}/${item.name}`, patch, merge))
  },
}))

/** Things about a Deployment that come and go with it or before it. */
const companions: readonly NamespaceAction[] = [
  companion(5, { prefix: 'svc', kind: 'Service', path: '/api/v1/namespaces/NS/services', create: (name, app) => make.service(name, app) }),
  companion(1, {
    prefix: 'svch',
    kind: 'Service',
    path: '/api/v1/namespaces/NS/services',
    create: (name, app) => make.service(name, app, { isHeadless: true }),
  }),
  companion(1, {
    prefix: 'hpa',
    kind: 'HorizontalPodAutoscaler',
    path: '/apis/autoscaling/v2/namespaces/NS/horizontalpodautoscalers',
    create: make.autoscaler,
  }),
  companion(2, {
    prefix: 'pdb',
    kind: 'PodDisruptionBudget',
    path: '/apis/policy/v1/namespaces/NS/poddisruptionbudgets',
    create: make.disruptionBudget,
  }),
  companion(1, { prefix: 'ing', kind: 'Ingress', path: '/apis/networking.k8s.io/v1/namespaces/NS/ingresses', create: make.ingress }),
]

function companion(
  weight: number,
  kind: Pick<Kind, 'prefix' | 'kind' | 'path'> & { create(name: string, of: string): Manifest },
): NamespaceAction {
  return {
    weight,
    plan(planner, namespace) {
      const { random } = planner
      const items = itemsOf(namespace.items, kind.prefix)
      const targets = itemsOf(namespace.items, 'dep')
      const path = kind.path.replace('NS', namespace.name)
      if (targets.length > 0 && (items.length === 0 || (items.length < 2 && random.next() < 0.5))) {
        const item = newItem(planner, `${kind.prefix}-`)
        const target = random.pick(targets).name
        items.push(item)
        return step(namespace, `create ${kind.kind}`, (side) => side.ask('POST', path, kind.create(item.name, target)))
      }
      const item = items.shift()
      return item === undefined ? undefined : step(namespace, `delete ${kind.kind}`, (side) => side.ask('DELETE', `${path}/${item.name}`))
    },
  }
}

/** Things that are made, changed and deleted again and again. */
export const lifecycles: readonly NamespaceAction[] = [...kindActions, ...companions]
