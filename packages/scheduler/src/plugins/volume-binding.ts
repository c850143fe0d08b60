import { compareQuantities, matchesSelector, objectKey, selectorOf } from '@k3s/api'
import type { PersistentVolume, PersistentVolumeClaim, Pod } from '@k3s/api/types/core/v1'
import type { Cluster, Listers, Plugin, Rejection } from '../framework.ts'
import type { NodeInfo } from '../node-info.ts'
import { nodeSelectorMatches } from './node-affinity.ts'

/** Says which node a claim's volume is wanted on: provisioners wait for it. */
export const selectedNodeAnnotation = 'volume.kubernetes.io/selected-node'
const bindCompleted = 'pv.kubernetes.io/bind-completed'
const betaStorageClass = 'volume.beta.kubernetes.io/storage-class'
const noProvisioner = 'kubernetes.io/no-provisioner'
const name = 'VolumeBinding'

/** What must be done before the pod may be bound to the node. */
export interface VolumePlan {
  readonly node: string
  /** Existing volumes for claims that wait for a consumer. */
  readonly matches: readonly { readonly claim: PersistentVolumeClaim; readonly volume: PersistentVolume }[]
  /** Claims whose volume is made when they say for which node. */
  readonly provisions: readonly PersistentVolumeClaim[]
}

/** What earlier pods were promised and caches do not show yet. */
export interface VolumePromises {
  /** Node on which the claim with this key will have its volume. */
  nodeOf(claimKey: string): string | undefined
  /** Key of the claim that the volume will belong to. */
  claimOf(volume: string): string | undefined
}

interface Claims {
  readonly bound: readonly PersistentVolumeClaim[]
  readonly waiting: readonly PersistentVolumeClaim[]
}

const unresolvable = (...reasons: readonly string[]): Rejection => ({ plugin: name, reasons, isResolvable: false })

export function isBound({ spec, metadata }: PersistentVolumeClaim): boolean {
  return !!spec.volumeName && metadata.annotations?.[bindCompleted] !== undefined
}

const classOf = ({ spec, metadata }: PersistentVolumeClaim): string =>
  metadata.annotations?.[betaStorageClass] ?? spec.storageClassName ?? ''

/** Undefined for volumes that are no claims. */
function claimName(pod: Pod, volume: NonNullable<Pod['spec']['volumes']>[number]): string | undefined {
  if (volume.persistentVolumeClaim !== undefined) return volume.persistentVolumeClaim.claimName
  return volume.ephemeral === undefined ? undefined : `${pod.metadata.name}-${volume.name}`
}

/** The pod's claims; undefined when it has none, a Rejection when one of them keeps it from every node. */
function claimsOf(pod: Pod, listers: Listers): Claims | Rejection | undefined {
  const { namespace = '', name: podName, uid } = pod.metadata
  const bound: PersistentVolumeClaim[] = []
  const waiting: PersistentVolumeClaim[] = []
  let unboundImmediate = false
  for (const volume of pod.spec.volumes ?? []) {
    const nameOfClaim = claimName(pod, volume)
    if (nameOfClaim === undefined) continue
    const isEphemeral = volume.ephemeral !== undefined
    const claim = listers.persistentvolumeclaims.get(`${namespace}/${nameOfClaim}`)
    if (claim === undefined) {
      const waits = `waiting for ephemeral volume controller to create the persistentvolumeclaim "${nameOfClaim}"`
      return unresolvable(isEphemeral ? waits : `persistentvolumeclaim "${nameOfClaim}" not found`)
    }
    if (claim.status?.phase === 'Lost')
      return unresolvable(`persistentvolumeclaim "${nameOfClaim}" bound to non-existent persistentvolume "${claim.spec.volumeName ?? ''}"`)
    if (claim.metadata.deletionTimestamp !== undefined) return unresolvable(`persistentvolumeclaim "${nameOfClaim}" is being deleted`)
    if (isEphemeral && claim.metadata.ownerReferences?.some((owner) => owner.controller === true && owner.uid === uid) !== true)
      return unresolvable(`PVC ${namespace}/${nameOfClaim} was not created for pod ${namespace}/${podName} (pod is not owner)`)
    const storageClass = listers.storageclasses.get(classOf(claim))
    if (isBound(claim)) bound.push(claim)
    else if (storageClass?.volumeBindingMode === 'WaitForFirstConsumer' && !claim.spec.volumeName) waiting.push(claim)
    else unboundImmediate = true
  }
  if (unboundImmediate) return unresolvable('pod has unbound immediate PersistentVolumeClaims')
  return bound.length + waiting.length === 0 ? undefined : { bound, waiting }
}

function volumeFitsNode({ spec }: PersistentVolume, { node }: NodeInfo): boolean {
  const required = spec.nodeAffinity?.required
  return required === undefined || (node !== undefined && nodeSelectorMatches(required, node))
}

