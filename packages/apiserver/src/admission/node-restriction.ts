import { forbidden, notFound } from '@k3s/api'
import type { TokenRequest } from '@k3s/api/types/authentication/v1'
import { certificatesigningrequests } from '@k3s/api/types/certificates/v1'
import { leases } from '@k3s/api/types/coordination/v1'
import {
  type Node,
  nodes,
  persistentvolumeclaims,
  type PersistentVolumeClaim,
  type Pod,
  pods,
  serviceaccounts,
} from '@k3s/api/types/core/v1'
import { resourceslices } from '@k3s/api/types/resource/v1'
import { csinodes } from '@k3s/api/types/storage/v1'
import { readCertificateRequest } from '@k3s/pki'
import type { Authorizer } from '../auth/auth.ts'
import { nodeOf } from '../auth/node/node-identity.ts'
import { semanticEqual } from '../validation/equality.ts'
import type { AdmissionPlugin, AdmissionRequest } from './admission.ts'
import { apiReferenceOf } from './mirror-pod-references.ts'
import { audienceProblem } from './node-token-audience.ts'
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
  const { configSource } = node.spec ?? {}
  if (configSource !== undefined && !semanticEqual(configSource, previous.spec?.configSource))
    throw refusal(request, `node "${name}" is not allowed to update configSource to a new non-nil configSource`)
  if (!semanticEqual(node.spec?.taints, previous.spec?.taints)) throw refusal(request, `node "${name}" is not allowed to modify taints`)
  if (!semanticEqual(node.metadata.ownerReferences, previous.metadata.ownerReferences)) {
    throw refusal(request, `node "${name}" is not allowed to modify ownerReferences`)
  }
  if (labels.length > 0) throw refusal(request, `is not allowed to modify labels: ${labels.join(', ')}`)
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
  if (found === undefined) throw notFound(nodes, name)
  if (found.metadata.uid !== owner.uid) throw refusal(request, `node ${name} UID mismatch: expected ${owner.uid} got ${found.metadata.uid}`)
  const resource = apiReferenceOf(pod)
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
      if (pod !== undefined && !semanticEqual(pod.status?.extendedResourceClaimStatus, previous.status?.extendedResourceClaimStatus))
        throw refusal(request, `${node} cannot update extended resource claim status`)
      return
    }
    case 'eviction':
      if (previous?.spec.nodeName !== name) throw refusal(request, `node ${name} can only evict pods with spec.nodeName set to itself`)
      return
    default:
      throw refusal(request, `unexpected pod subresource "${request.subresource}", only 'status' and 'eviction' are allowed`)
  }
}

async function checkToken(request: AdmissionRequest, name: string, authorizer: Authorizer): Promise<void> {
  const token = request.object as TokenRequest | undefined // the body of a token request
  const reference = token?.spec.boundObjectRef
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
  const { user, objects } = request.scope
  const problem = token === undefined ? undefined : await audienceProblem(token, { pod, account: request.name, user, objects, authorizer })
  if (problem !== undefined) throw refuse(problem)
}

/** Kubelets write sizes and conditions only. */
function checkClaim(request: AdmissionRequest, name: string): void {
  if (request.subresource !== 'status') throw refusal(request, 'may only update PVC status')
  const claim = objectOf(request, persistentvolumeclaims, ['UPDATE'], 'status')
  const previous = oldObjectOf(request, persistentvolumeclaims)
  if (claim === undefined || previous === undefined) throw refusal(request, `unexpected operation "${request.operation}"`)
  if (!semanticEqual(withoutSizes(claim), withoutSizes(previous)))
    throw refusal(request, `node "${name}" is not allowed to update fields other than status.quantity and status.conditions`)
}

function withoutSizes({ metadata, spec, status = {} }: PersistentVolumeClaim): unknown {
  const { resourceVersion: _version, managedFields: _managed, ...keptMetadata } = metadata
  const {
    capacity: _capacity,
    conditions: _conditions,
    allocatedResourceStatuses: _statuses,
    allocatedResources: _allocated,
    ...kept
  } = status
  return { metadata: keptMetadata, spec, status: kept }
}

const nodeSigners = ['kubernetes.io/kubelet-serving', 'kubernetes.io/kube-apiserver-client-kubelet']

function checkCertificateRequest(request: AdmissionRequest, name: string): void {
  const asked = objectOf(request, certificatesigningrequests, ['CREATE'])
  if (asked === undefined || !nodeSigners.includes(asked.spec.signerName)) return
  const wanted = `system:node:${name}`
  if (commonNameOf(request, asked.spec.request) !== wanted) throw refusal(request, `can only create a node CSR with CN=${wanted}`)
}

function commonNameOf(request: AdmissionRequest, asked: string): string {
  try {
    return readCertificateRequest(Buffer.from(asked, 'base64').toString()).commonName
  } catch (error) {
    throw refusal(request, `unable to parse csr: ${error instanceof Error ? error.message : String(error)}`)
  }
}

function checkSlice(request: AdmissionRequest, name: string): void {
  const made = objectOf(request, resourceslices, ['CREATE'])
  if (made !== undefined && made.spec.nodeName !== name)
    throw refusal(request, 'can only create ResourceSlice with the same NodeName as the requesting node')
  const previous = oldObjectOf(request, resourceslices)
  if (request.operation === 'DELETE' && previous !== undefined && previous.spec.nodeName !== name)
    throw refusal(request, 'can only delete ResourceSlice with the same NodeName as the requesting node')
}

/** Narrows what a kubelet may write to its own node, its pods, and tokens for them. */
export function nodeRestriction(authorizer: Authorizer): AdmissionPlugin {
  return {
    name: 'NodeRestriction',
    validate(request): Promise<void> | undefined {
      const name = nodeOf(request.scope.user)
      return name === undefined ? undefined : check(request, name, authorizer)
    },
  }
}

async function check(request: AdmissionRequest, name: string, authorizer: Authorizer): Promise<void> {
  if (name === '') throw refusal(request, `could not determine node from user "${request.scope.user.name}"`)
  const given = request.name || request.object?.metadata.name || ''
  if (isFor(request, pods, request.subresource)) checkPod(request, name)
  else if (isFor(request, nodes, request.subresource)) checkNode(request, name)
  else if (isFor(request, persistentvolumeclaims, request.subresource)) checkClaim(request, name)
  else if (isFor(request, serviceaccounts, 'token') && request.operation === 'CREATE') await checkToken(request, name, authorizer)
  else if (isFor(request, leases)) {
    if (request.namespace !== 'kube-node-lease') throw refusal(request, 'can only access leases in the "kube-node-lease" system namespace')
    if (given !== name) throw refusal(request, 'can only access node lease with the same name as the requesting node')
  } else if (isFor(request, csinodes)) {
    if (given !== name) throw refusal(request, 'can only access CSINode with the same name as the requesting node')
  } else if (isFor(request, resourceslices)) checkSlice(request, name)
  else if (isFor(request, certificatesigningrequests)) checkCertificateRequest(request, name)
}
