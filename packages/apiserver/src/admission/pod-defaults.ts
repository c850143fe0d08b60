import { compareQuantities } from '@k3s/api'
import { type Binding, bindings, type Node, nodes, type Pod, pods, type Toleration } from '@k3s/api/types/core/v1'
import { type RuntimeClass, runtimeclasses } from '@k3s/api/types/node/v1'
import { type PriorityClass, priorityclasses } from '@k3s/api/types/scheduling/v1'
import type { ObjectReader } from '../registry/strategy.ts'
import { semanticEqual } from '../validation/equality.ts'
import type { AdmissionPlugin } from './admission.ts'
import { isFor, objectOf, oldObjectOf, refusal } from './requests.ts'

const notReady = 'node.kubernetes.io/not-ready'
const unreachable = 'node.kubernetes.io/unreachable'
/** How long pods stay on a node that is lost, unless they say otherwise. */
export interface LostNodeSeconds {
  readonly notReady: number
  readonly unreachable: number
}
const defaultLostNodeSeconds: LostNodeSeconds = { notReady: 300, unreachable: 300 }
const systemPriorities: Readonly<Record<string, number>> = { 'system-node-critical': 2000001000, 'system-cluster-critical': 2000000000 }

/** A new node takes no pods until its controller has seen it ready. */
export const taintNodesByCondition: AdmissionPlugin = {
  name: 'TaintNodesByCondition',
  admit(request): void {
    const node = objectOf(request, nodes, ['CREATE'])
    if (node === undefined || node.spec?.taints?.some(({ key, effect }) => key === notReady && effect === 'NoSchedule') === true) return
    node.spec = { ...node.spec, taints: [...(node.spec?.taints ?? []), { key: notReady, effect: 'NoSchedule' }] }
  },
}

/** Pods tolerate a lost node for a while. */
export function defaultTolerationSeconds(seconds: LostNodeSeconds = defaultLostNodeSeconds): AdmissionPlugin {
  const added = [
    { key: notReady, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: seconds.notReady },
    { key: unreachable, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: seconds.unreachable },
  ]
  return {
    name: 'DefaultTolerationSeconds',
    admit(request): void {
      const pod = objectOf(request, pods, ['CREATE', 'UPDATE'])
      if (pod === undefined) return
      for (const own of added) {
        const isTolerated = (toleration: Toleration): boolean =>
          (toleration.key === own.key || !toleration.key) && (toleration.effect === 'NoExecute' || !toleration.effect)
        if (pod.spec.tolerations?.some(isTolerated) !== true) pod.spec.tolerations = [...(pod.spec.tolerations ?? []), { ...own }]
      }
    },
  }
}

/** The class for pods that name none: of several the lowest. */
const defaultClass = (objects: ObjectReader): PriorityClass | undefined =>
  objects
    .list(priorityclasses)
    .filter(({ globalDefault }) => globalDefault === true)
    .toSorted((a, b) => (a.value ?? 0) - (b.value ?? 0))[0]

/** Turns the name of a priority class into its number. */
export const priority: AdmissionPlugin = {
  name: 'Priority',
  admit(request): void {
    const pod = objectOf(request, pods, ['CREATE', 'UPDATE'])
    if (pod === undefined) return
    const previous = oldObjectOf(request, pods)
    if (request.operation === 'UPDATE') {
      // What was computed once stays, also for clients that leave it out.
      pod.spec.priority ??= previous?.spec.priority
      pod.spec.preemptionPolicy ??= previous?.spec.preemptionPolicy
      return
    }
    const { objects } = request.scope
    const name = pod.spec.priorityClassName ?? ''
    const found = name === '' ? defaultClass(objects) : objects.get(priorityclasses, '', name)
    if (name !== '' && found === undefined && systemPriorities[name] === undefined)
      throw refusal(request, `no PriorityClass with name ${name} was found`)
    const value = found?.value ?? systemPriorities[name] ?? 0
    if (found !== undefined) pod.spec.priorityClassName = found.metadata.name
    if (pod.spec.priority !== undefined && pod.spec.priority !== value) {
      throw refusal(
        request,
        `the integer value of priority (${pod.spec.priority}) must not be provided in pod spec; priority admission controller computed ${value} from the given PriorityClass name`,
      )
    }
    pod.spec.priority = value
    const policy = found?.preemptionPolicy ?? 'PreemptLowerPriority'
    if (pod.spec.preemptionPolicy !== undefined && pod.spec.preemptionPolicy !== policy) {
      throw refusal(
        request,
        `the string value of PreemptionPolicy (${pod.spec.preemptionPolicy}) must not be provided in pod spec; priority admission controller computed ${policy} from the given PriorityClass name`,
      )
    }
    pod.spec.preemptionPolicy = policy
  },
  validate(request): void {
    const given = objectOf(request, priorityclasses, ['CREATE', 'UPDATE'])
    if (given?.globalDefault !== true) return
    const other = request.scope.objects
      .list(priorityclasses)
      .find(({ globalDefault, metadata }) => globalDefault === true && metadata.name !== given.metadata.name)
    if (other !== undefined)
      throw refusal(request, `PriorityClass ${other.metadata.name} is already marked as default. Only one default can exist`)
  },
}

