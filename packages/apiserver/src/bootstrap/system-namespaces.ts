import { hasReason } from '@k3s/api'
import { namespaces, type Namespace } from '@k3s/api/types/core/v1'
import type { ApiCore } from '../pipeline/api-core.ts'

const systemNamespaces = ['default', 'kube-system', 'kube-public', 'kube-node-lease']

/** Creates the namespaces that every cluster has. */
export async function ensureSystemNamespaces({ objects, operations }: Pick<ApiCore, 'objects' | 'operations'>): Promise<void> {
  await Promise.all(
    systemNamespaces
      .filter((name) => objects.get(namespaces, '', name) === undefined)
      .map((name) => createIfMissing(() => operations.create(namespaces, newNamespace(name)))),
  )
}

function newNamespace(name: string): Namespace {
  return {
    metadata: { name, labels: { 'kubernetes.io/metadata.name': name } },
    spec: { finalizers: ['kubernetes'] },
    status: { phase: 'Active' },
  }
}

/** Another server may be faster. */
export async function createIfMissing(create: () => Promise<unknown>): Promise<void> {
  try {
    await create()
  } catch (error) {
    if (!hasReason(error, 'AlreadyExists')) throw error
  }
}
