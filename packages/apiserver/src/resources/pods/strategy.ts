import { type Container, type Pod, type PodCondition, pods } from '@k3s/api/types/core/v1'
import type { RequestScope, ResourceStrategy } from '../../registry/strategy.ts'
import { isNew, keepAllButSpec, keepStatus } from '../shared/status-rules.ts'
import { dns1123Label } from '../../validation/names.ts'
import { computeQosClass } from '../shared/resource-list.ts'
import { dropAlphaFields, dropAlphaStatusFields } from './alpha-fields.ts'
import { podBinding } from './binding.ts'
import { podColumns } from './columns.ts'
import { defaultPod } from './defaults.ts'
import { podEviction } from './eviction.ts'
import type { PodRules } from './rules.ts'
import { applyMatchLabelKeys } from './scheduling.ts'
import { validateEphemeralUpdate, validatePodStatus, validatePodUpdate, validateResize } from './update-validation.ts'
import { validatePod, validatePodCreate } from './validation.ts'
import { podWarnings } from './warnings.ts'

function prepareForCreate(pod: Pod, scope: RequestScope): void {
  dropAlphaFields(pod.spec)
  pod.status = { phase: 'Pending', qosClass: computeQosClass(pod) }
  if ((pod.spec.schedulingGates ?? []).length > 0) {
    pod.status.conditions = [
      {
        type: 'PodScheduled',
        status: 'False',
        reason: 'SchedulingGated',
        message: 'Scheduling is blocked due to non-empty scheduling gates',
        lastTransitionTime: scope.now,
      },
    ]
  }
  applyMatchLabelKeys(pod.spec, pod.metadata.labels)
}

function warningsOnCreate({ metadata, spec }: Pod): readonly string[] {
  const problems = dns1123Label(metadata.name)
  const surprise = `metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [${problems.join(' ')}]`
  return [...(problems.length === 0 ? [] : [surprise]), ...podWarnings(spec, metadata)]
}

/** Kubelets that know nothing of observed generations do not wipe them. */
function keepObservedGenerations(pod: Pod, previous: Pod): void {
  const status = (pod.status ??= {})
  if (!status.observedGeneration) status.observedGeneration = previous.status?.observedGeneration
  const old = new Map<string, PodCondition[]>()
  for (const condition of previous.status?.conditions ?? []) old.set(condition.type, [...(old.get(condition.type) ?? []), condition])
  for (const condition of status.conditions ?? []) {
    const before = old.get(condition.type)?.shift()?.observedGeneration
    if (!condition.observedGeneration && before !== undefined) condition.observedGeneration = before
  }
}

function prepareStatus(pod: Pod, previous: Pod): void {
  pod.spec = structuredClone(previous.spec)
  if (previous.metadata.ownerReferences === undefined) delete pod.metadata.ownerReferences
  else pod.metadata.ownerReferences = structuredClone(previous.metadata.ownerReferences)
  const status = (pod.status ??= {})
  status.qosClass ||= previous.status?.qosClass
  keepObservedGenerations(pod, previous)
  dropAlphaStatusFields(status, previous.status)
}

/** Rules for pods. */
export function podStrategy(rules: PodRules): ResourceStrategy<Pod> {
  return {
    type: pods,
    hasGeneration: true,
    defaults: defaultPod,
    prepareForCreate,
    warningsOnCreate,
    validate: (pod) => [...validatePod(pod, rules), ...(isNew(pod) ? validatePodCreate(pod) : [])],
    update: {
      prepare(pod, previous) {
        keepStatus(pod, previous)
        dropAlphaFields(pod.spec, previous.spec)
      },
      validate: validatePodUpdate,
    },
    status: { prepare: prepareStatus, validate: validatePodStatus },
    gracefulDeletion(pod, requestedSeconds) {
      const isDone = pod.status?.phase === 'Failed' || pod.status?.phase === 'Succeeded'
      if (!pod.spec.nodeName || isDone) return { gracePeriodSeconds: 0 }
      const seconds = requestedSeconds ?? pod.spec.terminationGracePeriodSeconds ?? 0
      return { gracePeriodSeconds: seconds < 0 ? 1 : seconds }
    },
    views: {
      ephemeralcontainers: {
        prepare: prepareEphemeral,
        validate: (pod, previous) => [...validatePod(pod, rules), ...validateEphemeralUpdate(pod, previous)],
      },
      resize: {
        prepare: prepareResize,
        validate: (pod, previous) => [...validatePod(pod, rules), ...validateResize(pod, previous)],
      },
    },
    selectableFields: {
      'spec.nodeName': (pod) => pod.spec.nodeName ?? '',
      'spec.restartPolicy': (pod) => pod.spec.restartPolicy ?? '',
      'spec.schedulerName': (pod) => pod.spec.schedulerName ?? '',
      'spec.serviceAccountName': (pod) => pod.spec.serviceAccountName ?? '',
      'spec.hostNetwork': (pod) => String(pod.spec.hostNetwork ?? false),
      'status.phase': (pod) => pod.status?.phase ?? '',
      'status.podIP': (pod) => pod.status?.podIPs?.[0]?.ip ?? '',
      'status.podIPs': (pod) => pod.status?.podIPs?.[0]?.ip ?? '',
      'status.nominatedNodeName': (pod) => pod.status?.nominatedNodeName ?? '',
    },
    columns: podColumns,
    subresources: {
      binding: podBinding,
      eviction: podEviction,
    },
  }
}

/** Only ephemeral containers change. */
function prepareEphemeral(pod: Pod, previous: Pod): void {
  const { ephemeralContainers } = pod.spec
  keepAllButSpec(pod, previous)
  pod.spec = { ...structuredClone(previous.spec), ephemeralContainers }
  dropAlphaFields(pod.spec, previous.spec)
}

/** Only resources and resize policies change, container by container; a list of another length is left for validation to refuse. */
function prepareResize(pod: Pod, previous: Pod): void {
  const { containers, initContainers, resources } = pod.spec
  const old = structuredClone(previous.spec)
  if (containers.length !== old.containers.length || initContainers?.length !== old.initContainers?.length) return
  keepAllButSpec(pod, previous)
  pod.spec = { ...old, resources, containers: resized(containers, old.containers) }
  if (initContainers !== undefined) pod.spec.initContainers = resized(initContainers, old.initContainers ?? [])
}

/** Other names, or another order, are left for validation, too. */
function resized(wanted: Container[], old: readonly Container[]): Container[] {
  if (wanted.some(({ name }, index) => name !== old[index]?.name)) return wanted
  return old.map((container, index) => {
    const { resources, resizePolicy } = wanted[index] ?? container
    return { ...container, resources, resizePolicy }
  })
}