function sameAmounts(left: Readonly<Record<string, string>>, right: Readonly<Record<string, string>>): boolean {
  const names = new Set([...Object.keys(left), ...Object.keys(right)])
  return [...names].every(
    (name) => left[name] !== undefined && right[name] !== undefined && compareQuantities(left[name], right[name]) === 0,
  )
}

function applyScheduling(pod: Pod, runtimeClass: RuntimeClass, refuse: (why: string) => Error): void {
  for (const [key, value] of Object.entries(runtimeClass.scheduling?.nodeSelector ?? {})) {
    const own = pod.spec.nodeSelector?.[key]
    if (own !== undefined && own !== value) {
      throw refuse(`conflict: runtimeClass.scheduling.nodeSelector[${key}] = ${value}; pod.spec.nodeSelector[${key}] = ${own}`)
    }
    pod.spec.nodeSelector = { ...pod.spec.nodeSelector, [key]: value }
  }
  for (const toleration of runtimeClass.scheduling?.tolerations ?? []) {
    if (pod.spec.tolerations?.some((own) => semanticEqual(own, toleration)) === true) continue
    pod.spec.tolerations = [...(pod.spec.tolerations ?? []), { ...toleration }]
  }
}

/** Adds what a pod's runtime costs, and the nodes it runs on. */
export const runtimeClass: AdmissionPlugin = {
  name: 'RuntimeClass',
  admit(request): void {
    const pod = objectOf(request, pods, ['CREATE'])
    const name = pod?.spec.runtimeClassName
    if (pod === undefined || name === undefined) return
    const found = request.scope.objects.get(runtimeclasses, '', name)
    if (found === undefined) throw refusal(request, `pod rejected: RuntimeClass "${name}" not found`)
    const overhead = found.overhead?.podFixed
    if (overhead !== undefined) {
      if (pod.spec.overhead !== undefined && !sameAmounts(pod.spec.overhead, overhead)) {
        throw refusal(request, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
      }
      pod.spec.overhead = { ...overhead }
    }
    applyScheduling(pod, found, (why) => refusal(request, why))
  },
  validate(request): void {
    const pod = objectOf(request, pods, ['CREATE'])
    if (pod?.spec.overhead === undefined) return
    const found =
      pod.spec.runtimeClassName === undefined ? undefined : request.scope.objects.get(runtimeclasses, '', pod.spec.runtimeClassName)
    if (found?.overhead?.podFixed === undefined)
      throw refusal(request, 'pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead')
  },
}

const topologyLabels = ['topology.kubernetes.io/zone', 'topology.kubernetes.io/region']

function copyTopology(target: { labels?: Record<string, string> | undefined }, node: Node | undefined): void {
  for (const label of topologyLabels) {
    const value = node?.metadata.labels?.[label]
    if (value !== undefined) target.labels = { ...target.labels, [label]: value }
  }
}

/** A pod carries the zone and region of its node from the moment it is bound. */
export const podTopologyLabels: AdmissionPlugin = {
  name: 'PodTopologyLabels',
  admit(request): void {
    const { objects } = request.scope
    if (request.operation !== 'CREATE') return
    const pod = objectOf(request, pods, ['CREATE'])
    if (pod?.spec.nodeName) copyTopology(pod.metadata, objects.get(nodes, '', pod.spec.nodeName))
    if (!isFor(request, pods, 'binding') && !isFor(request, bindings)) return
    // The body of a binding.
    const binding = request.object as Binding | undefined
    if (binding?.target.name && (binding.target.kind ?? 'Node') === 'Node')
      copyTopology(binding.metadata, objects.get(nodes, '', binding.target.name))
  },
}
