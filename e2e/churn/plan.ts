import { hasReason } from '@k3s/api'
import { clusterActions, namespaceActions } from './actions.ts'
import { step, type NamespaceModel, type Operation, type Planner, type Step } from './planning.ts'
import { Random } from './random.ts'
import type { Side } from './side.ts'

const namespacesAtOnce = 4
// What is done in a namespace has its end in the plan this long before the namespace's own.
const graceMs = 8000
// The first namespaces are there.
const birthMs = 2000
const [leastLifeSeconds, mostLifeSeconds] = [50, 200]
const clusterShare = 0.12

/** A plan of `seconds`, with `rate` operations a second: the same for the same seed. What would go on by itself (CronJobs) ends with it. */
export function makePlan(options: { readonly seed: number; readonly seconds: number; readonly rate: number }): readonly Operation[] {
  const { seed, seconds, rate } = options
  const random = new Random(seed)
  const operations: Operation[] = []
  const namespaces: NamespaceModel[] = []
  let now = 0
  let number = 0
  const planner: Planner = {
    random,
    now: () => now,
    nextNumber: () => ++number,
    after: (delayMs, step) => void operations.push({ ...step, atMs: now + delayMs }),
    items: new Map(),
    namespaces,
  }
  const begin = (lifeSeconds: number): void => {
    const name = `ns-${planner.nextNumber()}`
    namespaces.push({ name, diesAtMs: now + lifeSeconds * 1000, items: new Map() })
    planner.after(0, beginNamespace(name))
  }
  // Not all of them die together.
  for (let count = 1; count <= namespacesAtOnce; count++) begin((leastLifeSeconds * count * 2) / 3)
  for (now = birthMs; now < seconds * 1000; now += 1000 / rate) {
    for (const namespace of namespaces.filter(({ diesAtMs }) => diesAtMs <= now)) {
      namespaces.splice(namespaces.indexOf(namespace), 1)
      planner.after(0, endNamespace(namespace.name))
      for (const leftover of leftovers(namespace)) planner.after(15_000, leftover)
      begin(random.between(leastLifeSeconds, mostLifeSeconds))
    }
    const chosen = choose(planner, now)
    if (chosen !== undefined) planner.after(0, chosen)
  }
  for (const namespace of namespaces)
    planner.after(
      0,
      step(namespace, 'delete all CronJobs', (side) =>
        side.ask('DELETE', `/apis/batch/v1/namespaces/${namespace.name}/cronjobs?propagationPolicy=Foreground`),
      ),
    )
  return operations.toSorted((a, b) => a.atMs - b.atMs)
}

function choose(planner: Planner, now: number): Step | undefined {
  const { random, namespaces } = planner
  const alive = namespaces.filter(({ diesAtMs }) => diesAtMs - now > graceMs)
  // What there is nothing for is chosen again; something is always possible soon.
  for (let tries = 0; tries < 20; tries++) {
    const chosen =
      random.next() < clusterShare || alive.length === 0
        ? random.weighted(clusterActions).plan(planner)
        : random.weighted(namespaceActions).plan(planner, random.pick(alive))
    if (chosen !== undefined) return chosen
  }
  return undefined
}

const beginNamespace = (name: string): Step =>
  step({ name }, 'create Namespace', async (side) => {
    await side.ask('POST', '/api/v1/namespaces', { metadata: { name } })
    await side.until('ServiceAccount default', () => side.ask('GET', `/api/v1/namespaces/${name}/serviceaccounts/default`))
  })

const workloads = [
  '/apis/batch/v1/namespaces/NS/cronjobs',
  '/apis/batch/v1/namespaces/NS/jobs',
  '/apis/apps/v1/namespaces/NS/deployments',
  '/apis/apps/v1/namespaces/NS/statefulsets',
  '/apis/apps/v1/namespaces/NS/daemonsets',
  '/api/v1/namespaces/NS/replicationcontrollers',
]

/**
 * Controllers whose objects are gone already when the namespace goes have nothing to make in it: else they log that they could not, or not, depending on
 * whether the server is slow or fast to empty it. Pods of nobody and all else goes with the namespace.
 */
const endNamespace = (name: string): Step =>
  step({ name }, 'delete Namespace', async (side) => {
    for (const path of workloads) await side.ask('DELETE', `${path.replace('NS', name)}?propagationPolicy=Background`)
    await side.until('pods of workloads are gone', async () => {
      const { items } = await side.ask('GET', `/api/v1/namespaces/${name}/pods`)
      const owned = (items as readonly { readonly metadata: { readonly ownerReferences?: unknown } }[]).filter(
        ({ metadata }) => metadata.ownerReferences !== undefined,
      ) // a list has items
      if (owned.length > 0) throw new Error(`${owned.length} pods are left`)
    })
    await side.ask('DELETE', `/api/v1/namespaces/${name}`)
  })

/** What a namespace had outside of itself, which goes when the namespace has gone. */
function leftovers(namespace: NamespaceModel): readonly Step[] {
  return (namespace.items.get('pv') ?? []).map(({ name }) =>
    step(namespace, 'delete PersistentVolume', async (side) => {
      await gone(side, `/api/v1/namespaces/${namespace.name}`)
      await side.ask('DELETE', `/api/v1/persistentvolumes/${name}`)
    }),
  )
}

const gone = (side: Side, path: string): Promise<void> =>
  side.until(`${path} is gone`, async () => {
    const found = await side.ask('GET', path).catch((error: unknown) => {
      if (!hasReason(error, 'NotFound')) throw error
    })
    if (found !== undefined) throw new Error('it is there')
  })
