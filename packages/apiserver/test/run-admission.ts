import type { KubernetesObject, ResourceType } from '@k3s/api'
import { namespaces, type ResourceQuota, serviceaccounts } from '@k3s/api/types/core/v1'
import type { AdmissionRequest } from '../src/admission/admission.ts'
import { builtInAdmission, type BuiltInAdmissionOptions } from '../src/admission/built-in.ts'
import type { UserInfo } from '../src/auth/auth.ts'
import { RbacAuthorizer } from '../src/auth/rbac/rbac-authorizer.ts'
import { objectsOf, scopeOf, stored, type Stored, type TestScope } from './strategy-runs.ts'

const defaultStored: readonly Stored[] = [
  stored(namespaces, { metadata: { name: 'a' }, spec: {} }),
  stored(serviceaccounts, { metadata: { name: 'default', namespace: 'a' }, imagePullSecrets: [{ name: 'pull' }] }),
]

/** What admission saw and did. */
export interface AdmissionRun {
  readonly scope: TestScope
  readonly request: AdmissionRequest
}

/** Runs the plugins of these names, or all, over a request. */
export async function runAdmission<T extends KubernetesObject>(
  type: ResourceType<T>,
  object: T | undefined,
  options: {
    readonly only?: readonly string[]
    readonly old?: T
    readonly subresource?: string
    readonly operation?: AdmissionRequest['operation']
    readonly user?: UserInfo
    readonly stored?: readonly Stored[]
    readonly quota?: ResourceQuota
    readonly settings?: Pick<BuiltInAdmissionOptions, 'enabled' | 'disabled' | 'podSecurity' | 'tolerationSeconds'>
  } = {},
): Promise<AdmissionRun> {
  const objects = objectsOf(...(options.stored ?? defaultStored))
  const rbac = new RbacAuthorizer(objects)
  const scope = scopeOf({
    objects,
    namespace: object?.metadata.namespace ?? options.old?.metadata.namespace ?? '',
    ...(options.user === undefined ? {} : { user: options.user }),
  })
  const request: AdmissionRequest = {
    operation: options.operation ?? (options.old === undefined ? 'CREATE' : 'UPDATE'),
    type,
    subresource: options.subresource ?? '',
    namespace: scope.namespace,
    name: (object ?? options.old)?.metadata.name ?? '',
    object,
    oldObject: options.old,
    scope,
  }
  const plugins = builtInAdmission({
    authorizer: rbac,
    rules: rbac,
    operations: {
      guaranteedUpdate: (_type, _at, change) => {
        // The only quota of the test.
        change(options.quota as never)
        return Promise.resolve(options.quota as never)
      },
    },
    random: () => 0,
    ...options.settings,
  }).filter(({ name }) => options.only?.includes(name) ?? true)
  for (const plugin of plugins) await plugin.admit?.(request)
  for (const plugin of plugins) await plugin.validate?.(request)
  return { scope, request }
}
