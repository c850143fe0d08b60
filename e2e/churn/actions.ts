import { hasReason } from '@k3s/api'
import { certificatesAction } from './certificates.ts'
import { kubectlActions } from './kubectl-actions.ts'
import { lifecycles } from './lifecycles.ts'
import * as make from './manifests.ts'
import { chosen, itemsOf, newItem, step, type ClusterAction, type NamespaceAction } from './planning.ts'
import type { Side } from './side.ts'

const merge = 'application/merge-patch+json'

// How soon after its definition something is made of a custom resource.
const servedMs = 6000

const others: readonly NamespaceAction[] = [
  {
    weight: 3,
    plan({ random }, namespace) {
      const item = chosen(random, itemsOf(namespace.items, 'dep'))
      return item && step(namespace, 'evict Pod', (side) => evict(side, namespace.name, item.name))
    },
  },
  {
    weight: 3,
    plan(planner, namespace) {
      const name = `own-${planner.nextNumber()}`
      const propagation = planner.random.pick(['Background', 'Foreground', 'Orphan'])
      const path = `/api/v1/namespaces/${namespace.name}/configmaps`
      planner.after(
        5000,
        step(namespace, 'delete owner', (side) => side.ask('DELETE', `${path}/${name}?propagationPolicy=${propagation}`)),
      )
      return step(namespace, 'create owner', (side) => createOwned(side, path, name))
    },
  },
  {
    weight: 2,
    plan(planner, namespace) {
      const name = `ep-${planner.nextNumber()}`
      const path = `/api/v1/namespaces/${namespace.name}`
      planner.after(
        6000,
        step(namespace, 'delete Service', (side) => side.ask('DELETE', `${path}/services/${name}`)),
      )
      return step(namespace, 'create Endpoints', async (side) => {
        await side.ask('POST', `${path}/services`, make.serviceWithoutSelector(name))
        await side.ask('POST', `${path}/endpoints`, make.endpoints(name, 1))
        await side.ask('PUT', `${path}/endpoints/${name}`, make.endpoints(name, 2))
      })
    },
  },
  {
    weight: 2,
    plan(planner, namespace) {
      const volumes = itemsOf(namespace.items, 'pv')
      const item = newItem(planner, 'pv-')
      const { name } = item
      volumes.push(item)
      const claims = `/api/v1/namespaces/${namespace.name}/persistentvolumeclaims`
      if (planner.random.next() < 0.5)
        planner.after(
          6000,
          step(namespace, 'delete PersistentVolumeClaim', (side) => side.ask('DELETE', `${claims}/${name}`)),
        )
      return step(namespace, 'create PersistentVolume', async (side) => {
        await side.ask('POST', '/api/v1/persistentvolumes', make.volume(name))
        await inPhase(side, `/api/v1/persistentvolumes/${name}`, 'Available')
        await side.ask('POST', claims, make.volumeClaim(name, name))
        await inPhase(side, `${claims}/${name}`, 'Bound')
      })
    },
  },
  {
    weight: 2,
    plan(planner, namespace) {
      const name = `tok-${planner.nextNumber()}`
      const path = `/api/v1/namespaces/${namespace.name}`
      planner.after(
        6000,
        step(namespace, 'delete ServiceAccount', (side) => side.ask('DELETE', `${path}/serviceaccounts/${name}`)),
      )
      return step(namespace, 'create token', (side) => createTokens(side, path, name))
    },
  },
  {
    weight: 6,
    plan(planner, namespace) {
      const definition = chosen(
        planner.random,
        itemsOf(planner.items, 'gadgets').filter(({ bornMs }) => planner.now() - bornMs > servedMs),
      )
      if (definition === undefined) return undefined
      const objects = itemsOf(namespace.items, definition.name)
      const path = `/apis/${make.group}/v1/namespaces/${namespace.name}/${definition.name}`
      // The namespace is there, and is not yet being deleted.
      const about = [definition, namespace]
      const item = objects.length > 3 ? objects.shift() : undefined
      if (item !== undefined) return step(about, 'delete custom object', (side) => side.ask('DELETE', `${path}/${item.name}`))
      const made = newItem(planner, 'cr-')
      const { name } = made
      const size = planner.random.between(0, 99)
      objects.push(made)
      return step(about, 'create custom object', async (side) => {
        await side.ask('POST', path, make.customObject(definition.name, name, size))
        await side.ask('PATCH', `${path}/${name}/status`, { status: { size } }, merge)
      })
    },
  },
]

