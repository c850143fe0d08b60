import { type Pod, type PodCondition, pods } from '@k3s/api/types/core/v1'
import type { RequestScope, ResourceStrategy } from '../../registry/strategy.ts'
import { isNew, keepStatus } from '../shared/status-rules.ts'
import { dns1123Label } from '../../validation/names.ts'
import { computeQosClass } from '../shared/resource-list.ts'
import { viewSubresource } from '../shared/view.ts'
import { podBinding } from './binding.ts'
import { podColumns } from './columns.ts'
import { defaultPod } from './defaults.ts'
import { podEviction } from './eviction.ts'
import type { PodRules } from './rules.ts'
import { applyMatchLabelKeys } from './scheduling.ts'
import { validateEphemeralUpdate, validatePodStatus, validatePodUpdate, validateResize } from './update-validation.ts'
import { validatePod, validatePodCreate } from './validation.ts'

function prepareForCreate(pod: Pod, scope: RequestScope): void {
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

function warningsOnCreate({ metadata }: Pod): readonly string[] {
  const problems = dns1123Label(metadata.name)
  return problems.length === 0
    ? []
    : [
        `metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [${problems.join(' ')}]`,
      ]
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
    update: { prepare: keepStatus, validate: validatePodUpdate },
    status: { prepare: prepareStatus, validate: validatePodStatus },
    gracefulDeletion(pod, requestedSeconds) {
      const isDone = pod.status?.phase === 'Failed' || pod.status?.phase === 'Succeeded'
      if (!pod.spec.nodeName || isDone) return { gracePeriodSeconds: 0 }
      const seconds = requestedSeconds ?? pod.spec.terminationGracePeriodSeconds ?? 0
      return { gracePeriodSeconds: seconds < 0 ? 1 : seconds }
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
      ephemeralcontainers: viewSubresource<Pod>({
        type: pods,
        verbs: ['get', 'patch', 'update'],
        defaults: defaultPod,
        apply(pod, given) {
          pod.spec.ephemeralContainers = structuredClone(given.spec.ephemeralContainers)
        },
        validate: (pod, previous) => [...validatePod(pod, rules), ...validateEphemeralUpdate(pod, previous)],
      }),
      resize: viewSubresource<Pod>({
        type: pods,
        verbs: ['get', 'patch', 'update'],
        defaults: defaultPod,
        apply: applyResize,
        validate: (pod, previous) => [...validatePod(pod, rules), ...validateResize(pod, previous)],
      }),
    },
  }
}

/** Takes resources and resize policies of the containers by position; a list of another length or order is left for validation to refuse. */
function applyResize(pod: Pod, given: Pod): void {
  for (const kind of ['containers', 'initContainers'] as const) {
    const [now, wanted] = [pod.spec[kind] ?? [], given.spec[kind] ?? []]
    if (now.length !== wanted.length || now.some(({ name }, index) => name !== wanted[index]?.name)) {
      pod.spec[kind] = structuredClone(wanted)
      continue
    }
    for (const [index, container] of now.entries()) {
      container.resources = structuredClone(wanted[index]?.resources)
      container.resizePolicy = structuredClone(wanted[index]?.resizePolicy)
    }
  }
  pod.spec.resources = structuredClone(given.spec.resources)
}
