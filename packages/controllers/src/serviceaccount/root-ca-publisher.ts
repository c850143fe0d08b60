import { hasReason } from '@k3s/api'
import { configmaps, namespaces, type ConfigMap } from '@k3s/api/types/core/v1'
import type { Service } from '@k3s/lifecycle'
import type { ControllerContext } from '../kit/context.ts'
import { controllerService, enqueueOn } from '../kit/controller.ts'
import { isSemanticallyEqual } from '../kit/equal.ts'
import { isNamespaceTerminating } from '../kit/pod-control.ts'

export interface RootCaPublisherOptions {
  /** The PEM that pods trust the API server by. */
  readonly rootCa: string
}

const name = 'kube-root-ca.crt'
const description = 'The CA that pods verify the API server by, at the addresses that they know it by.'

/** Keeps the ConfigMap `kube-root-ca.crt`, which holds the API server's CA, in every namespace. */
export function createRootCaPublisher(context: ControllerContext, options: RootCaPublisherOptions): Service {
  const { client, informers } = context
  const namespaceInformer = informers.informer(namespaces)
  const mapInformer = informers.informer(configmaps, { fieldSelector: `metadata.name=${name}` })
  const data = { 'ca.crt': options.rootCa }
  return controllerService({
    name: 'root-ca-cert-publisher',
    context,
    informers: [namespaceInformer, mapInformer],
    watch: (queue) => [
      enqueueOn(namespaceInformer, queue, ({ metadata }) => [metadata.name]),
      enqueueOn(mapInformer, queue, ({ metadata }) => [metadata.namespace ?? '']),
    ],
    async reconcile(namespace, signal) {
      if (namespaceInformer.lister.get(namespace)?.status?.phase !== 'Active') return
      const current = mapInformer.lister.get(`${namespace}/${name}`)
      const annotations = { ...current?.metadata.annotations, 'kubernetes.io/description': description }
      if (
        current !== undefined &&
        isSemanticallyEqual(current.data, data) &&
        isSemanticallyEqual(current.metadata.annotations, annotations)
      )
        return
      const wanted: ConfigMap = { ...current, metadata: { ...current?.metadata, name, namespace, annotations }, data }
      try {
        if (current === undefined) await client.resource(configmaps).create(wanted, { signal })
        else await client.resource(configmaps).update(wanted, { signal })
      } catch (error) {
        if (!hasReason(error, 'AlreadyExists', 'NotFound') && !isNamespaceTerminating(error)) throw error
      }
    },
  })
}
