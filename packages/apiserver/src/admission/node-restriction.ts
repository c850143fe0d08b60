import { forbidden, notFound } from '@k3s/api'
import type { TokenRequest } from '@k3s/api/types/authentication/v1'
import { certificatesigningrequests } from '@k3s/api/types/certificates/v1'
import { leases } from '@k3s/api/types/coordination/v1'
import { type Node, nodes, persistentvolumeclaims, type Pod, pods, serviceaccounts } from '@k3s/api/types/core/v1'
import { resourceslices } from '@k3s/api/types/resource/v1'
import { csinodes } from '@k3s/api/types/storage/v1'
import { nodeOf } from '../auth/node/node-identity.ts'
import { semanticEqual } from '../validation/equality.ts'
import type { AdmissionPlugin, AdmissionRequest } from './admission.ts'
import { isFor, objectOf, oldObjectOf, refusal } from './requests.ts'

const mirrorAnnotation = 'kubernetes.io/config.mirror'

/** Labels of Kubernetes' own domains that a kubelet may set on its node. */
const kubeletLabels = new Set([
  'kubernetes.io/hostname',
  'kubernetes.io/os',
  'kubernetes.io/arch',
  'beta.kubernetes.io/os',
  'beta.kubernetes.io/arch',
  'node.kubernetes.io/instance-type',
  'beta.kubernetes.io/instance-type',
  'topology.kubernetes.io/zone',
  'topology.kubernetes.io/region',
  'failure-domain.beta.kubernetes.io/zone',
  'failure-domain.beta.kubernetes.io/region',
  'node.kubernetes.io/windows-build',
])
const kubeletDomains = ['kubelet.kubernetes.io', 'node.kubernetes.io']

const isWithin = (domain: string, parent: string): boolean => domain === parent || domain.endsWith(`.${parent}`)

function isForbiddenLabel(label: string): boolean {
  const slash = label.indexOf('/')
  const domain = slash < 0 ? '' : label.slice(0, slash)
  if (isWithin(domain, 'node-restriction.kubernetes.io')) return true
  if (!isWithin(domain, 'kubernetes.io') && !isWithin(domain, 'k8s.io')) return false
  return !kubeletLabels.has(label) && !kubeletDomains.some((allowed) => isWithin(domain, allowed))
}

function changedLabels(node: Node, previous: Node | undefined): string[] {
  const [now, then] = [node.metadata.labels ?? {}, previous?.metadata.labels ?? {}]
  return [...new Set([...Object.keys(now), ...Object.keys(then)])].filter((label) => now[label] !== then[label]).toSorted()
}

function checkNode(request: AdmissionRequest, name: string): void {
  const given = request.name || request.object?.metadata.name || ''
  if (given !== name) throw refusal(request, `node "${name}" is not allowed to modify node "${given}"`)
  const node: Node | undefined = objectOf(request, nodes, ['CREATE', 'UPDATE'], request.subresource)
  if (node === undefined) return
  const previous = oldObjectOf(request, nodes)
  const labels = changedLabels(node, previous).filter(isForbiddenLabel)
  if (previous === undefined) {
    if (node.spec?.configSource !== undefined)
      throw refusal(request, `node "${name}" is not allowed to create pods with a non-nil configSource`)
    if (labels.length > 0) throw refusal(request, `node "${name}" is not allowed to set the following labels: ${labels.join(', ')}`)
    return
  }
  if (!semanticEqual(node.spec?.taints, previous.spec?.taints)) throw refusal(request, `node "${name}" is not allowed to modify taints`)
  if (!semanticEqual(node.metadata.ownerReferences, previous.metadata.ownerReferences)) {
    throw refusal(request, `node "${name}" is not allowed to modify ownerReferences`)
  }
  if (labels.length > 0) throw refusal(request, `is not allowed to modify labels: ${labels.join(', ')}`)
}

