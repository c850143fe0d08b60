import { configmaps, type ConfigMap } from '@k3s/api/types/core/v1'
import type { ApiCore } from '../pipeline/api-core.ts'
import { createIfMissing } from './system-namespaces.ts'

const at = { namespace: 'kube-system', name: 'kube-apiserver-legacy-service-account-token-tracking' }
const key = 'since'

/** Keeps the ConfigMap that says since which day uses of service account tokens from Secrets are recorded: whoever cleans up unused ones reads it. A day that is there stays. */
export async function keepTokenTracking({ objects, operations, clock }: Pick<ApiCore, 'objects' | 'operations' | 'clock'>): Promise<void> {
  const today = new Date(clock.now()).toISOString().slice(0, 10)
  const present = objects.get(configmaps, at.namespace, at.name)
  if (present === undefined) await createIfMissing(() => operations.create(configmaps, { metadata: at, data: { [key]: today } }))
  else if (!saysSince(present))
    await operations.guaranteedUpdate(configmaps, at, (map) => {
      if (!saysSince(map)) map.data = { ...map.data, [key]: today }
    })
}

const saysSince = ({ data = {} }: ConfigMap): boolean =>
  /^\d{4}-\d\d-\d\d$/.test(data[key] ?? '') && !Number.isNaN(Date.parse(data[key] ?? ''))
