import type { Container, EphemeralContainer, Pod, PodSpec, Probe, Volume } from '@k3s/api/types/core/v1'
import { canonicalizeResources, defaultPodLevelResources } from '../shared/resource-list.ts'

/** 0644: upstream's mode of files in volumes made from API objects. */
const defaultFileMode = 0o644
const defaultTokenSeconds = 3600

/** `latest` when an image reference names neither tag nor digest; empty for a digest alone and for no image. */
export function imageTag(image: string): string {
  if (image === '') return ''
  const at = image.indexOf('@')
  const name = at < 0 ? image : image.slice(0, at)
  const colon = name.lastIndexOf(':')
  if (colon > name.lastIndexOf('/')) return name.slice(colon + 1)
  return at < 0 ? 'latest' : ''
}

const pullPolicyOf = (image: string | undefined): string => (imageTag(image ?? '') === 'latest' ? 'Always' : 'IfNotPresent')

function defaultHttpGet(action: { path?: string | undefined; scheme?: string | undefined } | undefined): void {
  if (action === undefined) return
  action.path ||= '/'
  action.scheme ||= 'HTTP'
}

function defaultProbe(probe: Probe | undefined): void {
  if (probe === undefined) return
  defaultHttpGet(probe.httpGet)
  if (probe.grpc !== undefined) probe.grpc.service ??= ''
  probe.timeoutSeconds ||= 1
  probe.periodSeconds ||= 10
  probe.successThreshold ||= 1
  probe.failureThreshold ||= 3
}

function defaultContainer(container: Container | EphemeralContainer): void {
  for (const port of container.ports ?? []) port.protocol ||= 'TCP'
  for (const variable of container.env ?? []) {
    if (variable.valueFrom?.fieldRef !== undefined) variable.valueFrom.fieldRef.apiVersion ||= 'v1'
    if (variable.valueFrom?.resourceFieldRef !== undefined) variable.valueFrom.resourceFieldRef.divisor ??= '0'
    if (variable.valueFrom?.fileKeyRef !== undefined) variable.valueFrom.fileKeyRef.optional ??= false
  }
  defaultProbe(container.livenessProbe)
  defaultProbe(container.readinessProbe)
  defaultProbe(container.startupProbe)
  defaultHttpGet(container.lifecycle?.postStart?.httpGet)
  defaultHttpGet(container.lifecycle?.preStop?.httpGet)
  container.resources ??= {}
  canonicalizeResources(container.resources.limits)
  canonicalizeResources(container.resources.requests)
  container.terminationMessagePath ||= '/dev/termination-log'
  container.terminationMessagePolicy ||= 'File'
  container.imagePullPolicy ||= pullPolicyOf(container.image)
}

function defaultVolume(volume: Volume): void {
  if (Object.entries(volume).every(([field, value]) => field === 'name' || value === undefined)) volume.emptyDir = {}
  if (volume.secret !== undefined) volume.secret.defaultMode ??= defaultFileMode
  if (volume.configMap !== undefined) volume.configMap.defaultMode ??= defaultFileMode
  if (volume.hostPath !== undefined) volume.hostPath.type ??= ''
  if (volume.image !== undefined) volume.image.pullPolicy ||= pullPolicyOf(volume.image.reference)
  if (volume.downwardAPI !== undefined) {
    volume.downwardAPI.defaultMode ??= defaultFileMode
    for (const item of volume.downwardAPI.items ?? []) if (item.fieldRef !== undefined) item.fieldRef.apiVersion ||= 'v1'
  }
  if (volume.projected !== undefined) {
    volume.projected.defaultMode ??= defaultFileMode
    for (const source of volume.projected.sources ?? []) {
      if (source.serviceAccountToken !== undefined) source.serviceAccountToken.expirationSeconds ??= defaultTokenSeconds
      for (const item of source.downwardAPI?.items ?? []) if (item.fieldRef !== undefined) item.fieldRef.apiVersion ||= 'v1'
    }
  }
  if (volume.iscsi !== undefined) volume.iscsi.iscsiInterface ||= 'default'
  if (volume.rbd !== undefined) {
    volume.rbd.pool ||= 'rbd'
    volume.rbd.user ||= 'admin'
    volume.rbd.keyring ||= '/etc/ceph/keyring'
  }
  if (volume.azureDisk !== undefined) {
    volume.azureDisk.cachingMode ??= 'ReadWrite'
    volume.azureDisk.kind ??= 'Shared'
    volume.azureDisk.fsType ??= 'ext4'
    volume.azureDisk.readOnly ??= false
  }
  if (volume.scaleIO !== undefined) {
    volume.scaleIO.storageMode ||= 'ThinProvisioned'
    volume.scaleIO.fsType ||= 'xfs'
  }
  const claim = volume.ephemeral?.volumeClaimTemplate?.spec
  if (claim !== undefined) {
    claim.volumeMode ??= 'Filesystem'
    claim.resources ??= {}
    canonicalizeResources(claim.resources.limits)
    canonicalizeResources(claim.resources.requests)
  }
}

/** Defaults of a pod's spec wherever it stands: in a pod or in a template. */
export function defaultPodSpec(spec: PodSpec): void {
  for (const volume of spec.volumes ?? []) defaultVolume(volume)
  for (const container of spec.initContainers ?? []) defaultContainer(container)
  for (const container of spec.containers ?? []) defaultContainer(container)
  for (const container of spec.ephemeralContainers ?? []) defaultContainer(container)
  canonicalizeResources(spec.overhead)
  canonicalizeResources(spec.resources?.limits)
  canonicalizeResources(spec.resources?.requests)
  spec.dnsPolicy ||= 'ClusterFirst'
  spec.restartPolicy ||= 'Always'
  // `serviceAccount` is the old name of `serviceAccountName`; both are kept equal.
  if ((spec.serviceAccountName ?? '') !== '') spec.serviceAccount = spec.serviceAccountName
  else if ((spec.serviceAccount ?? '') !== '') spec.serviceAccountName = spec.serviceAccount
  spec.terminationGracePeriodSeconds ??= 30
  // As upstream: a second is the least.
  if (spec.terminationGracePeriodSeconds < 0) spec.terminationGracePeriodSeconds = 1
  spec.securityContext ??= {}
  spec.schedulerName ||= 'default-scheduler'
}

/** `podIP` is the first of `podIPs`; old kubelets know only one of them. */
function settleAddresses(status: NonNullable<Pod['status']>): void {
  const { podIP, podIPs = [] } = status
  if (podIP && podIPs[0]?.ip !== podIP) status.podIPs = [{ ip: podIP }]
  else if (podIPs[0]?.ip) status.podIP = podIPs[0].ip
}

/** Defaults of a pod: those of its spec, and what upstream fills in pods but not in templates. */
export function defaultPod(pod: Pod): void {
  const { spec, status } = pod
  if (status !== undefined) settleAddresses(status)
  defaultPodSpec(spec)
  for (const container of [...(spec.containers ?? []), ...(spec.initContainers ?? [])]) {
    const limits = container.resources?.limits
    if (container.resources === undefined || limits === undefined) continue
    container.resources.requests = { ...limits, ...container.resources.requests }
  }
  defaultPodLevelResources(spec)
  spec.enableServiceLinks ??= true
  if (spec.hostNetwork === true) {
    for (const container of [...(spec.containers ?? []), ...(spec.initContainers ?? [])]) {
      for (const port of container.ports ?? []) port.hostPort ||= port.containerPort
    }
  }
}