/** A mirror pod refers to nothing in the API. */
function referenceOfMirror(pod: Pod): string | undefined {
  if (pod.spec.serviceAccountName) return 'serviceaccounts'
  const containers = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])]
  const env = containers.flatMap((container) => container.env ?? [])
  const envFrom = containers.flatMap((container) => container.envFrom ?? [])
  const volumes = pod.spec.volumes ?? []
  if (
    volumes.some(({ secret }) => secret !== undefined) ||
    envFrom.some(({ secretRef }) => secretRef !== undefined) ||
    env.some(({ valueFrom }) => valueFrom?.secretKeyRef !== undefined)
  ) {
    return 'secrets'
  }
  if (
    volumes.some(({ configMap }) => configMap !== undefined) ||
    envFrom.some(({ configMapRef }) => configMapRef !== undefined) ||
    env.some(({ valueFrom }) => valueFrom?.configMapKeyRef !== undefined)
  ) {
    return 'configmaps'
  }
  if (volumes.some(({ persistentVolumeClaim }) => persistentVolumeClaim !== undefined)) return 'persistentvolumeclaims'
  return (pod.spec.resourceClaims ?? []).length > 0 ? 'resourceclaims' : undefined
}

function checkNewPod(request: AdmissionRequest, pod: Pod, name: string): void {
  const node = `node "${name}"`
  if (pod.metadata.annotations?.[mirrorAnnotation] === undefined) {
    throw refusal(request, `pod does not have "${mirrorAnnotation}" annotation, ${node} can only create mirror pods`)
  }
  if (pod.spec.nodeName !== name) throw refusal(request, `${node} can only create pods with spec.nodeName set to itself`)
  const owners = pod.metadata.ownerReferences ?? []
  const [owner] = owners
  if (owners.length > 1) throw refusal(request, `${node} can only create pods with a single owner reference set to itself`)
  if (owner === undefined || owner.apiVersion !== 'v1' || owner.kind !== 'Node' || owner.name !== name) {
    throw refusal(request, `${node} can only create pods with an owner reference set to itself`)
  }
  if (owner.controller !== true) throw refusal(request, `${node} can only create pods with a controller owner reference set to itself`)
  if (owner.blockOwnerDeletion === true) throw refusal(request, `${node} must not set blockOwnerDeletion on an owner reference`)
  const found = request.scope.objects.get(nodes, '', name)
  if (found === undefined) throw refusal(request, `error looking up node ${name} to verify uid: node "${name}" not found`)
  if (found.metadata.uid !== owner.uid) throw refusal(request, `node ${name} UID mismatch: expected ${owner.uid} got ${found.metadata.uid}`)
  const resource = referenceOfMirror(pod)
  if (resource !== undefined) throw refusal(request, `${node} can not create pods that reference ${resource}`)
}

function checkPod(request: AdmissionRequest, name: string): void {
  const { objects } = request.scope
  const node = `node "${name}"`
  const previous = oldObjectOf(request, pods) ?? objects.get(pods, request.namespace, request.name)
  switch (request.subresource) {
    case '': {
      const pod = objectOf(request, pods, ['CREATE'])
      if (pod !== undefined) checkNewPod(request, pod, name)
      else if (request.operation !== 'DELETE')
        throw refusal(request, `unexpected operation "${request.operation}", ${node} can only create and delete mirror pods`)
      else if (previous?.spec.nodeName !== name) throw refusal(request, `${node} can only delete pods with spec.nodeName set to itself`)
      return
    }
    case 'status': {
      if (previous?.spec.nodeName !== name)
        throw refusal(request, `${node} can only update pod status for pods with spec.nodeName set to itself`)
      const pod = objectOf(request, pods, ['UPDATE'], 'status')
      if (pod !== undefined && !semanticEqual(pod.metadata.labels, previous.metadata.labels))
        throw refusal(request, `${node} cannot update labels through pod status`)
      if (pod !== undefined && !semanticEqual(pod.status?.resourceClaimStatuses, previous.status?.resourceClaimStatuses)) {
        throw refusal(request, `${node} cannot update resource claim statues`)
      }
      return
    }
    case 'eviction':
      if (previous?.spec.nodeName !== name) throw refusal(request, `node ${name} can only evict pods with spec.nodeName set to itself`)
      return
    default:
      throw refusal(request, `unexpected pod subresource "${request.subresource}", only 'status' and 'eviction' are allowed`)
  }
}

function checkToken(request: AdmissionRequest, name: string): void {
  // The body of a token request.
  const reference = (request.object as TokenRequest | undefined)?.spec.boundObjectRef
  const refuse = (why: string): Error => forbidden(serviceaccounts, request.name, why)
  if (reference?.apiVersion !== 'v1' || reference.kind !== 'Pod' || !reference.name) throw refuse('node requested token not bound to a pod')
  if (!reference.uid) throw refuse('node requested token with a pod binding without a uid')
  const pod = request.scope.objects.get(pods, request.namespace, reference.name)
  if (pod === undefined) throw notFound(pods, reference.name)
  if (pod.metadata.uid !== reference.uid) {
    throw refuse(
      `the UID in the bound object reference (${reference.uid}) does not match the UID in record. The object might have been deleted and then recreated`,
    )
  }
  if (pod.spec.nodeName !== name) throw refuse('node requested token bound to a pod scheduled on a different node')
}

