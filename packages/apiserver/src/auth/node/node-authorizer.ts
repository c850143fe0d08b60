import { isStatusError, parseFieldSelector } from '@k3s/api'
import { persistentvolumes, type PersistentVolume, pods } from '@k3s/api/types/core/v1'
import type { PolicyRule } from '@k3s/api/types/rbac/v1'
import { resourceslices } from '@k3s/api/types/resource/v1'
import { volumeattachments } from '@k3s/api/types/storage/v1'
import type { ObjectReader } from '../../registry/strategy.ts'
import type { AccessAttributes, Authorizer, Decision } from '../auth.ts'
import { ruleAllows } from '../rbac/rules.ts'
import { nodeOf } from './node-identity.ts'
import { podRefersTo, type ReferencedKind } from './pod-references.ts'

const allow: Decision = { decision: 'allow', reason: '' }
const no = (reason = ''): Decision => ({ decision: 'noOpinion', reason })

const rule = (verbs: string, group: string, resources: string): PolicyRule => ({
  verbs: verbs.split(' '),
  apiGroups: [group],
  resources: resources.split(' '),
})

/** What every node may do with resources that are not tied to a node or its pods. */
const commonRules: readonly PolicyRule[] = [
  rule('create', 'authentication.k8s.io', 'tokenreviews'),
  rule('create', 'authorization.k8s.io', 'subjectaccessreviews localsubjectaccessreviews'),
  rule('get list watch', '', 'services'),
  rule('create update patch', '', 'events'),
  rule('create update patch', 'events.k8s.io', 'events'),
  rule('get', '', 'endpoints'),
  rule('create get list watch', 'certificates.k8s.io', 'certificatesigningrequests'),
  rule('get list watch', 'storage.k8s.io', 'csidrivers'),
  rule('get list watch', 'node.k8s.io', 'runtimeclasses'),
]

/**
 * Lets a kubelet read what the pods on its node need, and its own Node, Lease and CSINode. Follows upstream's node authorizer, but asks the cache
 * instead of keeping a graph: a question costs a look at the pods of one namespace. What a node may write is narrowed by the admission plugin NodeRestriction.
 */
export class NodeAuthorizer implements Authorizer {
  readonly name = 'Node'
  readonly #objects: ObjectReader

  constructor(objects: ObjectReader) {
    this.#objects = objects
  }

  authorize(attributes: AccessAttributes): Decision {
    const node = nodeOf(attributes.user)
    if (node === undefined) return no()
    if (node === '') return no(`unknown node for user "${attributes.user.name}"`)
    if (!attributes.isResource) return no()
    const { resource, subresource, verb } = attributes
    switch (attributes.group === '' ? resource : `${resource}.${attributes.group}`) {
      case 'secrets':
      case 'configmaps':
        if (!['get', 'list', 'watch'].includes(verb)) return no('can only read resources of this type')
        if (subresource !== '') return no('cannot read subresource')
        if (attributes.namespace === '') return no('can only read namespaced object of this type')
        return this.#related(node, attributes)
      case 'persistentvolumeclaims':
        if (subresource === 'status')
          return ['update', 'patch'].includes(verb) ? this.#related(node, attributes) : no('can only get/update/patch this type')
        return this.#readOne(node, attributes)
      case 'persistentvolumes':
      case 'resourceclaims.resource.k8s.io':
      case 'volumeattachments.storage.k8s.io':
        return this.#readOne(node, attributes)
      case 'serviceaccounts':
        if (verb === 'get' && subresource === '') return this.#related(node, attributes)
        if (verb !== 'create' || attributes.name === '') return no('can only create tokens for individual service accounts')
        if (subresource !== 'token') return no('can only create token subresource of serviceaccount')
        return this.#related(node, attributes)
      case 'leases.coordination.k8s.io':
        if (attributes.namespace !== 'kube-node-lease') return no('can only access leases in the "kube-node-lease" system namespace')
        return ownObject(node, attributes, 'node lease')
      case 'csinodes.storage.k8s.io':
        return subresource === '' ? ownObject(node, attributes, 'CSINode') : no('cannot authorize CSINode subresources')
      case 'resourceslices.resource.k8s.io':
        return this.#slices(node, attributes)
      case 'nodes':
        return nodes(node, attributes)
      case 'pods':
        return this.#pods(node, attributes)
      default:
        return commonRules.some((common) => ruleAllows(common, attributes)) ? allow : no()
    }
  }

