import { servicecidrs, type ServiceCIDR } from '@k3s/api/types/networking/v1'
import { equalJson } from '../json.ts'
import type { ApiCore } from '../pipeline/api-core.ts'
import { formatTime } from '../registry/write-scope.ts'
import { createIfMissing } from './system-namespaces.ts'

const name = 'kubernetes'

/** Keeps the ServiceCIDR that tells clients the server's own ranges. One with other ranges is somebody's decision and stays as it is, and so does what was said about readiness. */
export async function keepDefaultServiceCidr(
  { objects, operations, clock }: Pick<ApiCore, 'objects' | 'operations' | 'clock'>,
  cidrs: readonly string[],
): Promise<void> {
  const present = objects.get(servicecidrs, '', name)
  if (present === undefined)
    await createIfMissing(() => operations.create(servicecidrs, { metadata: { name }, spec: { cidrs: [...cidrs] } }))
  else if (isSettled(present, cidrs)) return
  await operations.guaranteedUpdate(servicecidrs, { namespace: '', name }, (range) => {
    if (isSettled(range, cidrs)) return
    const ready = {
      type: 'Ready',
      status: 'True',
      reason: '',
      message: 'Kubernetes default Service CIDR is ready',
      lastTransitionTime: formatTime(clock.now()),
    }
    range.status = { ...range.status, conditions: [...(range.status?.conditions ?? []), ready] }
  })
}

function isSettled({ metadata, spec, status }: ServiceCIDR, cidrs: readonly string[]): boolean {
  const isLeaving = metadata.deletionTimestamp !== undefined
  return isLeaving || !equalJson(spec?.cidrs, cidrs) || status?.conditions?.some(({ type }) => type === 'Ready') === true
}