/** What a claim's status may not say is not looked at: kubelets write sizes and conditions only. */
function checkClaim(request: AdmissionRequest, name: string): void {
  if (request.subresource !== 'status') throw refusal(request, 'may only update PVC status')
  const claim = objectOf(request, persistentvolumeclaims, ['UPDATE'], 'status')
  const previous = oldObjectOf(request, persistentvolumeclaims)
  if (claim === undefined || previous === undefined) throw refusal(request, `unexpected operation "${request.operation}"`)
  const bare = ({ metadata, spec, status }: typeof claim): unknown => ({
    labels: metadata.labels,
    annotations: metadata.annotations,
    spec,
    status: { accessModes: status?.accessModes, phase: status?.phase },
  })
  if (!semanticEqual(bare(claim), bare(previous))) {
    throw refusal(request, `node "${name}" is not allowed to update fields other than status.quantity and status.conditions`)
  }
}

/** Narrows what a kubelet may write to its own node, its pods, and tokens for them. */
export const nodeRestriction: AdmissionPlugin = {
  name: 'NodeRestriction',
  validate(request): void {
    const name = nodeOf(request.scope.user)
    if (name === undefined) return
    if (name === '') throw refusal(request, `could not determine node from user "${request.scope.user.name}"`)
    const given = request.name || request.object?.metadata.name || ''
    if (isFor(request, pods, request.subresource)) checkPod(request, name)
    else if (isFor(request, nodes, request.subresource)) checkNode(request, name)
    else if (isFor(request, persistentvolumeclaims, request.subresource)) checkClaim(request, name)
    else if (isFor(request, serviceaccounts, 'token') && request.operation === 'CREATE') checkToken(request, name)
    else if (isFor(request, leases)) {
      if (request.namespace !== 'kube-node-lease')
        throw refusal(request, 'can only access leases in the "kube-node-lease" system namespace')
      if (given !== name) throw refusal(request, 'can only access node lease with the same name as the requesting node')
    } else if (isFor(request, csinodes) && given !== name)
      throw refusal(request, 'can only access CSINode with the same name as the requesting node')
    else if (isFor(request, resourceslices)) {
      const slice = objectOf(request, resourceslices, ['CREATE']) ?? oldObjectOf(request, resourceslices)
      const verb = request.operation === 'DELETE' ? 'delete' : 'create'
      if (slice !== undefined && slice.spec.nodeName !== name)
        throw refusal(request, `can only ${verb} ResourceSlice with the same NodeName as the requesting node`)
    } else if (isFor(request, certificatesigningrequests) && request.operation === 'CREATE') {
      const asked = objectOf(request, certificatesigningrequests, ['CREATE'])
      const isNodeSigner = ['kubernetes.io/kubelet-serving', 'kubernetes.io/kube-apiserver-client-kubelet'].includes(
        asked?.spec.signerName ?? '',
      )
      if (asked !== undefined && isNodeSigner && !commonNameIs(asked.spec.request, `system:node:${name}`)) {
        throw refusal(request, `can only create a node CSR with CN=system:node:${name}`)
      }
    }
  },
}

/** DER of the object identifier of a common name, 2.5.4.3. */
const commonNameId = Buffer.from([0x06, 0x03, 0x55, 0x04, 0x03])

/** Whether the first common name in a certificate request (PEM in base64) is `name`. */
function commonNameIs(request: string, name: string): boolean {
  const pem = Buffer.from(request, 'base64').toString()
  const der = Buffer.from(/-----BEGIN (?:NEW )?CERTIFICATE REQUEST-----([\s\S]*?)-----END/.exec(pem)?.[1] ?? '', 'base64')
  const at = der.indexOf(commonNameId)
  if (at < 0) return false
  const start = at + commonNameId.length
  // Names of up to 255 bytes: a short length, or one byte after 0x81.
  const isLong = der[start + 1] === 0x81
  const length = (isLong ? der[start + 2] : der[start + 1]) ?? 0
  const from = start + (isLong ? 3 : 2)
  return der.subarray(from, from + length).toString() === name
}