  #readOne(node: string, attributes: AccessAttributes): Decision {
    if (attributes.verb !== 'get') return no('can only get individual resources of this type')
    return attributes.subresource === '' ? this.#related(node, attributes) : no('cannot get subresource')
  }

  #related(node: string, attributes: AccessAttributes): Decision {
    if (attributes.name === '') return no('No Object name found')
    return this.#isRelated(node, attributes.resource, attributes.namespace, attributes.name)
      ? allow
      : no(`no relationship found between node '${node}' and this object`)
  }

  #isRelated(node: string, resource: string, namespace: string, name: string): boolean {
    switch (resource) {
      case 'pods':
        return this.#objects.get(pods, namespace, name)?.spec.nodeName === node
      case 'persistentvolumes': {
        const volume = this.#objects.get(persistentvolumes, '', name)
        return volume !== undefined && this.#usesVolume(node, volume)
      }
      case 'volumeattachments':
        return this.#objects.get(volumeattachments, '', name)?.spec.nodeName === node
      case 'secrets':
        return this.#podsRefer(node, 'secrets', namespace, name) || this.#volumesRefer(node, namespace, name)
      case 'configmaps':
      case 'persistentvolumeclaims':
      case 'serviceaccounts':
      case 'resourceclaims':
        return this.#podsRefer(node, resource, namespace, name)
      default:
        return false
    }
  }

  #podsRefer(node: string, kind: ReferencedKind, namespace: string, name: string): boolean {
    return this.#objects.list(pods, namespace).some((pod) => pod.spec.nodeName === node && podRefersTo(pod, kind, name))
  }

  #usesVolume(node: string, volume: PersistentVolume): boolean {
    const claim = volume.spec.claimRef
    return (
      claim?.namespace !== undefined &&
      claim.name !== undefined &&
      this.#podsRefer(node, 'persistentvolumeclaims', claim.namespace, claim.name)
    )
  }

  /** Secrets that volumes of the node's pods need. */
  #volumesRefer(node: string, namespace: string, name: string): boolean {
    return this.#objects.list(persistentvolumes).some((volume) => {
      const { csi, azureFile, cephfs, cinder, flexVolume, iscsi, rbd, scaleIO, storageos } = volume.spec
      const references = [
        csi?.nodePublishSecretRef,
        csi?.nodeStageSecretRef,
        csi?.nodeExpandSecretRef,
        azureFile === undefined ? undefined : { name: azureFile.secretName, namespace: azureFile.secretNamespace },
        ...[cephfs, cinder, flexVolume, iscsi, rbd, scaleIO, storageos].map((source) => source?.secretRef),
      ]
      const isReferred = references.some((ref) => ref?.name === name && (ref.namespace ?? volume.spec.claimRef?.namespace) === namespace)
      return isReferred && this.#usesVolume(node, volume)
    })
  }

  #slices(node: string, attributes: AccessAttributes): Decision {
    const { verb } = attributes
    if (attributes.subresource !== '') return no('cannot authorize ResourceSlice subresources')
    if (verb === 'create') return allow
    if (['get', 'update', 'patch', 'delete'].includes(verb)) {
      return this.#objects.get(resourceslices, '', attributes.name)?.spec.nodeName === node
        ? allow
        : no(`no relationship found between node '${node}' and this object`)
    }
    if (['list', 'watch', 'deletecollection'].includes(verb)) {
      return selectsNode(attributes, node) ? allow : no('can only list/watch/deletecollection resourceslices with nodeName field selector')
    }
    return no('only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, delete, deletecollection')
  }

  #pods(node: string, attributes: AccessAttributes): Decision {
    const { verb, subresource } = attributes
    if (subresource === 'status') return ['update', 'patch'].includes(verb) ? allow : no()
    if (subresource === 'eviction') return verb === 'create' ? allow : no()
    if (subresource !== '') return no()
    if (verb === 'get') return this.#related(node, attributes)
    if (verb === 'create' || verb === 'delete') return allow
    if (verb !== 'list' && verb !== 'watch') return no()
    if (selectsNode(attributes, node)) return allow
    return attributes.name === '' ? no('can only list/watch pods with spec.nodeName field selector') : this.#related(node, attributes)
  }
}

function selectsNode({ fieldSelector }: AccessAttributes, node: string): boolean {
  if (fieldSelector === undefined || fieldSelector === '') return false
  try {
    return parseFieldSelector(fieldSelector).some(({ field, isEqual, value }) => field === 'spec.nodeName' && isEqual && value === node)
  } catch (error) {
    // A selector that cannot be read narrows nothing; the request itself will be refused for it.
    if (isStatusError(error)) return false
    throw error
  }
}

function ownObject(node: string, { verb, name }: AccessAttributes, what: string): Decision {
  if (!['get', 'create', 'update', 'patch', 'delete'].includes(verb)) return no(`can only get, create, update, patch, or delete a ${what}`)
  // The name of a new object is checked by NodeRestriction.
  return verb === 'create' || name === node ? allow : no(`can only access ${what} with the same name as the requesting node`)
}

function nodes(node: string, { verb, subresource, name }: AccessAttributes): Decision {
  if (subresource === 'status') return ['update', 'patch'].includes(verb) ? allow : no()
  if (subresource !== '') return no()
  if (['create', 'update', 'patch'].includes(verb)) return allow
  if (!['get', 'list', 'watch'].includes(verb)) return no()
  if (name === node) return allow
  return no(
    name === ''
      ? `node '${node}' cannot read all nodes, only its own Node object`
      : `node '${node}' cannot read '${name}', only its own Node object`,
  )
}
