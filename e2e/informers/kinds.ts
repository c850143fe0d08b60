import type { ApiTransport } from '@k3s/client'
import { configMap, customDefinition, customObject, deployment, group, job, pod, service, type Manifest } from '../churn/manifests.ts'

/** A kind that informers follow. */
export interface Kind {
  /** As informers name it: `deployments.apps`. */
  readonly name: string
  /** Of all namespaces. */
  readonly path: string
  create(name: string): Manifest
}

const custom = 'gadgets1'

/** The custom resource, as Go names one in an argument. */
export const customResource = `${custom}.v1.${group}`

/** What is churned and followed; the last one is a custom resource. */
export const kinds: readonly Kind[] = [
  { name: 'configmaps', path: '/api/v1/configmaps', create: (name) => configMap(name, 0) },
  { name: 'secrets', path: '/api/v1/secrets', create: (name) => ({ metadata: { name }, stringData: { a: 'b' } }) },
  { name: 'services', path: '/api/v1/services', create: (name) => service(name, name) },
  { name: 'serviceaccounts', path: '/api/v1/serviceaccounts', create: (name) => ({ metadata: { name } }) },
  { name: 'pods', path: '/api/v1/pods', create: (name) => ({ ...pod(name), spec: unbound }) },
  { name: 'deployments.apps', path: '/apis/apps/v1/deployments', create: (name) => deployment(name, 1) },
  { name: 'jobs.batch', path: '/apis/batch/v1/jobs', create: (name) => job(name, { seconds: 1, exitCode: 0, parallelism: 1 }) },
  { name: 'leases.coordination.k8s.io', path: '/apis/coordination.k8s.io/v1/leases', create: (name) => ({ metadata: { name }, spec: {} }) },
  {
    name: 'endpointslices.discovery.k8s.io',
    path: '/apis/discovery.k8s.io/v1/endpointslices',
    create: (name) => ({ metadata: { name }, addressType: 'IPv4', endpoints: [], ports: [] }),
  },
  { name: `${custom}.${group}`, path: `/apis/${group}/v1/${custom}`, create: (name) => customObject(custom, name, 1) },
]

// No account has a token to mount, nobody binds it: it is gone as soon as it is deleted.
const unbound = { automountServiceAccountToken: false, containers: [{ name: 'main', image: 'registry.test/churn:1' }] }

const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'

/** Makes the custom resource and the account that pods need; resolves when objects of it can be made. */
export async function prepareKinds(transport: ApiTransport): Promise<void> {
  await transport.request({ method: 'POST', path: definitions, body: customDefinition(custom) })
  await transport.request({ method: 'POST', path: '/api/v1/namespaces/default/serviceaccounts', body: { metadata: { name: 'default' } } })
  const deadline = performance.now() + 30_000
  for (;;) {
    try {
      await transport.request({ method: 'GET', path: `/apis/${group}/v1/${custom}` })
      return
    } catch (error) {
      if (performance.now() > deadline) throw error
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
