import type { TokenRequest } from '@k3s/api/types/authentication/v1'
import { persistentvolumeclaims, persistentvolumes, type Pod, type Volume } from '@k3s/api/types/core/v1'
import { csidrivers } from '@k3s/api/types/storage/v1'
import type { Authorizer, UserInfo } from '../auth/auth.ts'
import type { ObjectReader } from '../registry/strategy.ts'

/** The CSI driver that a volume needs; undefined when it needs none or its claim is not bound. */
function driverOf(objects: ObjectReader, pod: Pod, volume: Volume): string | undefined {
  if (volume.csi !== undefined) return volume.csi.driver
  const name = volume.ephemeral === undefined ? volume.persistentVolumeClaim?.claimName : `${pod.metadata.name}-${volume.name}`
  if (name === undefined) return undefined
  const claim = objects.get(persistentvolumeclaims, pod.metadata.namespace ?? '', name)
  const bound = claim?.spec.volumeName
  return bound === undefined ? undefined : objects.get(persistentvolumes, '', bound)?.spec.csi?.driver
}

function needsAudience(objects: ObjectReader, pod: Pod, audience: string): boolean {
  return (pod.spec.volumes ?? []).some((volume) => {
    if (
      volume.projected?.sources?.some(({ serviceAccountToken: token }) => token !== undefined && (token.audience ?? '') === audience) ===
      true
    )
      return true
    const driver = driverOf(objects, pod, volume)
    const { tokenRequests = [] } = (driver === undefined ? undefined : objects.get(csidrivers, '', driver))?.spec ?? {}
    return tokenRequests.some((request) => request.audience === audience)
  })
}

/**
 * Why a node may not have a token of a pod's account for the audience that it asks for: only those that the pod's volumes need, and those that it
 * was given by the verb `request-serviceaccounts-token-audience`. Undefined: it may.
 */
export async function audienceProblem(
  token: TokenRequest,
  {
    pod,
    account,
    user,
    objects,
    authorizer,
  }: {
    readonly pod: Pod
    readonly account: string
    readonly user: UserInfo
    readonly objects: ObjectReader
    readonly authorizer: Authorizer
  },
): Promise<string | undefined> {
  const { audiences } = token.spec as { readonly audiences?: readonly string[] | undefined } // clients may leave them out
  const [audience = '', ...others] = audiences ?? []
  if (others.length > 0) return 'node may only request 0 or 1 audiences'
  if (needsAudience(objects, pod, audience)) return undefined
  const { decision } = await authorizer.authorize({
    user,
    verb: 'request-serviceaccounts-token-audience',
    isResource: true,
    group: '',
    version: 'v1',
    resource: audience,
    subresource: '',
    namespace: pod.metadata.namespace ?? '',
    name: account,
    path: '',
  })
  if (decision === 'allow') return undefined
  return `audience ${JSON.stringify(audience)} not found in pod spec volume, ${user.name} is not authorized to request tokens for this audience`
}
