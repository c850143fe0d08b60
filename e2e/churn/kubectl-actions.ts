import * as make from './manifests.ts'
import { chosen, itemsOf, newItem, step, type Item, type NamespaceAction, type NamespaceModel } from './planning.ts'
import type { Random } from './random.ts'

/** Arguments of a kubectl that reads, for a namespace; undefined when there is nothing to read. */
const reads: readonly ((random: Random, namespace: NamespaceModel) => readonly string[] | undefined)[] = [
  () => ['get', 'all'],
  () => ['get', 'pods', '-o', 'wide', '--show-labels'],
  () => ['get', 'deployments,replicasets,statefulsets', '-o', 'yaml'],
  () => ['get', 'events', '--sort-by=.lastTimestamp'],
  () => ['get', 'endpointslices,services', '-o', 'json'],
  () => ['get', 'nodes', '-o', 'wide'],
  () => ['describe', 'nodes'],
  // It asks for each that it found: a controller may have removed one meanwhile. Nobody but the plan removes these.
  (random, { items }) => {
    const pod = chosen(random, itemsOf(items, 'pod'))
    return pod && ['describe', 'pod', pod.name]
  },
  () => ['describe', 'quota,limits,serviceaccounts'],
  () => ['explain', 'deployments.spec.strategy'],
  () => ['api-resources', '-o', 'name'],
  () => ['auth', 'can-i', 'create', 'pods', '--as=system:serviceaccount:default:default', '-q=false'],
  () => ['get', '--raw', '/readyz?verbose'],
  () => ['version', '-o', 'yaml'],
  () => ['cluster-info'],
]

/** Arguments about a deployment. */
const changes: readonly ((name: string, item: Item, random: Random) => readonly string[])[] = [
  (name) => ['describe', 'deployment', name],
  (name) => ['rollout', 'status', 'deployment', name, '--timeout=90s'],
  (name) => ['rollout', 'history', 'deployment', name],
  (name) => ['rollout', 'restart', 'deployment', name],
  (name, _, random) => ['scale', 'deployment', name, `--replicas=${random.between(1, 4)}`],
  (name, { turn }) => ['set', 'image', 'deployment', name, `main=registry.test/churn:${turn + 2}`],
  (name, { turn }) => ['annotate', 'deployment', name, `churn.test/turn=${turn}`, '--overwrite'],
  (name, { turn }) => ['label', 'deployment', name, `turn=${turn}`, '--overwrite'],
  (name, { turn }) => [
    'patch',
    'deployment',
    name,
    '--type=strategic',
    '-p',
    JSON.stringify({ metadata: { annotations: { patched: String(turn) } } }),
  ],
  (name) => ['wait', 'deployment', name, '--for=condition=Available', '--timeout=90s'],
  (name) => ['get', 'deployment', name, '-o', 'jsonpath={.status.readyReplicas}'],
]

/** kubectl beside the other clients, now and then. */
export const kubectlActions: readonly NamespaceAction[] = [
  {
    weight: 5,
    plan({ random }, namespace) {
      const { name } = namespace
      const args = random.pick(reads)(random, namespace)
      if (args === undefined) return undefined
      const isDenied = args[0] === 'auth'
      return step({ name }, `kubectl ${args.slice(0, 2).join(' ')}`, async (side) => {
        // The answer "no" is an exit code, too.
        if (isDenied) await side.runKubectl(['-n', name, ...args]).catch(() => {})
        else await side.runKubectl(['-n', name, ...args])
      })
    },
  },
  {
    weight: 6,
    plan({ random }, namespace) {
      const item = chosen(random, itemsOf(namespace.items, 'dep'))
      if (item === undefined) return undefined
      item.turn++
      const args = random.pick(changes)(item.name, { ...item }, random)
      return step(namespace, `kubectl ${args.slice(0, 2).join(' ')}`, (side) => side.runKubectl(['-n', namespace.name, ...args]))
    },
  },
  {
    weight: 3,
    plan(planner, namespace) {
      const items = itemsOf(namespace.items, 'app')
      const base = ['-n', namespace.name]
      const present = planner.random.next() < 0.5 ? chosen(planner.random, items) : undefined
      const item = present ?? newItem(planner, 'app-')
      item.turn++
      if (present === undefined) items.push(item)
      const manifests = [
        make.deployment(item.name, (item.turn % 3) + 1),
        make.service(item.name, item.name),
        make.configMap(item.name, item.turn),
      ]
      const text = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: manifests })
      const isDelete = item.turn > 3
      if (isDelete) items.splice(items.indexOf(item), 1)
      const mode = planner.random.next() < 0.3 ? ['--server-side', '--force-conflicts'] : []
      return isDelete
        ? step(namespace, 'kubectl delete -f', (side) => side.runKubectl([...base, 'delete', '--timeout=90s', '-f', '-'], text))
        : step(namespace, 'kubectl apply', (side) => side.runKubectl([...base, 'apply', ...mode, '-f', '-'], text))
    },
  },
]