/** The smallest free volume that the claim may have. */
function findVolume(
  claim: PersistentVolumeClaim,
  node: NodeInfo,
  candidates: readonly PersistentVolume[],
  promises: VolumePromises,
): PersistentVolume | undefined {
  const wanted = claim.spec.resources?.requests?.['storage'] ?? '0'
  const selector = selectorOf(claim.spec.selector) ?? []
  const capacity = ({ spec }: PersistentVolume): string => spec.capacity?.['storage'] ?? '0'
  let best: PersistentVolume | undefined
  for (const volume of candidates) {
    const { spec, status, metadata } = volume
    const { claimRef } = spec
    const isOurs = claimRef !== undefined && `${claimRef.namespace ?? ''}/${claimRef.name ?? ''}` === objectKey(claim)
    if (claimRef !== undefined ? !isOurs : status?.phase !== 'Available') continue
    if ((promises.claimOf(metadata.name) ?? objectKey(claim)) !== objectKey(claim)) continue
    if ((spec.storageClassName ?? '') !== classOf(claim) || (spec.volumeMode ?? 'Filesystem') !== (claim.spec.volumeMode ?? 'Filesystem'))
      continue
    if (!(claim.spec.accessModes ?? []).every((mode) => spec.accessModes?.includes(mode) === true)) continue
    if (!matchesSelector(selector, metadata.labels) || compareQuantities(capacity(volume), wanted) < 0 || !volumeFitsNode(volume, node))
      continue
    if (best === undefined || compareQuantities(capacity(volume), capacity(best)) < 0) best = volume
  }
  return best
}

function planClaims({ bound, waiting }: Claims, node: NodeInfo, { listers, volumePromises }: VolumeCluster): VolumePlan | Rejection {
  const reasons = new Set<string>()
  for (const { spec } of bound) {
    const volume = listers.persistentvolumes.get(spec.volumeName ?? '')
    if (volume === undefined) reasons.add('node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)')
    else if (!volumeFitsNode(volume, node)) reasons.add("node(s) didn't match PersistentVolume's node affinity")
  }
  const matches: { readonly claim: PersistentVolumeClaim; readonly volume: PersistentVolume }[] = []
  const provisions: PersistentVolumeClaim[] = []
  const taken = new Set<string>()
  for (const claim of waiting) {
    const selected = claim.metadata.annotations?.[selectedNodeAnnotation] ?? volumePromises.nodeOf(objectKey(claim))
    const free = selected === undefined ? listers.persistentvolumes.list().filter(({ metadata }) => !taken.has(metadata.name)) : []
    const volume = findVolume(claim, node, free, volumePromises)
    const storageClass = listers.storageclasses.get(classOf(claim))
    const canProvision = storageClass !== undefined && storageClass.provisioner !== '' && storageClass.provisioner !== noProvisioner
    const terms = storageClass?.allowedTopologies ?? []
    const isAllowed =
      terms.length === 0 ||
      terms.some(({ matchLabelExpressions = [] }) =>
        matchLabelExpressions.every(({ key, values }) => values.includes(node.labels[key] ?? '')),
      )
    if (volume !== undefined) {
      matches.push({ claim, volume })
      taken.add(volume.metadata.name)
    } else if ((selected === undefined || selected === node.name) && canProvision && isAllowed) provisions.push(claim)
    else reasons.add("node(s) didn't find available persistent volumes to bind")
  }
  return reasons.size > 0 ? unresolvable(...reasons) : { node: node.name, matches, provisions }
}

interface VolumeCluster {
  readonly listers: Listers
  readonly volumePromises: VolumePromises
}

/** What binding the pod to the node does to its claims; undefined when it has none, a Rejection when it cannot be there. */
export function planVolumes(pod: Pod, node: NodeInfo, cluster: VolumeCluster): VolumePlan | Rejection | undefined {
  const claims = claimsOf(pod, cluster.listers)
  return claims === undefined || 'reasons' in claims ? claims : planClaims(claims, node, cluster)
}

/** Claims are bound, or wait for a consumer and can be bound on the node. Unlike upstream, storage capacity objects are not read. */
export const volumeBinding: Plugin = {
  name,
  prepareFilter({ pod }, cluster: Cluster) {
    const claims = claimsOf(pod, cluster.listers)
    if (claims === undefined || 'reasons' in claims) return claims
    return {
      check(node) {
        const plan = planClaims(claims, node, cluster)
        return 'reasons' in plan ? plan : undefined
      },
    }
  },
  isWorthRetrying({ namespace }, event) {
    if (event.kind === 'claimChanged') return event.claim.metadata.namespace === namespace
    return event.kind === 'volumeChanged' || event.kind === 'storageClassChanged' || event.kind === 'nodeChanged'
  },
}
