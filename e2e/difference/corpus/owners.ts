import { CaseBuilder, type Area, type Case, type JsonObject } from '../case.ts'

const deployments = '/apis/apps/v1/namespaces/$ns/deployments'
const head = (name: string): JsonObject => ({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name } })
const selector: JsonObject = { matchLabels: { app: 'a' } }
const container = (more: JsonObject = {}): JsonObject => ({ name: 'c', image: 'registry.example/app:1', ...more })
const withContainers = (...containers: JsonObject[]): JsonObject => ({
  selector,
  template: { metadata: { labels: { app: 'a' } }, spec: { containers } },
})

/** Lists inside of lists that several managers apply. */
function lists(): Case {
  const at = (manager: string, more = ''): string => `${deployments}/d?fieldManager=${manager}${more}`
  const of = (...containers: JsonObject[]): JsonObject => ({ ...head('d'), spec: withContainers(...containers) })
  const inner = (...containers: JsonObject[]): JsonObject => ({ ...head('d'), spec: { template: { spec: { containers } } } })
  const ports = (...list: JsonObject[]): JsonObject => container({ ports: list })
  return new CaseBuilder('owned-lists')
    .patch(at('a'), 'apply', of(container({ env: [{ name: 'A', value: '1' }], args: ['x', 'y'] })), 'create')
    .patch(at('b'), 'apply', inner({ name: 'c', env: [{ name: 'B', value: '2' }] }), 'another item')
    .patch(at('b'), 'apply', inner({ name: 'c', env: [{ name: 'A', value: '2' }] }), 'conflict in an item')
    .patch(at('b', '&force=true'), 'apply', inner({ name: 'c', env: [{ name: 'A', value: '2' }] }), 'forced item')
    .patch(at('b'), 'apply', inner({ name: 'c', args: ['z'] }), 'conflict in an atomic list')
    .patch(at('b', '&force=true'), 'apply', inner({ name: 'c', args: ['z'] }), 'forced atomic list')
    .patch(at('a'), 'apply', of(container()), 'a keeps the rest')
    .patch(at('b'), 'apply', head('d'), 'b gives up')
    .patch(at('a'), 'apply', of(ports({ containerPort: 80 }, { containerPort: 80, protocol: 'UDP' })), 'ports')
    .patch(at('a'), 'apply', of(ports({ containerPort: 80 }, { containerPort: 80, protocol: 'TCP' })), 'same ports')
    .patch(at('b'), 'apply', inner(ports({ containerPort: 80, name: 'web' })), 'name of a port')
    .patch(at('b'), 'apply', inner({ name: 'other', image: 'i' }, { name: 'c' }), 'another order')
    .patch(at('b'), 'apply', inner({ name: 'c' }), 'without the other')
    .patch(at('b'), 'apply', inner({ name: 'c' }, { name: 'c' }), 'twice')
    .patch(at('b'), 'apply', inner({ name: 'c', env: [] }), 'empty list')
    .patch(at('b'), 'apply', inner({ name: 'c', env: null }), 'null list')
    .patch(at('b'), 'apply', { ...head('d'), spec: { template: { spec: { containers: null } } } }, 'null containers')
    .patch(at('b'), 'apply', { ...head('d'), spec: { template: { spec: { containers: {} } } } }, 'map for a list')
    .patch(at('b'), 'apply', { ...head('d'), spec: { template: { spec: { containers: ['c'] } } } }, 'text for an item')
    .patch(at('b'), 'apply', { ...head('d'), spec: { template: { unknown: 2 } } }, 'unknown fields')
    .patch(at('b'), 'apply', { ...head('d'), metadata: { name: 'd', finalizers: ['example.com/a', 'example.com/b'] } }, 'a set')
    .patch(at('c'), 'apply', { ...head('d'), metadata: { name: 'd', finalizers: ['example.com/b', 'example.com/c'] } }, 'shared set')
    .patch(at('b'), 'apply', head('d'), 'less of a set')
    .patch(at('c'), 'apply', { ...head('d'), metadata: { name: 'd', finalizers: ['example.com/b', 'example.com/b'] } }, 'set with doubles')
    .patch(at('c'), 'apply', head('d'), 'empty set')
    .patch(`${deployments}/d`, 'merge', { spec: { template: { spec: { nodeSelector: { a: 'b' } } } } }, 'updated')
    .patch(at('b'), 'apply', { ...head('d'), spec: { template: { spec: { nodeSelector: { a: 'c' } } } } }, 'conflict with an update')
    .patch(at('b', '&force=true&dryRun=All'), 'apply', { ...head('d'), spec: { template: { spec: { nodeSelector: { a: 'c' } } } } }, 'dry')
    .patch(at('b', '&force=maybe'), 'apply', head('d'), 'bad force')
    .patch(at('x'.repeat(129)), 'apply', head('d'), 'long manager')
    .patch(`${deployments}/d?force=true`, 'merge', {}, 'force of a merge')
    .patch(at('a'), 'apply', { ...head('d'), spec: { strategy: { type: 'Recreate' } } }, 'strategy')
    .get(`${deployments}/d`, 'at last')
    .build()
}