export const namespaceActions: readonly NamespaceAction[] = [...lifecycles, ...others, ...kubectlActions]

export const clusterActions: readonly ClusterAction[] = [
  {
    weight: 3,
    plan(planner) {
      const definitions = itemsOf(planner.items, 'gadgets')
      if (definitions.length < 3) {
        const item = newItem(planner, 'gadgets')
        definitions.push(item)
        return step(item, 'create CustomResourceDefinition', (side) => define(side, item.name))
      }
      if (planner.random.next() < 0.5) return undefined
      const name = definitions.shift()?.name ?? ''
      return step({ name }, 'delete CustomResourceDefinition', (side) =>
        side.ask('DELETE', `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}.${make.group}`),
      )
    },
  },
  certificatesAction,
  {
    weight: 2,
    plan(planner) {
      const node = `hollow-${planner.random.between(0, 2)}`
      const path = `/api/v1/nodes/${node}`
      planner.after(
        4000,
        step({ name: node }, 'uncordon Node', (side) => side.ask('PATCH', path, { spec: { unschedulable: null } }, merge)),
      )
      return step({ name: node }, 'cordon Node', (side) => side.ask('PATCH', path, { spec: { unschedulable: true } }, merge))
    },
  },
  {
    weight: 1,
    plan(planner) {
      const name = `pc-${planner.nextNumber()}`
      const path = '/apis/scheduling.k8s.io/v1/priorityclasses'
      planner.after(
        5000,
        step({ name }, 'delete PriorityClass', (side) => side.ask('DELETE', `${path}/${name}`)),
      )
      return step({ name }, 'create PriorityClass', (side) => side.ask('POST', path, { metadata: { name }, value: 1000 }))
    },
  },
]

async function evict(side: Side, namespace: string, app: string): Promise<void> {
  const path = `/api/v1/namespaces/${namespace}/pods`
  const { items } = await side.ask('GET', `${path}?labelSelector=app%3D${app}&limit=1`)
  const [first] = items as readonly { readonly metadata: { readonly name: string } }[] // a list has items
  if (first === undefined) return
  const { name } = first.metadata
  const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace } }
  // A budget may forbid it at the moment, and the pod may be gone.
  await side.ask('POST', `${path}/${name}/eviction`, eviction).catch((error: unknown) => {
    if (!hasReason(error, 'TooManyRequests', 'NotFound')) throw error
  })
}

async function createOwned(side: Side, path: string, name: string): Promise<void> {
  const { metadata } = await side.ask('POST', path, make.configMap(name, 0))
  const { uid } = metadata as { readonly uid: string } // what is stored has one
  const owner = { apiVersion: 'v1', kind: 'ConfigMap', name, uid, blockOwnerDeletion: true }
  for (const child of ['a', 'b'])
    await side.ask('POST', path, { metadata: { name: `${name}-${child}`, ownerReferences: [owner] }, data: { of: name } })
}

async function createTokens(side: Side, path: string, name: string): Promise<void> {
  await side.ask('POST', `${path}/serviceaccounts`, { metadata: { name } })
  await side.ask('POST', `${path}/serviceaccounts/${name}/token`, {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    metadata: { name: '' },
    spec: { expirationSeconds: 600 },
  })
  await side.ask('POST', `${path}/secrets`, {
    metadata: { name, annotations: { 'kubernetes.io/service-account.name': name } },
    type: 'kubernetes.io/service-account-token',
  })
  await side.until('a token in the Secret', async () => {
    const { data } = await side.ask('GET', `${path}/secrets/${name}`)
    if ((data as { readonly token?: string } | undefined)?.token === undefined) throw new Error('no token yet')
  })
}

/** Waits until a controller says so; what is done to an object that it just looks at is told as an error, or not, by chance. */
async function inPhase(side: Side, path: string, phase: string): Promise<void> {
  await side.until(`${path} is ${phase}`, async () => {
    const { status } = await side.ask('GET', path)
    if ((status as { readonly phase?: string } | undefined)?.phase !== phase) throw new Error(`it is ${JSON.stringify(status)}`)
  })
}

async function define(side: Side, name: string): Promise<void> {
  await side.ask('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', make.customDefinition(name))
  await side.until('the custom resource is served', () => side.ask('GET', `/apis/${make.group}/v1/${name}`))
}
