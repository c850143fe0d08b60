import { hasReason } from '@k3s/api'
import { namespaces, serviceaccounts } from '@k3s/api/types/core/v1'
import type { Service } from '@k3s/lifecycle'
import type { ControllerContext } from '../kit/context.ts'
import { controllerService, enqueueOn } from '../kit/controller.ts'
import { isNamespaceTerminating } from '../kit/pod-control.ts'

/** Keeps a ServiceAccount `default` in every namespace. */
export function createServiceAccountController(context: ControllerContext): Service {
  const { client, informers } = context
  const namespaceInformer = informers.informer(namespaces)
  const accountInformer = informers.informer(serviceaccounts)
  const name = 'default'
  return controllerService({
    name: 'serviceaccount',
    context,
    informers: [namespaceInformer, accountInformer],
    watch: (queue) => [
      enqueueOn(namespaceInformer, queue, ({ metadata }) => [metadata.name]),
      accountInformer.addHandler({ delete: ({ metadata }) => metadata.name === name && queue.add(metadata.namespace ?? '') }),
    ],
    async reconcile(namespace, signal) {
      if (namespaceInformer.lister.get(namespace)?.status?.phase !== 'Active') return
      if (accountInformer.lister.get(`${namespace}/${name}`) !== undefined) return
      try {
        await client.resource(serviceaccounts).create({ metadata: { name, namespace } }, { signal })
      } catch (error) {
        if (!hasReason(error, 'AlreadyExists', 'NotFound') && !isNamespaceTerminating(error)) throw error
      }
    },
  })
}