/** Maps, structs that are owned whole, and kinds with tricks of their own. */
function kinds(): Case {
  const maps = '/api/v1/namespaces/$ns/configmaps/m'
  const map = (data: JsonObject | undefined, metadata: JsonObject = {}): JsonObject => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'm', ...metadata },
    ...(data === undefined ? {} : { data }),
  })
  const services = '/api/v1/namespaces/$ns/services/s'
  const service = (spec: JsonObject): JsonObject => ({ apiVersion: 'v1', kind: 'Service', metadata: { name: 's' }, spec })
  const policies = '/apis/networking.k8s.io/v1/namespaces/$ns/networkpolicies/n'
  const policy = (spec: JsonObject): JsonObject => ({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'n' },
    spec,
  })
  const roles = '/apis/rbac.authorization.k8s.io/v1/namespaces/$ns/roles/r'
  const role = (rules: JsonObject[]): JsonObject => ({
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'Role',
    metadata: { name: 'r' },
    rules,
  })
  const secrets = '/api/v1/namespaces/$ns/secrets/t'
  const secret = (more: JsonObject): JsonObject => ({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 't' }, ...more })
  return new CaseBuilder('owned-kinds')
    .patch(`${maps}?fieldManager=a`, 'apply', map({ a: '1' }, { labels: { x: '1' } }), 'map')
    .patch(`${maps}?fieldManager=b`, 'apply', map({ b: '2' }, { labels: { y: '2' } }), 'other keys')
    .patch(`${maps}?fieldManager=a`, 'apply', map(undefined), 'gives up its key')
    .patch(`${maps}?fieldManager=b`, 'apply', map({ b: null }), 'null value')
    .patch(`${maps}?fieldManager=b`, 'apply', map({ b: 5 }), 'number')
    .patch(`${maps}?fieldManager=b`, 'apply', map({}), 'empty map')
    .patch(`${maps}?fieldManager=b`, 'apply', { ...map({}), immutable: true }, 'immutable')
    .patch(`${maps}?fieldManager=b`, 'apply', map({ c: '3' }), 'changed though immutable')
    .patch(
      `${services}?fieldManager=a`,
      'apply',
      service({ ports: [{ port: 80 }, { port: 443, name: 'tls' }], selector: { a: 'b' } }),
      'unnamed',
    )
    .patch(
      `${services}?fieldManager=a`,
      'apply',
      service({
        ports: [
          { port: 80, name: 'web' },
          { port: 443, name: 'tls' },
        ],
        selector: { a: 'b' },
      }),
      'service',
    )
    .patch(`${services}?fieldManager=b`, 'apply', service({ ports: [{ port: 80, targetPort: 'http' }] }), 'port of another')
    .patch(`${services}?fieldManager=b`, 'apply', service({ selector: { c: 'd' } }), 'selector of another')
    .patch(`${services}?fieldManager=b&force=true`, 'apply', service({ selector: { c: 'd' } }), 'forced selector')
    .patch(`${services}?fieldManager=a`, 'apply', service({ ports: [{ port: 443, name: 'tls' }] }), 'less of a service')
    .patch(`${policies}?fieldManager=a`, 'apply', policy({ podSelector: {}, ingress: [{ from: [{ podSelector: {} }] }] }), 'policy')
    .patch(`${policies}?fieldManager=b`, 'apply', policy({ podSelector: { matchLabels: { a: 'b' } } }), 'atomic struct')
    .patch(`${policies}?fieldManager=b&force=true`, 'apply', policy({ podSelector: { matchLabels: { a: 'b' } } }), 'forced struct')
    .patch(`${roles}?fieldManager=a`, 'apply', role([{ verbs: ['get'], apiGroups: [''], resources: ['pods'] }]), 'role')
    .patch(`${roles}?fieldManager=b`, 'apply', role([]), 'empty rules')
    .patch(`${secrets}?fieldManager=a`, 'apply', secret({ stringData: { a: 'x' } }), 'string data')
    .patch(`${secrets}?fieldManager=a`, 'apply', secret({ data: { a: 'eQ==' } }), 'data')
    .patch(`${secrets}?fieldManager=a`, 'apply', secret({ data: { a: '!' } }), 'bad data')
    .build()
}

