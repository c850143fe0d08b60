import { statefulsets, type StatefulSet } from '@k3s/api/types/apps/v1'
import type { PersistentVolumeClaim, Pod, PodTemplateSpec } from '@k3s/api/types/core/v1'
import type { OwnerReference } from '@k3s/api/types/meta/v1'
import { revisionHashLabel } from '../kit/history.ts'
import { omit } from '../kit/omit.ts'
import { controllerReference } from '../kit/owners.ts'
import { podOfTemplate } from '../kit/pods.ts'

/** The ordinal in a pod's name; `undefined` when it is not a name that the set gives. */
export function ordinalOf(set: StatefulSet, pod: Pod): number | undefined {
  const { name } = pod.metadata
  const start = `${set.metadata.name}-`
  const end = name.slice(start.length)
  return name.startsWith(start) && /^(0|[1-9]\d*)$/.test(end) ? Number(end) : undefined
}

const claimName = (set: StatefulSet, claim: PersistentVolumeClaim, ordinal: number): string =>
  `${claim.metadata.name}-${set.metadata.name}-${ordinal}`

/** The pod with this ordinal, of this revision's template. */
export function statefulPod(set: StatefulSet, template: PodTemplateSpec, revision: string, ordinal: number): Pod {
  const { metadata: random, spec } = podOfTemplate(template, set, statefulsets)
  const metadata = omit(random, 'generateName')
  const name = `${set.metadata.name}-${ordinal}`
  const claims = set.spec.volumeClaimTemplates ?? []
  const volumes = [
    ...claims.map((claim) => ({
      name: claim.metadata.name,
      persistentVolumeClaim: { claimName: claimName(set, claim, ordinal), readOnly: false },
    })),
    ...(spec.volumes ?? []).filter((volume) => !claims.some((claim) => claim.metadata.name === volume.name)),
  ]
  return {
    metadata: {
      ...metadata,
      name,
      labels: {
        ...metadata.labels,
        'statefulset.kubernetes.io/pod-name': name,
        'apps.kubernetes.io/pod-index': String(ordinal),
        [revisionHashLabel]: revision,
      },
    },
    spec: {
      ...spec,
      hostname: name,
      ...(set.spec.serviceName === undefined ? {} : { subdomain: set.spec.serviceName }),
      ...(volumes.length === 0 ? {} : { volumes }),
    },
  }
}

/** The claims of an ordinal, as they are to be created. */
export function claimsOf(set: StatefulSet, ordinal: number): readonly PersistentVolumeClaim[] {
  return (set.spec.volumeClaimTemplates ?? []).map((template) => ({
    metadata: {
      name: claimName(set, template, ordinal),
      namespace: set.metadata.namespace,
      labels: { ...template.metadata.labels, ...set.spec.selector.matchLabels },
      ...(template.metadata.annotations === undefined ? {} : { annotations: template.metadata.annotations }),
    },
    spec: template.spec,
  }))
}

/**
 * The owner references that make a claim go with the set or with its pod, as the retention policy says; references of others stay.
 *
 * @param pod the pod that uses the claim and is scaled away; `undefined` while it is wanted.
 * @returns undefined when the claim has them.
 */
export function claimOwners(set: StatefulSet, claim: PersistentVolumeClaim, pod: Pod | undefined): readonly OwnerReference[] | undefined {
  const { whenDeleted, whenScaled } = set.spec.persistentVolumeClaimRetentionPolicy ?? {}
  const present = claim.metadata.ownerReferences ?? []
  const isPodOfSet = ({ kind, name }: OwnerReference): boolean => kind === 'Pod' && name.startsWith(`${set.metadata.name}-`)
  const others = present.filter((owner) => owner.uid !== set.metadata.uid && !isPodOfSet(owner))
  const podGoes = whenScaled === 'Delete' && pod !== undefined
  const wanted = [...others]
  if (podGoes) wanted.push({ apiVersion: 'v1', kind: 'Pod', name: pod.metadata.name, uid: pod.metadata.uid ?? '' })
  else if (whenDeleted === 'Delete') wanted.push(controllerReference(set, statefulsets))
  const key = (owners: readonly OwnerReference[]): string =>
    owners
      .map(({ uid }) => uid)
      .toSorted()
      .join()
  return key(wanted) === key(present) ? undefined : wanted
}