/** Scales, statuses, and what plain writes leave of owners. */
function subresources(): Case {
  const at = `${deployments}/d`
  const scale = (spec: JsonObject, metadata: JsonObject = { name: 'd' }): JsonObject => ({
    apiVersion: 'autoscaling/v1',
    kind: 'Scale',
    metadata,
    spec,
  })
  return new CaseBuilder('owned-parts')
    .post(
      `${deployments}?fieldManager=creator`,
      { metadata: { name: 'd' }, spec: { replicas: 2, ...withContainers(container()) } },
      'create',
    )
    .patch(`${at}/scale?fieldManager=a`, 'apply', scale({ replicas: 3 }), 'scale conflicts')
    .patch(`${at}/scale?fieldManager=a&force=true`, 'apply', scale({ replicas: 3 }), 'scale forced')
    .get(at, 'after scale')
    .patch(`${at}/scale?fieldManager=a`, 'apply', scale({ replicas: 4 }), 'scale again')
    .patch(`${at}/scale?fieldManager=a`, 'apply', scale({}), 'scale gives up')
    .get(at, 'after giving up')
    .patch(`${at}/scale?fieldManager=b`, 'merge', { spec: { replicas: 5 } }, 'scale merged')
    .patch(`${at}/scale?fieldManager=b`, 'strategic', { spec: { replicas: 5 } }, 'scale unchanged')
    .patch(`${at}/scale?fieldManager=c`, 'json', [{ op: 'replace', path: '/spec/replicas', value: 6 }], 'scale by operations')
    .get(at, 'after updates')
    .put(`${at}/scale?fieldManager=d`, scale({ replicas: 7 }), 'scale put')
    .put(`${at}/scale`, scale({ replicas: 7 }, { name: 'e' }), 'scale of another name')
    .put(`${at}/scale`, scale({ replicas: 7 }, {}), 'scale without a name')
    .put(`${at}/scale`, scale({ replicas: 7 }, { name: 'd', uid: 'other' }), 'scale of another uid')
    .patch(`${at}/scale`, 'merge', { metadata: { uid: 'other' } }, 'scale patched to another uid')
    .patch(`${at}/scale`, 'merge', { metadata: { name: 'e' } }, 'scale patched to another name')
    .put(`${at}/scale?dryRun=All`, scale({ replicas: 8 }), 'scale dry')
    .patch(`${deployments}/none/scale`, 'merge', { spec: { replicas: 1 } }, 'scale of nothing')
    .put(`${deployments}/none/scale`, scale({ replicas: 1 }, { name: 'none' }), 'scale put to nothing')
    .patch(`${deployments}/none/scale?fieldManager=a`, 'apply', scale({ replicas: 1 }, { name: 'none' }), 'scale applied to nothing')
    .patch(`${at}/scale?fieldManager=a`, 'apply', scale({ replicas: 'many' }), 'scale of a wrong type')
    .patch(`${at}/scale?fieldManager=a`, 'apply', { ...scale({ replicas: 1 }), kind: 'Other' }, 'scale of another kind')
    .patch(`${at}/scale?fieldValidation=Strict`, 'merge', { spec: { bogus: 1 } }, 'scale with an unknown field')
    .patch(`${at}/status?fieldManager=a`, 'apply', { ...head('d'), status: { replicas: 1, conditions: [] } }, 'status')
    .patch(`${at}/status?fieldManager=b`, 'apply', { ...head('d'), status: { replicas: 2 } }, 'status conflicts')
    .patch(`${at}/status?fieldManager=a`, 'apply', { ...head('d'), spec: { replicas: 1 } }, 'spec by status')
    .patch(
      `${at}/status?fieldManager=a`,
      'merge',
      { metadata: { labels: { a: 'b' } }, status: { observedGeneration: 1 } },
      'labels by status',
    )
    .put(`${at}?fieldManager=e`, { ...head('d'), spec: { ...withContainers(container()), replicas: 1 } }, 'put')
    .patch(`${at}?fieldManager=e`, 'merge', { metadata: { managedFields: [] } }, 'forget')
    .patch(`${at}?fieldManager=e`, 'merge', { metadata: { labels: { x: 'y' } } }, 'unowned stays')
    .patch(`${at}?fieldManager=f`, 'apply', { ...head('d'), spec: { paused: true } }, 'before the first apply')
    .build()
}

/** Workloads that select nothing. */
function selectorless(): Case {
  const built = new CaseBuilder('selectorless')
  const { template } = withContainers(container())
  for (const [resource, kind] of [
    ['deployments', 'Deployment'],
    ['daemonsets', 'DaemonSet'],
    ['replicasets', 'ReplicaSet'],
    ['statefulsets', 'StatefulSet'],
  ] as const) {
    const at = `/apis/apps/v1/namespaces/$ns/${resource}?dryRun=All`
    const ask = (label: string, spec: JsonObject): void => {
      built.post(at, { metadata: { name: 'w' }, spec }, `${kind} ${label}`)
    }
    ask('of nothing', { template: template ?? null })
    ask('of everything', { selector: {}, template: template ?? null })
    ask('of others', { selector: { matchLabels: { app: 'b' } }, template: template ?? null })
    ask('without a template', { selector })
  }
  return built.build()
}

export const owners: Area = { name: 'owners', cases: [lists(), kinds(), subresources(), selectorless()] }
